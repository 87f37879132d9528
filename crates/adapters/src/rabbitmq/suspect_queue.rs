//! The lane of messages that may kill their consumers: tried alone, by whoever takes one next.
//!
//! A message is fetched only when it is handed out. Consumed ahead of that, it would be counted
//! down by crashes that others cause. While the lane is empty it is looked at twice a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::future::BoxFuture;
use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::BasicGetOptions;
use lapin::types::ShortString;
use tokio::time::Instant;

use super::connection::LiveConnection;
use super::consumer_channel::{HeldDeliveryGuard, UnackedDeliveries, acknowledge_deliveries};
use super::message::{AmqpDelivery, AmqpMessage, decode_delivery, short_string};
use super::names::{TopologyNames, suspect_routing_key};
use super::publisher::ConfirmingPublisher;
use super::topology;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;

/// Time between looks into an empty lane.
const EMPTY_POLL_INTERVAL: Duration = Duration::from_millis(500);

type BasicGetFuture = BoxFuture<'static, lapin::Result<Option<BasicGetMessage>>>;

/// The suspect lane of one stage, as one consumer uses it.
pub(super) struct SuspectQueue {
    channel: Channel,
    queue: ShortString,
    exchange: String,
    routing_key: String,
    publisher: Arc<ConfirmingPublisher>,
    gauge: Arc<AtomicU64>,
    next_look: Instant,
    /// A fetch that was begun; an abandoned wait leaves it for the next one.
    fetch: Option<BasicGetFuture>,
    unacked: UnackedDeliveries,
    live: Arc<LiveConnection>,
}

impl SuspectQueue {
    pub(super) async fn open(
        live: Arc<LiveConnection>,
        names: &TopologyNames,
        stage: IngestStage,
        publisher: Arc<ConfirmingPublisher>,
        gauge: Arc<AtomicU64>,
    ) -> Result<Self, Fault> {
        let queue = names.suspect(stage);
        let channel = live.channel().await?;
        // Nothing would notice later that it is gone but the look that fails.
        let what = format!("opening '{queue}'");
        let queue = short_string(&queue)?;
        live.answer(&what, topology::count_ready_messages(&channel, queue.clone())).await?;
        Ok(Self {
            channel,
            queue,
            exchange: names.tasks(),
            routing_key: suspect_routing_key(stage),
            publisher,
            gauge,
            next_look: Instant::now(),
            fetch: None,
            unacked: BTreeMap::new(),
            live,
        })
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// Puts messages into the lane, confirmed, with none of their headers.
    pub(super) async fn put(&mut self, messages: &[AmqpDelivery]) -> Result<(), Fault> {
        let copies: Vec<AmqpMessage> = messages.iter().map(|message| self.copy(message)).collect();
        self.publisher.publish(&copies).await?;
        self.next_look = Instant::now();
        Ok(())
    }

    fn copy(&self, message: &AmqpDelivery) -> AmqpMessage {
        let mut properties = message.properties.clone();
        properties.headers.clear();
        AmqpMessage {
            exchange: self.exchange.clone(),
            routing_key: self.routing_key.clone(),
            mandatory: true,
            properties,
            body: message.body.clone(),
        }
    }

    /// The next suspect, if there is one.
    pub(super) async fn look(&mut self) -> Result<Option<AmqpDelivery>, Fault> {
        loop {
            let Some(message) = self.fetch().await? else {
                self.next_look = Instant::now() + EMPTY_POLL_INTERVAL;
                return Ok(None);
            };
            let delivery = message.delivery;
            let counted = HeldDeliveryGuard::new(&self.gauge);
            self.unacked.insert(delivery.delivery_tag, (delivery.acker.clone(), counted));
            let delivery = decode_delivery(delivery);
            if !delivery.dead_lettered {
                return Ok(Some(delivery));
            }
            // The broker put it here, with the count of the queue it came from: it starts afresh.
            let tag = delivery.tag;
            self.put(&[delivery]).await?;
            self.ack(&[tag]).await?;
        }
    }

    async fn fetch(&mut self) -> Result<Option<BasicGetMessage>, Fault> {
        let fetch = self.fetch.get_or_insert_with(|| {
            let (channel, queue) = (self.channel.clone(), self.queue.clone());
            Box::pin(async move {
                // To fetch from a quorum queue is an entry in its log; to count is not.
                if topology::count_ready_messages(&channel, queue.clone()).await? == 0 {
                    return Ok(None);
                }
                channel.basic_get(queue, BasicGetOptions { no_ack: false }).await
            })
        });
        let what = format!("fetching from '{}'", self.queue);
        let fetched = self.live.answer(&what, fetch).await;
        self.fetch = None;
        fetched
    }

    /// Acknowledges what is outstanding of these.
    pub(super) async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault> {
        acknowledge_deliveries(&self.live, &mut self.unacked, tags).await
    }
}
