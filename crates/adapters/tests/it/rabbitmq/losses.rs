//! Lost connections, channels and queues: noticed, replaced, nothing lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;
use contexture_core::ports::broker::Broker;
use tokio::time::timeout;

use super::{BRIEF, SOON, about, chunks, lost, names, numbered, tags, take};
use crate::support::rabbit::{PATIENCE, RabbitPrefix};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_deleted_under_a_consumer_is_declared_and_consumed_again() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    beside.delete(&broker.names().stage(IngestStage::Chunk)).await;
    let fault = lost(&mut consumer).await;
    assert!(matches!(&fault, Fault::Transient(what) if what.as_str().contains("chunk")), "{fault}");
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    broker.publish(chunks(&["a"])).await.unwrap();
    assert_eq!(names(&take(&mut consumer, 1).await), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspect_lane_deleted_under_a_consumer_is_declared_again() {
    let Some(rabbit) = RabbitPrefix::find() else { return };
    let (broker, beside) = (rabbit.connect().await, rabbit.beside().await);
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    beside.delete(&broker.names().suspect(IngestStage::Chunk)).await;
    assert!(matches!(lost(&mut consumer).await, Fault::Transient(_)));
    drop(consumer);
    broker.publish(chunks(&["a"])).await.unwrap();
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    assert_eq!(names(&take(&mut consumer, 1).await), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgement_on_a_lost_connection_is_a_fault() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    let broker = rabbit.connect().await;
    broker.publish(chunks(&["a", "b"])).await.unwrap();
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    let received = take(&mut consumer, 2).await;
    proxy.reset();
    lost(&mut consumer).await;
    let acked = timeout(PATIENCE, consumer.ack(tags(&received))).await.expect("bounded");
    assert!(matches!(acked, Err(Fault::Transient(_))), "{acked:?}");
    let again = take(&mut broker.consume(IngestStage::Chunk).await.unwrap(), 2).await;
    assert_eq!(names(&again), ["a", "b"]);
    assert!(again.iter().all(|delivery| delivery.redelivered));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connection_is_noticed_by_its_heartbeat() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy_with_heartbeat(1).await;
    rabbit.config.answer_max = SOON;
    let broker = rabbit.connect().await;
    broker.publish(chunks(&["a"])).await.unwrap();
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    let held = take(&mut consumer, 1).await;
    assert_eq!(names(&held), ["a"]);
    proxy.blackhole();
    lost(&mut consumer).await;
    let acked = timeout(PATIENCE, consumer.ack(tags(&held))).await.expect("bounded");
    assert!(acked.is_err(), "{acked:?}");
    proxy.clear();
    // The broker notices, too, and takes back what was held.
    let again = take(&mut broker.consume(IngestStage::Chunk).await.unwrap(), 1).await;
    assert_eq!(names(&again), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_that_comes_back_is_used_again() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    rabbit.config.hold_max = SOON / 8;
    let broker = rabbit.connect().await;
    proxy.refuse(true);
    for _ in 0..3 {
        assert!(matches!(broker.publish(chunks(&["a"])).await, Err(Fault::Transient(_))));
        assert!(matches!(broker.consume(IngestStage::Chunk).await.err(), Some(Fault::Transient(_))));
    }
    proxy.refuse(false);
    let back = async { while broker.publish(chunks(&["b"])).await.is_err() {} };
    timeout(PATIENCE, back).await.expect("it is back");
    let opened = async {
        loop {
            if let Ok(consumer) = broker.consume(IngestStage::Chunk).await {
                return consumer;
            }
        }
    };
    let mut consumer = timeout(PATIENCE, opened).await.expect("it is back");
    assert!(names(&take(&mut consumer, 1).await).contains(&"b".to_owned()));
}

/// Connections break again and again while one side publishes and the other works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_under_load_lose_nothing() {
    const MESSAGES: usize = 1_500;
    const BREAKS: usize = 6;
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    let broker = Arc::new(rabbit.connect().await);
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move {
            for batch in numbered(MESSAGES).chunks(50) {
                // An error means unknown: again, until it is confirmed.
                let messages: Vec<_> = batch.iter().map(|id| about(IngestStage::Chunk, id)).collect();
                while broker.publish(messages.clone()).await.is_err() {}
            }
        }
    });
    let working = tokio::spawn({
        let broker = broker.clone();
        async move {
            let mut done = BTreeSet::new();
            while done.len() < MESSAGES {
                let Ok(mut consumer) = broker.consume(IngestStage::Chunk).await else { continue };
                while done.len() < MESSAGES
                    && let Ok(received) = consumer.receive(64, SOON / 100).await
                    && consumer.ack(tags(&received)).await.is_ok()
                {
                    done.extend(names(&received));
                }
            }
            done
        }
    });
    for part in 1..=BREAKS {
        // Spread over the run by what is said, not by time.
        proxy.cut_after(part * 7_000);
        let cut = async {
            while proxy.is_armed() && !working.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, cut).await.expect("the cut comes");
    }
    timeout(PATIENCE, publishing).await.expect("everything is confirmed").unwrap();
    let done = timeout(PATIENCE, working).await.expect("everything is worked on").unwrap();
    assert_eq!(done, numbered(MESSAGES).into_iter().collect());
}

/// lapin ends the whole connection when closing a channel goes wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_that_come_and_go_leave_the_connection_alone() {
    const TASKS: usize = 8;
    const TURNS: usize = 25;
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    let broker = rabbit.connect().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..TASKS {
        let broker = broker.clone();
        tasks.spawn(async move {
            for turn in 0..TURNS {
                broker.publish(chunks(&[&format!("{number} {turn}")])).await.unwrap();
                let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
                // Somebody else may have been faster.
                if let Ok(received) = timeout(BRIEF, consumer.receive(4, BRIEF / 20)).await
                    && turn % 2 == 0
                {
                    consumer.ack(tags(&received.unwrap())).await.unwrap();
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(proxy.connections(), 2, "one publishes, one consumes");
}
