//! The statements of the queue: a table per stage, and one for delayed messages.

use std::collections::BTreeMap;

use rusqlite::{Connection, params, params_from_iter};

use super::{rows, sql_fault};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;

/// The table of a queue.
pub(super) fn queue_table(stage: IngestStage) -> &'static str {
    match stage {
        IngestStage::Chunk => "messages_chunk",
        IngestStage::Embed => "messages_embed",
        IngestStage::Index => "messages_index",
    }
}

pub(super) fn newest_message_ref(db: &Connection, stage: IngestStage) -> Result<u64, Fault> {
    let sql = format!("SELECT COALESCE(MAX(message_ref), 0) FROM {}", queue_table(stage));
    db.query_row(&sql, [], |row| row.get(0)).map_err(sql_fault)
}

pub(super) fn insert_messages(
    db: &Connection,
    rows: &[(IngestStage, Option<u64>, Vec<u8>)],
) -> rusqlite::Result<()> {
    for (stage, due_ms, body) in rows {
        match due_ms {
            None => db
                .prepare_cached(&format!("INSERT INTO {} (body) VALUES (?1)", queue_table(*stage)))?
                .execute([body])?,
            Some(due_ms) => db
                .prepare_cached("INSERT INTO delayed_messages (queue, due_ms, body) VALUES (?1, ?2, ?3)")?
                .execute(params![stage.name(), rows::sql_bigint(*due_ms), body])?,
        };
    }
    Ok(())
}

pub(super) fn promote_delayed_messages(
    db: &Connection,
    stage: IngestStage,
    now_ms: u64,
) -> rusqlite::Result<()> {
    // Both statements run in one transaction, so a message is in exactly one table. The order of due
    // times becomes the order of the new ids.
    let due = params![stage.name(), now_ms];
    db.prepare_cached(&format!(
        "INSERT INTO {} (body) SELECT body FROM delayed_messages \
         WHERE queue = ?1 AND due_ms <= ?2 ORDER BY due_ms, delayed_ref",
        queue_table(stage)
    ))?
    .execute(due)?;
    db.prepare_cached("DELETE FROM delayed_messages WHERE queue = ?1 AND due_ms <= ?2")?.execute(due)?;
    Ok(())
}

/// A message as stored.
pub(super) struct QueueMessageRow {
    pub(super) body: Vec<u8>,
    pub(super) redeliveries: u32,
}

pub(super) fn count_redeliveries(db: &Connection, stage: IngestStage, tags: &[u64]) -> rusqlite::Result<()> {
    let sql =
        format!("UPDATE {} SET redeliveries = redeliveries + 1 WHERE message_ref = ?1", queue_table(stage));
    let mut count = db.prepare_cached(&sql)?;
    tags.iter().try_for_each(|tag| count.execute([tag]).map(drop))
}

pub(super) fn select_new_messages(
    db: &Connection,
    stage: IngestStage,
    read_to: u64,
    messages_max: usize,
) -> Result<BTreeMap<u64, QueueMessageRow>, Fault> {
    // Walks the primary key. AUTOINCREMENT never reuses an id, so no row appears below `read_to` later.
    let sql = format!(
        "SELECT message_ref, body, redeliveries FROM {} WHERE message_ref > ?1 ORDER BY message_ref LIMIT ?2",
        queue_table(stage)
    );
    let mut statement = db.prepare_cached(&sql).map_err(sql_fault)?;
    collect_messages(statement.query(params![read_to, messages_max]).map_err(sql_fault)?)
}

pub(super) fn select_returned_messages(
    db: &Connection,
    stage: IngestStage,
    tags: &[u64],
) -> Result<BTreeMap<u64, QueueMessageRow>, Fault> {
    if tags.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Not cached: the text differs with the number of tags.
    let places = vec!["?"; tags.len()].join(",");
    let table = queue_table(stage);
    let sql = format!("SELECT message_ref, body, redeliveries FROM {table} WHERE message_ref IN ({places})");
    let mut statement = db.prepare(&sql).map_err(sql_fault)?;
    collect_messages(statement.query(params_from_iter(tags)).map_err(sql_fault)?)
}

fn collect_messages(mut found: rusqlite::Rows<'_>) -> Result<BTreeMap<u64, QueueMessageRow>, Fault> {
    let mut messages = BTreeMap::new();
    while let Some(row) = found.next().map_err(sql_fault)? {
        let stored =
            QueueMessageRow { body: rows::read_column(row, 1)?, redeliveries: rows::read_column(row, 2)? };
        messages.insert(rows::read_column(row, 0)?, stored);
    }
    Ok(messages)
}
