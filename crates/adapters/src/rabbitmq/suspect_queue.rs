//! The queue of suspects: messages that may crash their consumers. They are handed out alone.
//!
//! A message is fetched with `basic.get` only when it is handed out. If it were prefetched,
//! crashes caused by other messages would raise its delivery count. An empty queue is polled
//! twice a second.

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

/// Time between polls of an empty queue.
const EMPTY_POLL_INTERVAL: Duration = Duration::from_millis(500);

type BasicGetFuture = BoxFuture<'static, lapin::Result<Option<BasicGetMessage>>>;

/// One consumer's access to the suspect queue of a stage.
pub(super) struct SuspectQueue {
    channel: Channel,
    queue: ShortString,
    exchange: String,
    routing_key: String,
    publisher: Arc<ConfirmingPublisher>,
    gauge: Arc<AtomicU64>,
    next_poll: Instant,
    /// A fetch in progress. It outlives a cancelled `poll`, so that its message is not lost.
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
        // Fails now when the queue does not exist. Unlike a consumer, polling is not told of its
        // deletion.
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
            next_poll: Instant::now(),
            fetch: None,
            unacked: BTreeMap::new(),
            live,
        })
    }

    /// When to poll next.
    pub(super) fn next_poll(&self) -> Instant {
        self.next_poll
    }

    /// Publishes copies of messages to the queue, confirmed and without their headers.
    pub(super) async fn put(&mut self, messages: &[AmqpDelivery]) -> Result<(), Fault> {
        let copies: Vec<AmqpMessage> = messages.iter().map(|message| self.copy(message)).collect();
        self.publisher.publish(&copies).await?;
        self.next_poll = Instant::now();
        Ok(())
    }

    fn copy(&self, message: &AmqpDelivery) -> AmqpMessage {
        let mut properties = message.properties.clone();
        // Without the counters of its old queue, it starts afresh in this one.
        properties.headers.clear();
        AmqpMessage {
            exchange: self.exchange.clone(),
            routing_key: self.routing_key.clone(),
            mandatory: true,
            properties,
            body: message.body.clone(),
        }
    }

    /// Fetches the next suspect, if there is one.
    pub(super) async fn poll(&mut self) -> Result<Option<AmqpDelivery>, Fault> {
        loop {
            let Some(message) = self.fetch().await? else {
                self.next_poll = Instant::now() + EMPTY_POLL_INTERVAL;
                return Ok(None);
            };
            let delivery = message.delivery;
            let counted = HeldDeliveryGuard::new(&self.gauge);
            self.unacked.insert(delivery.delivery_tag, (delivery.acker.clone(), counted));
            let delivery = decode_delivery(delivery);
            if !delivery.dead_lettered {
                return Ok(Some(delivery));
            }
            // The broker moved it here with the count of its old queue: replace it by a fresh copy,
            // which a later round fetches. Published before it is acknowledged, so a crash in
            // between duplicates the message but loses none.
            let tag = delivery.tag;
            self.put(&[delivery]).await?;
            self.ack(&[tag]).await?;
        }
    }

    async fn fetch(&mut self) -> Result<Option<BasicGetMessage>, Fault> {
        let fetch = self.fetch.get_or_insert_with(|| {
            let (channel, queue) = (self.channel.clone(), self.queue.clone());
            Box::pin(async move {
                // A fetch appends to the quorum queue's log even when the queue is empty; counting
                // its messages does not.
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

    /// Acknowledges those of these tags that are outstanding.
    pub(super) async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault> {
        acknowledge_deliveries(&self.live, &mut self.unacked, tags).await
    }
}
