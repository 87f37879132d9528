//! All stages over memory, with an embedder of the test's choice, at a time that tests may pause.

use std::sync::Arc;

use contexture_adapters::memory::broker::MemoryBroker;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::pipeline::ChunkerKind;
use contexture_core::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use contexture_core::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, IngestCounters, StageLimits, StageResources, worker,
};
use contexture_core::ports::broker::OutgoingMessage;
use contexture_core::ports::catalog::{CollectionParts, EmbedderChunkSizes, OpenCollection};
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::embedder::Embedder;
use contexture_core::ports::extractor::TextDocumentsOnly;
use contexture_core::ports::ledger::{DeadLetter, DeadLetterFilter, Ledger, VersionCounts};
use contexture_core::ports::shared_states::SharedStateStore;
use contexture_core::ports::vectors::VectorStore;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::clock::TokioClock;
use super::one::SingleCollectionCatalog;
use super::scan::ScanIndex;
use super::{TENANT, collection, epoch, submission};

/// How often a test looks whether everything has ended; hours may pass.
const LOOK: Duration = Duration::from_millis(500);

/// What processes share.
pub(crate) struct SharedBackends {
    pub(crate) broker: Arc<MemoryBroker>,
    pub(crate) states: Arc<dyn SharedStateStore>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) vectors: Arc<dyn VectorStore>,
    lexical: Arc<ScanIndex>,
    pub(crate) embed_claim_max: Duration,
}

impl SharedBackends {
    pub(crate) fn new(states: Arc<dyn SharedStateStore>, clock: Arc<dyn WallClock>, dims: usize) -> Self {
        Self {
            broker: Arc::new(MemoryBroker::new(clock.clone())),
            states,
            clock,
            vectors: Arc::new(MemoryVectors::new(dims)),
            lexical: Arc::new(ScanIndex::default()),
            embed_claim_max: Duration::from_secs(30),
        }
    }
}

/// The stages of one process.
pub(crate) struct ProcessStages {
    pub(crate) stages: Arc<StageResources>,
    home: CollectionKey,
    pub(crate) stop: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
}

impl ProcessStages {
    /// The only process: runs `embedders` embed workers and one of each other stage.
    pub(crate) async fn new(
        embedder: Arc<dyn Embedder>,
        states: Arc<dyn SharedStateStore>,
        clock: Arc<dyn WallClock>,
        embedders: usize,
    ) -> Self {
        let ledger = Arc::new(MemoryLedger::new(clock.clone()));
        let site = SharedBackends::new(states, clock, embedder.info().dims);
        Self::at(&site, ledger, embedder, embedders).await
    }

    /// One of the processes of a site, with its handle on their ledger.
    pub(crate) async fn at(
        site: &SharedBackends,
        ledger: Arc<dyn Ledger>,
        embedder: Arc<dyn Embedder>,
        embedders: usize,
    ) -> Self {
        let home = collection(TENANT, "home");
        let record = ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
        let parts = CollectionParts {
            record,
            sizes: EmbedderChunkSizes {
                chunker: ChunkerKind::Structure,
                tokens_max: 64,
                tokens_target: 48,
                tokens_reserved: 0,
            },
            vectors: site.vectors.clone(),
            embedder,
            lexical: Some(site.lexical.clone()),
        };
        let stages = Arc::new(StageResources {
            ledger,
            broker: site.broker.clone(),
            catalog: Arc::new(SingleCollectionCatalog(Arc::new(OpenCollection::new(parts, true)))),
            clock: site.clock.clone(),
            extractor: Arc::new(TextDocumentsOnly),
            limits: StageLimits {
                chunk_batch_documents_max: 64,
                embed_batch_documents_max: 64,
                embed_batch_texts_max: 64,
                embed_batch_tokens_max: 100_000,
                embed_claim_max: site.embed_claim_max,
                commit_documents_max: 64,
                commit_wait_max: Duration::from_millis(5),
                batch_body_bytes_max: 1 << 20,
                chunks_per_document_max: 100,
            },
            counters: IngestCounters::default(),
            meter: Arc::new(contexture_core::ports::meter::NoopIngestMeter),
            chunked_documents: ChunkedDocumentCache::new(1 << 20),
            single_flight: EmbeddingSingleFlight::default(),
            engines: contexture_core::ingest::EngineWatch::default(),
            states: site.states.clone(),
            events: None,
            replicas: false,
        });
        let stop = watch::Sender::new(false);
        let workers = [IngestStage::Chunk, IngestStage::Index]
            .into_iter()
            .chain(std::iter::repeat_n(IngestStage::Embed, embedders))
            .map(|stage| tokio::spawn(worker::run_worker(stages.clone(), stage, stop.subscribe())))
            .collect();
        Self { stages, home, stop, workers }
    }

    /// Accepts documents, each sent to the chunk stage so many times.
    pub(crate) async fn put(&self, documents: &[(String, String)], times: usize) {
        let submissions =
            documents.iter().map(|(id, text)| submission(&self.home, id, Some(1), text)).collect();
        let receipts = self.stages.ledger.accept(submissions).await.unwrap();
        let tasks: Vec<IngestTask> = receipts.into_iter().filter_map(|receipt| receipt.task).collect();
        for _ in 0..times {
            let messages = tasks
                .iter()
                .map(|task| OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, task.clone())));
            self.stages.broker.publish(messages.collect()).await.unwrap();
        }
    }

    pub(crate) async fn counts(&self) -> VersionCounts {
        self.stages.ledger.counts(&self.home).await.unwrap()
    }

    /// Waits until nothing is in flight and every queue is empty.
    pub(crate) async fn drained(&self, within: Duration) -> VersionCounts {
        let draining = async {
            loop {
                let counts = self.counts().await;
                let mut left = 0;
                for stage in IngestStage::ALL {
                    left += self.stages.broker.depth(stage).await.unwrap();
                }
                if counts.in_flight == 0 && left == 0 {
                    return counts;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        timeout(within, draining).await.expect("everything ends in time")
    }

    pub(crate) async fn dead(&self) -> Vec<DeadLetter> {
        self.stages.ledger.dead(&DeadLetterFilter::default(), 1000).await.unwrap()
    }

    /// As a process that is killed.
    pub(crate) async fn kill(self) -> Arc<dyn Ledger> {
        for worker in self.workers {
            worker.abort();
            assert!(worker.await.unwrap_err().is_cancelled());
        }
        self.stages.ledger.clone()
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        for worker in self.workers {
            worker.await.unwrap();
        }
    }
}

/// Documents of one short text each, all different.
pub(crate) fn documents(count: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("doc {number}"), format!("The text of number {number}."))).collect()
}
