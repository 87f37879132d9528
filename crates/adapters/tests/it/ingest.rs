//! How messages are worked on and kept moving, whatever broker carries them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::sqlite::{SqliteBroker, SqliteDatabase};
use contexture_core::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use contexture_core::fault::{Fault, reason};
use contexture_core::ingest::acknowledge::acknowledge_batch;
use contexture_core::ingest::chunk::stage::chunk_batch;
use contexture_core::ingest::index::index_batch;
use contexture_core::ingest::worker::{self, REDELIVERIES_MAX};
use contexture_core::ingest::{StageResources, TaskOutcome, housekeeping};
use contexture_core::ports::broker::{Broker, BrokerConsumer, BrokerDelivery, OutgoingMessage};
use contexture_core::ports::collection_drops::CollectionDropLedger;
use contexture_core::ports::ledger::{DeadLetterFilter, Ledger, VersionState};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::stages::{DEADLY, StageFixture};
use crate::support::{epoch, submission};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A broker in memory with one law of its own.
struct OddAckBroker {
    inner: MemoryBroker,
    unseen_max: Duration,
    /// Acknowledgements that fail before one works.
    failing_acks: Arc<std::sync::atomic::AtomicU32>,
}

impl OddAckBroker {
    fn new(house: &StageFixture, unseen_max: Duration, failing_acks: u32) -> Self {
        let inner = MemoryBroker::new(house.clock.clone());
        Self { inner, unseen_max, failing_acks: Arc::new(failing_acks.into()) }
    }
}

#[async_trait]
impl Broker for OddAckBroker {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), Fault> {
        self.inner.publish(messages).await
    }

    async fn consume(&self, stage: IngestStage) -> Result<Box<dyn BrokerConsumer>, Fault> {
        let failing_acks = self.failing_acks.clone();
        Ok(Box::new(OddAckConsumer { inner: self.inner.consume(stage).await?, failing_acks, lost: false }))
    }

    async fn depth(&self, stage: IngestStage) -> Result<u64, Fault> {
        self.inner.depth(stage).await
    }

    fn unseen_max(&self) -> Duration {
        self.unseen_max
    }
}

/// Lost for good once an acknowledgement failed, as the contract allows.
struct OddAckConsumer {
    inner: Box<dyn BrokerConsumer>,
    failing_acks: Arc<std::sync::atomic::AtomicU32>,
    lost: bool,
}

#[async_trait]
impl BrokerConsumer for OddAckConsumer {
    async fn receive(&mut self, messages_max: usize, linger: Duration) -> Result<Vec<BrokerDelivery>, Fault> {
        assert!(!self.lost, "a lost consumer is used again");
        self.inner.receive(messages_max, linger).await
    }

    async fn ack(&mut self, tags: Vec<u64>) -> Result<(), Fault> {
        use std::sync::atomic::Ordering::SeqCst;
        assert!(!self.lost, "a lost consumer is used again");
        if self.failing_acks.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            self.lost = true;
            return Err(Fault::transient("the channel is gone"));
        }
        self.inner.ack(tags).await
    }
}

async fn state(house: &StageFixture, task: &IngestTask) -> VersionState {
    let key = &task.key;
    house.ledger.history(&key.collection_key(), &key.document_id).await.unwrap()[0].state
}

/// Runs the chunk stage's worker until `done` says so.
async fn work_until<F: Future<Output = bool>>(stages: Arc<StageResources>, done: impl Fn() -> F) {
    let stop = watch::Sender::new(false);
    let working = tokio::spawn(worker::run_worker(stages, IngestStage::Chunk, stop.subscribe()));
    let waiting = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the worker gets there");
    stop.send_replace(true);
    working.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_replaces_a_consumer_that_cannot_acknowledge() {
    let house = StageFixture::new().await;
    let broker = Arc::new(OddAckBroker::new(&house, Duration::ZERO, 3));
    let task = house.accept("home", "a").await;
    broker
        .publish(vec![OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, task.clone()))])
        .await
        .unwrap();
    work_until(house.stages(broker.clone()), || async {
        broker.depth(IngestStage::Chunk).await.unwrap() == 0
    })
    .await;
    assert_eq!(state(&house, &task).await, VersionState::Chunked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_came_back_too_often_is_dead_without_being_run() {
    let house = StageFixture::new().await;
    let broker = Arc::new(MemoryBroker::new(house.clock.clone()));
    let killer = house.accept(DEADLY, "killer").await;
    broker
        .publish(vec![OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, killer.clone()))])
        .await
        .unwrap();
    for _ in 0..REDELIVERIES_MAX {
        let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
        assert_eq!(consumer.receive(1, Duration::ZERO).await.unwrap().len(), 1);
    }
    // A worker that ran it would never come back.
    work_until(house.stages(broker.clone()), || async { state(&house, &killer).await == VersionState::Dead })
        .await;
    let letters = house.ledger.dead(&DeadLetterFilter::default(), 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].reason.code.as_str()), (1, reason::CRASH_LOOP));
    assert_eq!(broker.depth(IngestStage::Chunk).await.unwrap(), 0);
}

/// A killer in the middle of a batch: everybody around it survives, it does not.
pub(crate) async fn crash_loop(house: &StageFixture, broker: Arc<dyn Broker>) {
    const INNOCENTS: usize = 31;
    let mut innocents = Vec::new();
    for number in 0..INNOCENTS {
        innocents.push(house.accept("home", &format!("doc {number}")).await);
    }
    let killer = house.accept(DEADLY, "killer").await;
    let mut tasks = innocents.clone();
    tasks.insert(INNOCENTS / 2, killer.clone());
    let first =
        tasks.into_iter().map(|task| OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, task)));
    broker.publish(first.collect()).await.unwrap();

    let mut crashes = 0;
    while state(house, &killer).await != VersionState::Dead {
        let stop = watch::Sender::new(false);
        let life = tokio::spawn(worker::run_worker(
            house.stages(broker.clone()),
            IngestStage::Chunk,
            stop.subscribe(),
        ));
        let verdict = async {
            while state(house, &killer).await != VersionState::Dead {
                tokio::task::yield_now().await;
            }
        };
        let end = async {
            tokio::select! {
                () = house.killed.notified() => crashes += 1,
                () = verdict => {}
            }
        };
        timeout(PATIENCE, end).await.expect("a crash or a verdict");
        // A process that dies says goodbye to nobody: its consumer is gone in the middle of a batch.
        life.abort();
        assert!(life.await.unwrap_err().is_cancelled());
    }
    assert_eq!(crashes, REDELIVERIES_MAX, "two in company, the rest alone");
    work_until(house.stages(broker), || async {
        let mut left = 0;
        for innocent in &innocents {
            left += usize::from(state(house, innocent).await != VersionState::Chunked);
        }
        left == 0
    })
    .await;
    let letters = house.ledger.dead(&DeadLetterFilter::default(), 100).await.unwrap();
    assert_eq!(letters.len(), 1, "no innocent is dead");
    assert_eq!((&letters[0].key, letters[0].reason.code.as_str()), (&killer.key, reason::CRASH_LOOP));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_looping_document_takes_nobody_with_it() {
    let house = StageFixture::new().await;
    crash_loop(&house, Arc::new(MemoryBroker::new(house.clock.clone()))).await;
    let house = StageFixture::new().await;
    let directory = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(&directory.path().join("ledger.db")).unwrap();
    crash_loop(&house, Arc::new(SqliteBroker::new(database, house.clock.clone()).await.unwrap())).await;
}

#[tokio::test]
async fn what_another_process_may_hold_is_not_taken_for_lost() {
    const UNSEEN_MAX: Duration = Duration::from_mins(35);
    const ROUND_AGE: Duration = Duration::from_mins(2);
    let house = StageFixture::new().await;
    let broker = Arc::new(OddAckBroker::new(&house, UNSEEN_MAX, 0));
    let stages = house.stages(broker.clone());
    let task = house.accept("home", "a").await;
    house.ledger.mark_published(std::slice::from_ref(&task.key)).await.unwrap();
    house.clock.advance(ROUND_AGE);
    housekeeping::run_housekeeping_round(&stages, false).await.unwrap();
    assert_eq!(broker.depth(IngestStage::Chunk).await.unwrap(), 0, "somebody may be at it");
    house.clock.advance(UNSEEN_MAX);
    housekeeping::run_housekeeping_round(&stages, false).await.unwrap();
    assert_eq!(broker.depth(IngestStage::Chunk).await.unwrap(), 1, "nobody can be: it is sent again");
}

/// Messages of a dropped collection end without a trace, whether it is gone or made again under its name.
#[tokio::test]
async fn messages_of_a_dropped_collection_change_nothing() {
    let house = StageFixture::new().await;
    let stages = house.stages(Arc::new(MemoryBroker::new(house.clock.clone())));
    let task = house.accept("home", "doc").await;
    let home = task.key.collection_key();
    let deletion = IngestTask { deletes: true, ..task.clone() };
    house.ledger.drop_collection(&home).await.unwrap().unwrap();
    for is_made_again in [false, true] {
        if is_made_again {
            house.ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
            let other = submission(&home, "doc", Some(1), "Another text under the same version.");
            house.ledger.accept(vec![other]).await.unwrap();
        }
        let (chunk, delete) = ([task.clone()], [deletion.clone()]);
        assert_eq!(chunk_batch(&stages, &chunk).await, [TaskOutcome::AlreadyEnded]);
        assert_eq!(index_batch(&stages, &chunk).await, [TaskOutcome::AlreadyEnded]);
        assert_eq!(index_batch(&stages, &delete).await, [TaskOutcome::AlreadyEnded]);
    }
    let history = house.ledger.history(&home, &task.key.document_id).await.unwrap();
    assert_eq!((history.len(), history[0].state), (1, VersionState::Accepted));
    assert_eq!(house.ledger.dead(&DeadLetterFilter::default(), 9).await.unwrap(), []);
    // Its own messages go on.
    let own = house.ledger.unpublished(9).await.unwrap();
    assert_eq!(chunk_batch(&stages, &own).await, [TaskOutcome::HandOn(IngestStage::Embed)]);
}

/// Failures of messages of a dropped collection are not those of what was accepted under its name since.
#[tokio::test]
async fn failures_of_a_dropped_collection_end_nothing() {
    let house = StageFixture::new().await;
    let broker = Arc::new(MemoryBroker::new(house.clock.clone()));
    let stages = house.stages(broker.clone());
    let old = house.accept("home", "doc").await;
    let home = old.key.collection_key();
    house.ledger.drop_collection(&home).await.unwrap().unwrap();
    house.ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
    let new = house.accept("home", "doc").await;
    let dead = TaskOutcome::Failed(Fault::permanent(reason::BODY_CORRUPT, "no body"));
    let cases = [
        (&old, TaskOutcome::Failed(Fault::Superseded), VersionState::Accepted),
        (&old, dead.clone(), VersionState::Accepted),
        (&new, dead, VersionState::Dead),
    ];
    for (task, outcome, state) in cases {
        let message = OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, task.clone()));
        broker.publish(vec![message]).await.unwrap();
        let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
        let received = consumer.receive(1, Duration::ZERO).await.unwrap();
        let tags = received.iter().map(|delivery| delivery.tag).collect();
        let (tasks, outcomes) = (vec![task.clone()], vec![outcome]);
        acknowledge_batch(&stages, IngestStage::Chunk, &mut *consumer, tags, tasks, outcomes).await.unwrap();
        let history = house.ledger.history(&home, &task.key.document_id).await.unwrap();
        assert_eq!(history[0].state, state);
    }
}
