//! Queues in memory. Messages are kept in their wire form, so encoding is tested on the way.
//!
//! A delivery that is not acknowledged returns to the head of its queue when its consumer is dropped.
//! Delays count by the injected clock, but a waiting consumer wakes by tokio's timer. Both must tell
//! the same time for it to wake in time; a message never comes early in any case.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::lock_ignoring_poison;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;
use contexture_core::ports::broker::{
    Broker, BrokerConsumer, BrokerDelivery, OutgoingMessage, SUSPECT_REDELIVERIES,
};
use contexture_core::ports::clock::WallClock;

/// Queues that live as long as the process.
pub struct MemoryBroker {
    clock: Arc<dyn WallClock>,
    queues: HashMap<IngestStage, Arc<MemoryQueue>>,
}

#[derive(Default)]
struct MemoryQueue {
    messages: Mutex<QueuedMessages>,
    changed: Notify,
}

#[derive(Default)]
struct QueuedMessages {
    /// By order of publication, which is also the tag.
    ready: BTreeMap<u64, QueuedMessage>,
    /// By due time in milliseconds, then by tag.
    delayed: BTreeMap<(u64, u64), QueuedMessage>,
    handed_out: usize,
    sequence: u64,
}

#[derive(Debug)]
struct QueuedMessage {
    bytes: Vec<u8>,
    redeliveries: u32,
}

impl MemoryBroker {
    /// Creates empty queues; delays count by `clock`.
    pub fn new(clock: Arc<dyn WallClock>) -> Self {
        let queues = IngestStage::ALL.into_iter().map(|stage| (stage, Arc::default())).collect();
        Self { clock, queues }
    }

    /// Puts raw bytes into a queue, as a foreign or newer publisher would.
    pub fn inject(&self, stage: IngestStage, bytes: Vec<u8>) -> Result<(), Fault> {
        let queue = self.queue(stage)?;
        lock_ignoring_poison(&queue.messages).push(bytes, None);
        queue.changed.notify_waiters();
        Ok(())
    }

    fn queue(&self, stage: IngestStage) -> Result<&Arc<MemoryQueue>, Fault> {
        self.queues.get(&stage).ok_or_else(|| Fault::permanent("unknown_queue", stage.name()))
    }
}

impl QueuedMessages {
    fn push(&mut self, bytes: Vec<u8>, due_ms: Option<u64>) {
        self.sequence += 1;
        let message = QueuedMessage { bytes, redeliveries: 0 };
        match due_ms {
            None => self.ready.insert(self.sequence, message),
            Some(due_ms) => self.delayed.insert((due_ms, self.sequence), message),
        };
    }

    fn release_due(&mut self, now_ms: u64) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now_ms) {
            let ((_, tag), message) = first.remove_entry();
            self.ready.insert(tag, message);
        }
    }

    fn depth(&self) -> usize {
        self.ready.len() + self.delayed.len() + self.handed_out
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), Fault> {
        let now_ms = self.clock.now_ms();
        let mut encoded = Vec::with_capacity(messages.len());
        for OutgoingMessage { envelope, delay } in messages {
            let bytes = serde_json::to_vec(&envelope)
                .map_err(|error| Fault::permanent_error("unencodable_message", error))?;
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            let due_ms = (!delay.is_zero()).then(|| now_ms.saturating_add(delay_ms));
            // All are encoded before the first is queued, so a refused one leaves nothing behind.
            encoded.push((self.queue(envelope.open().0)?, bytes, due_ms));
        }
        for (queue, bytes, due_ms) in encoded {
            lock_ignoring_poison(&queue.messages).push(bytes, due_ms);
            queue.changed.notify_waiters();
        }
        Ok(())
    }

    async fn consume(&self, stage: IngestStage) -> Result<Box<dyn BrokerConsumer>, Fault> {
        let queue = Arc::clone(self.queue(stage)?);
        Ok(Box::new(MemoryConsumer { clock: Arc::clone(&self.clock), queue, handed_out: BTreeMap::new() }))
    }

    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault> {
        Ok(lock_ignoring_poison(&self.queue(stage)?.messages).depth() as u64)
    }

    fn unseen_max(&self) -> Duration {
        Duration::ZERO
    }
}

struct MemoryConsumer {
    clock: Arc<dyn WallClock>,
    queue: Arc<MemoryQueue>,
    handed_out: BTreeMap<u64, QueuedMessage>,
}

impl MemoryConsumer {
    /// Waits until at least `wanted` messages are ready. Claims none, so the future can be dropped.
    async fn wait_for(&self, wanted: usize) {
        loop {
            let changed = self.queue.changed.notified();
            tokio::pin!(changed);
            // Registered before the look at the queue: a message that arrives in between is not missed.
            changed.as_mut().enable();
            let now_ms = self.clock.now_ms();
            let next_due_ms = {
                let mut messages = lock_ignoring_poison(&self.queue.messages);
                messages.release_due(now_ms);
                if messages.ready.len() >= wanted {
                    return;
                }
                messages.delayed.first_key_value().map(|((due_ms, _), _)| *due_ms)
            };
            match next_due_ms {
                None => changed.await,
                Some(due_ms) => {
                    // Cannot underflow: `release_due` has removed all that was due by `now_ms`.
                    let due = Instant::now() + Duration::from_millis(due_ms - now_ms);
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(due) => {}
                    }
                }
            }
        }
    }

    fn take(&mut self, messages_max: usize) -> Vec<BrokerDelivery> {
        let mut deliveries = Vec::new();
        let mut messages = lock_ignoring_poison(&self.queue.messages);
        while deliveries.len() < messages_max
            && let Some(first) = messages.ready.first_entry()
        {
            let is_suspect = first.get().redeliveries >= SUSPECT_REDELIVERIES;
            if is_suspect && !deliveries.is_empty() {
                break;
            }
            let (tag, message) = first.remove_entry();
            messages.handed_out += 1;
            let envelope = serde_json::from_slice(&message.bytes).map_err(|error| error.to_string());
            let redeliveries = message.redeliveries;
            deliveries.push(BrokerDelivery { tag, envelope, redelivered: redeliveries > 0, redeliveries });
            self.handed_out.insert(tag, message);
            if is_suspect {
                break;
            }
        }
        deliveries
    }
}

#[async_trait]
impl BrokerConsumer for MemoryConsumer {
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<BrokerDelivery>, Fault> {
        let messages_max = messages_max.max(1);
        loop {
            self.wait_for(1).await;
            if !linger.is_zero() {
                // A timeout is the normal case: what is ready by then is taken.
                let _ = timeout(linger, self.wait_for(messages_max)).await;
            }
            let deliveries = self.take(messages_max);
            // Another consumer may have been faster.
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
        }
    }

    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault> {
        for tag in tags {
            if self.handed_out.remove(&tag).is_some() {
                lock_ignoring_poison(&self.queue.messages).handed_out -= 1;
            }
        }
        Ok(())
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let mut messages = lock_ignoring_poison(&self.queue.messages);
        for (tag, message) in std::mem::take(&mut self.handed_out) {
            messages.handed_out -= 1;
            // The old tag is lower than any new one, so it stands at the head again.
            messages.ready.insert(tag, QueuedMessage { redeliveries: message.redeliveries + 1, ..message });
        }
        // Unlocked first, so that a woken consumer does not wait for this lock.
        drop(messages);
        self.queue.changed.notify_waiters();
    }
}
