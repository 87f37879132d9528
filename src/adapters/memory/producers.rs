//! Producers' messages, events and buried messages in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::lock;
use crate::domain::event::Event;
use crate::fault::Fault;
use crate::ports::producers::{Burial, EventSink, Producers, Published, Submissions};

/// An exchange with producers that lives as long as the process.
#[derive(Default)]
pub struct MemoryProducers {
    waiting: Arc<Waiting>,
    buried: Mutex<Vec<Burial>>,
    told: watch::Sender<Vec<Event>>,
}

#[derive(Default)]
struct Waiting {
    messages: Mutex<Messages>,
    changed: Notify,
}

#[derive(Default)]
struct Messages {
    sequence: u64,
    ready: BTreeMap<u64, Published>,
}

impl MemoryProducers {
    /// Publishes a message as a producer would; its tag is given here.
    pub fn send(&self, message: Published) {
        let mut messages = lock(&self.waiting.messages);
        messages.sequence += 1;
        let tag = messages.sequence;
        messages.ready.insert(tag, Published { tag, redelivered: false, ..message });
        drop(messages);
        self.waiting.changed.notify_waiters();
    }

    /// What was buried, in order.
    pub fn buried(&self) -> Vec<Burial> {
        lock(&self.buried).clone()
    }

    /// Everything that was told, in order.
    pub fn told(&self) -> watch::Receiver<Vec<Event>> {
        self.told.subscribe()
    }
}

#[async_trait]
impl Producers for MemoryProducers {
    async fn submissions(&self) -> Result<Box<dyn Submissions>, Fault> {
        Ok(Box::new(MemorySubmissions { waiting: Arc::clone(&self.waiting), held: BTreeMap::new() }))
    }

    async fn bury(&self, burials: Vec<Burial>) -> Result<(), Fault> {
        lock(&self.buried).extend(burials);
        Ok(())
    }
}

#[async_trait]
impl EventSink for MemoryProducers {
    async fn publish(&self, events: Vec<Event>) -> Result<(), Fault> {
        self.told.send_modify(|told| told.extend(events));
        Ok(())
    }
}

struct MemorySubmissions {
    waiting: Arc<Waiting>,
    held: BTreeMap<u64, Published>,
}

impl MemorySubmissions {
    /// Waits until at least `wanted` messages are ready. Takes none, so it can be abandoned.
    async fn wait_for(&self, wanted: usize) {
        loop {
            let changed = self.waiting.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if lock(&self.waiting.messages).ready.len() >= wanted {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Submissions for MemorySubmissions {
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<Published>, Fault> {
        let messages_max = messages_max.max(1);
        loop {
            self.wait_for(1).await;
            if !linger.is_zero() {
                // Running out of patience is the normal way on: what is ready is taken then.
                let _ = timeout(linger, self.wait_for(messages_max)).await;
            }
            let mut messages = lock(&self.waiting.messages);
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
        let back = held.into_iter().map(|(tag, message)| (tag, Published { redelivered: true, ..message }));
        lock(&self.waiting.messages).ready.extend(back);
        self.waiting.changed.notify_waiters();
    }
}
