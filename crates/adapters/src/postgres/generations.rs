//! Generations: one row each.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, query, query_scalar};

use super::PostgresError;
use super::generation_build;
use super::ledger::PostgresLedger;
use super::rows::{self, corrupt_ledger, read_column, read_u32, read_u64, sql_bigint, sql_integer};
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{CollectionKey, Epoch, GenerationNumber, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ports::generations::{
    BeginBuildOutcome, ChangeLogSize, GenerationBuildFailure, GenerationBuildPace, GenerationChange,
    GenerationLedger, GenerationRecord, GenerationState, UnpreparedVersions,
};
use contexture_core::ports::ledger::CollectionRecord;

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
    let collection = lock_collection(connection, key).await?.ok_or_else(|| unknown_collection(key))?;
    let known = read_generations(connection, Some(key)).await?;
    // Equal epochs mean equal chunk ids and vectors, so a live generation with this one is the same build.
    let live = |record: &&GenerationRecord| record.state != GenerationState::Dropped;
    if let Some(record) = known.iter().filter(live).find(|record| record.home.epoch == epoch) {
        return Ok(BeginBuildOutcome::Known(record.clone()));
    }
    if let Some(record) = known.iter().find(|record| record.state == GenerationState::Building) {
        return Ok(BeginBuildOutcome::Busy(record.clone()));
    }
    // Dropped generations keep their rows, so a number is never reused.
    let generation = known.iter().map(|record| record.home.generation).max().unwrap_or(0) + 1;
    query(
        "INSERT INTO generations (collection_ref, generation, epoch, state, pipeline, documents_per_second, \
         provider_percent, created_ms) VALUES ($1, $2, $3, 'building', $4, $5, $6, $7)",
    )
    .bind(collection)
    .bind(sql_integer(generation))
    .bind(epoch.as_bytes().as_slice())
    .bind(pipeline)
    .bind(pace.documents_per_second.map(sql_integer))
    .bind(sql_integer(pace.provider_percent))
    .bind(sql_bigint(now_ms))
    .execute(&mut *connection)
    .await?;
    let begun = read_generations(connection, Some(key)).await?.pop();
    begun
        .map(BeginBuildOutcome::Started)
        .ok_or_else(|| corrupt_ledger("generations", "a row just written is missing").into())
}

fn unknown_collection(key: &CollectionKey) -> Fault {
    Fault::permanent("unknown_collection", format!("collection '{}' does not exist", key.collection))
}

/// Locks a collection until the transaction ends; returns its row number, if it exists.
async fn lock_collection(
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
    let found = query(
        "SELECT t.name, c.name, g.pipeline, g.generation, g.epoch, g.state, g.paused, \
         g.documents_per_second, g.provider_percent, g.cursor_position, g.prepared, \
         (SELECT COUNT(*) FROM build_failures f JOIN versions v ON v.document_ref = f.document_ref \
           AND v.version = f.version AND v.state = 3 \
           WHERE f.collection_ref = g.collection_ref AND f.generation = g.generation), \
         g.created_ms, g.activated_ms, g.activated_at, g.drop_ms, g.cleared, c.log_position \
         FROM generations g JOIN collections c ON c.collection_ref = g.collection_ref \
         JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         WHERE ($1::text IS NULL OR t.name = $1) AND ($2::text IS NULL OR c.name = $2) \
         ORDER BY t.name, c.name, g.generation",
    )
    .bind(key.map(|key| key.tenant.as_str()))
    .bind(key.map(|key| key.collection.as_str()))
    .fetch_all(connection)
    .await?;
    found.iter().map(generation_from_row).collect()
}

fn generation_from_row(row: &PgRow) -> Result<GenerationRecord, PostgresError> {
    let state: &str = read_column(row, 5)?;
    let optional = |index| -> Result<Option<u64>, PostgresError> {
        Ok(read_column::<Option<i64>>(row, index)?.and_then(|ms| u64::try_from(ms).ok()))
    };
    Ok(GenerationRecord {
        home: CollectionRecord {
            key: rows::read_collection_key(row)?,
            pipeline: read_column(row, 2)?,
            generation: read_u32(row, 3)?,
            epoch: rows::read_epoch(row, 4)?,
        },
        state: GenerationState::from_name(state).ok_or_else(|| corrupt_ledger("generations.state", state))?,
        is_paused: read_column(row, 6)?,
        pace: GenerationBuildPace {
            documents_per_second: read_column::<Option<i32>>(row, 7)?
                .and_then(|rate| u32::try_from(rate).ok()),
            provider_percent: read_u32(row, 8)?,
        },
        cursor: read_u64(row, 9)?,
        prepared: read_u64(row, 10)?,
        failed: read_u64(row, 11)?,
        created_ms: read_u64(row, 12)?,
        activated_ms: optional(13)?,
        activated_at: read_u64(row, 14)?,
        drop_ms: optional(15)?,
        is_cleared: read_column(row, 16)?,
        log_end: read_u64(row, 17)?,
    })
}

async fn apply_generation_change(
    connection: &mut PgConnection,
    key: &CollectionKey,
    generation: GenerationNumber,
    change: GenerationChange,
    now_ms: u64,
) -> Result<bool, PostgresError> {
    let Some(collection) = lock_collection(connection, key).await? else { return Ok(false) };
    let this = sql_integer(generation);
    // Every statement names the states it may leave. A change that comes too late updates no row and
    // returns false.
    let changing = match change {
        GenerationChange::Pause => query(
            "UPDATE generations SET paused = true WHERE collection_ref = $1 AND generation = $2 AND state = 'building'",
        ),
        GenerationChange::Resume => query(
            "UPDATE generations SET paused = false WHERE collection_ref = $1 AND generation = $2 AND state <> 'dropped'",
        ),
        GenerationChange::Pace(_) => query(
            "UPDATE generations SET documents_per_second = $3, provider_percent = $4 \
             WHERE collection_ref = $1 AND generation = $2 AND state <> 'dropped'",
        ),
        GenerationChange::DropAt(_) => query(
            "UPDATE generations SET drop_ms = $3 \
             WHERE collection_ref = $1 AND generation = $2 AND state IN ('kept', 'building')",
        ),
        GenerationChange::Dropped => query(
            "UPDATE generations SET state = 'dropped' \
             WHERE collection_ref = $1 AND generation = $2 AND state IN ('kept', 'building')",
        ),
        GenerationChange::Activate => query(
            "UPDATE generations g SET state = 'active', paused = false, drop_ms = NULL, activated_ms = $3, \
             activated_at = c.log_position FROM collections c \
             WHERE g.collection_ref = $1 AND g.generation = $2 AND g.state IN ('kept', 'building') \
               AND c.collection_ref = g.collection_ref",
        ),
    };
    let changing = changing.bind(collection).bind(this);
    let changing = match change {
        GenerationChange::Pace(pace) => {
            changing.bind(pace.documents_per_second.map(sql_integer)).bind(sql_integer(pace.provider_percent))
        }
        GenerationChange::DropAt(at_ms) => changing.bind(sql_bigint(at_ms)),
        GenerationChange::Activate => changing.bind(sql_bigint(now_ms)),
        GenerationChange::Pause | GenerationChange::Resume | GenerationChange::Dropped => changing,
    };
    let changed = changing.execute(&mut *connection).await?.rows_affected() > 0;
    // Same transaction: exactly one generation of a collection is active at any commit.
    if changed && change == GenerationChange::Activate {
        for sql in [
            "UPDATE generations SET state = 'kept' \
             WHERE collection_ref = $1 AND generation <> $2 AND state = 'active'",
            "UPDATE collections SET active_generation = $2 WHERE collection_ref = $1",
        ] {
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
    Ok(ChangeLogSize { entries: read_u64(&row, 0)?, after: read_u64(&row, 1)? })
}

async fn clear_dropped_generation(
    connection: &mut PgConnection,
    key: &CollectionKey,
    generation: GenerationNumber,
    limit: usize,
) -> Result<bool, PostgresError> {
    let Some(collection) = lock_collection(connection, key).await? else { return Ok(false) };
    let this = sql_integer(generation);
    let is_there: bool = query_scalar(
        "SELECT EXISTS (SELECT 1 FROM generations WHERE collection_ref = $1 AND generation = $2 \
         AND state = 'dropped' AND NOT cleared)",
    )
    .bind(collection)
    .bind(this)
    .fetch_one(&mut *connection)
    .await?;
    if !is_there {
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
    for sql in [
        "DELETE FROM build_failures WHERE collection_ref = $1 AND generation = $2",
        "UPDATE generations SET cleared = true WHERE collection_ref = $1 AND generation = $2",
    ] {
        query(sql).bind(collection).bind(this).execute(&mut *connection).await?;
    }
    Ok(false)
}
