//! Generations side by side, and what a builder asks of them.

use contexture_core::domain::ids::{GenerationNumber, VersionKey};
use contexture_core::fault::FailureReason;
use contexture_core::ports::generations::{
    BeginBuildOutcome, ChangeLogSize, GenerationBuildFailure, GenerationBuildPace, GenerationChange,
    GenerationRecord, GenerationState,
};
use contexture_core::ports::ledger::{UnsweptVersion, VersionOutcome};

use super::LedgerFixture;
use crate::support::{document, epoch, spans};

impl LedgerFixture {
    async fn begin(&self, name: &str) -> BeginBuildOutcome {
        let pace = GenerationBuildPace { documents_per_second: Some(7), provider_percent: 30 };
        self.ledger.begin_generation(&self.home, name, epoch(name), pace).await.unwrap()
    }

    async fn started(&self, name: &str) -> GenerationNumber {
        match self.begin(name).await {
            BeginBuildOutcome::Started(record) => record.home.generation,
            other => panic!("{other:?}"),
        }
    }

    async fn records(&self) -> Vec<GenerationRecord> {
        self.ledger.generations(Some(&self.home)).await.unwrap()
    }

    async fn record(&self, generation: GenerationNumber) -> GenerationRecord {
        self.records().await.into_iter().find(|record| record.home.generation == generation).unwrap()
    }

    async fn states_of_generations(&self) -> Vec<(GenerationNumber, GenerationState)> {
        self.records().await.into_iter().map(|record| (record.home.generation, record.state)).collect()
    }

    async fn change(&self, generation: GenerationNumber, change: GenerationChange) -> bool {
        self.ledger.change_generation(&self.home, generation, change).await.unwrap()
    }

    /// The ids of the documents that a generation lacks after a position.
    async fn lacks(&self, generation: GenerationNumber, after: u64, limit: usize) -> Vec<String> {
        let found = self.ledger.unprepared(&self.home, generation, after, limit).await.unwrap();
        let ids = found.changes.iter().map(|change| change.task.key.document_id.to_string());
        ids.collect()
    }

    async fn prepare(&self, generation: GenerationNumber, keys: &[VersionKey], chunks: usize) -> Vec<bool> {
        let all = keys.iter().map(|key| (key.clone(), spans(chunks))).collect();
        self.ledger.prepared(generation, all).await.unwrap()
    }

    async fn lost(&self, id: &str) -> Vec<UnsweptVersion> {
        self.ledger.unswept_versions(&[(self.home.clone(), document(id))]).await.unwrap()
    }
}

pub(super) async fn first_generation_is_active(fixture: LedgerFixture) {
    let records = fixture.records().await;
    assert_eq!(records.len(), 1);
    let GenerationRecord { home, state, is_paused, cursor, prepared, failed, drop_ms, .. } = &records[0];
    assert_eq!((home.generation, home.epoch, *state), (1, epoch("one"), GenerationState::Active));
    assert_eq!((*is_paused, *cursor, *prepared, *failed, *drop_ms), (false, 0, 0, 0, None));
    assert!(records[0].activated_ms.is_some());
    assert_eq!(fixture.ledger.generations(None).await.unwrap(), records);
}

pub(super) async fn one_generation_is_built_at_a_time(fixture: LedgerFixture) {
    let BeginBuildOutcome::Started(started) = fixture.begin("two").await else { panic!("it is the first") };
    assert_eq!((started.home.generation, started.home.pipeline.as_str()), (2, "two"));
    assert_eq!(started.pace, GenerationBuildPace { documents_per_second: Some(7), provider_percent: 30 });
    assert_eq!((started.state, started.activated_ms), (GenerationState::Building, None));
    assert_eq!(fixture.begin("three").await, BeginBuildOutcome::Busy(started.clone()));
    assert_eq!(fixture.begin("two").await, BeginBuildOutcome::Known(started));
    assert!(
        matches!(fixture.begin("one").await, BeginBuildOutcome::Known(record) if record.home.generation == 1)
    );
    let active = fixture.ledger.collection(&fixture.home).await.unwrap().unwrap();
    assert_eq!((active.generation, active.epoch), (1, epoch("one")), "it serves nothing yet");
    // A number is not used again, not even by the same pipeline.
    assert!(fixture.change(2, GenerationChange::Dropped).await);
    assert_eq!(fixture.started("two").await, 3);
}

pub(super) async fn of_many_begun_at_once_one_is_built(fixture: LedgerFixture) {
    let begun = (0..8).map(|number| {
        let fixture = fixture.clone();
        tokio::spawn(async move { fixture.begin(&format!("other {number}")).await })
    });
    let mut started = 0;
    for begun in begun.collect::<Vec<_>>() {
        started += u32::from(matches!(begun.await.unwrap(), BeginBuildOutcome::Started(_)));
    }
    assert_eq!((started, fixture.records().await.len()), (1, 2));
}

pub(super) async fn activation_moves_tasks_and_keeps_what_served(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "text").await;
    let second = fixture.started("two").await;
    assert!(fixture.change(second, GenerationChange::DropAt(5)).await);
    assert!(fixture.change(second, GenerationChange::Activate).await);
    let expected = [(1, GenerationState::Kept), (2, GenerationState::Active)];
    assert_eq!(fixture.states_of_generations().await, expected);
    let record = fixture.record(second).await;
    assert_eq!((record.drop_ms, record.activated_at, record.log_end), (None, 1, 1));
    let active = fixture.ledger.collection(&fixture.home).await.unwrap().unwrap();
    assert_eq!((active.generation, active.epoch, active.pipeline.as_str()), (2, epoch("two"), "two"));
    // What is accepted from now on, and what is in flight, is of the new one.
    fixture.accepted("doc", 2, "other").await;
    let waiting = fixture.ledger.unpublished(10).await.unwrap();
    let task = waiting.iter().find(|task| task.key.version.get() == 2).unwrap();
    assert_eq!((task.generation, task.epoch), (2, epoch("two")));
    // And back.
    assert!(fixture.change(1, GenerationChange::Activate).await);
    let expected = [(1, GenerationState::Active), (2, GenerationState::Kept)];
    assert_eq!(fixture.states_of_generations().await, expected);
}

pub(super) async fn changes_fit_the_state(fixture: LedgerFixture) {
    for change in [
        GenerationChange::Pause,
        GenerationChange::Activate,
        GenerationChange::DropAt(1),
        GenerationChange::Dropped,
    ] {
        assert!(!fixture.change(1, change).await, "{change:?} of the active one");
        assert!(!fixture.change(9, change).await, "{change:?} of none");
    }
    let second = fixture.started("two").await;
    assert!(fixture.change(second, GenerationChange::Pause).await);
    assert!(fixture.record(second).await.is_paused);
    let pace = GenerationBuildPace { documents_per_second: None, provider_percent: 100 };
    assert!(fixture.change(second, GenerationChange::Pace(pace)).await);
    assert!(fixture.change(second, GenerationChange::Resume).await);
    let record = fixture.record(second).await;
    assert_eq!((record.is_paused, record.pace), (false, pace));
    assert!(fixture.change(second, GenerationChange::DropAt(77)).await);
    assert_eq!(fixture.record(second).await.drop_ms, Some(77));
    assert!(fixture.change(second, GenerationChange::Dropped).await);
    for change in [GenerationChange::Resume, GenerationChange::Activate, GenerationChange::Dropped] {
        assert!(!fixture.change(second, change).await, "{change:?} of a dropped one");
    }
}

pub(super) async fn drop_may_be_planned_for_the_end_of_time(fixture: LedgerFixture) {
    let second = fixture.started("two").await;
    assert!(fixture.change(second, GenerationChange::DropAt(u64::MAX)).await);
    assert!(fixture.record(second).await.drop_ms.unwrap() >= u64::MAX >> 1);
}

pub(super) async fn builder_gets_what_a_generation_lacks(fixture: LedgerFixture) {
    for number in 1..=4 {
        fixture.visible(&format!("doc {number}"), 1, "text").await;
    }
    fixture.accepted("in flight", 1, "text").await;
    assert_eq!(fixture.delete("doc 4", Some(2)).await.1, 2);
    fixture.finish(&fixture.key("doc 4", 2), VersionOutcome::Visible(1)).await;
    let second = fixture.started("two").await;
    assert_eq!(fixture.lacks(second, 0, 10).await, ["doc 1", "doc 2", "doc 3"], "tombstones need nothing");
    assert_eq!(fixture.lacks(second, 0, 2).await, ["doc 1", "doc 2"]);
    assert_eq!(fixture.lacks(second, 1, 10).await, ["doc 2", "doc 3"]);
    let found = fixture.ledger.unprepared(&fixture.home, second, 0, 1).await.unwrap();
    assert_eq!(found.end, 5);
    let task = &found.changes[0].task;
    assert_eq!((task.generation, task.epoch), (second, epoch("two")));
    assert_eq!(fixture.prepare(second, &[fixture.key("doc 1", 1)], 3).await, [true]);
    assert_eq!(fixture.lacks(second, 0, 10).await, ["doc 2", "doc 3"]);
    let keys = [fixture.key("doc 1", 1)];
    assert_eq!(fixture.ledger.spans(second, &keys).await.unwrap(), [Some(spans(3))]);
    assert_eq!(fixture.ledger.spans(1, &keys).await.unwrap(), [None], "each has its own");
    fixture.visible("doc 1", 2, "other").await;
    assert_eq!(fixture.lacks(second, 0, 10).await, ["doc 2", "doc 3", "doc 1"], "in the order of the log");
}

pub(super) async fn only_visible_versions_of_live_generations_are_prepared(fixture: LedgerFixture) {
    let old = fixture.visible("doc", 1, "old").await;
    let new = fixture.visible("doc", 2, "new").await;
    let waiting = fixture.accepted("other", 1, "text").await;
    let second = fixture.started("two").await;
    let asked = [old, new.clone(), waiting, fixture.key("nowhere", 1)];
    assert_eq!(fixture.prepare(second, &asked, 2).await, [false, true, false, false]);
    assert!(fixture.change(second, GenerationChange::Dropped).await);
    assert_eq!(fixture.prepare(second, &[new], 2).await, [false]);
    assert_eq!(fixture.ledger.prepared(second, Vec::new()).await.unwrap(), [] as [bool; 0]);
}

pub(super) async fn what_becomes_visible_is_prepared_for_its_own_generation(fixture: LedgerFixture) {
    let key = fixture.accepted("doc", 1, "text").await;
    let all = std::slice::from_ref(&key);
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(2))]).await.unwrap();
    let second = fixture.started("two").await;
    // One process has learnt that another generation serves and begins again, another has not.
    fixture.ledger.store_spans(second, vec![(key.clone(), spans(3))]).await.unwrap();
    fixture.finish(&key, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.ledger.spans(1, all).await.unwrap(), [Some(spans(2))]);
    assert_eq!(fixture.ledger.spans(second, all).await.unwrap(), [None]);
    assert_eq!(fixture.lacks(second, 0, 10).await, ["doc"], "its vectors may not be staged there");
    // The stages that began again come too late; a builder does not.
    fixture.ledger.store_spans(second, vec![(key.clone(), spans(3))]).await.unwrap();
    assert_eq!(fixture.ledger.spans(second, all).await.unwrap(), [None]);
    assert_eq!(fixture.prepare(second, all, 4).await, [true]);
    fixture.ledger.store_spans(second, vec![(key.clone(), spans(3))]).await.unwrap();
    fixture.finish(&key, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.ledger.spans(second, all).await.unwrap(), [Some(spans(4))]);
    assert_eq!(fixture.lacks(second, 0, 10).await, [] as [&str; 0]);
}

pub(super) async fn losers_are_swept_from_every_live_generation(fixture: LedgerFixture) {
    let old = fixture.accepted("doc", 1, "old").await;
    fixture.ledger.store_spans(1, vec![(old.clone(), spans(2))]).await.unwrap();
    fixture.finish(&old, VersionOutcome::Visible(1)).await;
    let second = fixture.started("two").await;
    assert_eq!(fixture.prepare(second, std::slice::from_ref(&old), 5).await, [true]);
    fixture.visible("doc", 2, "new").await;
    let lost: Vec<_> =
        fixture.lost("doc").await.iter().map(|one| (one.generation, one.epoch, one.chunk_count)).collect();
    assert_eq!(lost, [(1, epoch("one"), 2), (2, epoch("two"), 5)]);
    assert!(fixture.change(second, GenerationChange::Dropped).await);
    let lost = fixture.lost("doc").await;
    assert_eq!(lost.iter().map(|one| one.generation).collect::<Vec<_>>(), [1]);
    fixture.ledger.mark_swept(std::slice::from_ref(&old)).await.unwrap();
    assert_eq!(fixture.lost("doc").await, []);
    for generation in [1, second] {
        let left = fixture.ledger.spans(generation, std::slice::from_ref(&old)).await.unwrap();
        assert_eq!(left, [None]);
    }
}

pub(super) async fn failures_are_noted_as_long_as_the_version_serves(fixture: LedgerFixture) {
    let good = fixture.visible("good", 1, "text").await;
    let bad = fixture.visible("bad", 1, "text").await;
    let second = fixture.started("two").await;
    let failure =
        GenerationBuildFailure { key: bad, reason: FailureReason::new("too_many_chunks", "far too many") };
    fixture.ledger.fail_preparing(second, vec![failure.clone()]).await.unwrap();
    fixture.ledger.fail_preparing(second, vec![failure.clone()]).await.unwrap();
    fixture.ledger.fail_preparing(second, Vec::new()).await.unwrap();
    assert_eq!(fixture.lacks(second, 0, 10).await, ["good"]);
    assert_eq!(fixture.ledger.failures(&fixture.home, second, 10).await.unwrap(), [failure]);
    assert_eq!(fixture.ledger.failures(&fixture.home, 1, 10).await.unwrap(), []);
    assert_eq!((fixture.record(second).await.failed, fixture.record(1).await.failed), (1, 0));
    fixture.visible("bad", 2, "better").await;
    assert_eq!(fixture.record(second).await.failed, 0);
    assert_eq!(fixture.ledger.failures(&fixture.home, second, 10).await.unwrap(), []);
    assert_eq!(fixture.lacks(second, 0, 10).await, ["good", "bad"]);
    assert_eq!(fixture.prepare(second, &[good], 1).await, [true]);
}

pub(super) async fn cursor_moves_forward_only(fixture: LedgerFixture) {
    let second = fixture.started("two").await;
    fixture.ledger.advance_cursor(&fixture.home, second, 5, 3).await.unwrap();
    fixture.ledger.advance_cursor(&fixture.home, second, 4, 2).await.unwrap();
    let record = fixture.record(second).await;
    assert_eq!((record.cursor, record.prepared), (5, 5));
    assert_eq!(fixture.record(1).await.cursor, 0);
}

pub(super) async fn log_is_measured(fixture: LedgerFixture) {
    assert_eq!(fixture.ledger.log_size(&fixture.home, 0).await.unwrap(), ChangeLogSize::default());
    for number in 1..=3 {
        fixture.visible(&format!("doc {number}"), 1, "text").await;
    }
    fixture.visible("doc 1", 2, "other").await;
    let size = |entries, after| ChangeLogSize { entries, after };
    assert_eq!(fixture.ledger.log_size(&fixture.home, 0).await.unwrap(), size(3, 3));
    assert_eq!(fixture.ledger.log_size(&fixture.home, 2).await.unwrap(), size(3, 2));
    assert_eq!(fixture.ledger.log_size(&fixture.home, 4).await.unwrap(), size(3, 0));
}

pub(super) async fn dropped_generation_is_cleared(fixture: LedgerFixture) {
    let mut keys = Vec::new();
    for number in 1..=3 {
        keys.push(fixture.visible(&format!("doc {number}"), 1, "text").await);
    }
    assert_eq!(fixture.prepare(1, &keys, 1).await, [true; 3]);
    let second = fixture.started("two").await;
    assert_eq!(fixture.prepare(second, &keys, 2).await, [true; 3]);
    assert!(!fixture.ledger.clear_dropped(&fixture.home, second, 10).await.unwrap(), "it is alive");
    assert_eq!(fixture.lacks(second, 0, 10).await, [] as [&str; 0]);
    assert!(fixture.change(second, GenerationChange::Dropped).await);
    let mut rounds = 0;
    while fixture.ledger.clear_dropped(&fixture.home, second, 2).await.unwrap() {
        rounds += 1;
        assert!(rounds < 10);
    }
    assert!(fixture.record(second).await.is_cleared);
    assert_eq!(fixture.ledger.spans(second, &keys).await.unwrap(), [None, None, None]);
    assert_eq!(fixture.ledger.spans(1, &keys).await.unwrap(), vec![Some(spans(1)); 3]);
}
