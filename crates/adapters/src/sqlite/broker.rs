//! The durable queue in the ledger's file.
//!
//! A message is a row in the table of its queue; acknowledging deletes it. Which rows are handed out
//! is known only to this process, so a restart hands all of them out again, marked as redelivered
//! (they may have been handed out before). A redelivery is counted in its row before it is handed out; a first
//! delivery costs no write. One process owns the file. Memory holds the tags of messages that
//! are handed out, never bodies: a backlog costs disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params, params_from_iter};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{SqliteDatabase, rows, sql_fault};
use contexture_core::domain::task::{IngestStage, TaskEnvelope};
use contexture_core::fault::Fault;
use contexture_core::ports::broker::{
    Broker, BrokerConsumer, BrokerDelivery, OutgoingMessage, SUSPECT_REDELIVERIES,
};
use contexture_core::ports::clock::WallClock;

/// How long an idle consumer waits before it looks for delayed messages again.
const IDLE_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The embedded broker.
#[derive(Clone)]
pub struct SqliteBroker {
    database: SqliteDatabase,
    clock: Arc<dyn WallClock>,
    queues: Arc<HashMap<IngestStage, Arc<SqliteQueue>>>,
}

/// Lingering ends early when nothing arrives for this part of it.
const QUIET_LINGER_DIVISOR: u32 = 10;

/// What this process knows of one queue.
struct SqliteQueue {
    stage: IngestStage,
    arrived: Notify,
    cursor: Mutex<QueueCursor>,
}

struct QueueCursor {
    /// Every row up to here was handed out by this process or is in `returned`.
    read_to: u64,
    /// Rows up to here were there before this process started.
    inherited_to: u64,
    /// Handed out, never acknowledged, their consumer gone.
    returned: BTreeSet<u64>,
}

impl SqliteQueue {
    fn cursor(&self) -> MutexGuard<'_, QueueCursor> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteBroker {
    /// The queues of an open file.
    pub async fn new(database: SqliteDatabase, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        let newest = database
            .read(|db| IngestStage::ALL.into_iter().map(|stage| newest_message_ref(db, stage)).collect());
        let newest: Vec<u64> = newest.await?;
        let queues = IngestStage::ALL
            .into_iter()
            .zip(newest)
            .map(|(stage, inherited_to)| {
                let cursor = QueueCursor { read_to: 0, inherited_to, returned: BTreeSet::new() };
                (stage, Arc::new(SqliteQueue { stage, arrived: Notify::new(), cursor: Mutex::new(cursor) }))
            })
            .collect();
        Ok(Self { database, clock, queues: Arc::new(queues) })
    }
}

#[async_trait]
impl Broker for SqliteBroker {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        let mut rows = Vec::with_capacity(messages.len());
        for message in messages {
            let body = serde_json::to_vec(&message.envelope).map_err(Fault::transient)?;
            let (stage, _) = message.envelope.open();
            let delay_ms = u64::try_from(message.delay.as_millis()).unwrap_or(u64::MAX);
            rows.push((stage, (delay_ms > 0).then(|| now_ms.saturating_add(delay_ms)), body));
        }
        let stages: BTreeSet<IngestStage> = rows.iter().map(|(stage, ..)| *stage).collect();
        self.database.write(move |db| insert_messages(db, &rows).map_err(sql_fault)).await?;
        for stage in stages {
            self.queues[&stage].arrived.notify_one();
        }
        Ok(())
    }

    async fn consume(&self, stage: IngestStage) -> Result<Box<dyn BrokerConsumer>, Fault> {
        Ok(Box::new(SqliteConsumer {
            database: self.database.clone(),
            clock: self.clock.clone(),
            queue: self.queues[&stage].clone(),
            held: BTreeSet::new(),
        }))
    }

    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault> {
        self.database
            .read(move |db| {
                let sql = format!(
                    "SELECT (SELECT COUNT(*) FROM {}) \
                     + (SELECT COUNT(*) FROM delayed_messages WHERE queue = ?1)",
                    queue_table(stage)
                );
                db.query_row(&sql, [stage.name()], |row| row.get(0)).map_err(sql_fault)
            })
            .await
    }

    fn unseen_max(&self) -> Duration {
        Duration::ZERO
    }
}

/// The table of a queue.
fn queue_table(stage: IngestStage) -> &'static str {
    match stage {
        IngestStage::Chunk => "messages_chunk",
        IngestStage::Embed => "messages_embed",
        IngestStage::Index => "messages_index",
    }
}

fn newest_message_ref(db: &Connection, stage: IngestStage) -> Result<u64, Fault> {
    let sql = format!("SELECT COALESCE(MAX(message_ref), 0) FROM {}", queue_table(stage));
    db.query_row(&sql, [], |row| row.get(0)).map_err(sql_fault)
}

fn insert_messages(db: &Connection, rows: &[(IngestStage, Option<u64>, Vec<u8>)]) -> rusqlite::Result<()> {
    for (stage, due_ms, body) in rows {
        match due_ms {
            None => db
                .prepare_cached(&format!("INSERT INTO {} (body) VALUES (?1)", queue_table(*stage)))?
                .execute([body])?,
            Some(due_ms) => db
                .prepare_cached("INSERT INTO delayed_messages (queue, due_ms, body) VALUES (?1, ?2, ?3)")?
                .execute(params![stage.name(), due_ms, body])?,
        };
    }
    Ok(())
}

struct SqliteConsumer {
    database: SqliteDatabase,
    clock: Arc<dyn WallClock>,
    queue: Arc<SqliteQueue>,
    held: BTreeSet<u64>,
}

#[async_trait]
impl BrokerConsumer for SqliteConsumer {
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<BrokerDelivery>, Fault> {
        let mut received = loop {
            let next_due = self.promote_due().await?;
            let ready = self.take(messages_max, false).await?;
            if !ready.is_empty() {
                break ready;
            }
            let wait = next_due.unwrap_or(IDLE_POLL_INTERVAL).min(IDLE_POLL_INTERVAL);
            let _ = timeout_at(Instant::now() + wait, self.queue.arrived.notified()).await;
        };
        let is_alone = received[0].redeliveries >= SUSPECT_REDELIVERIES;
        let deadline = Instant::now() + linger;
        while received.len() < messages_max && !is_alone {
            // Who lingers waits for a busy neighbour, not for an idle one.
            let quiet = deadline.min(Instant::now() + linger / QUIET_LINGER_DIVISOR);
            if timeout_at(quiet, self.queue.arrived.notified()).await.is_err() {
                break;
            }
            received.extend(self.take(messages_max - received.len(), true).await?);
        }
        if received.len() == messages_max || is_alone {
            // There may be more for another consumer of this queue.
            self.queue.arrived.notify_one();
        }
        Ok(received)
    }

    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault> {
        let (rows, stage) = (tags.clone(), self.queue.stage);
        self.database
            .write(move |db| {
                let sql = format!("DELETE FROM {} WHERE message_ref = ?1", queue_table(stage));
                let mut delete = db.prepare_cached(&sql).map_err(sql_fault)?;
                rows.iter().try_for_each(|tag| delete.execute([tag]).map(drop).map_err(sql_fault))
            })
            .await?;
        for tag in tags {
            self.held.remove(&tag);
        }
        Ok(())
    }
}

impl SqliteConsumer {
    /// Moves delayed messages that are due into the queue; returns the time until the next one.
    async fn promote_due(&self) -> Result<Option<Duration>, Fault> {
        let (stage, now_ms) = (self.queue.stage, self.clock.now_ms());
        let next_due_ms: Option<u64> = self
            .database
            .read(move |db| {
                db.prepare_cached("SELECT MIN(due_ms) FROM delayed_messages WHERE queue = ?1")
                    .and_then(|mut statement| statement.query_row([stage.name()], |row| row.get(0)))
                    .map_err(sql_fault)
            })
            .await?;
        let Some(due_ms) = next_due_ms else { return Ok(None) };
        if due_ms > now_ms {
            return Ok(Some(Duration::from_millis(due_ms - now_ms)));
        }
        self.database.write(move |db| promote_delayed_messages(db, stage, now_ms).map_err(sql_fault)).await?;
        Ok(None)
    }

    /// Claims up to `messages_max` messages; a suspect comes alone, and never joins `company`.
    async fn take(&mut self, messages_max: usize, company: bool) -> Result<Vec<BrokerDelivery>, Fault> {
        let (mut returned, read_to) = {
            let mut cursor = self.queue.cursor();
            let again: Vec<u64> = cursor.returned.iter().copied().take(messages_max).collect();
            for tag in &again {
                cursor.returned.remove(tag);
            }
            (again, cursor.read_to)
        };
        self.held.extend(returned.iter().copied());
        let again: BTreeSet<u64> = returned.iter().copied().collect();
        let fresh_max = messages_max - returned.len();
        let stage = self.queue.stage;
        let found = self
            .database
            .read(move |db| {
                let mut found = select_returned_messages(db, stage, &returned)?;
                returned.clear();
                found.extend(select_new_messages(db, stage, read_to, fresh_max)?);
                Ok(found)
            })
            .await?;
        let deliveries = self.hand_out(found, &again, read_to, company);
        let back: Vec<u64> =
            deliveries.iter().filter(|delivery| delivery.redelivered).map(|delivery| delivery.tag).collect();
        if !back.is_empty() {
            self.database.write(move |db| count_redeliveries(db, stage, &back).map_err(sql_fault)).await?;
        }
        Ok(deliveries)
    }

    /// Claims what was read; another consumer may have claimed fresh rows in between.
    fn hand_out(
        &mut self,
        found: BTreeMap<u64, QueueMessageRow>,
        again: &BTreeSet<u64>,
        read_from: u64,
        company: bool,
    ) -> Vec<BrokerDelivery> {
        let mut cursor = self.queue.cursor();
        let overtaken = cursor.read_to > read_from;
        let mut deliveries: Vec<BrokerDelivery> = Vec::with_capacity(found.len());
        let mut is_full = false;
        for (tag, row) in found {
            let returned = again.contains(&tag);
            if !returned && overtaken && tag <= cursor.read_to {
                continue;
            }
            let redelivered = returned || tag <= cursor.inherited_to;
            let redeliveries = if redelivered { row.redeliveries.saturating_add(1) } else { 0 };
            let is_suspect = redeliveries >= SUSPECT_REDELIVERIES;
            is_full |= is_suspect && (company || !deliveries.is_empty());
            if is_full {
                // It and what follows stay where they were.
                if returned {
                    self.held.remove(&tag);
                    cursor.returned.insert(tag);
                }
                continue;
            }
            if !returned {
                cursor.read_to = cursor.read_to.max(tag);
            }
            self.held.insert(tag);
            deliveries.push(BrokerDelivery {
                tag,
                envelope: serde_json::from_slice::<TaskEnvelope>(&row.body)
                    .map_err(|error| error.to_string()),
                redelivered,
                redeliveries,
            });
            is_full = is_suspect;
        }
        deliveries
    }
}

impl Drop for SqliteConsumer {
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        self.queue.cursor().returned.append(&mut self.held);
        self.queue.arrived.notify_one();
    }
}

fn promote_delayed_messages(db: &Connection, stage: IngestStage, now_ms: u64) -> rusqlite::Result<()> {
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

/// A message as it is stored.
struct QueueMessageRow {
    body: Vec<u8>,
    redeliveries: u32,
}

fn count_redeliveries(db: &Connection, stage: IngestStage, tags: &[u64]) -> rusqlite::Result<()> {
    let sql =
        format!("UPDATE {} SET redeliveries = redeliveries + 1 WHERE message_ref = ?1", queue_table(stage));
    let mut count = db.prepare_cached(&sql)?;
    tags.iter().try_for_each(|tag| count.execute([tag]).map(drop))
}

fn select_new_messages(
    db: &Connection,
    stage: IngestStage,
    read_to: u64,
    messages_max: usize,
) -> Result<BTreeMap<u64, QueueMessageRow>, Fault> {
    let sql = format!(
        "SELECT message_ref, body, redeliveries FROM {} WHERE message_ref > ?1 ORDER BY message_ref LIMIT ?2",
        queue_table(stage)
    );
    let mut statement = db.prepare_cached(&sql).map_err(sql_fault)?;
    collect_messages(statement.query(params![read_to, messages_max]).map_err(sql_fault)?)
}

fn select_returned_messages(
    db: &Connection,
    stage: IngestStage,
    tags: &[u64],
) -> Result<BTreeMap<u64, QueueMessageRow>, Fault> {
    if tags.is_empty() {
        return Ok(BTreeMap::new());
    }
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
