//! Generations: a row each, beside the log they follow.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ledger::SqliteLedger;
use super::rows::{self, collection_ref, corrupt, trusted};
use super::{building, sql_fault};
use crate::domain::chunk::ChunkSpan;
use crate::domain::ids::{CollectionId, CollectionKey, Epoch, Generation, TenantId, VersionKey};
use crate::fault::Fault;
use crate::ports::generations::{
    Begun, BuildFailure, BuildPace, GenerationChange, GenerationRecord, GenerationState, Generations,
    LogSize, Unprepared,
};
use crate::ports::ledger::CollectionRecord;

const COLUMNS: &str = "SELECT t.name, c.name, g.pipeline, g.generation, g.epoch, g.state, g.paused, \
     g.documents_per_second, g.provider_percent, g.cursor_position, g.prepared, \
     (SELECT COUNT(*) FROM build_failures f JOIN versions v ON v.document_ref = f.document_ref \
       AND v.version = f.version AND v.state = 3 \
       WHERE f.collection_ref = g.collection_ref AND f.generation = g.generation), \
     g.created_ms, g.activated_ms, g.activated_at, g.drop_ms, g.cleared, c.log_position \
     FROM generations g JOIN collections c ON c.collection_ref = g.collection_ref \
     JOIN tenants t ON t.tenant_ref = c.tenant_ref";

#[async_trait]
impl Generations for SqliteLedger {
    async fn begin_generation(
        &self,
        collection: &CollectionKey,
        pipeline: &str,
        epoch: Epoch,
        pace: BuildPace,
    ) -> Result<Begun, Fault> {
        let (key, pipeline, now_ms) = (collection.clone(), pipeline.to_owned(), self.now_ms());
        self.database().write(move |db| begin(db, &key, &pipeline, epoch, pace, now_ms)).await
    }

    async fn generations(&self, collection: Option<&CollectionKey>) -> Result<Vec<GenerationRecord>, Fault> {
        let key = collection.cloned();
        self.database().read(move |db| all(db, key.as_ref())).await
    }

    async fn change_generation(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        change: GenerationChange,
    ) -> Result<bool, Fault> {
        let (key, now_ms) = (collection.clone(), self.now_ms());
        self.database().write(move |db| apply(db, &key, generation, change, now_ms)).await
    }

    async fn unprepared(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        after: u64,
        limit: usize,
    ) -> Result<Unprepared, Fault> {
        let key = collection.clone();
        self.database().read(move |db| building::unprepared(db, &key, generation, after, limit)).await
    }

    async fn prepared(
        &self,
        generation: Generation,
        spans: Vec<(VersionKey, Vec<ChunkSpan>)>,
    ) -> Result<Vec<bool>, Fault> {
        self.database().write(move |db| building::prepared(db, generation, &spans)).await
    }

    async fn fail_preparing(&self, generation: Generation, failures: Vec<BuildFailure>) -> Result<(), Fault> {
        self.database().write(move |db| building::fail(db, generation, &failures)).await
    }

    async fn failures(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        limit: usize,
    ) -> Result<Vec<BuildFailure>, Fault> {
        let key = collection.clone();
        self.database().read(move |db| building::failures(db, &key, generation, limit)).await
    }

    async fn advance_cursor(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        cursor: u64,
        prepared: u64,
    ) -> Result<(), Fault> {
        let key = collection.clone();
        self.database().write(move |db| building::advance(db, &key, generation, cursor, prepared)).await
    }

    async fn log_size(&self, collection: &CollectionKey, after: u64) -> Result<LogSize, Fault> {
        let key = collection.clone();
        let size = move |db: &Connection| {
            let Some(number) = collection_ref(db, &key)? else { return Ok(LogSize::default()) };
            db.prepare_cached(
                "SELECT COUNT(*), COALESCE(SUM(log_position > ?2), 0) FROM documents \
                 WHERE collection_ref = ?1 AND log_position IS NOT NULL",
            )
            .and_then(|mut count| {
                count.query_row(params![number, after], |row| {
                    Ok(LogSize { entries: row.get(0)?, after: row.get(1)? })
                })
            })
            .map_err(sql_fault)
        };
        self.database().read(size).await
    }

    async fn clear_dropped(
        &self,
        collection: &CollectionKey,
        generation: Generation,
        limit: usize,
    ) -> Result<bool, Fault> {
        let key = collection.clone();
        self.database().write(move |db| clear(db, &key, generation, limit)).await
    }
}

fn begin(
    connection: &Connection,
    key: &CollectionKey,
    pipeline: &str,
    epoch: Epoch,
    pace: BuildPace,
    now_ms: u64,
) -> Result<Begun, Fault> {
    let known = all(connection, Some(key))?;
    let number = collection_ref(connection, key)?.ok_or_else(|| unknown(key))?;
    let live = |record: &&GenerationRecord| record.state != GenerationState::Dropped;
    if let Some(record) = known.iter().filter(live).find(|record| record.home.epoch == epoch) {
        return Ok(Begun::Known(record.clone()));
    }
    if let Some(record) = known.iter().find(|record| record.state == GenerationState::Building) {
        return Ok(Begun::Busy(record.clone()));
    }
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
    let begun = all(connection, Some(key))?.pop();
    begun.map(Begun::Started).ok_or_else(|| corrupt("generations", "a row just written is missing"))
}

fn unknown(key: &CollectionKey) -> Fault {
    Fault::permanent("unknown_collection", format!("collection '{}' does not exist", key.collection))
}

fn all(connection: &Connection, key: Option<&CollectionKey>) -> Result<Vec<GenerationRecord>, Fault> {
    let sql = format!(
        "{COLUMNS} WHERE (?1 IS NULL OR t.name = ?1) AND (?2 IS NULL OR c.name = ?2) \
         ORDER BY t.name, c.name, g.generation"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let names = (key.map(|key| key.tenant.as_str()), key.map(|key| key.collection.as_str()));
    let mut found = statement.query(params![names.0, names.1]).map_err(sql_fault)?;
    let mut records = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        records.push(record(row)?);
    }
    Ok(records)
}

fn record(row: &Row<'_>) -> Result<GenerationRecord, Fault> {
    let state: String = rows::get(row, 5)?;
    Ok(GenerationRecord {
        home: CollectionRecord {
            key: CollectionKey {
                tenant: trusted(TenantId::new(&rows::get::<String>(row, 0)?))?,
                collection: trusted(CollectionId::new(&rows::get::<String>(row, 1)?))?,
            },
            pipeline: rows::get(row, 2)?,
            generation: rows::get(row, 3)?,
            epoch: rows::fingerprint(&rows::get::<Vec<u8>>(row, 4)?, Epoch::from_slice, "generations.epoch")?,
        },
        state: GenerationState::from_name(&state).ok_or_else(|| corrupt("generations.state", &state))?,
        is_paused: rows::get(row, 6)?,
        pace: BuildPace { documents_per_second: rows::get(row, 7)?, provider_percent: rows::get(row, 8)? },
        cursor: rows::get(row, 9)?,
        prepared: rows::get(row, 10)?,
        failed: rows::get(row, 11)?,
        created_ms: rows::get(row, 12)?,
        activated_ms: rows::get(row, 13)?,
        activated_at: rows::get(row, 14)?,
        drop_ms: rows::get(row, 15)?,
        is_cleared: rows::get(row, 16)?,
        log_end: rows::get(row, 17)?,
    })
}

fn apply(
    connection: &Connection,
    key: &CollectionKey,
    generation: Generation,
    change: GenerationChange,
    now_ms: u64,
) -> Result<bool, Fault> {
    let Some(number) = collection_ref(connection, key)? else { return Ok(false) };
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

fn clear(
    connection: &Connection,
    key: &CollectionKey,
    generation: Generation,
    limit: usize,
) -> Result<bool, Fault> {
    let Some(number) = collection_ref(connection, key)? else { return Ok(false) };
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
    for sql in [
        "DELETE FROM build_failures WHERE collection_ref = ?1 AND generation = ?2",
        "UPDATE generations SET cleared = 1 WHERE collection_ref = ?1 AND generation = ?2",
    ] {
        connection.execute(sql, params![number, generation]).map_err(sql_fault)?;
    }
    Ok(false)
}
