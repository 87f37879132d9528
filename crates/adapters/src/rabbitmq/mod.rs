//! The [`Broker`] on RabbitMQ 3.10 to 4.x, over two connections: one publishes, one consumes.
//!
//! Messages are persistent and live in quorum queues; publishing succeeds only when confirmed.
//! lapin's own recovery is off. The next call that needs a lost connection reopens it and
//! redeclares the topology. A consumer whose channel is lost fails, and its worker opens another.
//!
//! Processes share the queues. `depth` counts what waits at the broker and what this process
//! holds. What another process holds returns to its queue within [`UNSEEN_MAX`]. A delay rounds up
//! to the next retry tier. Limits: [`RabbitMqConfig`], unconfirmed messages in [`publisher`],
//! delivery limits in [`topology`].

mod config;
mod connection;
mod consumer;
mod consumer_channel;
mod faults;
mod message;
mod names;
pub mod producers;
mod publisher;
mod queue_consumer;
mod recovering_connection;
mod suspect_queue;
mod topology;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

pub use config::{AmqpUrl, RabbitMqConfig};
pub use message::{AmqpDelivery, AmqpMessage, MessageProperties};
pub use names::TopologyNames;
pub use producers::RabbitMqProducers;
pub use queue_consumer::AmqpQueueConsumer;

use consumer::StageConsumer;
use publisher::ConfirmingPublisher;
use recovering_connection::RecoveringConnection;

use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;
use contexture_core::ports::broker::{Broker, BrokerConsumer, OutgoingMessage};

/// How long another process can hold a message. The broker requeues it after 30 minutes without an
/// acknowledgement and checks every minute; the rest is slack.
pub const UNSEEN_MAX: Duration = Duration::from_mins(35);

/// The broker. Clones share its connections.
#[derive(Clone)]
pub struct RabbitMqBroker(Arc<RabbitMqClient>);

struct RabbitMqClient {
    config: Arc<RabbitMqConfig>,
    names: TopologyNames,
    publisher: Arc<ConfirmingPublisher>,
    consuming: RecoveringConnection,
    held: HashMap<IngestStage, Arc<AtomicU64>>,
}

impl RabbitMqBroker {
    /// Opens both connections and declares the topology. Fails with the reason when it cannot.
    pub async fn connect(config: RabbitMqConfig) -> Result<Self, Fault> {
        config.check()?;
        let config = Arc::new(config);
        let names = TopologyNames::new(&config.prefix, &config.retry_tiers);
        let publishing = RecoveringConnection::new(config.clone(), names.clone(), "publishing");
        let consuming = RecoveringConnection::new(config.clone(), names.clone(), "consuming");
        publishing.live().await?;
        consuming.live().await?;
        let publisher = Arc::new(ConfirmingPublisher::new(publishing, config.clone()));
        let held = IngestStage::ALL.into_iter().map(|stage| (stage, Arc::default())).collect();
        Ok(Self(Arc::new(RabbitMqClient { config, names, publisher, consuming, held })))
    }

    /// Names of its exchanges and queues.
    pub fn names(&self) -> &TopologyNames {
        &self.0.names
    }

    /// Publishes messages of any kind. Success means that all are confirmed; after an error the
    /// outcome is unknown.
    pub async fn publish_raw(&self, messages: &[AmqpMessage]) -> Result<(), Fault> {
        self.0.publisher.publish(messages).await
    }

    /// Consumes a queue of any kind, holding at most `prefetch` messages (0 counts as 1).
    pub async fn consume_raw(&self, queue: &str, prefetch: u16) -> Result<AmqpQueueConsumer, Fault> {
        let live = self.0.consuming.live().await?;
        // To RabbitMQ a prefetch of 0 means unlimited.
        AmqpQueueConsumer::open(live, queue, prefetch.max(1)).await
    }

    /// Closes both connections; consumers end. A later call connects again.
    pub async fn close(&self) {
        tokio::join!(self.0.publisher.connection().close(), self.0.consuming.close());
    }

    /// Redeclares the topology after a failure that may come from a lost connection or a deleted
    /// queue. Other faults are returned.
    async fn redeclare_after(&self, fault: Fault) -> Result<(), Fault> {
        match fault {
            Fault::Transient(_) => self.0.consuming.redeclare().await,
            hopeless => Err(hopeless),
        }
    }

    async fn count(&self, stage: IngestStage) -> Result<u64, Fault> {
        let RabbitMqClient { names, consuming, held, .. } = &*self.0;
        let live = consuming.live().await?;
        let channel = live.channel().await?;
        // Held messages are unacknowledged, so the broker does not count them as ready.
        let mut depth = held[&stage].load(Ordering::Relaxed);
        let stage_queues = [names.stage(stage), names.bulk(stage), names.suspect(stage)];
        // Retry queues hold messages of all stages, so a depth can count another stage's delays.
        for queue in stage_queues.into_iter().chain(names.tiers().iter().map(|tier| names.retry(*tier))) {
            let what = format!("counting the messages of '{queue}'");
            let counting = topology::count_ready_messages(&channel, message::short_string(&queue)?);
            depth += u64::from(live.answer(&what, counting).await?);
        }
        Ok(depth)
    }

    async fn open(&self, stage: IngestStage) -> Result<StageConsumer, Fault> {
        let RabbitMqClient { config, names, publisher, consuming, held } = &*self.0;
        let live = consuming.live().await?;
        StageConsumer::open(live, config, names, stage, publisher.clone(), held[&stage].clone()).await
    }
}

#[async_trait]
impl Broker for RabbitMqBroker {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), Fault> {
        let messages: Result<Vec<AmqpMessage>, Fault> =
            messages.iter().map(|outgoing| message::encode_stage_message(&self.0.names, outgoing)).collect();
        self.publish_raw(&messages?).await
    }

    async fn consume(&self, stage: IngestStage) -> Result<Box<dyn BrokerConsumer>, Fault> {
        let opened = match self.open(stage).await {
            Err(fault) => {
                self.redeclare_after(fault).await?;
                self.open(stage).await?
            }
            Ok(opened) => opened,
        };
        Ok(Box::new(opened))
    }

    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault> {
        match self.count(stage).await {
            Err(fault) => {
                self.redeclare_after(fault).await?;
                self.count(stage).await
            }
            counted => counted,
        }
    }

    async fn consumers(&self, stage: IngestStage) -> Result<Option<u64>, Fault> {
        let RabbitMqClient { names, consuming, .. } = &*self.0;
        let live = consuming.live().await?;
        let channel = live.channel().await?;
        let queue = names.stage(stage);
        let counting = topology::count_consumers(&channel, message::short_string(&queue)?);
        let counted = live.answer(&format!("counting the consumers of '{queue}'"), counting).await?;
        Ok(Some(u64::from(counted)))
    }

    fn unseen_max(&self) -> Duration {
        UNSEEN_MAX
    }
}
