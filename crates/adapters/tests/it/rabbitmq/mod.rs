//! The RabbitMQ adapter where it goes beyond the broker port, and where RabbitMQ and its client
//! have traps. Each test has names of its own at the broker.

mod consuming;
mod losses;
mod publishing;
mod topology;

use std::collections::BTreeSet;
use std::time::Duration;

use contexture_adapters::rabbitmq::RabbitMqBroker;
use contexture_core::domain::task::{IngestStage, TaskEnvelope};
use contexture_core::fault::Fault;
use contexture_core::ports::broker::{Broker, BrokerConsumer, BrokerDelivery, OutgoingMessage};
use tokio::time::timeout;

use crate::support::rabbit::PATIENCE;
use crate::support::{TENANT, collection, task, version_key};

/// Short enough for a test to sit out, long enough for an answer on a busy machine.
const SOON: Duration = Duration::from_secs(4);
/// Time between looks at whether there is more.
const BRIEF: Duration = Duration::from_millis(200);

fn about(stage: IngestStage, id: &str) -> OutgoingMessage {
    OutgoingMessage::immediate(TaskEnvelope::new(
        stage,
        task(version_key(&collection(TENANT, "home"), id, 1)),
    ))
}

fn chunks(ids: &[&str]) -> Vec<OutgoingMessage> {
    ids.iter().map(|id| about(IngestStage::Chunk, id)).collect()
}

fn numbered(messages: usize) -> Vec<String> {
    (0..messages).map(|number| format!("doc {number:05}")).collect()
}

fn later(stage: IngestStage, id: &str, delay: Duration) -> OutgoingMessage {
    OutgoingMessage { delay, ..about(stage, id) }
}

fn name(delivery: &BrokerDelivery) -> String {
    delivery.envelope.clone().unwrap().open().1.key.document_id.to_string()
}

fn names(deliveries: &[BrokerDelivery]) -> Vec<String> {
    deliveries.iter().map(name).collect()
}

fn tags(deliveries: &[BrokerDelivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

/// Exactly so many messages.
async fn take(consumer: &mut Box<dyn BrokerConsumer>, messages: usize) -> Vec<BrokerDelivery> {
    let mut taken = Vec::new();
    while taken.len() < messages {
        taken.extend(receive(consumer, messages - taken.len()).await);
    }
    taken
}

/// One batch.
async fn receive(consumer: &mut Box<dyn BrokerConsumer>, messages_max: usize) -> Vec<BrokerDelivery> {
    let received = timeout(PATIENCE, consumer.receive(messages_max, Duration::ZERO)).await;
    received.expect("a message is missing").unwrap()
}

/// Waits until a consumer finds out that it is lost.
async fn lost(consumer: &mut Box<dyn BrokerConsumer>) -> Fault {
    let noticing = async {
        loop {
            if let Err(fault) = consumer.receive(100, Duration::ZERO).await {
                return fault;
            }
        }
    };
    timeout(PATIENCE, noticing).await.expect("it never notices")
}

/// Takes and acknowledges until it has seen so many documents and nothing is left; returns them.
async fn drain(broker: &RabbitMqBroker, stage: IngestStage, documents: usize) -> BTreeSet<String> {
    let mut consumer = broker.consume(stage).await.unwrap();
    let mut seen = BTreeSet::new();
    let draining = async {
        while seen.len() < documents || broker.depth(stage).await.unwrap() > 0 {
            if let Ok(received) = timeout(BRIEF, consumer.receive(100, Duration::ZERO)).await {
                let received = received.unwrap();
                seen.extend(names(&received));
                consumer.ack(tags(&received)).await.unwrap();
            }
        }
    };
    timeout(PATIENCE, draining).await.expect("a document is missing");
    seen
}
