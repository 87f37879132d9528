//! Generations: one row each.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ledger::SqliteLedger;
use super::rows::{self, corrupt_ledger, find_collection_ref, require_valid};
use super::{generation_build, sql_fault};
use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::domain::ids::{
    CollectionId, CollectionKey, Epoch, GenerationNumber, TenantId, VersionKey,
};
use contexture_core::fault::Fault;
use contexture_core::ports::generations::{
    BeginBuildOutcome, ChangeLogSize, GenerationBuildFailure, GenerationBuildPace, GenerationChange,
    GenerationLedger, GenerationRecord, GenerationState, UnpreparedVersions,
};
use contexture_core::ports::ledger::CollectionRecord;

const SELECT_GENERATIONS: &str = "SELECT t.name, c.name, g.pipeline, g.generation, g.epoch, g.state, g.paused, \
     g.documents_per_second, g.provider_percent, g.cursor_position, g.prepared, \
     (SELECT COUNT(*) FROM build_failures f JOIN versions v ON v.document_ref = f.document_ref \
       AND v.version = f.version AND v.state = 3 \
       WHERE f.collection_ref = g.collection_ref AND f.generation = g.generation), \
     g.created_ms, g.activated_ms, g.activated_at, g.drop_ms, g.cleared, c.log_position \
     FROM generations g JOIN collections c ON c.collection_ref = g.collection_ref \
     JOIN tenants t ON t.tenant_ref = c.tenant_ref";

#[async_trait]
impl GenerationLedger for SqliteLedger {
    async fn begin_generation(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
        pace: GenerationBuildPace,
    ) -> Result<BeginBuildOutcome, Fault> {
        let (key, pipeline, now_ms) = (collection.clone(), pipeline.to_owned(), self.now_ms());
        self.database()
            .write("begin generation", move |db| start_generation(db, &key, &pipeline, epoch, pace, now_ms))
            .await
    }

    async fn generations(&self, collection: Option<&CollectionKey>) -> Result<Vec<GenerationRecord>, Fault> {
        let key = collection.cloned();
        self.database().read("generations", move |db| read_generations(db, key.as_ref())).await
    }

    async fn change_generation(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        change: GenerationChange,
    ) -> Result<bool, Fault> {
        let (key, now_ms) = (collection.clone(), self.now_ms());
        self.database()
            .write("change generation", move |db| {
                apply_generation_change(db, &key, generation, change, now_ms)
            })
            .await
    }

    async fn unprepared(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        after: u64,
        limit: usize,
    ) -> Result<UnpreparedVersions, Fault> {
        let key = collection.clone();
        self.database()
            .read("unprepared", move |db| {
                generation_build::read_unprepared(db, &key, generation, after, limit)
            })
            .await
    }

    async fn prepared(
        &self,
        generation: GenerationNumber,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<Vec<bool>, Fault> {
        self.database()
            .write("prepared", move |db| generation_build::store_prepared(db, generation, &spans))
            .await
    }

    async fn fail_preparing(
        &self,
        generation: GenerationNumber,
        failures: Vec<GenerationBuildFailure>,
    ) -> Result<(), Fault> {
        self.database()
            .write("fail preparing", move |db| generation_build::store_failures(db, generation, &failures))
            .await
    }

    async fn failures(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<Vec<GenerationBuildFailure>, Fault> {
        let key = collection.clone();
        self.database()
            .read("failures", move |db| generation_build::read_failures(db, &key, generation, limit))
            .await
    }

    async fn advance_cursor(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        cursor: u64,
        prepared: u64,
    ) -> Result<(), Fault> {
        let key = collection.clone();
        self.database()
            .write("advance cursor", move |db| {
                generation_build::advance_cursor(db, &key, generation, cursor, prepared)
            })
            .await
    }

    async fn log_size(&self, collection: &CollectionKey, after: u64) -> Result<ChangeLogSize, Fault> {
        let key = collection.clone();
        let size = move |db: &Connection| {
            let Some(number) = find_collection_ref(db, &key)? else { return Ok(ChangeLogSize::default()) };
            db.prepare_cached(
                "SELECT COUNT(*), COALESCE(SUM(log_position > ?2), 0) FROM documents \
                 WHERE collection_ref = ?1 AND log_position IS NOT NULL",
            )
            .and_then(|mut count| {
                count.query_row(params![number, after], |row| {
                    Ok(ChangeLogSize { entries: row.get(0)?, after: row.get(1)? })
                })
            })
            .map_err(sql_fault)
        };
        self.database().read("log size", size).await
    }

    async fn clear_dropped(
        &self,
        collection: &CollectionKey,
        generation: GenerationNumber,
        limit: usize,
    ) -> Result<bool, Fault> {
        let key = collection.clone();
        self.database()
            .write("clear dropped", move |db| clear_dropped_generation(db, &key, generation, limit))
            .await
    }
}

fn start_generation(
    connection: &Connection,
    key: &CollectionKey,
    pipeline: &str,
    epoch: Epoch,
    pace: GenerationBuildPace,
    now_ms: u64,
) -> Result<BeginBuildOutcome, Fault> {
    let known = read_generations(connection, Some(key))?;
    let number = find_collection_ref(connection, key)?.ok_or_else(|| unknown_collection(key))?;
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
    connection
        .execute(
            "INSERT INTO generations (collection_ref, generation, epoch, state, pipeline, documents_per_second, \
             provider_percent, created_ms) VALUES (?1, ?2, ?3, 'building', ?4, ?5, ?6, ?7)",
            params![
                number,
                generation,
                epoch.as_bytes().as_slice(),
                pipeline,
                pace.documents_per_second,
                pace.provider_percent,
                now_ms
            ],
        )
        .map_err(sql_fault)?;
    let begun = read_generations(connection, Some(key))?.pop();
    begun
        .map(BeginBuildOutcome::Started)
        .ok_or_else(|| corrupt_ledger("generations", "a row just written is missing"))
}

fn unknown_collection(key: &CollectionKey) -> Fault {
    Fault::permanent("unknown_collection", format!("collection '{}' does not exist", key.collection))
}

fn read_generations(
    connection: &Connection,
    key: Option<&CollectionKey>,
) -> Result<Vec<GenerationRecord>, Fault> {
    let sql = format!(
        "{SELECT_GENERATIONS} WHERE (?1 IS NULL OR t.name = ?1) AND (?2 IS NULL OR c.name = ?2) \
         ORDER BY t.name, c.name, g.generation"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let names = (key.map(|key| key.tenant.as_str()), key.map(|key| key.collection.as_str()));
    let mut found = statement.query(params![names.0, names.1]).map_err(sql_fault)?;
    let mut records = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        records.push(generation_from_row(row)?);
    }
    Ok(records)
}

fn generation_from_row(row: &Row<'_>) -> Result<GenerationRecord, Fault> {
    let state: String = rows::read_column(row, 5)?;
    Ok(GenerationRecord {
        home: CollectionRecord {
            key: CollectionKey {
                tenant: require_valid(TenantId::new(&rows::read_column::<String>(row, 0)?))?,
                collection: require_valid(CollectionId::new(&rows::read_column::<String>(row, 1)?))?,
            },
            pipeline: rows::read_column(row, 2)?,
            generation: rows::read_column(row, 3)?,
            epoch: rows::parse_fingerprint(
                &rows::read_column::<Vec<u8>>(row, 4)?,
                Epoch::from_slice,
                "generations.epoch",
            )?,
        },
        state: GenerationState::from_name(&state)
            .ok_or_else(|| corrupt_ledger("generations.state", &state))?,
        is_paused: rows::read_column(row, 6)?,
        pace: GenerationBuildPace {
            documents_per_second: rows::read_column(row, 7)?,
            provider_percent: rows::read_column(row, 8)?,
        },
        cursor: rows::read_column(row, 9)?,
        prepared: rows::read_column(row, 10)?,
        failed: rows::read_column(row, 11)?,
        created_ms: rows::read_column(row, 12)?,
        activated_ms: rows::read_column(row, 13)?,
        activated_at: rows::read_column(row, 14)?,
        drop_ms: rows::read_column(row, 15)?,
        is_cleared: rows::read_column(row, 16)?,
        log_end: rows::read_column(row, 17)?,
    })
}

fn apply_generation_change(
    connection: &Connection,
    key: &CollectionKey,
    generation: GenerationNumber,
    change: GenerationChange,
    now_ms: u64,
) -> Result<bool, Fault> {
    let Some(number) = find_collection_ref(connection, key)? else { return Ok(false) };
    // Every statement names the states it may leave. A change that comes too late updates no row and
    // returns false.
    let execute = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        let mut all: Vec<&dyn rusqlite::ToSql> = vec![&number, &generation];
        all.extend(values);
        connection.execute(sql, all.as_slice()).map(|rows| rows > 0).map_err(sql_fault)
    };
    match change {
        GenerationChange::Pause => execute(
            "UPDATE generations SET paused = 1 WHERE collection_ref = ?1 AND generation = ?2 AND state = 'building'",
            &[],
        ),
        GenerationChange::Resume => execute(
            "UPDATE generations SET paused = 0 WHERE collection_ref = ?1 AND generation = ?2 AND state <> 'dropped'",
            &[],
        ),
        GenerationChange::Pace(pace) => execute(
            "UPDATE generations SET documents_per_second = ?3, provider_percent = ?4 \
             WHERE collection_ref = ?1 AND generation = ?2 AND state <> 'dropped'",
            &[&pace.documents_per_second, &pace.provider_percent],
        ),
        GenerationChange::DropAt(at_ms) => execute(
            "UPDATE generations SET drop_ms = ?3 \
             WHERE collection_ref = ?1 AND generation = ?2 AND state IN ('kept', 'building')",
            &[&at_ms],
        ),
        GenerationChange::Dropped => execute(
            "UPDATE generations SET state = 'dropped' \
             WHERE collection_ref = ?1 AND generation = ?2 AND state IN ('kept', 'building')",
            &[],
        ),
        GenerationChange::Activate => {
            let activated = execute(
                "UPDATE generations SET state = 'active', paused = 0, drop_ms = NULL, activated_ms = ?3, \
                 activated_at = (SELECT log_position FROM collections WHERE collection_ref = ?1) \
                 WHERE collection_ref = ?1 AND generation = ?2 AND state IN ('kept', 'building')",
                &[&now_ms],
            )?;
            if activated {
                execute(
                    "UPDATE generations SET state = 'kept' \
                     WHERE collection_ref = ?1 AND generation <> ?2 AND state = 'active'",
                    &[],
                )?;
                execute("UPDATE collections SET active_generation = ?2 WHERE collection_ref = ?1", &[])?;
            }
            Ok(activated)
        }
    }
}

fn clear_dropped_generation(
    connection: &Connection,
    key: &CollectionKey,
    generation: GenerationNumber,
    limit: usize,
) -> Result<bool, Fault> {
    let Some(number) = find_collection_ref(connection, key)? else { return Ok(false) };
    let dropped: Option<bool> = connection
        .query_row(
            "SELECT 1 FROM generations WHERE collection_ref = ?1 AND generation = ?2 AND state = 'dropped' \
             AND cleared = 0",
            params![number, generation],
            |row| row.get(0),
        )
        .optional()
        .map_err(sql_fault)?;
    if dropped.is_none() {
        return Ok(false);
    }
    // At most `limit` rows per call: a large generation must not hold the only writer for long.
    let removed = connection
        .execute(
            "DELETE FROM spans WHERE rowid IN (SELECT s.rowid FROM documents d \
             JOIN spans s ON s.document_ref = d.document_ref AND s.generation = ?2 \
             WHERE d.collection_ref = ?1 LIMIT ?3)",
            params![number, generation, limit],
        )
        .map_err(sql_fault)?;
    if removed > 0 {
        return Ok(true);
    }
    // Last: `cleared` is set only when no spans are left, so a crash resumes the work.
    for sql in [
        "DELETE FROM build_failures WHERE collection_ref = ?1 AND generation = ?2",
        "UPDATE generations SET cleared = 1 WHERE collection_ref = ?1 AND generation = ?2",
    ] {
        connection.execute(sql, params![number, generation]).map_err(sql_fault)?;
    }
    Ok(false)
}
