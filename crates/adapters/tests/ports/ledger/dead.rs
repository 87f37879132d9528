//! Dead letters: listed, replayed, dropped.

use std::time::Duration;

use contexture_core::domain::task::IngestStage;
use contexture_core::fault::FailureReason;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::ledger::{DeadLetter, DeadLetterFilter, VersionOutcome, VersionState};

use super::LedgerFixture;
use crate::support::{collection, epoch, submission, version_key};

impl LedgerFixture {
    async fn letters(&self, filter: DeadLetterFilter) -> Vec<DeadLetter> {
        self.ledger.dead(&filter, 100).await.unwrap()
    }

    async fn dead_ids(&self, filter: DeadLetterFilter) -> Vec<String> {
        self.letters(filter).await.into_iter().map(|letter| letter.key.document_id.to_string()).collect()
    }
}

pub(super) async fn letter_says_what_where_why_and_when(fixture: LedgerFixture) {
    fixture.clock.advance(Duration::from_secs(5));
    let (key, id) = fixture.dead("doc", 3, "text").await;
    let expected = DeadLetter {
        id,
        key,
        stage: IngestStage::Embed,
        reason: FailureReason::new("embedder_rejected", "not a number"),
        died_ms: fixture.clock.now_ms(),
    };
    assert_eq!(fixture.letters(DeadLetterFilter::default()).await, [expected]);
}

pub(super) async fn letters_are_filtered_by_each_field(fixture: LedgerFixture) {
    let elsewhere = collection("globex", "elsewhere");
    fixture.ledger.ensure_collection(&elsewhere, "", epoch("one")).await.unwrap();
    fixture.ledger.accept(vec![submission(&elsewhere, "there", Some(1), "text")]).await.unwrap();
    fixture.accepted("early", 1, "text").await;
    fixture.accepted("late", 1, "text").await;
    let end = |key, stage, code| (key, VersionOutcome::Dead(stage, FailureReason::new(code, "why")));
    let first = vec![
        end(version_key(&elsewhere, "there", 1), IngestStage::Chunk, "empty_document"),
        end(fixture.key("early", 1), IngestStage::Embed, "embedder_rejected"),
    ];
    fixture.ledger.finish(first).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    let since_ms = Some(fixture.clock.now_ms());
    let last = vec![end(fixture.key("late", 1), IngestStage::Index, "conflict")];
    fixture.ledger.finish(last).await.unwrap();

    let everything = DeadLetterFilter::default;
    let by_home = DeadLetterFilter { collection: Some(fixture.home.clone()), ..everything() };
    assert_eq!(fixture.dead_ids(by_home.clone()).await, ["early", "late"]);
    let same_name = collection("globex", fixture.home.collection.as_str());
    let by_other_tenant = DeadLetterFilter { collection: Some(same_name), ..everything() };
    assert_eq!(fixture.letters(by_other_tenant).await, []);
    let by_tenant = |tenant| DeadLetterFilter { tenant: Some(tenant), ..everything() };
    assert_eq!(fixture.dead_ids(by_tenant(elsewhere.tenant.clone())).await, ["there"]);
    assert_eq!(fixture.dead_ids(by_tenant(fixture.home.tenant.clone())).await, ["early", "late"]);
    let by_reason = DeadLetterFilter { reason: Some("empty_document".to_owned()), ..everything() };
    assert_eq!(fixture.dead_ids(by_reason).await, ["there"]);
    let by_stage = DeadLetterFilter { stage: Some(IngestStage::Embed), ..everything() };
    assert_eq!(fixture.dead_ids(by_stage).await, ["early"]);
    assert_eq!(fixture.dead_ids(DeadLetterFilter { since_ms, ..everything() }).await, ["late"]);
    let last_id = fixture.letters(everything()).await[2].id;
    assert_eq!(fixture.dead_ids(DeadLetterFilter { ids: vec![last_id], ..everything() }).await, ["late"]);
    assert_eq!(fixture.letters(DeadLetterFilter { ids: vec![u64::MAX >> 1], ..everything() }).await, []);
    let contradiction = DeadLetterFilter { stage: Some(IngestStage::Chunk), ..by_home };
    assert_eq!(fixture.letters(contradiction).await, []);
}

pub(super) async fn letters_come_oldest_first_up_to_the_limit(fixture: LedgerFixture) {
    for id in ["b", "a", "c"] {
        fixture.dead(id, 1, "text").await;
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(fixture.dead_ids(DeadLetterFilter::default()).await, ["b", "a", "c"]);
    let oldest = fixture.ledger.dead(&DeadLetterFilter::default(), 2).await.unwrap();
    assert_eq!(oldest.len(), 2);
    assert_eq!(oldest[0].key.document_id.as_str(), "b");
}

pub(super) async fn letters_are_read_in_pages(fixture: LedgerFixture) {
    for id in ["b", "a", "d", "c", "e"] {
        fixture.dead(id, 1, "text").await;
    }
    let (mut filter, mut read) = (DeadLetterFilter::default(), Vec::new());
    while let [.., last] = fixture.ledger.dead(&filter, 2).await.unwrap().as_slice() {
        let page = fixture.ledger.dead(&filter, 2).await.unwrap();
        read.extend(page.iter().map(|letter| letter.key.document_id.to_string()));
        filter.after_id = Some(last.id);
    }
    assert_eq!(read, ["b", "a", "d", "c", "e"]);
    filter.after_id = Some(u64::MAX);
    assert_eq!(fixture.letters(filter).await, []);
}

pub(super) async fn letter_numbers_and_times_have_no_highest(fixture: LedgerFixture) {
    fixture.dead("doc", 1, "text").await;
    let everything = DeadLetterFilter::default;
    for past in [u64::MAX >> 1, (u64::MAX >> 1) + 1, u64::MAX] {
        let since = DeadLetterFilter { since_ms: Some(past), ..everything() };
        assert_eq!(fixture.letters(since).await, [], "{past}");
        let after = DeadLetterFilter { after_id: Some(past), ..everything() };
        assert_eq!(fixture.letters(after).await, [], "{past}");
        let one = DeadLetterFilter { ids: vec![past], ..everything() };
        assert_eq!(fixture.letters(one).await, [], "{past}");
        assert_eq!(fixture.ledger.replay(&[past]).await.unwrap(), [], "{past}");
        assert_eq!(fixture.ledger.drop_dead_letters(&[past]).await.unwrap(), 0, "{past}");
    }
    assert_eq!(fixture.ledger.dead(&everything(), usize::MAX).await.unwrap().len(), 1);
}

pub(super) async fn replay_starts_the_version_again(fixture: LedgerFixture) {
    let accepted = submission(&fixture.home, "doc", Some(1), "text");
    let promised = fixture.ledger.accept(vec![accepted]).await.unwrap().remove(0).task.unwrap();
    fixture.ledger.mark_published(std::slice::from_ref(&promised.key)).await.unwrap();
    fixture.finish(&promised.key, super::gave_up()).await;
    assert_eq!(fixture.ledger.unpublished(10).await.unwrap(), []);

    let id = fixture.letters(DeadLetterFilter::default()).await[0].id;
    let tasks = fixture.ledger.replay(&[id]).await.unwrap();
    assert_eq!(tasks, std::slice::from_ref(&promised), "the task it had at first");
    assert_eq!(fixture.state(&promised.key).await, VersionState::Accepted);
    assert_eq!(fixture.letters(DeadLetterFilter::default()).await, []);
    assert_eq!(fixture.ledger.unpublished(10).await.unwrap(), tasks, "to be published again");
    fixture.finish(&promised.key, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.state(&promised.key).await, VersionState::Visible);
}

pub(super) async fn replay_of_an_overtaken_version_supersedes_it(fixture: LedgerFixture) {
    let (key, id) = fixture.dead("doc", 1, "one").await;
    fixture.visible("doc", 2, "two").await;
    assert_eq!(fixture.ledger.replay(&[id]).await.unwrap(), []);
    assert_eq!(fixture.state(&key).await, VersionState::Superseded);
    assert_eq!(fixture.letters(DeadLetterFilter::default()).await, []);
    let counts = fixture.counts().await;
    assert_eq!((counts.visible, counts.superseded, counts.dead, counts.in_flight), (1, 1, 0, 0));
}

pub(super) async fn replayed_version_may_die_again(fixture: LedgerFixture) {
    let (key, first) = fixture.dead("doc", 1, "text").await;
    fixture.ledger.replay(&[first]).await.unwrap();
    let again = VersionOutcome::Dead(IngestStage::Index, FailureReason::new("conflict", "again"));
    fixture.finish(&key, again).await;
    let letters = fixture.letters(DeadLetterFilter::default()).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].stage, letters[0].reason.code.as_str()), (IngestStage::Index, "conflict"));
    let history = fixture.ledger.history(&fixture.home, &key.document_id).await.unwrap();
    assert_eq!(history[0].reason, Some(FailureReason::new("conflict", "again")));
}

pub(super) async fn replayed_version_is_swept_again(fixture: LedgerFixture) {
    let (key, id) = fixture.dead("doc", 1, "one").await;
    fixture.ledger.mark_swept(std::slice::from_ref(&key)).await.unwrap();
    fixture.ledger.replay(&[id]).await.unwrap();
    fixture.finish(&key, VersionOutcome::Visible(1)).await;
    fixture.visible("doc", 2, "two").await;
    let losers =
        fixture.ledger.unswept_versions(&[(fixture.home.clone(), key.document_id.clone())]).await.unwrap();
    assert_eq!(losers.len(), 1, "its second life staged vectors of its own");
}

pub(super) async fn replay_of_unknown_letters_does_nothing(fixture: LedgerFixture) {
    let (key, id) = fixture.dead("doc", 1, "text").await;
    assert_eq!(fixture.ledger.replay(&[id + 1_000]).await.unwrap(), []);
    assert_eq!(fixture.state(&key).await, VersionState::Dead);
    assert_eq!(fixture.ledger.replay(&[id, id]).await.unwrap().len(), 1, "one life per letter");
}

pub(super) async fn dropped_letters_are_of_superseded_versions(fixture: LedgerFixture) {
    let (key, id) = fixture.dead("doc", 1, "text").await;
    fixture.dead("other", 1, "text").await;
    assert_eq!(fixture.ledger.drop_dead_letters(&[id, id + 1_000]).await.unwrap(), 1);
    assert_eq!(fixture.ledger.drop_dead_letters(&[id]).await.unwrap(), 0);
    assert_eq!(fixture.ledger.drop_dead_letters(&[]).await.unwrap(), 0);
    assert_eq!(fixture.dead_ids(DeadLetterFilter::default()).await, ["other"]);
    assert_eq!(fixture.ledger.replay(&[id]).await.unwrap(), []);
    assert_eq!((fixture.state(&key).await, fixture.counts().await.dead), (VersionState::Superseded, 1));
    assert_eq!(fixture.ledger.unswept_documents(9).await.unwrap().len(), 2, "its body is to be deleted");
}
