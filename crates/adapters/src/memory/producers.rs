//! Producers' messages, events and rejected messages in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::lock_ignoring_poison;
use contexture_core::domain::event::DocumentEvent;
use contexture_core::fault::Fault;
use contexture_core::ports::producers::{
    ProducerEventSink, ProducerMessage, ProducerQueue, RejectedMessage, SubmissionConsumer,
};

/// A message exchange with producers that lives as long as the process.
#[derive(Default)]
pub struct MemoryProducers {
    queue: Arc<SubmissionQueue>,
    rejected: Mutex<Vec<RejectedMessage>>,
    events: watch::Sender<Vec<DocumentEvent>>,
}

#[derive(Default)]
struct SubmissionQueue {
    messages: Mutex<SubmissionMessages>,
    changed: Notify,
}

#[derive(Default)]
struct SubmissionMessages {
    sequence: u64,
    ready: BTreeMap<u64, ProducerMessage>,
}

impl MemoryProducers {
    /// Publishes a message as a producer would; assigns its tag.
    pub fn send(&self, message: ProducerMessage) {
        let mut messages = lock_ignoring_poison(&self.queue.messages);
        messages.sequence += 1;
        let tag = messages.sequence;
        messages.ready.insert(tag, ProducerMessage { tag, redelivered: false, ..message });
        drop(messages);
        self.queue.changed.notify_waiters();
    }

    /// The rejected messages, in order.
    pub fn buried(&self) -> Vec<RejectedMessage> {
        lock_ignoring_poison(&self.rejected).clone()
    }

    /// All published events, in order.
    pub fn told(&self) -> watch::Receiver<Vec<DocumentEvent>> {
        self.events.subscribe()
    }
}

#[async_trait]
impl ProducerQueue for MemoryProducers {
    async fn submissions(&self) -> Result<Box<dyn SubmissionConsumer>, Fault> {
        Ok(Box::new(MemorySubmissions { queue: Arc::clone(&self.queue), held: BTreeMap::new() }))
    }

    async fn store_rejected(&self, messages: Vec<RejectedMessage>) -> Result<(), Fault> {
        lock_ignoring_poison(&self.rejected).extend(messages);
        Ok(())
    }
}

#[async_trait]
impl ProducerEventSink for MemoryProducers {
    async fn publish(&self, events: Vec<DocumentEvent>) -> Result<(), Fault> {
        self.events.send_modify(|published| published.extend(events));
        Ok(())
    }
}

struct MemorySubmissions {
    queue: Arc<SubmissionQueue>,
    held: BTreeMap<u64, ProducerMessage>,
}

impl MemorySubmissions {
    /// Waits until at least `wanted` messages are ready. Claims none, so the future can be dropped.
    async fn wait_for(&self, wanted: usize) {
        loop {
            let changed = self.queue.changed.notified();
            tokio::pin!(changed);
            // Registered before the look at the queue: a message that arrives in between is not missed.
            changed.as_mut().enable();
            if lock_ignoring_poison(&self.queue.messages).ready.len() >= wanted {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl SubmissionConsumer for MemorySubmissions {
    async fn receive(
        &mut self,
        messages_max: usize,
        linger: Duration,
    ) -> Result<Vec<ProducerMessage>, Fault> {
        let messages_max = messages_max.max(1);
        loop {
            self.wait_for(1).await;
            if !linger.is_zero() {
                // A timeout is the normal case: what is ready by then is taken.
                let _ = timeout(linger, self.wait_for(messages_max)).await;
            }
            let mut messages = lock_ignoring_poison(&self.queue.messages);
            let mut taken = Vec::new();
            while taken.len() < messages_max
                && let Some((tag, message)) = messages.ready.pop_first()
            {
                self.held.insert(tag, message.clone());
                taken.push(message);
            }
            // Another consumer may have been faster.
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
    }

    async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault> {
        for tag in tags {
            self.held.remove(tag);
        }
        Ok(())
    }
}

impl Drop for MemorySubmissions {
    fn drop(&mut self) {
        let held = std::mem::take(&mut self.held);
        let back =
            held.into_iter().map(|(tag, message)| (tag, ProducerMessage { redelivered: true, ..message }));
        lock_ignoring_poison(&self.queue.messages).ready.extend(back);
        self.queue.changed.notify_waiters();
    }
}
