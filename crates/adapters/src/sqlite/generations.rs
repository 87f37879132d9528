//! Generations: one row each.

use async_trait::async_trait;
use rusqlite::{Connection, ToSql, params};

use super::ledger::SqliteLedger;
use super::rows::{find_collection_ref, number_placeholders, sql_bigint};
use super::{generation_build, sql_fault};
use crate::ledger_rows::{corrupt_ledger, read_generation};
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
                // A sum over no rows is NULL, and an empty log has the size 0.
                "SELECT COUNT(*), COALESCE(SUM(log_position > ?2), 0) FROM documents \
                 WHERE collection_ref = ?1 AND log_position IS NOT NULL",
            )
            .and_then(|mut count| {
                count.query_row(params![number, sql_bigint(after)], |row| {
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
    // No lock: writes run one after the other, on the only writing connection.
    let known = read_generations(connection, Some(key))?;
    let number = find_collection_ref(connection, key)?.ok_or_else(|| unknown_collection(&key.collection))?;
    if let Some(outcome) = existing_build(known.iter(), epoch) {
        return Ok(outcome);
    }
    let generation = next_generation(known.iter());
    connection
        .execute(
            &number_placeholders(ledger_sql::INSERT_GENERATION),
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
    // The last row is the new one: rows come in order of number, and its number is the highest.
    let begun = read_generations(connection, Some(key))?.pop();
    begun
        .map(BeginBuildOutcome::Started)
        .ok_or_else(|| corrupt_ledger("generations", "a row just written is missing"))
}

fn read_generations(
    connection: &Connection,
    key: Option<&CollectionKey>,
) -> Result<Vec<GenerationRecord>, Fault> {
    let sql = select_generations!("WHERE (?1 IS NULL OR t.name = ?1) AND (?2 IS NULL OR c.name = ?2)");
    let mut statement = connection.prepare_cached(sql).map_err(sql_fault)?;
    let names = (key.map(|key| key.tenant.as_str()), key.map(|key| key.collection.as_str()));
    let mut found = statement.query(params![names.0, names.1]).map_err(sql_fault)?;
    let mut records = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        records.push(read_generation(row)?);
    }
    Ok(records)
}

fn apply_generation_change(
    connection: &Connection,
    key: &CollectionKey,
    generation: GenerationNumber,
    change: GenerationChange,
    now_ms: u64,
) -> Result<bool, Fault> {
    let Some(number) = find_collection_ref(connection, key)? else { return Ok(false) };
    let execute = |sql: &str, values: &[&dyn ToSql]| {
        connection.execute(&number_placeholders(sql), values).map(|rows| rows > 0).map_err(sql_fault)
    };
    let time_ms = sql_bigint(if let GenerationChange::DropAt(at_ms) = change { at_ms } else { now_ms });
    let mut values: Vec<&dyn ToSql> = vec![&number, &generation];
    match &change {
        GenerationChange::Pace(GenerationBuildPace { documents_per_second, provider_percent }) => {
            values.extend([documents_per_second as &dyn ToSql, provider_percent]);
        }
        GenerationChange::DropAt(_) | GenerationChange::Activate => values.push(&time_ms),
        GenerationChange::Pause | GenerationChange::Resume | GenerationChange::Dropped => {}
    }
    let changed = execute(ledger_sql::change_statement(change), &values)?;
    if changed && change == GenerationChange::Activate {
        for sql in ledger_sql::AFTER_ACTIVATION {
            // Without the time: SQLite refuses more values than a statement has placeholders.
            execute(sql, &values[..2])?;
        }
    }
    Ok(changed)
}

fn clear_dropped_generation(
    connection: &Connection,
    key: &CollectionKey,
    generation: GenerationNumber,
    limit: usize,
) -> Result<bool, Fault> {
    let Some(number) = find_collection_ref(connection, key)? else { return Ok(false) };
    let is_to_clear: bool = connection
        .query_row(&number_placeholders(ledger_sql::IS_TO_CLEAR), params![number, generation], |row| {
            row.get(0)
        })
        .map_err(sql_fault)?;
    if !is_to_clear {
        return Ok(false);
    }
    // At most `limit` rows per call: a large generation must not hold the only writer for long.
    let removed = connection
        .execute(
            // SQLite's DELETE has no join and, as it is built here, no LIMIT. So a subquery picks the rows.
            "DELETE FROM spans WHERE rowid IN (SELECT s.rowid FROM documents d \
             JOIN spans s ON s.document_ref = d.document_ref AND s.generation = ?2 \
             WHERE d.collection_ref = ?1 LIMIT ?3)",
            params![number, generation, sql_bigint(limit as u64)],
        )
        .map_err(sql_fault)?;
    if removed > 0 {
        return Ok(true);
    }
    for sql in ledger_sql::CLEAR_GENERATION {
        connection.execute(&number_placeholders(sql), params![number, generation]).map_err(sql_fault)?;
    }
    Ok(false)
}
