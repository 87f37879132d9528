//! A stage's consumer: the stage's queue in batches, and its suspects one by one in between.
//!
//! A message that comes back for the [`SUSPECT_REDELIVERIES`]th time is moved to the suspect lane
//! (published there and confirmed, then acknowledged here) before the broker's own limit is near,
//! because that limit counts everybody who was at hand when a consumer died. What this consumer
//! moved, and what the broker moved, comes back alone.

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

/// Lingering ends early when nothing arrives for this part of it.
const LINGER_IDLE_DIVISOR: u32 = 10;
/// Time between attempts to move suspects that could not be moved.
const SUSPECT_MOVE_INTERVAL: Duration = Duration::from_secs(1);

/// The lowest bit of a tag says which channel it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DeliverySource {
    Main = 0,
    Suspect = 1,
}

/// Receives one stage's messages.
pub(super) struct StageConsumer {
    main: ConsumerChannel,
    suspects: SuspectQueue,
    /// Taken from the lane, not yet handed out.
    ready: VecDeque<BrokerDelivery>,
    /// Taken from the lane, to be moved to the suspects.
    moving: Vec<AmqpDelivery>,
    next_move: Instant,
    /// Whether the suspects come before what is ready.
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

    /// Sorts a message into those to hand out and those to move.
    fn sort(&mut self, message: AmqpDelivery) {
        if message.redeliveries >= SUSPECT_REDELIVERIES {
            self.moving.push(message);
        } else {
            self.ready.push_back(build_delivery(&message, DeliverySource::Main));
        }
    }

    /// Takes what is here already, up to `messages_max` to hand out.
    fn take_arrived(&mut self, messages_max: usize) -> Result<(), Fault> {
        while self.ready.len() < messages_max
            && let Some(message) = self.main.next_now()
        {
            self.sort(message?);
        }
        Ok(())
    }

    /// Moves what is to be moved. While the broker takes no messages it stays, and the rest goes on.
    async fn move_suspects(&mut self) -> Result<(), Fault> {
        if self.moving.is_empty() || self.next_move > Instant::now() {
            return Ok(());
        }
        if let Err(fault) = self.suspects.put(&self.moving).await {
            tracing::warn!(%fault, messages = self.moving.len(), "suspects cannot be moved yet");
            self.next_move = Instant::now() + SUSPECT_MOVE_INTERVAL;
            return Ok(());
        }
        let tags: Vec<u64> = self.moving.iter().map(|message| message.tag).collect();
        self.main.ack(&tags).await?;
        self.moving.clear();
        Ok(())
    }
}

#[async_trait]
impl BrokerConsumer for StageConsumer {
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<BrokerDelivery>, Fault> {
        let messages_max = messages_max.clamp(1, self.prefetch);
        while self.ready.is_empty() {
            let due = self.suspects.next_look() <= Instant::now();
            if due && (self.suspects_first || !self.main.is_ready()) {
                self.suspects_first = false;
                if let Some(message) = self.suspects.look().await? {
                    return Ok(vec![build_delivery(&message, DeliverySource::Suspect)]);
                }
            }
            tokio::select! {
                message = self.main.next() => self.sort(message?),
                () = sleep_until(self.suspects.next_look()) => {}
            }
            self.take_arrived(messages_max)?;
            self.move_suspects().await?;
        }
        self.suspects_first = true;
        let deadline = Instant::now() + linger;
        while !linger.is_zero() && self.ready.len() < messages_max && self.main.has_room() {
            // Who lingers waits for a busy neighbour, not for an idle one.
            let quiet = deadline.min(Instant::now() + linger / LINGER_IDLE_DIVISOR);
            let Ok(message) = timeout_at(quiet, self.main.next()).await else { break };
            self.sort(message?);
            self.take_arrived(messages_max)?;
        }
        self.move_suspects().await?;
        Ok(self.ready.drain(..messages_max.min(self.ready.len())).collect())
    }

    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault> {
        let of = |origin: DeliverySource| -> Vec<u64> {
            tags.iter().filter(|tag| *tag & 1 == origin as u64).map(|tag| tag >> 1).collect()
        };
        let (main, suspects) = (of(DeliverySource::Main), of(DeliverySource::Suspect));
        if !main.is_empty() {
            self.main.ack(&main).await?;
        }
        if !suspects.is_empty() {
            self.suspects.ack(&suspects).await?;
        }
        Ok(())
    }
}

fn build_delivery(message: &AmqpDelivery, origin: DeliverySource) -> BrokerDelivery {
    let before = match origin {
        DeliverySource::Main => 0,
        DeliverySource::Suspect => SUSPECT_REDELIVERIES,
    };
    let redeliveries = before.saturating_add(message.redeliveries);
    BrokerDelivery {
        tag: message.tag << 1 | origin as u64,
        envelope: serde_json::from_slice::<TaskEnvelope>(&message.body).map_err(|error| error.to_string()),
        redelivered: redeliveries > 0,
        redeliveries,
    }
}
