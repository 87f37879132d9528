//! Consumer of one stage: batches of the stage's queue, single messages of its suspect queue.
//!
//! When a consumer dies, every message that it held is redelivered, so a redelivery count also
//! rises for innocent neighbours of a poison message. Therefore a message with
//! [`SUSPECT_REDELIVERIES`] redeliveries moves to the suspect queue, before the broker's delivery
//! limit is near: it is published there, confirmed, and then acknowledged here. Suspects are
//! handed out alone, whether this consumer or the broker moved them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::config::RabbitMqConfig;
use super::connection::LiveConnection;
use super::consumer_channel::ConsumerChannel;
use super::message::AmqpDelivery;
use super::names::TopologyNames;
use super::publisher::ConfirmingPublisher;
use super::suspect_queue::SuspectQueue;
use contexture_core::domain::task::{IngestStage, TaskEnvelope};
use contexture_core::fault::Fault;
use contexture_core::ports::broker::{BrokerConsumer, BrokerDelivery, SUSPECT_REDELIVERIES};

/// Lingering ends early when nothing arrives for `linger / LINGER_IDLE_DIVISOR`.
const LINGER_IDLE_DIVISOR: u32 = 10;
/// Pause after a failed attempt to move suspects.
const SUSPECT_MOVE_INTERVAL: Duration = Duration::from_secs(1);

/// The channel of a delivery, kept in the lowest bit of its tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DeliverySource {
    Main = 0,
    Suspect = 1,
}

/// Receives one stage's messages.
pub(super) struct StageConsumer {
    main: ConsumerChannel,
    suspects: SuspectQueue,
    /// Received, not yet handed out.
    ready: VecDeque<BrokerDelivery>,
    /// Received, to be moved to the suspect queue.
    moving: Vec<AmqpDelivery>,
    next_move: Instant,
    /// Whether the next poll of the suspect queue comes before ready messages.
    suspects_first: bool,
    prefetch: usize,
}

impl StageConsumer {
    pub(super) async fn open(
        live: Arc<LiveConnection>,
        config: &RabbitMqConfig,
        names: &TopologyNames,
        stage: IngestStage,
        publisher: Arc<ConfirmingPublisher>,
        gauge: Arc<AtomicU64>,
    ) -> Result<Self, Fault> {
        let suspects = SuspectQueue::open(live.clone(), names, stage, publisher, gauge.clone()).await?;
        let main = ConsumerChannel::open(live, &names.stage(stage), config.prefetch, gauge).await?;
        Ok(Self {
            main,
            suspects,
            ready: VecDeque::new(),
            moving: Vec::new(),
            next_move: Instant::now(),
            suspects_first: true,
            prefetch: usize::from(config.prefetch),
        })
    }

    /// Queues a message to be handed out or to be moved.
    fn sort(&mut self, message: AmqpDelivery) {
        if message.redeliveries >= SUSPECT_REDELIVERIES {
            self.moving.push(message);
        } else {
            self.ready.push_back(build_delivery(&message, DeliverySource::Main));
        }
    }

    /// Takes messages that have arrived already, until `messages_max` can be handed out.
    fn take_arrived(&mut self, messages_max: usize) -> Result<(), Fault> {
        while self.ready.len() < messages_max
            && let Some(message) = self.main.next_now()
        {
            self.sort(message?);
        }
        Ok(())
    }

    /// Moves pending suspects. A failure to publish is logged and retried later: consuming goes on.
    async fn move_suspects(&mut self) -> Result<(), Fault> {
        if self.moving.is_empty() || self.next_move > Instant::now() {
            return Ok(());
        }
        if let Err(fault) = self.suspects.put(&self.moving).await {
            tracing::warn!(%fault, messages = self.moving.len(), "suspects cannot be moved yet");
            self.next_move = Instant::now() + SUSPECT_MOVE_INTERVAL;
            return Ok(());
        }
        // Published and confirmed first: a crash in between duplicates a message but loses none.
        let tags: Vec<u64> = self.moving.iter().map(|message| message.tag).collect();
        self.main.ack(&tags).await?;
        self.moving.clear();
        Ok(())
    }
}

#[async_trait]
impl BrokerConsumer for StageConsumer {
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<BrokerDelivery>, Fault> {
        // The broker sends no more than `prefetch` unacknowledged messages: a larger batch would
        // wait in vain. `check` refused a prefetch of 0, on which `clamp` would panic.
        let messages_max = messages_max.clamp(1, self.prefetch);
        while self.ready.is_empty() {
            let due = self.suspects.next_poll() <= Instant::now();
            // At most one suspect between two batches, so that suspects and healthy messages
            // cannot starve each other.
            if due && (self.suspects_first || !self.main.is_ready()) {
                self.suspects_first = false;
                if let Some(message) = self.suspects.poll().await? {
                    return Ok(vec![build_delivery(&message, DeliverySource::Suspect)]);
                }
            }
            tokio::select! {
                message = self.main.next() => self.sort(message?),
                () = sleep_until(self.suspects.next_poll()) => {}
            }
            self.take_arrived(messages_max)?;
            self.move_suspects().await?;
        }
        self.suspects_first = true;
        let deadline = Instant::now() + linger;
        while !linger.is_zero() && self.ready.len() < messages_max && self.main.has_room() {
            // Lingering fills batches while the queue is busy; an idle queue ends it early.
            let quiet = deadline.min(Instant::now() + linger / LINGER_IDLE_DIVISOR);
            let Ok(message) = timeout_at(quiet, self.main.next()).await else { break };
            self.sort(message?);
            self.take_arrived(messages_max)?;
        }
        self.move_suspects().await?;
        Ok(self.ready.drain(..messages_max.min(self.ready.len())).collect())
    }

    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault> {
        let tags_of = |source: DeliverySource| -> Vec<u64> {
            tags.iter().filter(|tag| *tag & 1 == source as u64).map(|tag| tag >> 1).collect()
        };
        let (main, suspects) = (tags_of(DeliverySource::Main), tags_of(DeliverySource::Suspect));
        if !main.is_empty() {
            self.main.ack(&main).await?;
        }
        if !suspects.is_empty() {
            self.suspects.ack(&suspects).await?;
        }
        Ok(())
    }
}

fn build_delivery(message: &AmqpDelivery, source: DeliverySource) -> BrokerDelivery {
    // Moving a message strips its headers, and with them the count of its redeliveries before.
    let before = match source {
        DeliverySource::Main => 0,
        DeliverySource::Suspect => SUSPECT_REDELIVERIES,
    };
    let redeliveries = before.saturating_add(message.redeliveries);
    // AMQP numbers deliveries from 1 per channel, so the top bit is free to shift out.
    debug_assert!(message.tag >> 63 == 0, "delivery tags fit 63 bits");
    BrokerDelivery {
        tag: message.tag << 1 | source as u64,
        envelope: serde_json::from_slice::<TaskEnvelope>(&message.body).map_err(|error| error.to_string()),
        redelivered: redeliveries > 0,
        redeliveries,
    }
}
