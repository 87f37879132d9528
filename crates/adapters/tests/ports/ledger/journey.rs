//! A version's way from accepted to its end.

use std::time::Duration;

use bytes::Bytes;
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::domain::ids::derive_embedding_key;
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::ledger::{VersionCounts, VersionOutcome, VersionState};

use super::{LedgerFixture, gave_up};
use crate::support::{BODY_BYTES_MAX, document, principal, readable_by, spans, submission};

const SECOND: Duration = Duration::from_secs(1);

fn names(tasks: &[IngestTask]) -> Vec<&str> {
    tasks.iter().map(|task| task.key.document_id.as_str()).collect()
}

pub(super) async fn outbox_holds_what_was_not_published(fixture: LedgerFixture) {
    let mut promised = Vec::new();
    for id in ["a", "b", "c"] {
        let receipt = fixture.ledger.accept(vec![submission(&fixture.home, id, None, id)]).await.unwrap();
        promised.extend(receipt.into_iter().filter_map(|receipt| receipt.task));
        fixture.clock.advance(SECOND);
    }
    assert_eq!(fixture.ledger.unpublished(10).await.unwrap(), promised, "the same tasks, oldest first");
    assert_eq!(names(&fixture.ledger.unpublished(2).await.unwrap()), ["a", "b"]);
    fixture.ledger.mark_published(&[promised[1].key.clone()]).await.unwrap();
    assert_eq!(names(&fixture.ledger.unpublished(10).await.unwrap()), ["a", "c"]);
    fixture.ledger.mark_published(&[fixture.key("never was", 1)]).await.unwrap();
    assert_eq!(names(&fixture.ledger.unpublished(10).await.unwrap()), ["a", "c"]);
}

pub(super) async fn outbox_forgets_what_moved_on(fixture: LedgerFixture) {
    let chunked = fixture.accepted("chunked", 1, "text").await;
    fixture.visible("visible", 1, "text").await;
    fixture.dead("dead", 1, "text").await;
    fixture.ledger.store_spans(1, vec![(chunked, spans(1))]).await.unwrap();
    assert_eq!(fixture.ledger.unpublished(10).await.unwrap(), []);
}

pub(super) async fn body_comes_back_as_it_was_accepted(fixture: LedgerFixture) {
    let description = DocumentDescription {
        title: Some("Title".to_owned()),
        media_type: Some("text/markdown".to_owned()),
        ..readable_by(&["staff"])
    };
    let body = Bytes::from_static(b"\xff\x00 any bytes");
    let caller = principal(fixture.home.tenant.as_str());
    let submitted = Submission::new(
        &caller,
        fixture.home.collection.clone(),
        document("doc"),
        None,
        description.clone(),
        body.clone(),
        BODY_BYTES_MAX,
    )
    .unwrap();
    fixture.ledger.accept(vec![submitted.clone()]).await.unwrap();
    let keys = [fixture.key("unknown", 1), fixture.key("doc", 1), fixture.key("doc", 2)];
    let mut bodies = fixture.ledger.bodies(&keys).await.unwrap();
    assert!(bodies[0].is_none() && bodies[2].is_none());
    let stored = bodies.swap_remove(1).unwrap();
    assert_eq!((stored.body, stored.description), (body.to_vec(), description));
    assert_eq!((stored.content_hash, stored.state), (submitted.content_hash(), VersionState::Accepted));
}

pub(super) async fn spans_come_back_and_move_to_chunked(fixture: LedgerFixture) {
    let (one, two) = (fixture.accepted("one", 1, "text").await, fixture.accepted("two", 1, "text").await);
    let stored = vec![(one.clone(), spans(3)), (two.clone(), Vec::new())];
    fixture.ledger.store_spans(1, stored).await.unwrap();
    let keys = [two.clone(), fixture.key("unknown", 1), one.clone()];
    let found = fixture.ledger.spans(1, &keys).await.unwrap();
    assert_eq!(found, [Some(Vec::new()), None, Some(spans(3))]);
    assert_eq!(
        (fixture.state(&one).await, fixture.state(&two).await),
        (VersionState::Chunked, VersionState::Chunked)
    );
    fixture.ledger.store_spans(1, vec![(one.clone(), spans(2))]).await.unwrap();
    assert_eq!(fixture.ledger.spans(1, &[one]).await.unwrap(), [Some(spans(2))], "stored again, replaced");
}

pub(super) async fn later_spans_of_one_batch_win(fixture: LedgerFixture) {
    let key = fixture.accepted("doc", 1, "text").await;
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(3)), (key.clone(), spans(1))]).await.unwrap();
    assert_eq!(fixture.ledger.spans(1, &[key.clone(), key]).await.unwrap(), [Some(spans(1)), Some(spans(1))]);
}

pub(super) async fn nothing_asked_is_nothing_done(fixture: LedgerFixture) {
    let key = fixture.dead("doc", 1, "text").await.0;
    let ledger = &fixture.ledger;
    assert_eq!(ledger.accept(Vec::new()).await.unwrap(), []);
    ledger.mark_published(&[]).await.unwrap();
    ledger.store_spans(1, Vec::new()).await.unwrap();
    ledger.mark_embedded(&[]).await.unwrap();
    ledger.finish(Vec::new()).await.unwrap();
    ledger.mark_swept(&[]).await.unwrap();
    ledger.cache_vectors(Vec::new()).await.unwrap();
    assert!(ledger.bodies(&[]).await.unwrap().is_empty() && ledger.spans(1, &[]).await.unwrap().is_empty());
    assert_eq!(ledger.unswept_versions(&[]).await.unwrap(), []);
    assert_eq!(ledger.cached_vectors(&[]).await.unwrap(), Vec::<Option<Vec<f32>>>::new());
    assert_eq!(
        (ledger.replay(&[]).await.unwrap(), ledger.drop_dead_letters(&[]).await.unwrap()),
        (Vec::new(), 0)
    );
    assert_eq!(fixture.state(&key).await, VersionState::Dead);
}

pub(super) async fn states_move_only_forward(fixture: LedgerFixture) {
    let key = fixture.accepted("doc", 1, "text").await;
    assert_eq!(fixture.state(&key).await, VersionState::Accepted);
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(1))]).await.unwrap();
    assert_eq!(fixture.state(&key).await, VersionState::Chunked);
    fixture.ledger.mark_embedded(std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(fixture.state(&key).await, VersionState::Embedded);
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(1))]).await.unwrap();
    assert_eq!(fixture.state(&key).await, VersionState::Embedded, "a redelivered message chunks again");
    fixture.finish(&key, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.state(&key).await, VersionState::Visible);
}

pub(super) async fn terminal_states_do_not_move(fixture: LedgerFixture) {
    for (number, first) in (0..).zip([VersionOutcome::Visible(1), VersionOutcome::Superseded, gave_up()]) {
        let key = fixture.accepted(&format!("doc {number}"), 1, "text").await;
        fixture.finish(&key, first).await;
        let (ended, counts) = (fixture.state(&key).await, fixture.counts().await);
        fixture.clock.advance(SECOND);
        fixture.ledger.store_spans(1, vec![(key.clone(), spans(1))]).await.unwrap();
        fixture.ledger.mark_embedded(std::slice::from_ref(&key)).await.unwrap();
        for later in [VersionOutcome::Visible(1), VersionOutcome::Superseded, gave_up()] {
            fixture.finish(&key, later.clone()).await;
            assert_eq!(fixture.state(&key).await, ended, "{ended:?} then {later:?}");
        }
        assert_eq!(fixture.counts().await, counts);
    }
    let letters = fixture.ledger.dead(&super::DeadLetterFilter::default(), 10).await.unwrap();
    assert_eq!(letters.len(), 1, "only the first ending leaves a letter");
}

pub(super) async fn finish_is_idempotent(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "one").await;
    let key = fixture.accepted("doc", 2, "two").await;
    let twice = vec![(key.clone(), VersionOutcome::Visible(1)), (key.clone(), VersionOutcome::Visible(1))];
    fixture.ledger.finish(twice).await.unwrap();
    let (history, counts) = (fixture.states("doc").await, fixture.counts().await);
    fixture.finish(&key, VersionOutcome::Visible(1)).await;
    assert_eq!((fixture.states("doc").await, fixture.counts().await), (history, counts));
}

pub(super) async fn unknown_versions_change_nothing(fixture: LedgerFixture) {
    let key = fixture.visible("doc", 1, "text").await;
    for unknown in [fixture.key("doc", 2), fixture.key("never was", 1)] {
        for ending in [VersionOutcome::Visible(1), VersionOutcome::Superseded, gave_up()] {
            fixture.finish(&unknown, ending).await;
        }
        fixture.ledger.store_spans(1, vec![(unknown.clone(), spans(1))]).await.unwrap();
        fixture.ledger.mark_embedded(std::slice::from_ref(&unknown)).await.unwrap();
        fixture.ledger.mark_swept(&[unknown]).await.unwrap();
    }
    assert_eq!(fixture.state(&key).await, VersionState::Visible);
    assert_eq!(
        fixture.counts().await,
        VersionCounts { accepted: 1, visible: 1, documents: 1, ..VersionCounts::default() }
    );
}

pub(super) async fn visible_yields_to_a_newer_one(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "one").await;
    fixture.dead("doc", 2, "two").await;
    let newer = fixture.accepted("doc", 3, "three").await;
    fixture.finish(&newer, gave_up()).await;
    fixture.finish(&newer, VersionOutcome::Visible(1)).await;
    let expected = [(3, VersionState::Dead), (2, VersionState::Dead), (1, VersionState::Visible)];
    assert_eq!(fixture.states("doc").await, expected, "a dead version beats nothing");
    fixture.visible("doc", 4, "four").await;
    let expected = [
        (4, VersionState::Visible),
        (3, VersionState::Dead),
        (2, VersionState::Dead),
        (1, VersionState::Superseded),
    ];
    assert_eq!(fixture.states("doc").await, expected);
}

pub(super) async fn visible_too_late_is_superseded(fixture: LedgerFixture) {
    let older = fixture.accepted("doc", 1, "one").await;
    fixture.visible("doc", 2, "two").await;
    fixture.finish(&older, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.states("doc").await, [(2, VersionState::Visible), (1, VersionState::Superseded)]);
}

pub(super) async fn overtaken_is_told_with_the_body(fixture: LedgerFixture) {
    let older = fixture.accepted("doc", 1, "one").await;
    let newer = fixture.accepted("doc", 2, "two").await;
    let keys = [older, newer.clone()];
    let overtaken = async || {
        let bodies = fixture.ledger.bodies(&keys).await.unwrap();
        bodies.into_iter().map(|body| body.unwrap().overtaken).collect::<Vec<_>>()
    };
    assert_eq!(overtaken().await, [false, false], "accepted is not yet visible");
    fixture.finish(&newer, VersionOutcome::Visible(1)).await;
    assert_eq!(overtaken().await, [true, false]);
}

pub(super) async fn stuck_names_the_stage_that_has_to_move(fixture: LedgerFixture) {
    let waiting_for_embed = fixture.accepted("embed", 1, "text").await;
    let waiting_for_index = fixture.accepted("index", 1, "text").await;
    fixture.visible("visible", 1, "text").await;
    fixture.dead("dead", 1, "text").await;
    fixture.clock.advance(SECOND);
    fixture.accepted("chunk", 1, "text").await;
    fixture.clock.advance(SECOND);
    let both = vec![(waiting_for_embed, spans(1)), (waiting_for_index.clone(), spans(1))];
    fixture.ledger.store_spans(1, both).await.unwrap();
    fixture.clock.advance(SECOND);
    fixture.ledger.mark_embedded(&[waiting_for_index]).await.unwrap();
    fixture.clock.advance(SECOND);

    let stuck = async |before_ms: u64, limit: usize| {
        let found = fixture.ledger.stuck(before_ms, limit).await.unwrap();
        found.into_iter().map(|(stage, task)| (stage, task.key.document_id.to_string())).collect::<Vec<_>>()
    };
    let named = |stage: IngestStage| (stage, stage.name().to_owned());
    let now_ms = fixture.clock.now_ms();
    assert_eq!(stuck(now_ms, 10).await, IngestStage::ALL.map(named), "oldest move first");
    assert_eq!(stuck(now_ms, 1).await, [named(IngestStage::Chunk)]);
    assert_eq!(stuck(now_ms - 1_500, 10).await, [named(IngestStage::Chunk), named(IngestStage::Embed)]);
    assert_eq!(stuck(now_ms - 10_000, 10).await, []);
}

pub(super) async fn history_tells_the_whole_story(fixture: LedgerFixture) {
    let accepted_ms = fixture.clock.now_ms();
    let key = fixture.accepted("doc", 3, "four").await;
    fixture.clock.advance(SECOND);
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(2))]).await.unwrap();
    fixture.clock.advance(SECOND);
    fixture.finish(&key, gave_up()).await;
    fixture.delete("doc", None).await;
    let history = fixture.ledger.history(&fixture.home, &document("doc")).await.unwrap();
    assert_eq!(history.len(), 2);
    let (newest, oldest) = (&history[0], &history[1]);
    assert_eq!((newest.key.version.get(), newest.deletes, newest.body_bytes), (4, true, 0));
    assert_eq!((newest.state, newest.chunk_count, &newest.reason), (VersionState::Accepted, None, &None));
    assert_eq!((&oldest.key, oldest.deletes, oldest.body_bytes), (&key, false, 4));
    assert_eq!((oldest.state, oldest.chunk_count), (VersionState::Dead, Some(2)));
    assert_eq!(oldest.reason.as_ref().unwrap().code, "embedder_rejected");
    assert_eq!((oldest.accepted_ms, oldest.updated_ms), (accepted_ms, accepted_ms + 2_000));
    assert_eq!(fixture.ledger.history(&fixture.home, &document("never was")).await.unwrap(), []);
}

pub(super) async fn documents_without_tombstones_are_counted(fixture: LedgerFixture) {
    fixture.visible("a", 1, "text").await;
    fixture.visible("b", 1, "text").await;
    fixture.delete("b", None).await;
    fixture.finish(&fixture.key("b", 2), VersionOutcome::Visible(1)).await;
    fixture.accepted("c", 1, "text").await;
    let expected =
        VersionCounts { accepted: 4, in_flight: 1, visible: 2, superseded: 1, dead: 0, documents: 1 };
    assert_eq!(fixture.counts().await, expected);
    let nowhere = crate::support::collection("globex", "nowhere");
    assert_eq!(fixture.ledger.counts(&nowhere).await.unwrap(), VersionCounts::default());
}

pub(super) async fn vectors_are_cached_by_key(fixture: LedgerFixture) {
    let key = |text: &str| derive_embedding_key("model", text);
    let exact = vec![0.1, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX];
    fixture.ledger.cache_vectors(vec![(key("a"), exact.clone()), (key("b"), vec![1.0])]).await.unwrap();
    fixture.ledger.cache_vectors(vec![(key("b"), vec![1.0])]).await.unwrap();
    let found = fixture.ledger.cached_vectors(&[key("b"), key("c"), key("a"), key("b")]).await.unwrap();
    assert_eq!(found, [Some(vec![1.0]), None, Some(exact), Some(vec![1.0])]);
    assert_eq!(fixture.ledger.cached_vectors(&[derive_embedding_key("other", "a")]).await.unwrap(), [None]);
}
