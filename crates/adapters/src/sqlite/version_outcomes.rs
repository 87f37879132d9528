//! Outcomes of versions, the sweep of what they leave behind, and dead letters.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};

use super::rows::{self, DocumentRefLookup, find_document_ref, sql_bigint, sql_version};
use super::{change_log, sql_fault};
use crate::ledger_rows;
use contexture_core::domain::ids::{CollectionKey, DocumentId, GenerationNumber, TenantId, VersionKey};
use contexture_core::domain::task::{IngestStage, IngestTask};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{DeadLetter, DeadLetterFilter, UnsweptVersion, VersionOutcome};

pub(super) fn finish_versions(
    connection: &Connection,
    outcomes: &[(VersionKey, VersionOutcome)],
    now_ms: u64,
) -> Result<(), Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    let mut log = change_log::ChangeLogAppender::new(connection);
    let mut known_generations = HashMap::new();
    for (key, outcome) in outcomes {
        let (Some(collection), Some(number)) = (documents.collection_ref(key)?, documents.document_ref(key)?)
        else {
            continue;
        };
        if let VersionOutcome::Visible(generation) = outcome {
            let known = match known_generations.entry((collection, *generation)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(has_generation(connection, collection, *generation)?),
            };
            // A commit to a dropped collection of that name says nothing about this version.
            if !known {
                continue;
            }
        }
        if finish_version(connection, number, sql_version(key.version), outcome, now_ms).map_err(sql_fault)? {
            log.append(collection, number).map_err(sql_fault)?;
        }
    }
    log.store().map_err(sql_fault)
}

fn has_generation(
    connection: &Connection,
    collection_ref: i64,
    generation: GenerationNumber,
) -> Result<bool, Fault> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM generations WHERE collection_ref = ?1 AND generation = ?2)",
        )
        .and_then(|mut known| known.query_row(params![collection_ref, generation], |row| row.get(0)))
        .map_err(sql_fault)
}

/// Records one outcome; returns whether the version became visible.
fn finish_version(
    connection: &Connection,
    document_ref: i64,
    version: i64,
    outcome: &VersionOutcome,
    now_ms: u64,
) -> rusqlite::Result<bool> {
    let end = |state: i64| {
        connection
            .prepare_cached(
                "UPDATE versions SET state = ?3, updated_ms = ?4 \
                 WHERE document_ref = ?1 AND version = ?2 AND state < 3",
            )?
            .execute(params![document_ref, version, state, now_ms])
    };
    match outcome {
        VersionOutcome::Visible(generation) => {
            // A late version loses to a newer visible one. It becomes superseded without ever being
            // visible.
            let newer: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM versions WHERE document_ref = ?1 AND version > ?2 AND state = 3)",
                )?
                .query_row(params![document_ref, version], |row| row.get(0))?;
            if newer {
                end(4)?;
                return Ok(false);
            }
            // Terminal already: a redelivered message repeats its outcome, and nothing may change.
            if end(3)? == 0 {
                return Ok(false);
            }
            connection
                .prepare_cached(
                    "UPDATE versions SET state = 4, updated_ms = ?3 \
                     WHERE document_ref = ?1 AND version < ?2 AND state = 3",
                )?
                .execute(params![document_ref, version, now_ms])?;
            // A version begun again in another generation may have left spans there without vectors. A builder
            // goes by the spans, so only those of the committed generation stay.
            connection
                .prepare_cached(
                    "DELETE FROM spans WHERE document_ref = ?1 AND version = ?2 AND generation <> ?3",
                )?
                .execute(params![document_ref, version, generation])?;
            return Ok(true);
        }
        VersionOutcome::Superseded => {
            end(4)?;
        }
        VersionOutcome::Dead(stage, reason) => {
            // Only the first death writes a letter; a redelivered message finds the version dead.
            if end(5)? > 0 {
                connection
                    .prepare_cached(
                        "INSERT INTO dead_letters (document_ref, version, stage, code, detail, died_ms) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![
                        document_ref,
                        version,
                        stage.name(),
                        reason.code,
                        reason.detail,
                        now_ms
                    ])?;
            }
        }
    }
    Ok(false)
}

pub(super) fn read_unswept_versions(
    connection: &Connection,
    documents: &[(CollectionKey, DocumentId)],
) -> Result<Vec<UnsweptVersion>, Fault> {
    let mut unswept = Vec::new();
    for (collection, document_id) in documents {
        let Some(number) = find_document_ref(connection, collection, document_id)? else { continue };
        let mut statement = connection
            .prepare_cached(
                "SELECT t.name, c.name, d.document_id, v.version, v.content_hash, g.epoch, \
                 COALESCE(s.chunk_count, 0), g.generation \
                 FROM versions v JOIN documents d ON d.document_ref = v.document_ref \
                 JOIN collections c ON c.collection_ref = d.collection_ref \
                 JOIN tenants t ON t.tenant_ref = c.tenant_ref \
                 JOIN generations g ON g.collection_ref = c.collection_ref AND g.state <> 'dropped' \
                 LEFT JOIN spans s ON s.document_ref = v.document_ref AND s.version = v.version \
                   AND s.generation = g.generation \
                 WHERE v.document_ref = ?1 AND v.state >= 4 AND v.swept = 0 \
                   AND (s.generation IS NOT NULL OR g.generation = c.active_generation) \
                 ORDER BY v.version, g.generation",
            )
            .map_err(sql_fault)?;
        let mut found = statement.query([number]).map_err(sql_fault)?;
        while let Some(row) = found.next().map_err(sql_fault)? {
            unswept.push(ledger_rows::read_unswept_version(row)?);
        }
    }
    Ok(unswept)
}

pub(super) fn read_unswept_documents(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<(CollectionKey, DocumentId)>, Fault> {
    let mut statement = connection
        .prepare_cached(
            "SELECT DISTINCT t.name, c.name, d.document_id FROM versions v \
             JOIN documents d ON d.document_ref = v.document_ref \
             JOIN collections c ON c.collection_ref = d.collection_ref \
             JOIN tenants t ON t.tenant_ref = c.tenant_ref \
             WHERE v.swept = 0 AND v.state >= 4 AND c.active_generation > 0 LIMIT ?1",
        )
        .map_err(sql_fault)?;
    let mut found = statement.query([sql_bigint(limit as u64)]).map_err(sql_fault)?;
    let mut documents = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        documents.push((ledger_rows::read_collection_key(row)?, ledger_rows::read_document_id(row)?));
    }
    Ok(documents)
}

pub(super) fn mark_swept(connection: &Connection, keys: &[VersionKey]) -> Result<(), Fault> {
    let mut documents = DocumentRefLookup::new(connection);
    for key in keys {
        let Some(number) = documents.document_ref(key)? else { continue };
        let sweep = || -> rusqlite::Result<()> {
            // Dead versions (5) keep spans and body: they can be replayed.
            let place = params![number, sql_version(key.version)];
            connection
                .prepare_cached(
                    "UPDATE versions SET swept = 1 WHERE document_ref = ?1 AND version = ?2 AND state >= 4",
                )?
                .execute(place)?;
            for table in ["spans", "conversions", "bodies"] {
                let sql = format!(
                    "DELETE FROM {table} WHERE document_ref = ?1 AND version = ?2 AND EXISTS (SELECT 1 FROM versions v \
                     WHERE v.document_ref = ?1 AND v.version = ?2 AND v.state = 4)"
                );
                connection.prepare_cached(&sql)?.execute(place)?;
            }
            Ok(())
        };
        sweep().map_err(sql_fault)?;
    }
    Ok(())
}

pub(super) fn read_dead_letters(
    connection: &Connection,
    filter: &DeadLetterFilter,
    limit: usize,
) -> Result<Vec<DeadLetter>, Fault> {
    let sql = "SELECT t.name, c.name, d.document_id, l.version, l.dead_ref, l.stage, l.code, l.detail, l.died_ms \
         FROM dead_letters l JOIN documents d ON d.document_ref = l.document_ref \
         JOIN collections c ON c.collection_ref = d.collection_ref JOIN tenants t ON t.tenant_ref = c.tenant_ref \
         WHERE c.active_generation > 0 AND (?1 IS NULL OR t.name = ?1) AND (?2 IS NULL OR c.name = ?2) AND (?3 IS NULL OR l.code = ?3) \
         AND (?4 IS NULL OR l.stage = ?4) AND (?5 IS NULL OR l.died_ms >= ?5) \
         AND (?6 IS NULL OR l.dead_ref IN (SELECT value FROM json_each(?6))) \
         AND (?8 IS NULL OR t.name = ?8) AND l.dead_ref > ?9 ORDER BY l.dead_ref LIMIT ?7";
    // One JSON bind for any number of ids keeps the statement cached. NULL means any.
    let ids = (!filter.ids.is_empty()).then(|| serde_json::json!(filter.ids).to_string());
    let mut statement = connection.prepare_cached(sql).map_err(sql_fault)?;
    let mut found = statement
        .query(params![
            filter.collection.as_ref().map(|key| key.tenant.as_str()),
            filter.collection.as_ref().map(|key| key.collection.as_str()),
            filter.reason,
            filter.stage.map(IngestStage::name),
            filter.since_ms.map(sql_bigint),
            ids,
            sql_bigint(limit as u64),
            filter.tenant.as_ref().map(TenantId::as_str),
            // Numbers are positive, and none is above the highest that SQLite stores.
            sql_bigint(filter.after_id.unwrap_or(0)),
        ])
        .map_err(sql_fault)?;
    let mut letters = Vec::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        letters.push(ledger_rows::read_dead_letter(row)?);
    }
    Ok(letters)
}

pub(super) fn replay_dead_letters(
    connection: &Connection,
    ids: &[u64],
    now_ms: u64,
) -> Result<Vec<IngestTask>, Fault> {
    let mut tasks = Vec::new();
    let mut documents = DocumentRefLookup::new(connection);
    for id in ids {
        let filter = DeadLetterFilter { ids: vec![*id], ..DeadLetterFilter::default() };
        // Unknown or already replayed ids are skipped: replaying twice is safe.
        let Some(letter) = read_dead_letters(connection, &filter, 1)?.pop() else { continue };
        let Some(number) = documents.document_ref(&letter.key)? else { continue };
        let place = params![number, sql_version(letter.key.version), now_ms];
        // `published = 0` puts the task back into the outbox, so it is published even if this process
        // dies now.
        let revive = || -> rusqlite::Result<()> {
            connection
                .prepare_cached(
                    "UPDATE versions SET updated_ms = ?3, swept = 0, published = 0, state = CASE WHEN EXISTS \
                     (SELECT 1 FROM versions newer WHERE newer.document_ref = ?1 AND newer.version > ?2 AND newer.state = 3) \
                     THEN 4 ELSE 0 END WHERE document_ref = ?1 AND version = ?2 AND state = 5",
                )?
                .execute(place)?;
            connection.prepare_cached("DELETE FROM dead_letters WHERE dead_ref = ?1")?.execute([id])?;
            Ok(())
        };
        revive().map_err(sql_fault)?;
        tasks.extend(read_accepted_task(connection, number, sql_version(letter.key.version))?);
    }
    Ok(tasks)
}

fn read_accepted_task(
    connection: &Connection,
    document_ref: i64,
    version: i64,
) -> Result<Option<IngestTask>, Fault> {
    let sql = format!(
        "SELECT {} FROM {} WHERE v.document_ref = ?1 AND v.version = ?2 AND v.state = 0",
        rows::TASK_COLUMNS,
        rows::TASK_JOINS
    );
    let mut statement = connection.prepare_cached(&sql).map_err(sql_fault)?;
    let mut found = statement.query(params![document_ref, version]).map_err(sql_fault)?;
    found.next().map_err(sql_fault)?.map(|row| ledger_rows::read_task(row).map(|(task, _)| task)).transpose()
}

pub(super) fn drop_dead_letters(connection: &Connection, ids: &[u64], now_ms: u64) -> Result<u64, Fault> {
    // As JSON: it takes any number of ids, and an id past the range of SQLite matches nothing.
    let wanted = serde_json::json!(ids).to_string();
    let drop = || -> rusqlite::Result<usize> {
        // Not swept, so that the sweep deletes the body: nothing can be replayed any more.
        connection
            .prepare_cached(
                "UPDATE versions SET state = 4, swept = 0, updated_ms = ?2 WHERE state = 5 \
                 AND (document_ref, version) IN (SELECT document_ref, version FROM dead_letters \
                   WHERE dead_ref IN (SELECT value FROM json_each(?1)))",
            )?
            .execute(params![wanted, now_ms])?;
        connection
            .prepare_cached("DELETE FROM dead_letters WHERE dead_ref IN (SELECT value FROM json_each(?1))")?
            .execute([&wanted])
    };
    Ok(drop().map_err(sql_fault)? as u64)
}
