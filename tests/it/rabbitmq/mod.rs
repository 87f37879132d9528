//! The RabbitMQ adapter where it goes beyond the broker port, and where RabbitMQ and its client
//! have traps. Each test has names of its own at the broker.

mod connection;
mod consuming;
mod losses;
mod publishing;
mod topology;

use std::collections::BTreeSet;
use std::time::Duration;

use contexture::adapters::rabbitmq::RabbitBroker;
use contexture::domain::task::{Envelope, Stage};
use contexture::fault::Fault;
use contexture::ports::broker::{Broker, Consumer, Delivery, Outgoing};
use tokio::time::timeout;

use crate::support::rabbit::PATIENCE;
use crate::support::{TENANT, collection, task, version_key};

/// Short enough for a test to sit out, long enough for an answer on a busy machine.
const SOON: Duration = Duration::from_secs(4);
/// Time between looks at whether there is more.
const BRIEF: Duration = Duration::from_millis(200);

fn about(stage: Stage, id: &str) -> Outgoing {
    Outgoing::now(Envelope::new(stage, task(version_key(&collection(TENANT, "home"), id, 1))))
}

fn chunks(ids: &[&str]) -> Vec<Outgoing> {
    ids.iter().map(|id| about(Stage::Chunk, id)).collect()
}

fn numbered(messages: usize) -> Vec<String> {
    (0..messages).map(|number| format!("doc {number:05}")).collect()
}

fn later(stage: Stage, id: &str, delay: Duration) -> Outgoing {
    Outgoing { delay, ..about(stage, id) }
}

fn name(delivery: &Delivery) -> String {
    delivery.envelope.clone().unwrap().open().1.key.document_id.to_string()
}

fn names(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(name).collect()
}

fn tags(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

/// Exactly so many messages.
async fn take(consumer: &mut Box<dyn Consumer>, messages: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < messages {
        taken.extend(receive(consumer, messages - taken.len()).await);
    }
    taken
}

/// One batch.
async fn receive(consumer: &mut Box<dyn Consumer>, messages_max: usize) -> Vec<Delivery> {
    let received = timeout(PATIENCE, consumer.receive(messages_max, Duration::ZERO)).await;
    received.expect("a message is missing").unwrap()
}

/// Waits until a consumer finds out that it is lost.
async fn lost(consumer: &mut Box<dyn Consumer>) -> Fault {
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
async fn drain(broker: &RabbitBroker, stage: Stage, documents: usize) -> BTreeSet<String> {
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
