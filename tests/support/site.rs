//! A whole site: all stages over engines of the test's choice, on Tantivy, with hashed words.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::edge::QdrantEdgeVectors;
use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_adapters::sqlite::{SqliteBroker, SqliteDatabase, SqliteLedger, SqliteSharedStates};
use contexture_adapters::tantivy::TantivyIndex;
use contexture_core::domain::ids::{ChunkId, CollectionKey};
use contexture_core::domain::pipeline::ChunkerKind;
use contexture_core::domain::task::IngestStage;
use contexture_core::ingest::submit::DocumentSubmitter;
use contexture_core::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, IngestCounters, StageLimits, StageResources, housekeeping,
    worker,
};
use contexture_core::ports::broker::Broker;
use contexture_core::ports::catalog::{CollectionParts, EmbedderChunkSizes, OpenCollection};
use contexture_core::ports::clock::{SystemClock, WallClock};
use contexture_core::ports::embedder::Embedder;
use contexture_core::ports::extractor::TextDocumentsOnly;
use contexture_core::ports::ledger::{Ledger, VersionCounts};
use contexture_core::ports::lexical::{AnalyzerSettings, LexicalIndex};
use contexture_core::ports::shared_states::SharedStateStore;
use contexture_core::ports::vectors::{StoredVectorPoint, VectorStore};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::one::SingleCollectionCatalog;
use super::tokenizers::RunTokenizer;
use super::{BODY_BYTES_MAX, TENANT, collection, deletion, epoch, submission};

/// Numbers per vector.
pub(crate) const DIMS: usize = 8;
/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Time between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// What a site stands on; tests may put others in.
#[derive(Clone)]
pub(crate) struct SiteEngines {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) states: Arc<dyn SharedStateStore>,
    pub(crate) vectors: Arc<dyn VectorStore>,
    pub(crate) lexical: Arc<dyn LexicalIndex>,
    pub(crate) clock: Arc<dyn WallClock>,
    /// What must outlive them.
    pub(crate) _keep: Arc<dyn Any + Send + Sync>,
}

/// An empty index in memory.
pub(crate) fn empty_index() -> Arc<dyn LexicalIndex> {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true };
    Arc::new(TantivyIndex::in_ram(&analysis).unwrap())
}

impl SiteEngines {
    /// All in memory.
    pub(crate) fn memory(clock: Arc<dyn WallClock>) -> Self {
        Self {
            ledger: Arc::new(MemoryLedger::new(clock.clone())),
            broker: Arc::new(MemoryBroker::new(clock.clone())),
            states: Arc::new(MemorySharedStates::new(clock.clone())),
            vectors: Arc::new(MemoryVectors::new(DIMS)),
            lexical: empty_index(),
            clock,
            _keep: Arc::new(()),
        }
    }

    /// As one program without servers has them.
    pub(crate) async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let database = SqliteDatabase::open(&directory.path().join("ledger.sqlite")).unwrap();
        Self {
            ledger: Arc::new(SqliteLedger::new(database.clone(), clock.clone())),
            broker: Arc::new(SqliteBroker::new(database.clone(), clock.clone()).await.unwrap()),
            states: Arc::new(SqliteSharedStates::new(database, clock.clone())),
            vectors: Arc::new(QdrantEdgeVectors::open(&directory.path().join("vectors"), DIMS).unwrap()),
            lexical: empty_index(),
            clock,
            _keep: Arc::new(directory),
        }
    }

    /// Postgres and the protocol of Qdrant.
    #[cfg(all(feature = "postgres", feature = "qdrant"))]
    pub(crate) async fn servers() -> Self {
        let clock = Arc::new(SystemClock);
        let (ledger, states, schema) = super::postgres::postgres_ledger(clock.clone()).await;
        let place = super::qdrant::QdrantTestCollection::open();
        Self {
            ledger: Arc::new(ledger),
            broker: Arc::new(MemoryBroker::new(clock.clone())),
            states: Arc::new(states),
            vectors: Arc::new(place.vectors(DIMS).await.unwrap()),
            lexical: empty_index(),
            clock,
            _keep: Arc::new((std::sync::Mutex::new(place), schema)),
        }
    }
}

/// One collection and the stages of one process.
pub(crate) struct SingleProcessSite {
    pub(crate) stages: Arc<StageResources>,
    pub(crate) open: Arc<OpenCollection>,
    pub(crate) home: CollectionKey,
    submitter: DocumentSubmitter,
    stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    /// Last, so that what the stores stand on outlives them.
    pub(crate) engines: SiteEngines,
}

impl SingleProcessSite {
    /// Opens the collection; nothing works on it yet.
    pub(crate) async fn open(engines: SiteEngines, replicas: bool) -> Self {
        let embedder = HashEmbedder::new(Arc::new(RunTokenizer), DIMS, 512).unwrap();
        Self::open_with(engines, replicas, Arc::new(embedder)).await
    }

    /// The same with another model.
    pub(crate) async fn open_with(engines: SiteEngines, replicas: bool, embedder: Arc<dyn Embedder>) -> Self {
        let home = collection(TENANT, "home");
        let record = engines.ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
        let parts = CollectionParts {
            record,
            sizes: EmbedderChunkSizes {
                chunker: ChunkerKind::Structure,
                tokens_max: 64,
                tokens_target: 48,
                tokens_reserved: 0,
            },
            embedder,
            vectors: engines.vectors.clone(),
            lexical: Some(engines.lexical.clone()),
        };
        let open = Arc::new(OpenCollection::new(parts, true));
        let stages = Arc::new(StageResources {
            ledger: engines.ledger.clone(),
            broker: engines.broker.clone(),
            catalog: Arc::new(SingleCollectionCatalog(open.clone())),
            clock: engines.clock.clone(),
            extractor: Arc::new(TextDocumentsOnly),
            limits: StageLimits {
                chunk_batch_documents_max: 64,
                embed_batch_documents_max: 64,
                embed_batch_texts_max: 64,
                embed_batch_tokens_max: 100_000,
                commit_documents_max: 64,
                commit_wait_max: Duration::from_millis(5),
                batch_body_bytes_max: 64 << 10,
                chunks_per_document_max: 100,
                embed_claim_max: Duration::from_secs(30),
            },
            counters: IngestCounters::default(),
            meter: Arc::new(contexture_core::ports::meter::NoopIngestMeter),
            chunked_documents: ChunkedDocumentCache::new(1 << 20),
            single_flight: EmbeddingSingleFlight::default(),
            engines: contexture_core::ingest::EngineWatch::default(),
            states: engines.states.clone(),
            events: None,
            replicas,
        });
        let submitter =
            DocumentSubmitter::new(engines.ledger.clone(), engines.broker.clone(), BODY_BYTES_MAX, 64 << 20);
        Self { stages, open, home, submitter, stop: watch::Sender::new(false), workers: Vec::new(), engines }
    }

    /// Starts the stages and the housekeeping.
    pub(crate) fn work(&mut self) {
        for stage in [IngestStage::Chunk, IngestStage::Embed, IngestStage::Embed, IngestStage::Index] {
            self.workers.push(tokio::spawn(worker::run_worker(
                self.stages.clone(),
                stage,
                self.stop.subscribe(),
            )));
        }
        self.workers
            .push(tokio::spawn(housekeeping::run_housekeeping(self.stages.clone(), self.stop.subscribe())));
    }

    /// For a stage that is run by hand.
    pub(crate) fn going_on(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Stops them; what is in flight stays so.
    pub(crate) async fn rest(&mut self) {
        self.stop.send_replace(true);
        for worker in self.workers.drain(..) {
            worker.await.unwrap();
        }
        self.stop.send_replace(false);
    }

    /// Submits a version with this text.
    pub(crate) async fn put(&self, id: &str, text: &str) {
        self.submitter.submit(vec![submission(&self.home, id, None, text)]).await.unwrap();
    }

    pub(crate) async fn delete(&self, id: &str) {
        self.submitter.submit(vec![deletion(&self.home, id, None)]).await.unwrap();
    }

    /// Waits until nothing is in flight and everything is swept.
    pub(crate) async fn settled(&self) -> VersionCounts {
        let settling = async {
            loop {
                let counts = self.engines.ledger.counts(&self.home).await.unwrap();
                if counts.in_flight == 0 && self.engines.ledger.unswept_documents(1).await.unwrap().is_empty()
                {
                    return counts;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, settling).await.expect("everything ends in time")
    }

    /// Every point there is.
    pub(crate) async fn points(&self) -> Vec<StoredVectorPoint> {
        let mut all: Vec<StoredVectorPoint> = Vec::new();
        loop {
            let last: Option<ChunkId> = all.last().map(|point| point.id);
            let page = self.engines.vectors.page(last, 1000).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }
}

/// Text of some chunks that differ between documents and versions.
pub(crate) fn text(id: &str, edition: usize) -> String {
    let paragraph = |number: usize| {
        format!("Part {number} of {id} in edition {edition}. {}\n\n", "Words fill it to its size. ".repeat(8))
    };
    (0..4).map(paragraph).collect()
}
