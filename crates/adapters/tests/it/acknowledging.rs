//! An acknowledgement is the last thing that happens to a message: whatever is lost after it, nobody
//! will send it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_core::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use contexture_core::fault::Fault;
use contexture_core::ingest::worker;
use contexture_core::ports::broker::{Broker, BrokerConsumer, BrokerDelivery, OutgoingMessage};
use contexture_core::ports::ledger::{Ledger, VersionState};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::stages::StageFixture;

const PATIENCE: Duration = Duration::from_mins(1);

/// A broker that looks, whenever it is acknowledged to, whether the stage's work is done.
struct AckWatchingBroker {
    inner: Arc<MemoryBroker>,
    ledger: Arc<MemoryLedger>,
    /// Stage, state of the version, and messages for the next stage, at each acknowledgement.
    seen: Arc<Mutex<Vec<(IngestStage, VersionState, u64)>>>,
}

struct AckWatchingConsumer {
    inner: Box<dyn BrokerConsumer>,
    broker: Arc<MemoryBroker>,
    ledger: Arc<MemoryLedger>,
    stage: IngestStage,
    held: HashMap<u64, IngestTask>,
    seen: Arc<Mutex<Vec<(IngestStage, VersionState, u64)>>>,
}

#[async_trait]
impl Broker for AckWatchingBroker {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), Fault> {
        self.inner.publish(messages).await
    }

    async fn consume(&self, stage: IngestStage) -> Result<Box<dyn BrokerConsumer>, Fault> {
        Ok(Box::new(AckWatchingConsumer {
            inner: self.inner.consume(stage).await?,
            broker: self.inner.clone(),
            ledger: self.ledger.clone(),
            stage,
            held: HashMap::new(),
            seen: self.seen.clone(),
        }))
    }

    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault> {
        self.inner.depth(stage).await
    }

    fn unseen_max(&self) -> Duration {
        self.inner.unseen_max()
    }
}

#[async_trait]
impl BrokerConsumer for AckWatchingConsumer {
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<BrokerDelivery>, Fault> {
        let deliveries = self.inner.receive(messages_max, linger).await?;
        for delivery in &deliveries {
            let (_, task) = delivery.envelope.clone().unwrap().open();
            self.held.insert(delivery.tag, task);
        }
        Ok(deliveries)
    }

    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault> {
        for tag in &tags {
            let key = &self.held[tag].key;
            let state = self.ledger.history(&key.collection_key(), &key.document_id).await?[0].state;
            let next = match self.stage {
                IngestStage::Chunk => self.broker.depth(IngestStage::Embed).await?,
                IngestStage::Embed => self.broker.depth(IngestStage::Index).await?,
                IngestStage::Index => 0,
            };
            self.seen.lock().unwrap().push((self.stage, state, next));
        }
        self.inner.ack(tags).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_recorded_and_handed_on() {
    let house = StageFixture::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::new(MemoryBroker::new(house.clock.clone()));
    let broker = Arc::new(AckWatchingBroker { inner, ledger: house.ledger.clone(), seen: seen.clone() });
    let task = house.accept("home", "a").await;
    broker
        .publish(vec![OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, task))])
        .await
        .unwrap();
    for stage in IngestStage::ALL {
        let stop = watch::Sender::new(false);
        let working = tokio::spawn(worker::run_worker(house.stages(broker.clone()), stage, stop.subscribe()));
        let acknowledged = async {
            while broker.depth(stage).await.unwrap() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, acknowledged).await.expect("the worker gets there");
        stop.send_replace(true);
        working.await.unwrap();
    }
    let expected = [
        (IngestStage::Chunk, VersionState::Chunked, 1),
        (IngestStage::Embed, VersionState::Embedded, 1),
        (IngestStage::Index, VersionState::Visible, 0),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}
