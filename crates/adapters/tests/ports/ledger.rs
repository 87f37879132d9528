//! The suite of the ledger port.

mod accounts;
mod beside;
mod cache;
mod conversions;
mod dead;
mod documents;
mod drops;
mod generations;
mod intake;
mod journey;
mod leases;
mod log;
#[cfg(feature = "postgres")]
mod postgres;
mod restart;
mod sources;
mod standing;
mod sweep;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::sqlite::{SqliteDatabase, SqliteLedger};
use contexture_core::domain::ids::{CollectionKey, VersionKey};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::{FailureReason, reason};
use contexture_core::ports::ledger::{
    DeadLetterFilter, EMBEDDING_CACHE_BYTES_MAX, IntakeDecision, Ledger, VersionCounts, VersionOutcome,
    VersionState,
};

use crate::support::clock::ManualClock;
use crate::support::{TENANT, collection, deletion, document, epoch, submission};

/// Opens another handle on the same ledger, as another process has it, with this bound of the
/// embedding cache.
type PeerOpener = Arc<dyn Fn(u64) -> Arc<dyn Ledger> + Send + Sync>;

/// A ledger with one empty collection.
#[derive(Clone)]
pub(crate) struct LedgerFixture {
    ledger: Arc<dyn Ledger>,
    clock: Arc<ManualClock>,
    home: CollectionKey,
    peer: PeerOpener,
    /// Lets time pass by the clock that leases go by.
    pass: Arc<dyn Fn(Duration) + Send + Sync>,
    /// Opens what the process before left behind; none where nothing outlives it.
    reopen: Option<Arc<dyn Fn() -> Arc<dyn Ledger> + Send + Sync>>,
}

impl LedgerFixture {
    /// On a ledger whose leases go by `clock`.
    async fn new(peer: PeerOpener, clock: Arc<ManualClock>) -> Self {
        let home = collection(TENANT, "home");
        let ledger = peer(EMBEDDING_CACHE_BYTES_MAX);
        ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
        let passing = clock.clone();
        let pass = Arc::new(move |by| passing.advance(by));
        Self { ledger, clock, home, peer, pass, reopen: None }
    }

    async fn submit(&self, id: &str, version: Option<u64>, text: &str) -> (IntakeDecision, u64) {
        let receipts = self.ledger.accept(vec![submission(&self.home, id, version, text)]).await.unwrap();
        assert_eq!(receipts.len(), 1);
        (receipts[0].intake, receipts[0].version.get())
    }

    async fn delete(&self, id: &str, version: Option<u64>) -> (IntakeDecision, u64) {
        let receipts = self.ledger.accept(vec![deletion(&self.home, id, version)]).await.unwrap();
        (receipts[0].intake, receipts[0].version.get())
    }

    async fn accepted(&self, id: &str, version: u64, text: &str) -> VersionKey {
        assert_eq!(self.submit(id, Some(version), text).await, (IntakeDecision::Accepted, version));
        self.key(id, version)
    }

    async fn visible(&self, id: &str, version: u64, text: &str) -> VersionKey {
        let key = self.accepted(id, version, text).await;
        self.finish(&key, VersionOutcome::Visible(1)).await;
        key
    }

    /// Accepts a version and gives it up; returns it and its dead letter's number.
    async fn dead(&self, id: &str, version: u64, text: &str) -> (VersionKey, u64) {
        let key = self.accepted(id, version, text).await;
        self.finish(&key, gave_up()).await;
        let letters = self.ledger.dead(&DeadLetterFilter::default(), usize::MAX >> 1).await.unwrap();
        let id = letters.iter().rfind(|letter| letter.key == key).unwrap().id;
        (key, id)
    }

    fn key(&self, id: &str, version: u64) -> VersionKey {
        crate::support::version_key(&self.home, id, version)
    }

    async fn finish(&self, key: &VersionKey, ending: VersionOutcome) {
        self.ledger.finish(vec![(key.clone(), ending)]).await.unwrap();
    }

    async fn state(&self, key: &VersionKey) -> VersionState {
        let history = self.ledger.history(&key.collection_key(), &key.document_id).await.unwrap();
        history.into_iter().find(|record| record.key == *key).unwrap().state
    }

    /// The states of a document's versions, newest first.
    async fn states(&self, id: &str) -> Vec<(u64, VersionState)> {
        let history = self.ledger.history(&self.home, &document(id)).await.unwrap();
        history.into_iter().map(|record| (record.key.version.get(), record.state)).collect()
    }

    async fn counts(&self) -> VersionCounts {
        self.ledger.counts(&self.home).await.unwrap()
    }
}

fn gave_up() -> VersionOutcome {
    VersionOutcome::Dead(IngestStage::Embed, FailureReason::new(reason::EMBEDDER_REJECTED, "not a number"))
}

macro_rules! ledger_suite {
    ($adapter:ident, $open:ident $(, $area:ident: [$($law:ident),*])?) => {
        laws!($adapter, $open, {
            intake: [
                first_version_is_accepted_with_its_task,
                missing_version_is_assigned_from_one_upwards,
                equal_content_without_version_is_a_duplicate,
                old_content_without_version_is_a_new_version,
                fence_against_the_latest_version,
                fence_against_an_older_version,
                assigned_version_follows_a_given_one,
                no_version_follows_the_highest,
                dead_content_resubmitted_is_a_duplicate_until_its_letter_is_dropped,
                dead_deletion_resubmitted_gets_a_new_version,
                dead_version_resubmitted_by_number_is_a_duplicate,
                description_is_part_of_the_content,
                delete_without_version_follows_the_latest,
                delete_beats_a_late_lower_version,
                delete_with_version_may_come_before_its_document,
                deleted_document_is_recreated_by_a_higher_version,
                deleting_nothing_is_a_duplicate,
                receipts_follow_the_order_of_one_batch,
                unknown_collection_refuses_the_whole_batch,
                equal_submissions_at_once_store_one_version,
                different_submissions_at_once_get_different_versions,
                collections_and_tenants_do_not_meet,
                collection_is_created_once,
            ],
            journey: [
                outbox_holds_what_was_not_published,
                outbox_forgets_what_moved_on,
                body_comes_back_as_it_was_accepted,
                spans_come_back_and_move_to_chunked,
                later_spans_of_one_batch_win,
                nothing_asked_is_nothing_done,
                states_move_only_forward,
                terminal_states_do_not_move,
                finish_is_idempotent,
                unknown_versions_change_nothing,
                visible_yields_to_a_newer_one,
                visible_too_late_is_superseded,
                overtaken_is_told_with_the_body,
                stuck_names_the_stage_that_has_to_move,
                history_tells_the_whole_story,
                documents_without_tombstones_are_counted,
                vectors_are_cached_by_key,
            ],
            log: [
                changes_come_in_the_order_they_became_visible,
                changed_document_moves_to_the_end_of_the_log,
                log_holds_tombstones_and_nothing_that_never_served,
                log_is_read_in_pages,
                nothing_comes_after_the_highest_position,
                collections_have_logs_of_their_own,
            ],
            generations: [
                first_generation_is_active,
                one_generation_is_built_at_a_time,
                of_many_begun_at_once_one_is_built,
                activation_moves_tasks_and_keeps_what_served,
                changes_fit_the_state,
                drop_may_be_planned_for_the_end_of_time,
                builder_gets_what_a_generation_lacks,
                only_visible_versions_of_live_generations_are_prepared,
                what_becomes_visible_is_prepared_for_its_own_generation,
                losers_are_swept_from_every_live_generation,
                failures_are_noted_as_long_as_the_version_serves,
                cursor_moves_forward_only,
                log_is_measured,
                dropped_generation_is_cleared,
            ],
            sweep: [
                superseded_versions_are_losers_until_swept,
                never_chunked_losers_release_their_bodies,
                dead_losers_keep_their_bodies,
                sweeping_spares_what_serves_or_moves,
                unswept_lists_documents_with_losers,
            ],
            conversions: [
                first_conversion_of_a_version_stays,
                conversions_live_as_long_as_their_bodies,
            ],
            standing: [
                standing_is_what_may_have_something_in_a_store,
                standings_follow_the_documents_asked_for,
                log_extent_follows_the_log,
            ],
            documents: [
                documents_come_by_id_in_pages,
                documents_are_listed_by_prefix,
                listed_document_has_its_newest_and_its_visible_version,
                listed_document_tells_why_it_died,
                deleted_documents_are_listed_as_such,
                description_is_of_the_visible_version_if_there_is_one,
                descriptions_follow_the_versions_asked_for,
                collections_have_documents_of_their_own,
            ],
            drops: [
                dropped_collection_leaves_nothing,
                first_step_of_a_drop_hides_everything,
                dropped_collection_is_purged_in_steps,
                generations_of_a_dropped_collection_are_listed_until_forgotten,
                collection_made_again_is_another_one,
                outcomes_of_a_dropped_collection_change_nothing,
                drops_and_submissions_at_once_leave_no_orphans,
            ],
            sources: [
                runs_are_numbered_for_each_source,
                sightings_are_listed_with_what_became_of_them,
                items_come_by_id_in_pages,
                later_run_decides_what_is_gone,
                unseen_items_come_by_id_in_pages,
                a_source_is_settled_while_each_item_is_visible_as_submitted,
                unchanged_items_keep_their_fingerprint,
                sources_of_documents_are_found,
                unknown_source_and_collection,
                forgotten_source_leaves_its_documents,
                sources_go_with_their_collection,
            ],
            dead: [
                letter_says_what_where_why_and_when,
                letters_are_filtered_by_each_field,
                letters_come_oldest_first_up_to_the_limit,
                letters_are_read_in_pages,
                letter_numbers_and_times_have_no_highest,
                replay_starts_the_version_again,
                replay_of_an_overtaken_version_supersedes_it,
                replayed_version_may_die_again,
                replayed_version_is_swept_again,
                replay_of_unknown_letters_does_nothing,
                dropped_letters_are_of_superseded_versions,
            ],
            cache: [
                cache_keeps_within_its_bound,
                least_recently_used_go_first,
                bound_of_zero_keeps_nothing,
                lowered_bound_is_reached,
                vector_past_the_bound_is_left_out,
                handles_share_one_cache,
                total_never_drifts,
            ],
            leases: [
                one_handle_leads_until_it_resigns,
                roles_do_not_meet,
                lease_ends_by_itself,
                leading_again_renews,
                resigning_what_another_has_does_nothing,
                of_many_at_once_one_leads,
            ],
            accounts: [random_operations_agree_with_a_model],
            $($area: [$($law),*],)?
        });
    };
}

async fn open_memory() -> LedgerFixture {
    let clock = Arc::new(ManualClock::new());
    let first = MemoryLedger::new(clock.clone());
    LedgerFixture::new(Arc::new(move |bytes| Arc::new(first.peer().with_cache_bytes_max(bytes))), clock).await
}

ledger_suite!(memory, open_memory);

async fn open_sqlite() -> LedgerFixture {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new());
    let (kept, clock_again) = (directory.clone(), clock.clone());
    let open = move || SqliteDatabase::open(&kept.path().join("ledger.db")).unwrap();
    let (database, clock_of_peers) = (open(), clock.clone());
    let peer = move |bytes| -> Arc<dyn Ledger> {
        Arc::new(SqliteLedger::new(database.clone(), clock_of_peers.clone()).with_cache_bytes_max(bytes))
    };
    let reopen = move || -> Arc<dyn Ledger> { Arc::new(SqliteLedger::new(open(), clock_again.clone())) };
    LedgerFixture { reopen: Some(Arc::new(reopen)), ..LedgerFixture::new(Arc::new(peer), clock).await }
}

ledger_suite!(sqlite, open_sqlite, restart: [everything_answered_is_there_after_a_restart]);

#[cfg(feature = "postgres")]
use postgres::open_postgres;
#[cfg(feature = "postgres")]
ledger_suite!(postgres_server, open_postgres, restart: [everything_answered_is_there_after_a_restart]);
