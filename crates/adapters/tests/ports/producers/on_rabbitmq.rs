//! The suite against a RabbitMQ, where there is one.

use std::sync::Arc;

use async_trait::async_trait;
use contexture_adapters::rabbitmq::producers::headers;
use contexture_adapters::rabbitmq::{RabbitMqProducers, TopologyNames};
use contexture_core::domain::event::DocumentEvent;
use contexture_core::ports::clock::SystemClock;
use contexture_core::ports::producers::{ProducerEventSink, ProducerMessage};
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use serde_json::Value;

use super::{
    ExchangeObserver, ProducersFixture, RejectedCopy, burying, delivery, replying_to, task_of, telling,
};
use crate::support::clock::ManualClock;
use crate::support::rabbit::{PlainAmqpClient, RabbitPrefix};

struct RabbitExchange {
    names: TopologyNames,
    beside: PlainAmqpClient,
    events: String,
    answers: String,
    user: String,
}

impl RabbitExchange {
    async fn open(rabbit: &RabbitPrefix, names: TopologyNames) -> Self {
        let beside = rabbit.beside().await;
        let events = beside.listen(&names.events(), "#").await;
        let answers = beside.answer_queue().await;
        Self { names, beside, events, answers, user: rabbit.user() }
    }

    async fn messages(&self, queue: &str, count: usize) -> Vec<Delivery> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            messages.push(self.beside.peek(queue).await);
        }
        messages
    }
}

#[async_trait]
impl ExchangeObserver for RabbitExchange {
    fn user(&self) -> String {
        self.user.clone()
    }

    fn answers(&self) -> String {
        self.answers.clone()
    }

    async fn publish(&self, message: ProducerMessage) {
        self.beside.submit(&self.names.submit(), &message).await;
    }

    async fn heard(&self, count: usize) -> Vec<(String, Value)> {
        let heard = self.messages(&self.events, count).await;
        heard.iter().map(|event| (event.routing_key.to_string(), json(&event.data))).collect()
    }

    async fn replies(&self, queue: &str, count: usize) -> Vec<(Option<String>, Value)> {
        let replies = self.messages(queue, count).await;
        let correlation =
            |reply: &Delivery| reply.properties.correlation_id().as_ref().map(ToString::to_string);
        replies.iter().map(|reply| (correlation(reply), json(&reply.data))).collect()
    }

    async fn buried(&self, count: usize) -> Vec<RejectedCopy> {
        let buried = self.messages(&self.names.dead(), count).await;
        let seen = buried.into_iter().map(|message| RejectedCopy {
            routing_key: header(&message, headers::ROUTING_KEY).unwrap(),
            code: header(&message, headers::REASON).unwrap(),
            field: header(&message, headers::FIELD).unwrap_or_default(),
            position: header(&message, headers::POSITION),
            message_id: message.properties.message_id().as_ref().map(ToString::to_string),
            body: message.data,
        });
        seen.collect()
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn header(message: &Delivery, name: &str) -> Option<String> {
    match message.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

async fn open_rabbitmq() -> Option<ProducersFixture> {
    let rabbit = RabbitPrefix::find()?;
    let broker = rabbit.connect().await;
    let outside = RabbitExchange::open(&rabbit, broker.names().clone()).await;
    let producers = Arc::new(RabbitMqProducers::new(broker, Arc::new(SystemClock), 128));
    Some(ProducersFixture {
        producers: producers.clone(),
        events: producers,
        outside: Box::new(outside),
        _keep: Box::new(rabbit),
    })
}

producers_suite!(if_there => rabbitmq, open_rabbitmq);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_never_goes_to_a_queue_of_ours() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    let (names, beside) = (broker.names().clone(), rabbit.beside().await);
    let producers = RabbitMqProducers::new(broker, Arc::new(ManualClock::new()), 1);
    let answers = beside.answer_queue().await;
    let events = names
        .queues()
        .iter()
        .map(|queue| DocumentEvent::visible(&task_of(queue, replying_to(queue))))
        .chain([DocumentEvent::visible(&task_of("a", replying_to(&answers)))])
        .collect();
    producers.publish(events).await.unwrap();
    beside.has_ready(&answers, 1).await;
    for queue in names.queues() {
        assert_eq!(beside.ready(&queue).await, 0, "{queue}");
    }
}
