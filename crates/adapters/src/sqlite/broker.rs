//! The durable queue in the ledger's file.
//!
//! * A message is a row in the table of its queue. Acknowledging it deletes the row.
//! * Only this process knows which rows are delivered. A restart delivers all of them again, marked as
//!   redelivered, because they may have been delivered before.
//! * A redelivery is counted in its row before the message is delivered. A first delivery costs no
//!   write.
//! * One process owns the file.
//! * Memory holds the tags of delivered messages, never bodies. A backlog costs disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::queue_messages::{
    QueueMessageRow, count_redeliveries, insert_messages, newest_message_ref, promote_delayed_messages,
    queue_table, select_new_messages, select_returned_messages,
};
use super::{SqliteDatabase, sql_fault};
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

/// Lingering ends early when nothing arrives for this fraction of it.
const QUIET_LINGER_DIVISOR: u32 = 10;

/// The state of one queue in this process.
struct SqliteQueue {
    stage: IngestStage,
    arrived: Notify,
    cursor: Mutex<QueueCursor>,
}

struct QueueCursor {
    /// Every row up to here was delivered by this process or is in `returned`.
    read_to: u64,
    /// Rows up to here existed before this process started.
    inherited_to: u64,
    /// Delivered but not acknowledged; their consumer is gone.
    returned: BTreeSet<u64>,
}

impl SqliteQueue {
    fn cursor(&self) -> MutexGuard<'_, QueueCursor> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteBroker {
    /// Opens the queues of an open file.
    pub async fn new(database: SqliteDatabase, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        // Messages up to here may have been delivered by an earlier process; `hand_out` marks them as
        // redelivered.
        let newest = database.read("new", |db| {
            IngestStage::ALL.into_iter().map(|stage| newest_message_ref(db, stage)).collect()
        });
        let newest: Vec<u64> = newest.await?;
        let queues = IngestStage::ALL
            .into_iter()
            .zip(newest)
            .map(|(stage, inherited_to)| {
                // `read_to` starts at 0, so the first reads deliver the backlog again.
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
            let body = serde_json::to_vec(&message.envelope)
                .map_err(|error| Fault::transient_error("encoding a message", error))?;
            let (stage, _) = message.envelope.open();
            let delay_ms = u64::try_from(message.delay.as_millis()).unwrap_or(u64::MAX);
            rows.push((stage, (delay_ms > 0).then(|| now_ms.saturating_add(delay_ms)), body));
        }
        let stages: BTreeSet<IngestStage> = rows.iter().map(|(stage, ..)| *stage).collect();
        self.database.write("publish", move |db| insert_messages(db, &rows).map_err(sql_fault)).await?;
        // Only after the commit: a consumer that wakes finds the rows.
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
            .read("depth", move |db| {
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
            // Both outcomes lead to another look. `notify_one` keeps a permit, so a message published
            // since `take` ends this wait at once.
            let _ = timeout_at(Instant::now() + wait, self.queue.arrived.notified()).await;
        };
        let is_alone = received[0].redeliveries >= SUSPECT_REDELIVERIES;
        let deadline = Instant::now() + linger;
        while received.len() < messages_max && !is_alone {
            // Lingering pays only while a busy producer adds more. An idle queue ends it early.
            let quiet = deadline.min(Instant::now() + linger / QUIET_LINGER_DIVISOR);
            if timeout_at(quiet, self.queue.arrived.notified()).await.is_err() {
                break;
            }
            received.extend(self.take(messages_max - received.len(), true).await?);
        }
        if received.len() == messages_max || is_alone {
            // `notify_one` wakes a single consumer. This one stops with messages possibly left, so it
            // wakes the next.
            self.queue.arrived.notify_one();
        }
        Ok(received)
    }

    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault> {
        let (rows, stage) = (tags.clone(), self.queue.stage);
        self.database
            .write("ack", move |db| {
                let sql = format!("DELETE FROM {} WHERE message_ref = ?1", queue_table(stage));
                let mut delete = db.prepare_cached(&sql).map_err(sql_fault)?;
                rows.iter().try_for_each(|tag| delete.execute([tag]).map(drop).map_err(sql_fault))
            })
            .await?;
        // Only after the commit. If the delete fails, the tags stay held and return to the queue when
        // the consumer is dropped.
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
            .read("promote due", move |db| {
                db.prepare_cached("SELECT MIN(due_ms) FROM delayed_messages WHERE queue = ?1")
                    .and_then(|mut statement| statement.query_row([stage.name()], |row| row.get(0)))
                    .map_err(sql_fault)
            })
            .await?;
        let Some(due_ms) = next_due_ms else { return Ok(None) };
        if due_ms > now_ms {
            return Ok(Some(Duration::from_millis(due_ms - now_ms)));
        }
        // The read above found something due. Only then is a write transaction, with its fsync, worth
        // it.
        self.database
            .write("promote due", move |db| promote_delayed_messages(db, stage, now_ms).map_err(sql_fault))
            .await?;
        Ok(None)
    }

    /// Claims up to `messages_max` messages. A suspect is claimed alone; with `company` set it is not
    /// claimed at all.
    async fn take(&mut self, messages_max: usize, company: bool) -> Result<Vec<BrokerDelivery>, Fault> {
        let (returned, read_to) = {
            let mut cursor = self.queue.cursor();
            let again: Vec<u64> = cursor.returned.iter().copied().take(messages_max).collect();
            for tag in &again {
                cursor.returned.remove(tag);
            }
            (again, cursor.read_to)
        };
        // Held before the first await: if this future is dropped, the consumer still gives the tags
        // back.
        self.held.extend(returned.iter().copied());
        let again: BTreeSet<u64> = returned.iter().copied().collect();
        let fresh_max = messages_max - returned.len();
        let stage = self.queue.stage;
        let found = self
            .database
            .read("take", move |db| {
                let mut found = select_returned_messages(db, stage, &returned)?;
                found.extend(select_new_messages(db, stage, read_to, fresh_max)?);
                Ok(found)
            })
            .await?;
        let deliveries = self.hand_out(found, &again, read_to, company);
        // Counted before the messages leave: if one kills the process, the count survives and the
        // message becomes a suspect.
        let back: Vec<u64> =
            deliveries.iter().filter(|delivery| delivery.redelivered).map(|delivery| delivery.tag).collect();
        if !back.is_empty() {
            self.database
                .write("take", move |db| count_redeliveries(db, stage, &back).map_err(sql_fault))
                .await?;
        }
        Ok(deliveries)
    }

    /// Claims the rows that were read. Another consumer may have claimed new rows in between.
    fn hand_out(
        &mut self,
        found: BTreeMap<u64, QueueMessageRow>,
        again: &BTreeSet<u64>,
        read_from: u64,
        company: bool,
    ) -> Vec<BrokerDelivery> {
        let mut cursor = self.queue.cursor();
        // The rows were read without the lock. If `read_to` moved since, new rows up to it belong to
        // another consumer.
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
                // A suspect must be alone. It and all later rows wait for the next call.
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
        // Into `returned`, not back to `read_to`: rows behind them may be delivered already.
        self.queue.cursor().returned.append(&mut self.held);
        self.queue.arrived.notify_one();
    }
}
