//! Generations: one row each.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::{PgConnection, query, query_scalar};

use super::PostgresError;
use super::generation_build;
use super::ledger::PostgresLedger;
use super::rows::{sql_bigint, sql_integer};
use crate::ledger_rows::{LedgerRow, corrupt_ledger, read_generation};
use crate::ledger_rules::{existing_build, next_generation, unknown_collection};
use crate::ledger_sql::{self, select_generations};
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{CollectionKey, Epoch, GenerationNumber, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ports::generations::{
    BeginBuildOutcome, ChangeLogSize, GenerationBuildFailure, GenerationBuildPace, GenerationChange,
    GenerationLedger, GenerationRecord, UnpreparedVersions,
};

#[async_trait]
impl GenerationLedger for PostgresLedger {
    async fn begin_generation(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
    ) -> Result<BeginBuildOutcome, Fault> {
        let now_ms = self.now_ms();
        self.database()
            .write(
                "begin generation",
                (collection, pipeline, epoch, pace, now_ms),
                |(key, pipeline, epoch, pace, now_ms), db| {
                    start_generation(db, key, pipeline, *epoch, *pace, *now_ms).boxed()
                },
            )
            .await
    }

    async fn generations(&self, collection: Option<&CollectionKey>) -> Result<Vec<GenerationRecord>, Fault> {
        self.database().run("generations", collection, |key, db| read_generations(db, *key).boxed()).await
    }

    async fn change_generation(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        change: GenerationChange,
    ) -> Result<bool, Fault> {
        let now_ms = self.now_ms();
        self.database()
            .write(
                "change generation",
                (collection, generation, change, now_ms),
                |(key, generation, change, now_ms), db| {
                    apply_generation_change(db, key, *generation, *change, *now_ms).boxed()
                },
            )
            .await
    }

    async fn unprepared(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        after: u64,
        limit: usize,
    ) -> Result<UnpreparedVersions, Fault> {
        self.database()
            .run(
                "unprepared",
                (collection, generation, after, limit),
                |(key, generation, after, limit), db| {
                    generation_build::read_unprepared(db, key, *generation, *after, *limit).boxed()
                },
            )
            .await
    }

    async fn prepared(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<Vec<bool>, Fault> {
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        self.database()
            .write("prepared", (generation, &spans), |(generation, spans), db| {
                generation_build::store_prepared(db, *generation, spans).boxed()
            })
            .await
    }

    async fn fail_preparing(
        &self,
        generation: GenerationNumber,
        failures: Vec<GenerationBuildFailure>,
    ) -> Result<(), Fault> {
        if failures.is_empty() {
            return Ok(());
        }
        self.database()
            .write("fail preparing", (generation, &failures), |(generation, failures), db| {
                generation_build::store_failures(db, *generation, failures).boxed()
            })
            .await
    }

    async fn failures(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<Vec<GenerationBuildFailure>, Fault> {
        self.database()
            .run("failures", (collection, generation, limit), |(key, generation, limit), db| {
                generation_build::read_failures(db, key, *generation, *limit).boxed()
            })
            .await
    }

    async fn advance_cursor(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        cursor: u64,
        prepared: u64,
    ) -> Result<(), Fault> {
        self.database()
            .write(
                "advance cursor",
                (collection, generation, cursor, prepared),
                |(key, generation, cursor, prepared), db| {
                    generation_build::advance_cursor(db, key, *generation, *cursor, *prepared).boxed()
                },
            )
            .await
    }

    async fn log_size(&self, collection: &CollectionKey, after: u64) -> Result<ChangeLogSize, Fault> {
        self.database()
            .run("log size", (collection, after), |(key, after), db| read_log_size(db, key, *after).boxed())
            .await
    }

    async fn clear_dropped(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<bool, Fault> {
        self.database()
            .write("clear dropped", (collection, generation, limit), |(key, generation, limit), db| {
                clear_dropped_generation(db, key, *generation, *limit).boxed()
            })
            .await
    }
}

async fn start_generation(
    connection: &mut PgConnection,
    key: &CollectionKey,
    pipeline: &str,
    epoch: Epoch,
    pace: GenerationBuildPace,
    now_ms: u64,
) -> Result<BeginBuildOutcome, PostgresError> {
    // The row of the collection serves as the lock: of two that begin at once, the second sees what the
    // first began.
    let collection =
        lock_collection(connection, key).await?.ok_or_else(|| unknown_collection(&key.collection))?;
    let known = read_generations(connection, Some(key)).await?;
    if let Some(outcome) = existing_build(known.iter(), epoch) {
        return Ok(outcome);
    }
    let generation = next_generation(known.iter());
    query(ledger_sql::INSERT_GENERATION)
        .bind(collection)
        .bind(sql_integer(generation))
        .bind(epoch.as_bytes().as_slice())
        .bind(pipeline)
        .bind(pace.documents_per_second.map(sql_integer))
        .bind(sql_integer(pace.provider_percent))
        .bind(sql_bigint(now_ms))
        .execute(&mut *connection)
        .await?;
    // The last row is the new one: rows come in order of number, and its number is the highest.
    let begun = read_generations(connection, Some(key)).await?.pop();
    begun
        .map(BeginBuildOutcome::Started)
        .ok_or_else(|| corrupt_ledger("generations", "a row just written is missing").into())
}

/// Locks a collection until the transaction ends; returns its row number, if it exists.
pub(super) async fn lock_collection(
    connection: &mut PgConnection,
    key: &CollectionKey,
) -> Result<Option<i64>, PostgresError> {
    let found = query_scalar(
        "SELECT c.collection_ref FROM collections c JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         WHERE t.name = $1 AND c.name = $2 FOR NO KEY UPDATE OF c",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(found)
}

async fn read_generations(
    connection: &mut PgConnection,
    key: Option<&CollectionKey>,
) -> Result<Vec<GenerationRecord>, PostgresError> {
    let found = query(select_generations!(
        // The casts are needed: from `IS NULL` alone the server cannot infer the type of a bind.
        "WHERE ($1::text IS NULL OR t.name = $1) AND ($2::text IS NULL OR c.name = $2)"
    ))
    .bind(key.map(|key| key.tenant.as_str()))
    .bind(key.map(|key| key.collection.as_str()))
    .fetch_all(connection)
    .await?;
    found.iter().map(read_generation).collect()
}

async fn apply_generation_change(
    connection: &mut PgConnection,
    key: &CollectionKey,
    generation: GenerationNumber,
    change: GenerationChange,
    now_ms: u64,
) -> Result<bool, PostgresError> {
    // Locked: two activations at once would not see each other, and both could stay active.
    let Some(collection) = lock_collection(connection, key).await? else { return Ok(false) };
    let this = sql_integer(generation);
    let changing = query(ledger_sql::change_statement(change)).bind(collection).bind(this);
    let changing = match change {
        GenerationChange::Pace(pace) => {
            changing.bind(pace.documents_per_second.map(sql_integer)).bind(sql_integer(pace.provider_percent))
        }
        GenerationChange::DropAt(at_ms) => changing.bind(sql_bigint(at_ms)),
        GenerationChange::Activate => changing.bind(sql_bigint(now_ms)),
        GenerationChange::Pause | GenerationChange::Resume | GenerationChange::Dropped => changing,
    };
    let changed = changing.execute(&mut *connection).await?.rows_affected() > 0;
    if changed && change == GenerationChange::Activate {
        for sql in ledger_sql::AFTER_ACTIVATION {
            query(sql).bind(collection).bind(this).execute(&mut *connection).await?;
        }
    }
    Ok(changed)
}

async fn read_log_size(
    connection: &mut PgConnection,
    key: &CollectionKey,
    after: u64,
) -> Result<ChangeLogSize, PostgresError> {
    let row = query(
        // Without GROUP BY there is always one row: zeros where the collection is unknown.
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE d.log_position > $3) FROM documents d \
         JOIN collections c ON c.collection_ref = d.collection_ref \
         JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         WHERE t.name = $1 AND c.name = $2 AND d.log_position IS NOT NULL",
    )
    .bind(key.tenant.as_str())
    .bind(key.collection.as_str())
    .bind(sql_bigint(after))
    .fetch_one(connection)
    .await?;
    Ok(ChangeLogSize { entries: row.number(0)?, after: row.number(1)? })
}

async fn clear_dropped_generation(
    connection: &mut PgConnection,
    key: &CollectionKey,
    generation: GenerationNumber,
    limit: usize,
) -> Result<bool, PostgresError> {
    let Some(collection) = lock_collection(connection, key).await? else { return Ok(false) };
    let this = sql_integer(generation);
    let is_to_clear: bool =
        query_scalar(ledger_sql::IS_TO_CLEAR).bind(collection).bind(this).fetch_one(&mut *connection).await?;
    if !is_to_clear {
        return Ok(false);
    }
    // At most `limit` rows per call, so that the transaction and its locks stay short.
    let removed = query(
        "DELETE FROM spans s USING (SELECT s.document_ref, s.version FROM documents d \
           JOIN spans s ON s.document_ref = d.document_ref AND s.generation = $2 \
           WHERE d.collection_ref = $1 LIMIT $3) gone \
         WHERE s.document_ref = gone.document_ref AND s.version = gone.version AND s.generation = $2",
    )
    .bind(collection)
    .bind(this)
    .bind(sql_bigint(limit as u64))
    .execute(&mut *connection)
    .await?;
    if removed.rows_affected() > 0 {
        return Ok(true);
    }
    for sql in ledger_sql::CLEAR_GENERATION {
        query(sql).bind(collection).bind(this).execute(&mut *connection).await?;
    }
    Ok(false)
}
