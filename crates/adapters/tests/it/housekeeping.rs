//! Several processes on one ledger: one keeps house.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;
use contexture_core::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, IngestCounters, StageLimits, StageResources, housekeeping,
};
use contexture_core::ports::broker::Broker;
use contexture_core::ports::catalog::{CollectionCatalog, OpenCollection};
use contexture_core::ports::collection_drops::CollectionDropLedger;
use contexture_core::ports::extractor::TextDocumentsOnly;
use contexture_core::ports::generations::{
    BeginBuildOutcome, GenerationBuildPace, GenerationChange, GenerationLedger,
};
use contexture_core::ports::ledger::{CollectionRecord, Ledger, VersionOutcome};
use tokio::sync::watch;

use crate::support::clock::ManualClock;
use crate::support::{TENANT, collection, epoch, submission, version_key};

/// Stores with nothing to sweep in them, that note what is let go of and what is removed from shared
/// engines.
#[derive(Default)]
struct RecordingCatalog {
    /// The collection whose engine is away: nothing can be removed from it.
    stuck: Option<CollectionKey>,
    let_go: AtomicU32,
    removed: AtomicU32,
}

#[async_trait]
impl CollectionCatalog for RecordingCatalog {
    async fn open(&self, _: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        Ok(None)
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        Vec::new()
    }

    async fn remove(&self, home: &CollectionRecord, shared: bool) -> Result<(), Fault> {
        if self.stuck.as_ref() == Some(&home.key) {
            return Err(Fault::transient("the engine is away"));
        }
        if shared { &self.removed } else { &self.let_go }.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn remove_collection(&self, homes: &[CollectionRecord], shared: bool) -> Result<(), Fault> {
        for home in homes {
            self.remove(home, shared).await?;
        }
        Ok(())
    }
}

/// Processes that share a ledger and queues.
struct ProcessCluster {
    ledger: MemoryLedger,
    broker: Arc<MemoryBroker>,
    clock: Arc<ManualClock>,
    home: CollectionKey,
}

impl ProcessCluster {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let ledger = MemoryLedger::new(clock.clone());
        let home = collection(TENANT, "home");
        ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
        Self { ledger, broker: Arc::new(MemoryBroker::new(clock.clone())), clock, home }
    }

    fn process(&self) -> Arc<StageResources> {
        self.process_with(Arc::default())
    }

    fn process_with(&self, catalog: Arc<RecordingCatalog>) -> Arc<StageResources> {
        Arc::new(StageResources {
            ledger: Arc::new(self.ledger.peer()),
            broker: self.broker.clone(),
            catalog,
            clock: self.clock.clone(),
            extractor: Arc::new(TextDocumentsOnly),
            limits: StageLimits {
                chunk_batch_documents_max: 8,
                embed_batch_documents_max: 8,
                embed_batch_texts_max: 8,
                embed_batch_tokens_max: 1024,
                embed_claim_max: Duration::from_secs(30),
                commit_documents_max: 8,
                commit_wait_max: Duration::ZERO,
                batch_body_bytes_max: 1 << 20,
                chunks_per_document_max: 8,
            },
            counters: IngestCounters::default(),
            meter: Arc::new(contexture_core::ports::meter::NoopIngestMeter),
            chunked_documents: ChunkedDocumentCache::new(0),
            single_flight: EmbeddingSingleFlight::default(),
            engines: contexture_core::ingest::EngineWatch::default(),
            states: Arc::new(MemorySharedStates::new(self.clock.clone())),
            events: None,
            replicas: false,
        })
    }

    /// Accepts a document whose message never went out.
    async fn accept(&self, id: &str) {
        self.ledger.accept(vec![submission(&self.home, id, None, "text")]).await.unwrap();
    }

    async fn queued(&self) -> u64 {
        self.broker.depth(IngestStage::Chunk).await.unwrap()
    }
}

#[tokio::test]
async fn one_process_keeps_house() {
    let cluster = ProcessCluster::new().await;
    let (one, two) = (cluster.process(), cluster.process());
    cluster.accept("first").await;
    assert!(housekeeping::run_housekeeping_round(&one, true).await.unwrap());
    assert_eq!(cluster.queued().await, 1);

    cluster.accept("second").await;
    assert!(!housekeeping::run_housekeeping_round(&two, true).await.unwrap(), "the other one does it");
    assert_eq!(cluster.queued().await, 1);
    assert!(housekeeping::run_housekeeping_round(&one, true).await.unwrap());
    assert_eq!(cluster.queued().await, 2);
}

#[tokio::test]
async fn another_takes_over_from_one_that_died() {
    let cluster = ProcessCluster::new().await;
    let (one, two) = (cluster.process(), cluster.process());
    assert!(housekeeping::run_housekeeping_round(&one, true).await.unwrap());
    drop(one);
    cluster.accept("left behind").await;
    let beaten = version_key(&cluster.home, "left behind", 1);
    cluster.ledger.finish(vec![(beaten.clone(), VersionOutcome::Superseded)]).await.unwrap();
    cluster.clock.advance(housekeeping::HOUSEKEEPING_LEASE / 2);
    assert!(!housekeeping::run_housekeeping_round(&two, true).await.unwrap());
    assert_eq!(cluster.ledger.unswept_documents(10).await.unwrap().len(), 1);
    cluster.clock.advance(housekeeping::HOUSEKEEPING_LEASE);
    assert!(housekeeping::run_housekeeping_round(&two, true).await.unwrap());
    assert_eq!(cluster.ledger.unswept_documents(10).await.unwrap(), [], "with all its work");
}

/// A process that ends gives the lease back, so the next need not wait for its end.
#[tokio::test]
async fn process_that_stops_resigns() {
    let cluster = ProcessCluster::new().await;
    let (one, two) = (cluster.process(), cluster.process());
    cluster.accept("first").await;
    let stop = watch::Sender::new(false);
    let running = tokio::spawn(housekeeping::run_housekeeping(one, stop.subscribe()));
    let relayed = async {
        while cluster.queued().await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), relayed).await.unwrap();
    assert!(
        !two.ledger
            .acquire_lease(housekeeping::HOUSEKEEPING_ROLE, housekeeping::HOUSEKEEPING_LEASE)
            .await
            .unwrap()
    );
    stop.send_replace(true);
    running.await.unwrap();
    assert!(
        two.ledger
            .acquire_lease(housekeeping::HOUSEKEEPING_ROLE, housekeeping::HOUSEKEEPING_LEASE)
            .await
            .unwrap()
    );
}

/// Who does not keep house has to stop working for a dropped generation all the same.
#[tokio::test]
async fn every_process_lets_go_of_what_was_dropped() {
    let cluster = ProcessCluster::new().await;
    let begun =
        cluster.ledger.begin_generation(&cluster.home, "two", epoch("two"), GenerationBuildPace::default());
    let BeginBuildOutcome::Started(record) = begun.await.unwrap() else { panic!("nothing else is built") };
    let (leader, other) = (Arc::<RecordingCatalog>::default(), Arc::<RecordingCatalog>::default());
    let (one, two) = (cluster.process_with(leader.clone()), cluster.process_with(other.clone()));
    assert!(housekeeping::run_housekeeping_round(&one, true).await.unwrap());
    assert!(!housekeeping::run_housekeeping_round(&two, true).await.unwrap());
    assert_eq!(other.let_go.load(Ordering::SeqCst), 0, "it is alive");
    let dropped = GenerationChange::Dropped;
    assert!(cluster.ledger.change_generation(&cluster.home, record.home.generation, dropped).await.unwrap());
    assert!(!housekeeping::run_housekeeping_round(&two, true).await.unwrap());
    assert!(housekeeping::run_housekeeping_round(&one, true).await.unwrap());
    let noted = |stores: &RecordingCatalog| {
        (stores.let_go.load(Ordering::SeqCst), stores.removed.load(Ordering::SeqCst))
    };
    assert_eq!((noted(&other), noted(&leader)), ((1, 0), (1, 1)));
}

/// What cannot be removed now is tried again, and holds up nothing else.
#[tokio::test]
async fn generation_that_cannot_be_removed_holds_up_no_other() {
    let cluster = ProcessCluster::new().await;
    let other = collection(TENANT, "other");
    cluster.ledger.ensure_collection(&other, "", epoch("one")).await.unwrap();
    for key in [&cluster.home, &other] {
        let begun =
            cluster.ledger.begin_generation(key, "two", epoch("two"), GenerationBuildPace::default()).await;
        let BeginBuildOutcome::Started(record) = begun.unwrap() else { panic!("nothing else is built") };
        let dropped = GenerationChange::Dropped;
        assert!(cluster.ledger.change_generation(key, record.home.generation, dropped).await.unwrap());
    }
    let stuck = RecordingCatalog { stuck: Some(cluster.home.clone()), ..RecordingCatalog::default() };
    let process = cluster.process_with(Arc::new(stuck));
    assert!(housekeeping::run_housekeeping_round(&process, true).await.unwrap());
    let is_cleared = async |key: &CollectionKey| {
        cluster.ledger.generations(Some(key)).await.unwrap().into_iter().any(|record| record.is_cleared)
    };
    assert!(is_cleared(&other).await);
    assert!(!is_cleared(&cluster.home).await, "nothing forgets it");
    // Once the engine is back.
    drop(process);
    cluster.clock.advance(2 * housekeeping::HOUSEKEEPING_LEASE);
    assert!(housekeeping::run_housekeeping_round(&cluster.process(), true).await.unwrap());
    assert!(is_cleared(&cluster.home).await);
}

/// Every process closes a dropped collection; the leader also removes it from shared engines, once soon and
/// once more before it is forgotten.
#[tokio::test]
async fn every_process_lets_go_of_a_dropped_collection() {
    let cluster = ProcessCluster::new().await;
    let (leader, other) = (Arc::<RecordingCatalog>::default(), Arc::<RecordingCatalog>::default());
    let (one, two) = (cluster.process_with(leader.clone()), cluster.process_with(other.clone()));
    // A process that crashed has only hidden it.
    cluster.ledger.hide_collection(&cluster.home).await.unwrap().unwrap();
    let round = async || {
        assert!(housekeeping::run_housekeeping_round(&one, true).await.unwrap());
        assert!(!housekeeping::run_housekeeping_round(&two, true).await.unwrap());
        let noted = |stores: &RecordingCatalog| {
            (stores.let_go.swap(0, Ordering::SeqCst), stores.removed.swap(0, Ordering::SeqCst))
        };
        (noted(&leader), noted(&other))
    };
    assert_eq!(round().await, ((1, 1), (1, 0)));
    cluster.clock.advance(Duration::from_mins(30));
    assert_eq!(round().await, ((1, 0), (1, 0)), "for those that were away");
    cluster.clock.advance(Duration::from_hours(1));
    assert_eq!(round().await, ((1, 1), (0, 0)));
    assert_eq!(cluster.ledger.dropped_generations().await.unwrap(), []);
    assert_eq!(round().await, ((0, 0), (0, 0)));
}
