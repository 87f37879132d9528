//! Confirmed means stored; anything else is a fault, in bounded time.

use std::collections::BTreeSet;
use std::time::Duration;

use contexture_adapters::rabbitmq::{AmqpMessage, MessageProperties};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;
use contexture_core::ports::broker::Broker;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{SOON, about, chunks, drain, later, names, numbered, tags, take};
use crate::support::amqp_proxy::{connection_blocked, connection_unblocked};
use crate::support::rabbit::{PATIENCE, RabbitPrefix, TIERS};

/// What the broker itself adds.
fn is_counter(name: &ShortString) -> bool {
    name.as_str().ends_with("-count")
}

fn raw(exchange: &str, routing_key: &str, mandatory: bool) -> AmqpMessage {
    AmqpMessage {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        mandatory,
        properties: MessageProperties::default(),
        body: b"{}".to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unroutable_message_is_a_fault_where_it_matters() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    let events = broker.names().events();
    let fault = broker.publish_raw(&[raw(&events, "acme.docs", true)]).await.unwrap_err();
    assert!(matches!(&fault, Fault::Transient(what) if what.as_str().contains("acme.docs")), "{fault}");
    broker.publish_raw(&[raw(&events, "acme.docs", false)]).await.unwrap();
}

/// lapin hands a returned message to whichever confirm of the channel comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unroutable_message_never_passes_for_another_calls() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    let mut calls = JoinSet::new();
    for number in 0..60 {
        let (broker, routed) = (broker.clone(), number % 3 > 0);
        calls.spawn(async move {
            let key = if routed { "chunk" } else { "nowhere" };
            let sent = broker.publish_raw(&vec![raw(&broker.names().tasks(), key, true); 20]).await;
            (routed, sent.is_ok())
        });
    }
    while let Some(call) = calls.join_next().await {
        let (routed, sent) = call.unwrap();
        assert_eq!(routed, sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_queue_refuses() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    let queue = format!("{}.tiny", rabbit.config.prefix);
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let exclusive = QueueDeclareOptions {
        passive: false,
        durable: false,
        exclusive: true,
        auto_delete: true,
        nowait: false,
    };
    beside.channel.queue_declare(queue.as_str().into(), exclusive, arguments).await.unwrap();
    broker.publish_raw(&[raw("", &queue, true)]).await.unwrap();
    let fault = broker.publish_raw(&[raw("", &queue, true)]).await.unwrap_err();
    assert!(matches!(&fault, Fault::Transient(what) if what.as_str().contains("full")), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_queue_or_exchange_is_declared_again() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    beside.delete(&broker.names().stage(IngestStage::Embed)).await;
    broker.publish(vec![about(IngestStage::Embed, "a")]).await.unwrap();
    assert_eq!(drain(&broker, IngestStage::Embed, 1).await, BTreeSet::from(["a".to_owned()]));
    beside.delete_exchange(&broker.names().tasks()).await;
    broker.publish(vec![about(IngestStage::Embed, "b")]).await.unwrap();
    assert_eq!(drain(&broker, IngestStage::Embed, 1).await, BTreeSet::from(["b".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swallowed_confirm_is_a_fault_and_the_next_call_connects_again() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    rabbit.config.answer_max = SOON;
    let broker = rabbit.connect().await;
    proxy.mute(true);
    let sent = timeout(PATIENCE, broker.publish(chunks(&["a"]))).await.expect("bounded");
    assert!(matches!(sent, Err(Fault::Transient(_))), "{sent:?}");
    proxy.mute(false);
    let before = proxy.connections();
    let again = async { while broker.publish(chunks(&["a"])).await.is_err() {} };
    timeout(PATIENCE, again).await.expect("the broker speaks again");
    assert!(proxy.connections() > before, "on another connection");
    assert_eq!(drain(&broker, IngestStage::Chunk, 1).await, BTreeSet::from(["a".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirms_are_not_awaited_one_by_one() {
    const MESSAGES: usize = 300;
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    // The channel is there before nothing comes back any more.
    broker.publish(chunks(&["first"])).await.unwrap();
    proxy.mute(true);
    let ids = numbered(MESSAGES);
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move { broker.publish(ids.iter().map(|id| about(IngestStage::Chunk, id)).collect()).await }
    });
    beside.has_ready(&broker.names().stage(IngestStage::Chunk), u32::try_from(MESSAGES).unwrap() + 1).await;
    assert!(!publishing.is_finished(), "all are there, none is confirmed");
    publishing.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_broker_throttles_and_comes_back() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    rabbit.config.answer_max = SOON;
    let broker = rabbit.connect().await;
    broker.publish(chunks(&["a"])).await.unwrap();
    proxy.inject(0, connection_blocked("low on memory"));
    let blocked = async {
        loop {
            if let Err(fault) = broker.publish(chunks(&["a"])).await {
                return fault;
            }
        }
    };
    let fault = timeout(PATIENCE, blocked).await.unwrap();
    assert!(matches!(fault, Fault::Throttled { retry_after, .. } if !retry_after.is_zero()), "{fault}");
    proxy.inject(0, connection_unblocked());
    let back = async { while broker.publish(chunks(&["b"])).await.is_err() {} };
    timeout(PATIENCE, back).await.expect("the alarm is over");
    assert_eq!(drain(&broker, IngestStage::Chunk, 2).await, BTreeSet::from(["a", "b"].map(str::to_owned)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_in_mid_publish_is_unknown_and_publishing_again_completes_it() {
    const MESSAGES: usize = 200;
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    let broker = rabbit.connect().await;
    let ids = numbered(MESSAGES);
    let all = || ids.iter().map(|id| about(IngestStage::Chunk, id)).collect();
    for client_bytes in [2_000, 9_999, 40_000] {
        proxy.cut_after(client_bytes);
        // A call can still meet the connection that was cut before; it sends nothing, so the cut is to come.
        let publishing = async {
            loop {
                let sent = broker.publish(all()).await;
                if !proxy.is_armed() {
                    return sent;
                }
            }
        };
        let sent = timeout(PATIENCE, publishing).await.expect("the cut came while publishing");
        assert!(matches!(sent, Err(Fault::Transient(_))), "{sent:?}");
    }
    broker.publish(all()).await.unwrap();
    assert_eq!(drain(&broker, IngestStage::Chunk, ids.len()).await, ids.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stage_messages_are_persistent_and_carry_only_what_is_needed() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    broker.publish([chunks(&["a"]), chunks(&["a"]), chunks(&["b"])].concat()).await.unwrap();
    let queue = broker.names().stage(IngestStage::Chunk);
    let mut message_ids = Vec::new();
    for _ in 0..3 {
        let properties = beside.peek(&queue).await.properties;
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), "ChunkV1");
        let headers = properties.headers().clone().unwrap_or_default();
        assert!(headers.inner().keys().all(is_counter), "{headers:?}");
        message_ids.push(properties.message_id().clone().unwrap());
    }
    assert_eq!(message_ids[0], message_ids[1], "it derives from what the message says");
    assert_ne!(message_ids[0], message_ids[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delay_is_rounded_up_to_a_tier_and_cut_to_the_longest() {
    const MINUTE: Duration = Duration::from_mins(1);
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    rabbit.config.retry_tiers = vec![MINUTE, 2 * MINUTE, 3 * MINUTE];
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    let a_bit = Duration::from_millis(1);
    for delay in [a_bit, MINUTE, MINUTE + a_bit, 3 * MINUTE, Duration::from_hours(48)] {
        broker.publish(vec![later(IngestStage::Index, "a", delay)]).await.unwrap();
    }
    for (tier, waiting) in [(1, 2), (2, 1), (3, 2)] {
        beside.has_ready(&broker.names().retry(tier * MINUTE), waiting).await;
    }
}

/// A copy of `x-death` would grow with every round and make the broker see a cycle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retried_message_finds_its_stage_and_keeps_no_trace_of_earlier_rounds() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    for stage in IngestStage::ALL {
        let mut consumer = broker.consume(stage).await.unwrap();
        for _ in 0..3 {
            broker.publish(vec![later(stage, stage.name(), TIERS[0])]).await.unwrap();
            let received = take(&mut consumer, 1).await;
            assert_eq!((names(&received), received[0].redeliveries), (vec![stage.name().to_owned()], 0));
            consumer.ack(tags(&received)).await.unwrap();
        }
        drop(consumer);
        if stage == IngestStage::Index {
            // Nobody may look into a queue that has one consumer at a time.
            continue;
        }
        broker.publish(vec![later(stage, "last", TIERS[0])]).await.unwrap();
        let headers = beside.peek(&broker.names().stage(stage)).await.properties.headers().clone().unwrap();
        let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else {
            panic!("{headers:?}")
        };
        assert_eq!(deaths.as_slice().len(), 1, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_callers_than_channels_take_turns() {
    const CALLERS: usize = 100;
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let broker = rabbit.connect().await;
    let ids = numbered(CALLERS);
    let mut calls = JoinSet::new();
    for id in ids.clone() {
        let broker = broker.clone();
        calls.spawn(async move { broker.publish(vec![about(IngestStage::Chunk, &id)]).await });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    assert_eq!(drain(&broker, IngestStage::Chunk, ids.len()).await, ids.into_iter().collect());
}
