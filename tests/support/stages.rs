//! The stages over a ledger in memory, any broker, and one deadly collection.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::pipeline::ChunkerKind;
use contexture_core::domain::task::IngestTask;
use contexture_core::fault::Fault;
use contexture_core::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, IngestCounters, StageLimits, StageResources,
};
use contexture_core::ports::broker::Broker;
use contexture_core::ports::catalog::{
    CollectionCatalog, CollectionParts, EmbedderChunkSizes, OpenCollection,
};
use contexture_core::ports::extractor::TextDocumentsOnly;
use contexture_core::ports::ledger::{DeadLetterFilter, Ledger};
use contexture_core::ports::producers::ProducerEventSink;
use tokio::sync::Notify;

use super::clock::ManualClock;
use super::scan::ScanIndex;
use super::tokenizers::RunTokenizer;
use super::{TENANT, collection, epoch, submission};

/// The collection whose documents kill whoever opens it.
pub(crate) const DEADLY: &str = "deadly";

/// Everything but the broker.
pub(crate) struct StageFixture {
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) clock: Arc<ManualClock>,
    /// Told when a stage touches the deadly collection, and from then on never answers.
    pub(crate) killed: Arc<Notify>,
}

impl StageFixture {
    /// A ledger that knows `home` and the deadly collection.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let ledger = Arc::new(MemoryLedger::new(clock.clone()));
        for name in ["home", DEADLY] {
            ledger.ensure_collection(&collection(TENANT, name), "", epoch("one")).await.unwrap();
        }
        Self { ledger, clock, killed: Arc::default() }
    }

    /// Accepts a document; returns its first message.
    pub(crate) async fn accept(&self, home: &str, id: &str) -> IngestTask {
        let text = format!("The text of {id}.");
        let submitted = submission(&collection(TENANT, home), id, Some(1), &text);
        self.ledger.accept(vec![submitted]).await.unwrap().remove(0).task.unwrap()
    }

    pub(crate) fn stages(&self, broker: Arc<dyn Broker>) -> Arc<StageResources> {
        self.stages_telling(broker, None)
    }

    /// The same, with somebody to tell.
    pub(crate) fn stages_telling(
        &self,
        broker: Arc<dyn Broker>,
        events: Option<Arc<dyn ProducerEventSink>>,
    ) -> Arc<StageResources> {
        Arc::new(StageResources {
            ledger: self.ledger.clone(),
            broker,
            catalog: Arc::new(DeadlyCatalog { ledger: self.ledger.clone(), killed: self.killed.clone() }),
            clock: self.clock.clone(),
            extractor: Arc::new(TextDocumentsOnly),
            limits: StageLimits {
                chunk_batch_documents_max: 64,
                embed_batch_documents_max: 64,
                embed_batch_texts_max: 64,
                embed_batch_tokens_max: 4096,
                embed_claim_max: Duration::from_secs(30),
                commit_documents_max: 64,
                commit_wait_max: Duration::from_millis(20),
                batch_body_bytes_max: 1 << 20,
                chunks_per_document_max: 100,
            },
            counters: IngestCounters::default(),
            meter: Arc::new(contexture_core::ports::meter::NoopIngestMeter),
            chunked_documents: ChunkedDocumentCache::new(1 << 20),
            single_flight: EmbeddingSingleFlight::default(),
            engines: contexture_core::ingest::EngineWatch::default(),
            states: Arc::new(MemorySharedStates::new(self.clock.clone())),
            events,
            replicas: false,
        })
    }
}

struct DeadlyCatalog {
    ledger: Arc<MemoryLedger>,
    killed: Arc<Notify>,
}

#[async_trait]
impl CollectionCatalog for DeadlyCatalog {
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        const DIMS: usize = 8;
        // Who sweeps up after the dead survives.
        let buried = !self.ledger.dead(&DeadLetterFilter::default(), 1).await?.is_empty();
        if key.collection.as_str() == DEADLY && !buried {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        let Some(record) = self.ledger.collection(key).await? else { return Ok(None) };
        let embedder = HashEmbedder::new(Arc::new(RunTokenizer), DIMS, 512).unwrap();
        let parts = CollectionParts {
            record,
            sizes: EmbedderChunkSizes {
                chunker: ChunkerKind::Structure,
                tokens_max: 64,
                tokens_target: 48,
                tokens_reserved: 0,
            },
            embedder: Arc::new(embedder),
            vectors: Arc::new(MemoryVectors::new(DIMS)),
            lexical: Some(Arc::new(ScanIndex::default())),
        };
        Ok(Some(Arc::new(OpenCollection::new(parts, true))))
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        Vec::new()
    }
}
