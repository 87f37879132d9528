//! Collections that are dropped with everything of them, and made again.

use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::{FailureReason, Fault};
use contexture_core::ports::document_ledger::DocumentPage;
use contexture_core::ports::generations::{GenerationBuildFailure, GenerationBuildPace, GenerationState};
use contexture_core::ports::ledger::{DeadLetterFilter, VersionCounts, VersionOutcome, VersionState};

use super::LedgerFixture;
use crate::support::{TENANT, collection, document, epoch, spans, submission, version_key};

impl LedgerFixture {
    /// Fills the collection with versions in every state and a second generation.
    async fn fill(&self) {
        let old = self.accepted("doc", 1, "one").await;
        self.ledger.store_spans(1, vec![(old.clone(), spans(2))]).await.unwrap();
        self.finish(&old, VersionOutcome::Visible(1)).await;
        self.visible("doc", 2, "two").await;
        self.accepted("waiting", 1, "text").await;
        self.dead("dead", 1, "text").await;
        let pace = GenerationBuildPace::default();
        self.ledger.begin_generation(&self.home, "", epoch("two"), pace).await.unwrap();
        let failure = GenerationBuildFailure {
            key: self.key("doc", 2),
            reason: FailureReason::new("too_many_chunks", "far too many"),
        };
        self.ledger.fail_preparing(2, vec![failure]).await.unwrap();
    }

    async fn generations_after_drop(&self) -> Option<Vec<u32>> {
        let dropped = self.ledger.drop_collection(&self.home).await.unwrap()?;
        assert!(dropped.iter().all(|home| home.key == self.home));
        Some(dropped.into_iter().map(|home| home.generation).collect())
    }

    /// Everything that the ledger lists of a collection, as numbers that must all be 0 once it is dropped.
    async fn left(&self, key: &CollectionKey) -> Vec<usize> {
        let ledger = &self.ledger;
        let filter = DeadLetterFilter::default();
        let page = DocumentPage { limit: 9, ..DocumentPage::default() };
        vec![
            ledger.collections().await.unwrap().iter().filter(|record| record.key == *key).count(),
            usize::from(ledger.collection(key).await.unwrap().is_some()),
            ledger.generations(Some(key)).await.unwrap().len(),
            ledger.history(key, &document("doc")).await.unwrap().len(),
            ledger.documents(key, &page).await.unwrap().len(),
            ledger.changes(key, 0, 9).await.unwrap().len(),
            usize::try_from(ledger.counts(key).await.unwrap().accepted).unwrap(),
            of_collection(key, ledger.dead(&filter, 9).await.unwrap().into_iter().map(|one| one.key)),
            of_collection(key, ledger.unpublished(9).await.unwrap().into_iter().map(|one| one.key)),
            of_collection(
                key,
                ledger.stuck(u64::MAX >> 1, 9).await.unwrap().into_iter().map(|one| one.1.key),
            ),
            ledger.unswept_documents(9).await.unwrap().iter().filter(|(of, _)| of == key).count(),
            ledger.bodies(&[version_key(key, "doc", 2)]).await.unwrap().into_iter().flatten().count(),
            ledger.spans(1, &[version_key(key, "doc", 1)]).await.unwrap().into_iter().flatten().count(),
            ledger.failures(key, 2, 9).await.unwrap().len(),
        ]
    }
}

fn of_collection(
    key: &CollectionKey,
    keys: impl Iterator<Item = contexture_core::domain::ids::VersionKey>,
) -> usize {
    keys.filter(|one| one.collection_key() == *key).count()
}

pub(super) async fn dropped_collection_leaves_nothing(fixture: LedgerFixture) {
    let other = collection("globex", fixture.home.collection.as_str());
    fixture.ledger.ensure_collection(&other, "", epoch("one")).await.unwrap();
    fixture.ledger.accept(vec![submission(&other, "doc", Some(1), "text")]).await.unwrap();
    fixture.fill().await;
    assert!(fixture.left(&fixture.home).await.iter().all(|left| *left > 0), "each of these can be seen");
    let before = fixture.left(&other).await;
    assert_eq!(fixture.generations_after_drop().await, Some(vec![1, 2]));
    assert_eq!(fixture.left(&fixture.home).await, vec![0; 14]);
    assert_eq!(fixture.left(&other).await, before, "another tenant has its own");
    assert_eq!(fixture.ledger.drop_collection(&collection(TENANT, "never")).await.unwrap(), None);
}

pub(super) async fn first_step_of_a_drop_hides_everything(fixture: LedgerFixture) {
    fixture.fill().await;
    fixture.ledger.hide_collection(&fixture.home).await.unwrap().unwrap();
    assert_eq!(fixture.left(&fixture.home).await, vec![0; 14]);
    let refused = fixture.ledger.accept(vec![submission(&fixture.home, "doc", Some(3), "text")]).await;
    assert!(matches!(refused, Err(Fault::Permanent(reason)) if reason.code == "unknown_collection"));
    // What a crash left is finished by the same call, and by housekeeping.
    assert_eq!(fixture.generations_after_drop().await, Some(vec![1, 2]));
    assert!(!fixture.ledger.purge_hidden(1).await.unwrap());
}

pub(super) async fn dropped_collection_is_purged_in_steps(fixture: LedgerFixture) {
    for number in 0..5 {
        fixture.visible(&format!("doc {number}"), 1, "text").await;
    }
    fixture.ledger.hide_collection(&fixture.home).await.unwrap().unwrap();
    let mut steps = 0;
    while fixture.ledger.purge_hidden(2).await.unwrap() {
        steps += 1;
    }
    assert!(steps <= 3, "{steps}");
}

pub(super) async fn generations_of_a_dropped_collection_are_listed_until_forgotten(fixture: LedgerFixture) {
    fixture.fill().await;
    let dropped = fixture.ledger.drop_collection(&fixture.home).await.unwrap().unwrap();
    let listed = fixture.ledger.dropped_generations().await.unwrap();
    assert_eq!(listed.iter().map(|one| one.home.clone()).collect::<Vec<_>>(), dropped);
    fixture.ledger.forget_dropped(&dropped[..1]).await.unwrap();
    assert_eq!(fixture.generations_after_drop().await, Some(vec![2]));
    fixture.ledger.forget_dropped(&dropped).await.unwrap();
    assert_eq!(fixture.ledger.dropped_generations().await.unwrap(), []);
    assert_eq!(fixture.generations_after_drop().await, None);
}

pub(super) async fn collection_made_again_is_another_one(fixture: LedgerFixture) {
    fixture.fill().await;
    let dropped = fixture.ledger.drop_collection(&fixture.home).await.unwrap().unwrap();
    let again = fixture.ledger.ensure_collection(&fixture.home, "new", epoch("one")).await.unwrap();
    assert_eq!((again.generation, again.pipeline.as_str()), (3, "new"), "no number is used twice");
    assert_eq!(fixture.counts().await, VersionCounts::default());
    // What is left of the old one goes without the new one.
    while fixture.ledger.purge_hidden(1).await.unwrap() {}
    fixture.ledger.forget_dropped(&dropped).await.unwrap();
    let records = fixture.ledger.generations(Some(&fixture.home)).await.unwrap();
    assert_eq!((records.len(), records[0].state), (1, GenerationState::Active));
    assert_eq!(fixture.submit("doc", None, "one").await.1, 1, "its documents begin anew");
    assert_eq!(fixture.generations_after_drop().await, Some(vec![3]));
    let third = fixture.ledger.ensure_collection(&fixture.home, "", epoch("one")).await.unwrap();
    assert_eq!(third.generation, 4);
}

pub(super) async fn outcomes_of_a_dropped_collection_change_nothing(fixture: LedgerFixture) {
    let key = fixture.accepted("doc", 1, "one").await;
    fixture.ledger.drop_collection(&fixture.home).await.unwrap();
    let outcomes = [VersionOutcome::Visible(1), VersionOutcome::Superseded, super::gave_up()];
    for outcome in outcomes {
        fixture.finish(&key, outcome).await;
    }
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(1))]).await.unwrap();
    fixture.ledger.mark_embedded(std::slice::from_ref(&key)).await.unwrap();
    fixture.ledger.mark_swept(std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(fixture.left(&fixture.home).await, vec![0; 14]);
    // A process that has the old generation open still commits to it.
    fixture.ledger.ensure_collection(&fixture.home, "", epoch("one")).await.unwrap();
    let same = fixture.accepted("doc", 1, "another").await;
    fixture.finish(&same, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.state(&same).await, VersionState::Accepted);
    fixture.finish(&same, VersionOutcome::Visible(2)).await;
    assert_eq!(fixture.state(&same).await, VersionState::Visible);
}

pub(super) async fn drops_and_submissions_at_once_leave_no_orphans(fixture: LedgerFixture) {
    for round in 0..8 {
        fixture.ledger.ensure_collection(&fixture.home, "", epoch("one")).await.unwrap();
        let submitting = (0..6).map(|number| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                let submitted = submission(&fixture.home, &format!("{round} {number}"), None, "text");
                match fixture.ledger.accept(vec![submitted]).await {
                    Ok(_) => {}
                    Err(Fault::Permanent(reason)) => assert_eq!(reason.code, "unknown_collection"),
                    Err(other) => panic!("{other}"),
                }
            })
        });
        let submitting: Vec<_> = submitting.collect();
        fixture.ledger.drop_collection(&fixture.home).await.unwrap().unwrap();
        for submitted in submitting {
            submitted.await.unwrap();
        }
        while fixture.ledger.purge_hidden(10).await.unwrap() {}
        assert_eq!(fixture.left(&fixture.home).await, vec![0; 14], "round {round}");
    }
}
