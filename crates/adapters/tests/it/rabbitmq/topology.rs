//! What is declared, under which names, and what is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use contexture_adapters::rabbitmq::{AmqpMessage, MessageProperties, RabbitMqBroker, TopologyNames};
use contexture_core::fault::Fault;
use contexture_core::resilience::retry;
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;

use crate::support::rabbit::{PATIENCE, RabbitPrefix};

#[test]
fn names_are_those_other_programs_hold_on_to() {
    let names = TopologyNames::new("contexture", &retry::RETRY_TIERS);
    let mut exchanges = names.exchanges();
    exchanges.sort();
    assert_eq!(
        exchanges,
        [
            "contexture.events",
            "contexture.retry.10m",
            "contexture.retry.1h",
            "contexture.retry.2m",
            "contexture.retry.30s",
            "contexture.retry.5s",
            "contexture.submit",
            "contexture.tasks",
        ]
    );
    let mut queues = names.queues();
    queues.sort();
    assert_eq!(
        queues,
        [
            "contexture.chunk",
            "contexture.chunk.bulk",
            "contexture.dead",
            "contexture.embed",
            "contexture.embed.bulk",
            "contexture.index",
            "contexture.index.bulk",
            "contexture.parked",
            "contexture.retry.10m",
            "contexture.retry.1h",
            "contexture.retry.2m",
            "contexture.retry.30s",
            "contexture.retry.5s",
            "contexture.submit",
            "contexture.suspect.chunk",
            "contexture.suspect.embed",
            "contexture.suspect.index",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_and_declaring_it_again_changes_nothing() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    let lasting = broker.names().queues().into_iter().filter(|queue| !queue.contains("retry"));
    let lasting: Vec<String> = lasting.collect();
    for queue in &lasting {
        beside.publish(queue, b"stays").await;
    }
    rabbit.connect().await;
    for queue in &lasting {
        assert_eq!(beside.ready(queue).await, 1, "{queue}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_or_exchange_that_differs_is_refused_loudly() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let names = TopologyNames::new(&rabbit.config.prefix, &rabbit.config.retry_tiers);
    let beside = rabbit.beside().await;
    let refused = async |differing: &str| {
        let fault = RabbitMqBroker::connect(rabbit.config.clone()).await.err().unwrap();
        let Fault::Permanent(reason) = &fault else { panic!("{fault}") };
        assert_eq!(reason.code, "topology_differs");
        assert!(reason.detail.contains(&format!("'{differing}'")), "which: {reason}");
        assert!(reason.detail.contains("delete it"), "what to do: {reason}");
    };
    let classic = QueueDeclareOptions {
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
    };
    let queue = names.queues().pop().unwrap();
    beside.channel.queue_declare(queue.as_str().into(), classic, FieldTable::default()).await.unwrap();
    refused(&queue).await;
    beside.delete(&queue).await;
    let durable = ExchangeDeclareOptions {
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        nowait: false,
    };
    beside.delete_exchange(&names.events()).await;
    beside
        .channel
        .exchange_declare(names.events().into(), ExchangeKind::Headers, durable, FieldTable::default())
        .await
        .unwrap();
    refused(&names.events()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_work_are_refused_before_connecting() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let second = Duration::from_secs(1);
    let mut wrong = Vec::new();
    for prefix in ["", "Contexture", "a b", "über", &"p".repeat(65)] {
        wrong.push(rabbit.config.clone());
        prefix.clone_into(&mut wrong.last_mut().unwrap().prefix);
    }
    let mut unbounded = rabbit.config.clone();
    unbounded.prefetch = 0;
    wrong.push(unbounded);
    let tiers: [&[Duration]; 4] =
        [&[], &[second, second], &[2 * second, second], &[Duration::from_micros(1500)]];
    for tiers in tiers {
        wrong.push(rabbit.config.clone());
        wrong.last_mut().unwrap().retry_tiers = tiers.to_vec();
    }
    for config in wrong {
        let fault = RabbitMqBroker::connect(config).await.err().unwrap();
        assert!(
            matches!(&fault, Fault::Permanent(reason) if reason.code == "invalid_broker_config"),
            "{fault}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submission_comes_through_with_its_properties() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    let submitted = AmqpMessage {
        exchange: broker.names().submit(),
        routing_key: "acme.docs".to_owned(),
        mandatory: true,
        properties: MessageProperties {
            content_type: Some("application/json".to_owned()),
            message_id: Some("7".to_owned()),
            correlation_id: Some("c".to_owned()),
            reply_to: None,
            kind: Some("SubmitV1".to_owned()),
            user_id: Some(rabbit.user()),
            app_id: Some("crawler".to_owned()),
            timestamp_s: Some(1_700_000_000),
            headers: BTreeMap::from([("traceparent".to_owned(), "00-1-2-01".to_owned())]),
        },
        body: b"{\"text\":\"hello\"}".to_vec(),
    };
    broker.publish_raw(std::slice::from_ref(&submitted)).await.unwrap();
    let queue = broker.names().submit();
    for came_back in 0..2 {
        let mut consumer = broker.consume_raw(&queue, 10).await.unwrap();
        let mut received = timeout(PATIENCE, consumer.receive(10, Duration::ZERO)).await.unwrap().unwrap();
        let delivery = received.remove(0);
        assert_eq!(delivery.properties, submitted.properties);
        assert_eq!(
            (delivery.exchange, delivery.routing_key),
            (submitted.exchange.clone(), "acme.docs".into())
        );
        assert_eq!((delivery.body, delivery.redeliveries), (submitted.body.clone(), came_back));
        if came_back == 1 {
            consumer.ack(&[delivery.tag]).await.unwrap();
        }
    }
    rabbit.beside().await.has_ready(&queue, 0).await;
    let forged = MessageProperties { user_id: Some("somebody".to_owned()), ..submitted.properties.clone() };
    let forged = AmqpMessage { properties: forged, ..submitted };
    assert!(broker.publish_raw(&[forged]).await.is_err(), "the broker vouches for the user");
}

/// Lengths are AMQP's own: a longer name must not take the process down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlong_names_are_refused() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    let message = AmqpMessage {
        exchange: broker.names().events(),
        routing_key: "k".repeat(256),
        mandatory: false,
        properties: MessageProperties::default(),
        body: Vec::new(),
    };
    let overlong_id = AmqpMessage {
        routing_key: "k".repeat(255),
        properties: MessageProperties { message_id: Some("i".repeat(256)), ..MessageProperties::default() },
        ..message.clone()
    };
    for message in [message, overlong_id] {
        let fault = broker.publish_raw(&[message]).await.unwrap_err();
        assert!(matches!(&fault, Fault::Permanent(reason) if reason.code == "amqp_name_too_long"), "{fault}");
    }
    assert!(matches!(broker.consume_raw(&"q".repeat(256), 1).await.err(), Some(Fault::Permanent(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_any_size_and_content_come_through() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    let bodies: Vec<Vec<u8>> = vec![Vec::new(), vec![0xCE; 1], vec![7; 131_065], vec![8; 3 << 20]];
    let messages: Vec<AmqpMessage> = bodies
        .iter()
        .map(|body| AmqpMessage {
            exchange: broker.names().tasks(),
            routing_key: "parked".to_owned(),
            mandatory: true,
            properties: MessageProperties::default(),
            body: body.clone(),
        })
        .collect();
    broker.publish_raw(&messages).await.unwrap();
    let mut consumer = broker.consume_raw(&broker.names().parked(), 10).await.unwrap();
    let mut received = Vec::new();
    while received.len() < bodies.len() {
        received.extend(timeout(PATIENCE, consumer.receive(10, Duration::ZERO)).await.unwrap().unwrap());
    }
    assert_eq!(received.into_iter().map(|delivery| delivery.body).collect::<Vec<_>>(), bodies);
}
