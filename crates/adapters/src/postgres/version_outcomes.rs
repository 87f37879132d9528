//! Outcomes of versions, the sweep of what they leave behind, and dead letters.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, query};

use super::rows::{
    self, VersionRef, bind_version_refs, home_of_version, read_column, select_tasks, sql_bigint, sql_integer,
    sql_text,
};
use super::{PostgresError, change_log};
use crate::ledger_rows::{self, LedgerRow};
use contexture_core::domain::ids::{CollectionKey, DocumentId, GenerationNumber, TenantId, VersionKey};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::FailureReason;
use contexture_core::ports::ledger::{
    DeadLetter, DeadLetterFilter, UnsweptVersion, VersionOutcome, VersionState,
};

/// A batch of outcomes: the states it starts from, and the changes to write.
#[derive(Default)]
struct OutcomeBatch {
    states: BTreeMap<VersionRef, VersionState>,
    /// The visible version of each document that has one.
    serving: BTreeMap<i64, i64>,
    ended: BTreeMap<VersionRef, VersionState>,
    letters: Vec<(VersionRef, IngestStage, FailureReason)>,
    /// Documents that became visible, in order of their latest outcome, each once.
    appeared: Vec<i64>,
    /// Commits to generations that the collection has. Others were of a dropped collection of that name.
    committable: BTreeSet<(VersionRef, GenerationNumber)>,
    /// The generation that each newly visible version was committed to.
    committed: BTreeMap<VersionRef, GenerationNumber>,
}

impl OutcomeBatch {
    fn apply(&mut self, number: VersionRef, outcome: &VersionOutcome) {
        let (document_ref, version) = number;
        // Unknown or terminal already: a redelivered message repeats its outcome, and nothing may
        // change.
        if self.states.get(&number).is_none_or(|state| state.is_terminal()) {
            return;
        }
        let serving = self.serving.get(&document_ref).copied();
        match outcome {
            VersionOutcome::Visible(generation) if !self.committable.contains(&(number, *generation)) => {}
            // A late version loses to a newer visible one, without ever being visible.
            VersionOutcome::Visible(_) if serving.is_some_and(|serving| serving > version) => {
                self.set_state(number, VersionState::Superseded);
            }
            VersionOutcome::Visible(generation) => {
                self.set_state(number, VersionState::Visible);
                self.committed.insert(number, *generation);
                self.appeared.retain(|appeared| *appeared != document_ref);
                self.appeared.push(document_ref);
                if let Some(older) = self.serving.insert(document_ref, version) {
                    self.set_state((document_ref, older), VersionState::Superseded);
                }
            }
            VersionOutcome::Superseded => self.set_state(number, VersionState::Superseded),
            VersionOutcome::Dead(stage, reason) => {
                self.set_state(number, VersionState::Dead);
                self.letters.push((number, *stage, reason.clone()));
            }
        }
    }

    fn set_state(&mut self, number: VersionRef, state: VersionState) {
        self.states.insert(number, state);
        self.ended.insert(number, state);
    }
}

pub(super) async fn finish_versions(
    connection: &mut PgConnection,
    outcomes: &[(VersionKey, VersionOutcome)],
    now_ms: u64,
) -> Result<(), PostgresError> {
    let numbers = rows::lock_documents(connection, outcomes.iter().map(|(key, _)| key)).await?;
    let known = numbers.into_iter().zip(outcomes);
    let known: Vec<(VersionRef, &VersionOutcome)> =
        known.filter_map(|(number, (_, outcome))| Some((number?, outcome))).collect();
    // Read once, applied in memory in order, written once: outcomes of one document in a batch see each
    // other.
    let mut batch = read_outcome_batch(connection, &known).await?;
    for (number, outcome) in known {
        batch.apply(number, outcome);
    }
    if batch.ended.is_empty() {
        return Ok(());
    }
    write_outcome_batch(connection, &batch, now_ms).await?;
    change_log::append_documents(connection, &batch.appeared).await
}

async fn read_outcome_batch(
    connection: &mut PgConnection,
    outcomes: &[(VersionRef, &VersionOutcome)],
) -> Result<OutcomeBatch, PostgresError> {
    let sql = "SELECT v.document_ref, v.version, v.state, \
         (SELECT n.version FROM versions n WHERE n.document_ref = v.document_ref AND n.state = 3 \
           ORDER BY n.version DESC LIMIT 1), \
         (SELECT g.generation FROM documents d JOIN generations g ON g.collection_ref = d.collection_ref \
           AND g.generation = k.generation WHERE d.document_ref = k.document_ref) \
         FROM UNNEST($1::bigint[], $2::bigint[], $3::integer[]) AS k (document_ref, version, generation) \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version";
    let numbers = outcomes.iter().map(|(number, _)| number);
    let generations = outcomes.iter().map(|(_, outcome)| match outcome {
        VersionOutcome::Visible(generation) => Some(sql_integer(*generation)),
        VersionOutcome::Superseded | VersionOutcome::Dead(..) => None,
    });
    let found = bind_version_refs(sql, numbers).bind(generations.bind_iter()).fetch_all(connection).await?;
    let mut batch = OutcomeBatch::default();
    for row in &found {
        let document_ref = read_column(row, 0)?;
        let number = (document_ref, read_column(row, 1)?);
        batch.states.insert(number, ledger_rows::read_state(row, 2)?);
        if let Some(generation) = row.optional_small_number(4)? {
            batch.committable.insert((number, generation));
        }
        if let Some(serving) = read_column(row, 3)? {
            batch.serving.insert(document_ref, serving);
        }
    }
    Ok(batch)
}

async fn write_outcome_batch(
    connection: &mut PgConnection,
    batch: &OutcomeBatch,
    now_ms: u64,
) -> Result<(), PostgresError> {
    let OutcomeBatch { ended, letters, committed, .. } = batch;
    // One statement: all parts see the same snapshot, and writing parts of WITH run although nothing reads
    // them. `strays`: spans of other generations may lack vectors there, and a builder goes by the spans.
    let sql = "WITH ended AS MATERIALIZED (SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::smallint[]) \
           AS e (document_ref, version, state)), \
         landed AS (DELETE FROM in_flight f USING ended e \
           WHERE f.document_ref = e.document_ref AND f.version = e.version), \
         lost AS (INSERT INTO unswept (document_ref, version) \
           SELECT document_ref, version FROM ended WHERE state > 3 ON CONFLICT DO NOTHING), \
         died AS (INSERT INTO dead_letters (document_ref, version, stage, code, detail, died_ms) \
           SELECT document_ref, version, stage, code, detail, $4 \
           FROM UNNEST($5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[]) WITH ORDINALITY \
             AS l (document_ref, version, stage, code, detail, place) ORDER BY place), \
         strays AS (DELETE FROM spans s \
           USING UNNEST($10::bigint[], $11::bigint[], $12::integer[]) AS c (document_ref, version, generation) \
           WHERE s.document_ref = c.document_ref AND s.version = c.version AND s.generation <> c.generation) \
         UPDATE versions v SET state = e.state, updated_ms = $4 FROM ended e \
         WHERE v.document_ref = e.document_ref AND v.version = e.version";
    bind_version_refs(sql, ended.keys())
        .bind(ended.values().map(|state| rows::state_to_number(*state)).bind_iter())
        .bind(sql_bigint(now_ms))
        .bind(letters.iter().map(|((document_ref, _), ..)| *document_ref).bind_iter())
        .bind(letters.iter().map(|((_, version), ..)| *version).bind_iter())
        .bind(letters.iter().map(|(_, stage, _)| stage.name()).bind_iter())
        .bind(letters.iter().map(|(.., reason)| sql_text(&reason.code)).bind_iter())
        .bind(letters.iter().map(|(.., reason)| sql_text(&reason.detail)).bind_iter())
        .bind(committed.keys().map(|(document_ref, _)| *document_ref).bind_iter())
        .bind(committed.keys().map(|(_, version)| *version).bind_iter())
        .bind(committed.values().map(|generation| sql_integer(*generation)).bind_iter())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn read_unswept_versions(
    connection: &mut PgConnection,
    documents: &[(CollectionKey, DocumentId)],
) -> Result<Vec<UnsweptVersion>, PostgresError> {
    let found = query(
        "SELECT k.tenant, k.collection, k.document_id, v.version, v.content_hash, g.epoch, \
         COALESCE(s.chunk_count, 0), g.generation \
         FROM UNNEST($1::text[], $2::text[], $3::text[]) WITH ORDINALITY \
           AS k (tenant, collection, document_id, place) \
         CROSS JOIN LATERAL (SELECT c.collection_ref, c.active_generation \
           FROM tenants t JOIN collections c ON c.tenant_ref = t.tenant_ref \
           WHERE t.name = k.tenant AND c.name = k.collection LIMIT 1) c \
         CROSS JOIN LATERAL (SELECT document_ref FROM documents \
           WHERE collection_ref = c.collection_ref AND document_id = k.document_id LIMIT 1) d \
         JOIN unswept u ON u.document_ref = d.document_ref \
         JOIN versions v ON v.document_ref = u.document_ref AND v.version = u.version AND v.state > 3 \
         JOIN generations g ON g.collection_ref = c.collection_ref AND g.state <> 'dropped' \
         LEFT JOIN spans s ON s.document_ref = v.document_ref AND s.version = v.version \
           AND s.generation = g.generation \
         WHERE s.generation IS NOT NULL OR g.generation = c.active_generation \
         ORDER BY k.place, v.version, g.generation",
    )
    .bind(documents.iter().map(|(collection, _)| collection.tenant.as_str()).bind_iter())
    .bind(documents.iter().map(|(collection, _)| collection.collection.as_str()).bind_iter())
    .bind(documents.iter().map(|(_, document_id)| document_id.as_str()).bind_iter())
    .fetch_all(connection)
    .await?;
    found.iter().map(ledger_rows::read_unswept_version).collect()
}

pub(super) async fn read_unswept_documents(
    connection: &mut PgConnection,
    limit: usize,
) -> Result<Vec<(CollectionKey, DocumentId)>, PostgresError> {
    let found = query(concat!(
        "SELECT home.tenant, home.collection, d.document_id \
         FROM (SELECT DISTINCT document_ref FROM unswept ORDER BY document_ref LIMIT $1) v ",
        home_of_version!(),
        "ORDER BY v.document_ref"
    ))
    .bind(sql_bigint(limit as u64))
    .fetch_all(connection)
    .await?;
    found
        .iter()
        .map(|row| Ok((ledger_rows::read_collection_key(row)?, ledger_rows::read_document_id(row)?)))
        .collect()
}

pub(super) async fn mark_swept(
    connection: &mut PgConnection,
    keys: &[VersionKey],
) -> Result<(), PostgresError> {
    let numbers = rows::lock_documents(connection, keys.iter()).await?;
    // Dead versions (5) keep spans and body: they can be replayed.
    let sql = "WITH gone AS MATERIALIZED (SELECT v.document_ref, v.version, v.state \
           FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
           JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version AND v.state > 3), \
         without_spans AS (DELETE FROM spans s USING gone g \
           WHERE s.document_ref = g.document_ref AND s.version = g.version AND g.state = 4), \
         without_conversions AS (DELETE FROM conversions t USING gone g \
           WHERE t.document_ref = g.document_ref AND t.version = g.version AND g.state = 4), \
         without_bodies AS (DELETE FROM bodies b USING gone g \
           WHERE b.document_ref = g.document_ref AND b.version = g.version AND g.state = 4) \
         DELETE FROM unswept u USING gone g WHERE u.document_ref = g.document_ref AND u.version = g.version";
    bind_version_refs(sql, numbers.iter().flatten()).execute(connection).await?;
    Ok(())
}

pub(super) async fn read_dead_letters(
    connection: &mut PgConnection,
    filter: &DeadLetterFilter,
    limit: usize,
) -> Result<Vec<DeadLetter>, PostgresError> {
    let ids: Option<Vec<i64>> = (!filter.ids.is_empty()).then(|| dead_letter_refs(&filter.ids));
    let found = query(concat!(
        "SELECT home.tenant, home.collection, d.document_id, v.version, v.dead_ref, v.stage, v.code, v.detail, \
         v.died_ms FROM dead_letters v ",
        home_of_version!(),
        "WHERE ($1::text IS NULL OR home.tenant = $1) AND ($2::text IS NULL OR home.collection = $2) \
         AND ($3::text IS NULL OR v.code = $3) AND ($4::text IS NULL OR v.stage = $4) \
         AND ($5::bigint IS NULL OR v.died_ms >= $5) AND ($6::bigint[] IS NULL OR v.dead_ref = ANY ($6)) \
         AND ($8::text IS NULL OR home.tenant = $8) AND v.dead_ref > $9 ORDER BY v.dead_ref LIMIT $7"
    ))
    .bind(filter.collection.as_ref().map(|key| key.tenant.as_str()))
    .bind(filter.collection.as_ref().map(|key| key.collection.as_str()))
    .bind(filter.reason.as_deref().map(sql_text))
    .bind(filter.stage.map(IngestStage::name))
    .bind(filter.since_ms.map(sql_bigint))
    .bind(ids)
    .bind(sql_bigint(limit as u64))
    .bind(filter.tenant.as_ref().map(TenantId::as_str))
    .bind(sql_bigint(filter.after_id.unwrap_or(0)))
    .fetch_all(connection)
    .await?;
    found.iter().map(ledger_rows::read_dead_letter).collect()
}

/// Ids as the server stores them. Larger ones cannot exist and are left out.
fn dead_letter_refs(ids: &[u64]) -> Vec<i64> {
    ids.iter().filter_map(|id| i64::try_from(*id).ok()).collect()
}

pub(super) async fn replay_dead_letters(
    connection: &mut PgConnection,
    ids: &[u64],
    now_ms: u64,
) -> Result<Vec<IngestTask>, PostgresError> {
    let ids = dead_letter_refs(ids);
    lock_documents_of_letters(connection, &ids).await?;
    let mut letters: BTreeMap<i64, VersionRef> = BTreeMap::new();
    let gone =
        query("DELETE FROM dead_letters WHERE dead_ref = ANY ($1) RETURNING dead_ref, document_ref, version")
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
    for row in &gone {
        letters.insert(read_column(row, 0)?, (read_column(row, 1)?, read_column(row, 2)?));
    }
    // In the order that was asked for; `remove` skips repeated and unknown ids.
    let revived: Vec<VersionRef> = ids.iter().filter_map(|id| letters.remove(id)).collect();
    revive_versions(connection, &revived, now_ms).await?;
    read_accepted_tasks(connection, &revived).await
}

/// Moves dead versions back to accepted and into the outbox, or to superseded if a newer one is
/// visible.
async fn revive_versions(
    connection: &mut PgConnection,
    numbers: &[VersionRef],
    now_ms: u64,
) -> Result<(), PostgresError> {
    let sql = "WITH revived AS (UPDATE versions v SET updated_ms = $3, state = CASE WHEN \
             (SELECT n.version FROM versions n WHERE n.document_ref = v.document_ref AND n.state = 3 \
               ORDER BY n.version DESC LIMIT 1) > v.version THEN 4 ELSE 0 END \
           FROM UNNEST($1::bigint[], $2::bigint[]) AS k (document_ref, version) \
           WHERE v.document_ref = k.document_ref AND v.version = k.version AND v.state = 5 \
           RETURNING v.document_ref, v.version, v.state, v.accepted_ms), \
         waiting AS (INSERT INTO in_flight (document_ref, version, accepted_ms, published) \
           SELECT document_ref, version, accepted_ms, false FROM revived WHERE state = 0), \
         kept AS (DELETE FROM unswept u USING revived r \
           WHERE u.document_ref = r.document_ref AND u.version = r.version AND r.state = 0) \
         INSERT INTO unswept (document_ref, version) \
         SELECT document_ref, version FROM revived WHERE state = 4 ON CONFLICT DO NOTHING";
    bind_version_refs(sql, numbers.iter()).bind(sql_bigint(now_ms)).execute(connection).await?;
    Ok(())
}

async fn read_accepted_tasks(
    connection: &mut PgConnection,
    numbers: &[VersionRef],
) -> Result<Vec<IngestTask>, PostgresError> {
    let sql = select_tasks!(
        "UNNEST($1::bigint[], $2::bigint[]) WITH ORDINALITY AS k (document_ref, version, place) \
         JOIN versions v ON v.document_ref = k.document_ref AND v.version = k.version",
        "WHERE v.state = 0 ORDER BY k.place"
    );
    let found = bind_version_refs(sql, numbers.iter()).fetch_all(connection).await?;
    found.iter().map(|row| Ok(ledger_rows::read_task(row)?.0)).collect()
}

pub(super) async fn drop_dead_letters(
    connection: &mut PgConnection,
    ids: &[u64],
    now_ms: u64,
) -> Result<u64, PostgresError> {
    let ids = dead_letter_refs(ids);
    lock_documents_of_letters(connection, &ids).await?;
    // Unswept again, so that the sweep deletes the body: nothing can be replayed any more.
    let dropped = query(
        "WITH gone AS (DELETE FROM dead_letters WHERE dead_ref = ANY ($1) RETURNING document_ref, version), \
         given_up AS (UPDATE versions v SET state = 4, updated_ms = $2 FROM gone g \
           WHERE v.document_ref = g.document_ref AND v.version = g.version AND v.state = 5 \
           RETURNING v.document_ref, v.version), \
         lost AS (INSERT INTO unswept (document_ref, version) SELECT document_ref, version FROM given_up \
           ON CONFLICT DO NOTHING) \
         SELECT 1 FROM gone",
    )
    .bind(&ids)
    .bind(sql_bigint(now_ms))
    .fetch_all(connection)
    .await?;
    Ok(dropped.len() as u64)
}

/// Locks the documents of letters before the letters, as everywhere, so that nobody can deadlock with the
/// stages.
async fn lock_documents_of_letters(connection: &mut PgConnection, ids: &[i64]) -> Result<(), PostgresError> {
    query(
        "SELECT 1 FROM documents WHERE document_ref IN \
         (SELECT document_ref FROM dead_letters WHERE dead_ref = ANY ($1)) \
         ORDER BY document_ref FOR NO KEY UPDATE",
    )
    .bind(ids)
    .execute(connection)
    .await?;
    Ok(())
}
