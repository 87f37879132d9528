//! The suite of the producers' ports.

mod burying;
mod delivery;
mod telling;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::memory::producers::MemoryProducers;
use contexture_core::domain::event::DocumentEvent;
use contexture_core::domain::origin::MessageOrigin;
use contexture_core::domain::task::IngestTask;
use contexture_core::ports::producers::{
    ProducerEventSink, ProducerMessage, ProducerQueue, SubmissionConsumer,
};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{TENANT, collection, task, version_key};

/// Patience with a broker on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An exchange nobody has used yet.
pub(crate) struct ProducersFixture {
    producers: Arc<dyn ProducerQueue>,
    events: Arc<dyn ProducerEventSink>,
    outside: Box<dyn ExchangeObserver>,
    /// What must outlive it.
    _keep: Box<dyn Any + Send + Sync>,
}

/// What a producer, a listener and a person see.
#[async_trait]
trait ExchangeObserver: Send + Sync {
    /// The user that the broker takes a producer for.
    fn user(&self) -> String;

    /// A queue that a producer listens to.
    fn answers(&self) -> String;

    /// Publishes as a producer does.
    async fn publish(&self, message: ProducerMessage);

    /// Everything told so far and until there are `count`, as routing key and JSON.
    async fn heard(&self, count: usize) -> Vec<(String, Value)>;

    /// Likewise what came to a queue named in `reply_to`, as correlation and JSON.
    async fn replies(&self, queue: &str, count: usize) -> Vec<(Option<String>, Value)>;

    /// The messages that were buried, once there are `count`.
    async fn buried(&self, count: usize) -> Vec<RejectedCopy>;
}

/// A buried message as a person sees it.
#[derive(Debug, PartialEq, Eq)]
struct RejectedCopy {
    body: Vec<u8>,
    routing_key: String,
    code: String,
    field: String,
    position: Option<String>,
    message_id: Option<String>,
}

impl ProducersFixture {
    fn message(&self, body: &str) -> ProducerMessage {
        ProducerMessage {
            tag: 0,
            routing_key: "acme.handbook".to_owned(),
            user_id: Some(self.outside.user()),
            origin: None,
            body: body.as_bytes().to_vec(),
            redelivered: false,
        }
    }

    async fn publish(&self, bodies: &[&str]) {
        for body in bodies {
            self.outside.publish(self.message(body)).await;
        }
    }

    async fn consumer(&self) -> Box<dyn SubmissionConsumer> {
        self.producers.submissions().await.unwrap()
    }
}

/// One batch.
async fn receive(consumer: &mut Box<dyn SubmissionConsumer>, messages_max: usize) -> Vec<ProducerMessage> {
    let received = timeout(PATIENCE, consumer.receive(messages_max, Duration::ZERO)).await;
    received.expect("a message is missing").unwrap()
}

/// Exactly so many messages.
async fn take(consumer: &mut Box<dyn SubmissionConsumer>, messages: usize) -> Vec<ProducerMessage> {
    let mut taken = Vec::new();
    while taken.len() < messages {
        taken.extend(receive(consumer, messages - taken.len()).await);
    }
    taken
}

fn bodies(messages: &[ProducerMessage]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8(message.body.clone()).unwrap()).collect()
}

fn tags(messages: &[ProducerMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.tag).collect()
}

fn task_of(id: &str, origin: Option<MessageOrigin>) -> IngestTask {
    IngestTask { origin, ..task(version_key(&collection(TENANT, "handbook"), id, 1)) }
}

fn replying_to(queue: &str) -> Option<MessageOrigin> {
    MessageOrigin::new(Some("m-1".to_owned()), None, Some(queue.to_owned()), None)
}

macro_rules! producers_suite {
    ($($if_there:ident)? => $adapter:ident, $open:ident) => {
        laws!($($if_there)? $adapter, $open, {
            delivery: [
                message_arrives_as_it_was_published,
                messages_come_in_their_order,
                receive_takes_no_more_than_asked_for,
                receive_waits_for_a_message,
                abandoned_wait_loses_nothing,
                acknowledged_messages_are_gone,
                dropped_consumer_hands_its_messages_back,
            ],
            telling: [
                events_reach_whoever_listens,
                event_told_again_keeps_its_id,
                reply_reaches_its_queue,
                reply_to_a_queue_that_is_gone_is_no_failure,
                telling_nothing_is_fine,
            ],
            burying: [
                buried_message_is_kept_with_its_reason,
                burying_does_not_acknowledge,
            ],
        });
    };
}

struct MemoryExchange(Arc<MemoryProducers>);

impl MemoryExchange {
    async fn told(&self, wanted: impl Fn(&DocumentEvent) -> bool, count: usize) -> Vec<DocumentEvent> {
        let mut told = self.0.told();
        let enough = told.wait_for(|told| told.iter().filter(|event| wanted(event)).count() >= count);
        let told = timeout(PATIENCE, enough).await.expect("an event is missing").unwrap();
        told.iter().filter(|event| wanted(event)).cloned().collect()
    }
}

#[async_trait]
impl ExchangeObserver for MemoryExchange {
    fn user(&self) -> String {
        "crawler".to_owned()
    }

    fn answers(&self) -> String {
        "answers".to_owned()
    }

    async fn publish(&self, message: ProducerMessage) {
        self.0.send(message);
    }

    async fn heard(&self, count: usize) -> Vec<(String, Value)> {
        let told = self.told(|_| true, count).await;
        told.iter().map(|event| (event.routing_key(), json(event))).collect()
    }

    async fn replies(&self, queue: &str, count: usize) -> Vec<(Option<String>, Value)> {
        let to = |event: &DocumentEvent| {
            event.origin().and_then(|origin| origin.reply_to.as_deref()) == Some(queue)
        };
        let told = self.told(to, count).await;
        let correlation =
            |event: &DocumentEvent| event.origin().and_then(MessageOrigin::correlation).map(str::to_owned);
        told.iter().map(|event| (correlation(event), json(event))).collect()
    }

    async fn buried(&self, count: usize) -> Vec<RejectedCopy> {
        let buried = self.0.buried();
        assert_eq!(buried.len(), count);
        let seen = buried.into_iter().map(|burial| RejectedCopy {
            body: burial.message.body,
            routing_key: burial.message.routing_key,
            code: burial.rejection.code.to_owned(),
            field: burial.rejection.field,
            position: burial.rejection.position.map(|at| format!("{}:{}", at.line, at.column)),
            message_id: burial.message.origin.and_then(|origin| origin.message_id),
        });
        seen.collect()
    }
}

fn json(event: &DocumentEvent) -> Value {
    serde_json::from_slice(&event.to_json(0)).unwrap()
}

async fn open_memory() -> ProducersFixture {
    let producers = Arc::new(MemoryProducers::default());
    ProducersFixture {
        producers: producers.clone(),
        events: producers.clone(),
        outside: Box::new(MemoryExchange(producers)),
        _keep: Box::new(()),
    }
}

producers_suite!(=> memory, open_memory);

#[cfg(feature = "rabbitmq")]
mod on_rabbitmq;
