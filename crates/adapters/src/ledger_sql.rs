//! Statements on generations that SQLite and Postgres take alike.
//!
//! Placeholders are written as Postgres numbers them: `$1`. To SQLite `$1` is a name, and names count in the
//! order in which they appear; so its ledger turns them into `?1`, and nothing else here contains a `$`.
//!
//! Statements that lock rows, write a batch or limit a deletion differ between the two, so they stay with
//! their ledger.

use contexture_core::ports::generations::GenerationChange;

/// Selects what [`read_generation`](crate::ledger_rows::read_generation) reads, for given conditions.
macro_rules! select_generations {
    ($rest:literal) => {
        // A failure counts while its version is visible. A newer version is tried anew.
        concat!(
            "SELECT t.name, c.name, g.pipeline, g.generation, g.epoch, g.state, g.paused, \
             g.documents_per_second, g.provider_percent, g.cursor_position, g.prepared, \
             (SELECT COUNT(*) FROM build_failures f JOIN versions v ON v.document_ref = f.document_ref \
               AND v.version = f.version AND v.state = 3 \
               WHERE f.collection_ref = g.collection_ref AND f.generation = g.generation), \
             g.created_ms, g.activated_ms, g.activated_at, g.drop_ms, g.cleared, c.log_position \
             FROM generations g JOIN collections c ON c.collection_ref = g.collection_ref \
             JOIN tenants t ON t.tenant_ref = c.tenant_ref ",
            $rest,
            " ORDER BY t.name, c.name, g.generation"
        )
    };
}

pub(super) use select_generations;

/// Begins a build: collection, generation, epoch, pipeline, documents per second, percent, time.
pub(super) const INSERT_GENERATION: &str = "INSERT INTO generations \
     (collection_ref, generation, epoch, state, pipeline, documents_per_second, provider_percent, created_ms) \
     VALUES ($1, $2, $3, 'building', $4, $5, $6, $7)";

/// Returns the statement of a change: $1 the collection, $2 the generation, then the values of the change; for
/// an activation, the time.
///
/// Every statement names the states it may leave. A change that comes too late updates no row.
pub(super) fn change_statement(change: GenerationChange) -> &'static str {
    match change {
        GenerationChange::Pause => {
            "UPDATE generations SET paused = true \
             WHERE collection_ref = $1 AND generation = $2 AND state = 'building'"
        }
        GenerationChange::Resume => {
            "UPDATE generations SET paused = false \
             WHERE collection_ref = $1 AND generation = $2 AND state <> 'dropped'"
        }
        GenerationChange::Pace(_) => {
            // A builder also fills what active and kept generations lack, so their pace counts as well.
            "UPDATE generations SET documents_per_second = $3, provider_percent = $4 \
             WHERE collection_ref = $1 AND generation = $2 AND state <> 'dropped'"
        }
        GenerationChange::DropAt(_) => {
            "UPDATE generations SET drop_ms = $3 \
             WHERE collection_ref = $1 AND generation = $2 AND state IN ('kept', 'building')"
        }
        GenerationChange::Dropped => {
            "UPDATE generations SET state = 'dropped' \
             WHERE collection_ref = $1 AND generation = $2 AND state IN ('kept', 'building')"
        }
        GenerationChange::Activate => {
            // A planned drop is cancelled. Otherwise it would strike once the generation is kept again.
            "UPDATE generations SET state = 'active', paused = false, drop_ms = NULL, activated_ms = $3, \
             activated_at = (SELECT log_position FROM collections WHERE collection_ref = $1) \
             WHERE collection_ref = $1 AND generation = $2 AND state IN ('kept', 'building')"
        }
    }
}

/// What follows an activation in the same transaction, so that exactly one generation of a collection is
/// active at any commit.
pub(super) const AFTER_ACTIVATION: [&str; 2] = [
    // Only the active one: a dropped generation must stay dropped.
    "UPDATE generations SET state = 'kept' \
     WHERE collection_ref = $1 AND generation <> $2 AND state = 'active'",
    "UPDATE collections SET active_generation = $2 WHERE collection_ref = $1",
];

/// Whether a generation is dropped and not cleared yet.
pub(super) const IS_TO_CLEAR: &str = "SELECT EXISTS (SELECT 1 FROM generations \
     WHERE collection_ref = $1 AND generation = $2 AND state = 'dropped' AND NOT cleared)";

/// Clears what is left of a dropped generation once its spans are gone. `cleared` comes last, so a crash
/// resumes the work.
pub(super) const CLEAR_GENERATION: [&str; 2] = [
    "DELETE FROM build_failures WHERE collection_ref = $1 AND generation = $2",
    "UPDATE generations SET cleared = true WHERE collection_ref = $1 AND generation = $2",
];
