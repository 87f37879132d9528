//! Queues at a RabbitMQ broker, 3.10 to 4.x, over two connections: one publishes, one consumes.
//!
//! Messages are persistent, in quorum queues, and published only when confirmed. lapin's own
//! recovery is off: a connection is opened again, with its topology, by the next call that needs
//! it; a consumer that lost its channel fails and is opened again by its worker. The queues are
//! shared by processes: `depth` sees what waits at the broker and what this process holds, and
//! what others hold comes back within [`UNSEEN_MAX`]. Delays are the retry tiers, rounded up.
//! Limits: [`RabbitMqConfig`]; batches of confirms in [`publisher`]; delivery limits in [`topology`].

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

/// How long another process can hold a message: the broker takes it back after 30 minutes without
/// an acknowledgement, and looks every minute.
pub const UNSEEN_MAX: Duration = Duration::from_mins(35);

/// The broker.
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
    /// Connects twice and declares the topology, or says what is in the way.
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

    /// What its exchanges and queues are called.
    pub fn names(&self) -> &TopologyNames {
        &self.0.names
    }

    /// Publishes messages of any kind: confirmed, all or an error that means unknown.
    pub async fn publish_raw(&self, messages: &[AmqpMessage]) -> Result<(), Fault> {
        self.0.publisher.publish(messages).await
    }

    /// Consumes a queue of any kind, holding at most `prefetch` messages (0 is taken for 1).
    pub async fn consume_raw(&self, queue: &str, prefetch: u16) -> Result<AmqpQueueConsumer, Fault> {
        let live = self.0.consuming.live().await?;
        AmqpQueueConsumer::open(live, queue, prefetch.max(1)).await
    }

    /// Says goodbye to the broker; consumers end. A later call connects again.
    pub async fn close(&self) {
        tokio::join!(self.0.publisher.link().close(), self.0.consuming.close());
    }

    /// After a failure that may be a broken connection or a deleted queue.
    async fn mend(&self, fault: Fault) -> Result<(), Fault> {
        match fault {
            Fault::Transient(_) => self.0.consuming.redeclare().await,
            hopeless => Err(hopeless),
        }
    }

    async fn count(&self, stage: IngestStage) -> Result<u64, Fault> {
        let RabbitMqClient { names, consuming, held, .. } = &*self.0;
        let live = consuming.live().await?;
        let channel = live.channel().await?;
        let mut depth = held[&stage].load(Ordering::Relaxed);
        let of_stage = [names.stage(stage), names.bulk(stage), names.suspect(stage)];
        for queue in of_stage.into_iter().chain(names.tiers().iter().map(|tier| names.retry(*tier))) {
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
                self.mend(fault).await?;
                self.open(stage).await?
            }
            Ok(opened) => opened,
        };
        Ok(Box::new(opened))
    }

    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault> {
        match self.count(stage).await {
            Err(fault) => {
                self.mend(fault).await?;
                self.count(stage).await
            }
            counted => counted,
        }
    }

    fn unseen_max(&self) -> Duration {
        UNSEEN_MAX
    }
}
