//! The suite of the broker port.

mod delivery;
mod restart;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::sqlite::{SqliteBroker, SqliteDatabase};
use contexture_core::domain::task::{IngestStage, TaskEnvelope};
use contexture_core::ports::broker::{Broker, BrokerConsumer, BrokerDelivery, OutgoingMessage};
use tokio::time::{Instant, timeout};

use crate::support::clock::ManualClock;
use crate::support::{TENANT, collection, task, version_key};

/// Puts raw bytes into the queue of the chunk stage.
type RawMessageInjector = Box<dyn Fn(Vec<u8>) + Send + Sync>;
/// Opens what the process before left behind.
type BrokerReopener = Box<dyn Fn() -> futures::future::BoxFuture<'static, Arc<dyn Broker>> + Send + Sync>;

/// How delays pass: by a clock that is told to, or by waiting.
#[derive(Clone)]
enum DelayTime {
    Manual(Arc<ManualClock>),
    #[cfg_attr(not(feature = "rabbitmq"), expect(dead_code, reason = "only a server has its own clock"))]
    Real,
}

/// Empty queues.
pub(crate) struct BrokerFixture {
    broker: Arc<dyn Broker>,
    time: DelayTime,
    inject: Option<RawMessageInjector>,
    reopen: Option<BrokerReopener>,
    /// What must outlive it, such as its directory.
    _keep: Box<dyn Any + Send>,
}

impl BrokerFixture {
    async fn publish(&self, ids: &[&str]) {
        self.broker
            .publish(ids.iter().map(|id| OutgoingMessage::immediate(message(id))).collect())
            .await
            .unwrap();
    }

    async fn publish_later(&self, id: &str, delay: Duration) {
        self.broker.publish(vec![OutgoingMessage { envelope: message(id), delay }]).await.unwrap();
    }

    async fn consumer(&self) -> Box<dyn BrokerConsumer> {
        self.broker.consume(IngestStage::Chunk).await.unwrap()
    }

    /// Waits until the chunk stage has so many messages: a server tells late what it was told.
    async fn has_depth(&self, wanted: u64) {
        let mut seen = self.broker.depth(IngestStage::Chunk).await.unwrap();
        let began = Instant::now();
        while seen != wanted {
            assert!(began.elapsed() < PATIENCE, "the depth is {seen}, not {wanted}");
            tokio::task::yield_now().await;
            seen = self.broker.depth(IngestStage::Chunk).await.unwrap();
        }
    }

    /// Lets this much of a delay pass; a real one passes while the test waits for the message.
    fn advance(&self, by: Duration) {
        if let DelayTime::Manual(clock) = &self.time {
            clock.advance(by);
        }
    }

    /// Two short delays and one that outlasts what a test does beside it.
    fn delays(&self) -> [Duration; 3] {
        match self.time {
            DelayTime::Manual(_) => {
                [Duration::from_millis(20), Duration::from_millis(40), Duration::from_mins(10)]
            }
            DelayTime::Real => [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)],
        }
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message for the chunk stage about this document.
fn message(id: &str) -> TaskEnvelope {
    TaskEnvelope::new(IngestStage::Chunk, task(version_key(&collection(TENANT, "home"), id, 1)))
}

/// Exactly so many messages, in as many batches as they come in.
async fn take(consumer: &mut Box<dyn BrokerConsumer>, messages: usize) -> Vec<BrokerDelivery> {
    let mut taken = Vec::new();
    while taken.len() < messages {
        let wanted = messages - taken.len();
        let received = timeout(PATIENCE, consumer.receive(wanted, Duration::ZERO)).await;
        let received = received.expect("a message is missing").unwrap();
        assert!((1..=wanted).contains(&received.len()), "{} of at most {wanted}", received.len());
        taken.extend(received);
    }
    taken
}

fn name(delivery: &BrokerDelivery) -> String {
    let (_, task) = delivery.envelope.clone().unwrap().open();
    task.key.document_id.to_string()
}

fn names(deliveries: &[BrokerDelivery]) -> Vec<String> {
    deliveries.iter().map(name).collect()
}

macro_rules! broker_suite {
    ($($if_there:ident)? => $adapter:ident, $open:ident $(, $area:ident: [$($law:ident),*])?) => {
        laws!($($if_there)? $adapter, $open, {
            delivery: [
                message_arrives_as_it_was_published,
                each_stage_has_its_own_queue,
                publishing_nothing_is_fine,
                receive_takes_no_more_than_asked_for,
                receive_waits_for_a_message,
                lingering_gathers_more,
                lingering_ends_when_enough_came,
                acknowledged_messages_are_gone,
                dropped_consumer_hands_its_messages_back,
                acknowledged_messages_do_not_come_back_with_the_rest,
                delivery_that_is_dropped_is_not_acknowledged,
                redeliveries_are_counted,
                what_came_back_often_comes_alone,
                consumers_never_share_a_message,
                waiting_consumer_gets_what_another_hands_back,
                delayed_message_does_not_come_early,
                waiting_consumer_gets_a_delayed_message_in_time,
                delayed_messages_come_in_the_order_they_are_due,
                depth_counts_ready_delayed_and_handed_out,
                abandoned_wait_loses_nothing,
                undecodable_bytes_do_not_block_the_queue,
            ],
            $($area: [$($law),*],)?
        });
    };
}

async fn open_memory() -> BrokerFixture {
    let clock = Arc::new(ManualClock::new());
    let broker = Arc::new(MemoryBroker::new(clock.clone()));
    let injected = broker.clone();
    let inject: RawMessageInjector =
        Box::new(move |bytes| injected.inject(IngestStage::Chunk, bytes).unwrap());
    BrokerFixture {
        broker,
        time: DelayTime::Manual(clock),
        inject: Some(inject),
        reopen: None,
        _keep: Box::new(()),
    }
}

broker_suite!(=> memory, open_memory);

#[cfg(feature = "rabbitmq")]
mod on_rabbitmq;

async fn open_sqlite() -> BrokerFixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let clock = Arc::new(ManualClock::new());
    let broker = SqliteBroker::new(SqliteDatabase::open(&path).unwrap(), clock.clone()).await.unwrap();
    let foreign = rusqlite::Connection::open(&path).unwrap();
    let foreign = std::sync::Mutex::new(foreign);
    let inject: RawMessageInjector = Box::new(move |bytes| {
        let insert = "INSERT INTO messages_chunk (body) VALUES (?1)";
        foreign.lock().unwrap().execute(insert, [bytes]).unwrap();
    });
    let clock_again = clock.clone();
    let reopen: BrokerReopener = Box::new(move || {
        let (path, clock_again) = (path.clone(), clock_again.clone());
        Box::pin(async move {
            let database = SqliteDatabase::open(&path).unwrap();
            Arc::new(SqliteBroker::new(database, clock_again).await.unwrap()) as Arc<dyn Broker>
        })
    });
    BrokerFixture {
        broker: Arc::new(broker),
        time: DelayTime::Manual(clock),
        inject: Some(inject),
        reopen: Some(reopen),
        _keep: Box::new(directory),
    }
}

broker_suite!(=> sqlite, open_sqlite, restart: [
    unacknowledged_messages_survive_a_restart,
    acknowledged_messages_stay_gone_after_a_restart,
    delays_survive_a_restart,
    redeliveries_are_counted_across_restarts
]);
