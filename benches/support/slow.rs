//! Two embed workers beside one, where a call to the embedder takes 50 ms.
//!
//! Each worker has stages and a connection of its own, as a process has. Its queue is RabbitMQ's,
//! the ledger is SQLite, the vectors are in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contexture::adapters::embedder::bundled;
use contexture::adapters::embedder::hash::HashEmbedder;
use contexture::adapters::memory::shared_states::MemorySharedStates;
use contexture::adapters::memory::vectors::MemoryVectors;
use contexture::adapters::rabbitmq::{AmqpUrl, RabbitMqBroker, RabbitMqConfig};
use contexture::adapters::sqlite::{SqliteDatabase, SqliteLedger};
use contexture::domain::chunk::{ChunkSpan, TextSpan};
use contexture::domain::ids::{CollectionId, CollectionKey, Epoch, TenantId};
use contexture::domain::pipeline::ChunkerKind;
use contexture::domain::task::{IngestStage, TaskEnvelope};
use contexture::fault::Fault;
use contexture::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, IngestCounters, StageLimits, StageResources, worker,
};
use contexture::ports::broker::{Broker, OutgoingMessage};
use contexture::ports::catalog::{CollectionParts, EmbedderChunkSizes, OpenCollection};
use contexture::ports::clock::SystemClock;
use contexture::ports::embedder::{Embedder, EmbedderInfo, EmbeddingPurpose};
use contexture::ports::extractor::TextDocumentsOnly;
use contexture::ports::ledger::Ledger;
use contexture::ports::tokenizer::Tokenizer;
use contexture::server::auth::local_principal;
use tokio::sync::watch;

use super::amqp::{self, ConfirmingClient};
use super::one::SingleCollectionCatalog;
use super::support::{COLLECTION, DocumentGenerator, median, submission};

const DOCUMENTS: usize = 12_800;
const DOCUMENT_BYTES: usize = 256;
const REPEATS: usize = 3;
const DIMS: usize = 384;
const LATENCY: Duration = Duration::from_millis(50);
/// Documents of one call to the ledger.
const BATCH: usize = 512;

/// Prints how much two workers gain.
pub(super) async fn compare() {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        one.push(embedded_by(1).await);
        two.push(embedded_by(2).await);
    }
    let (one, two) = (median(&mut one), median(&mut two));
    println!("{DOCUMENTS} documents of one chunk, an embedder of {} ms", LATENCY.as_millis());
    println!("one worker    {one:6.2} s");
    println!("two workers   {two:6.2} s");
    println!("speed of two, in that of one: {:.2}", one / two);
}

async fn embedded_by(workers: usize) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let prefix = amqp::prefix(&format!("slow-{workers}"));
    let config = RabbitMqConfig {
        prefix: prefix.clone(),
        ..RabbitMqConfig::new(AmqpUrl::parse(&amqp::url()).unwrap())
    };
    let database = SqliteDatabase::open(&directory.path().join("ledger.sqlite")).unwrap();
    let ledger = Arc::new(SqliteLedger::new(database, Arc::new(SystemClock)));
    let open = queue_all(&ledger, &RabbitMqBroker::connect(config.clone()).await.unwrap()).await;

    let stop = watch::Sender::new(false);
    let mut stages = Vec::new();
    for _ in 0..workers {
        let broker = RabbitMqBroker::connect(config.clone()).await.unwrap();
        stages.push(Arc::new(StageResources {
            ledger: ledger.clone(),
            broker: Arc::new(broker),
            catalog: Arc::new(SingleCollectionCatalog(open.clone())),
            clock: Arc::new(SystemClock),
            extractor: Arc::new(TextDocumentsOnly),
            limits: limits(),
            counters: IngestCounters::default(),
            meter: Arc::new(contexture::ports::meter::NoopIngestMeter),
            chunked_documents: ChunkedDocumentCache::new(0),
            single_flight: EmbeddingSingleFlight::default(),
            engines: contexture_core::ingest::EngineWatch::default(),
            states: Arc::new(MemorySharedStates::new(Arc::new(SystemClock))),
            events: None,
            replicas: false,
        }));
    }
    let began = Instant::now();
    let running: Vec<_> = stages
        .iter()
        .map(|stages| tokio::spawn(worker::run_worker(stages.clone(), IngestStage::Embed, stop.subscribe())))
        .collect();
    let (client, index) = (ConfirmingClient::connect().await, format!("{prefix}.index"));
    while (client.ready(&index).await as usize) < DOCUMENTS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed().as_secs_f64();
    stop.send_replace(true);
    for worker in running {
        worker.await.unwrap();
    }
    client.delete_all(&prefix).await;
    took
}

/// Chunked documents, with a message for the embed stage each.
async fn queue_all(ledger: &SqliteLedger, broker: &RabbitMqBroker) -> Arc<OpenCollection> {
    let principal = local_principal().unwrap();
    let collection = CollectionId::new(COLLECTION).unwrap();
    let key = CollectionKey { tenant: TenantId::new("local").unwrap(), collection: collection.clone() };
    let record = ledger.ensure_collection(&key, "", Epoch::from_bytes([1; 32])).await.unwrap();
    let mut generator = DocumentGenerator::new(3);
    let texts: Vec<String> = (0..DOCUMENTS).map(|_| generator.document(DOCUMENT_BYTES)).collect();
    for (batch, texts) in texts.chunks(BATCH).enumerate() {
        let numbered = (batch * BATCH..).zip(texts);
        let submissions = numbered
            .map(|(number, text)| submission(&principal, &collection, number, text.clone()))
            .collect();
        let receipts = ledger.accept(submissions).await.unwrap();
        let tasks: Vec<_> = receipts.into_iter().map(|receipt| receipt.task.unwrap()).collect();
        let spans = tasks.iter().zip(texts).map(|(task, text)| (task.key.clone(), vec![whole(text)]));
        ledger.store_spans(1, spans.collect()).await.unwrap();
        let messages = tasks
            .into_iter()
            .map(|task| OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Embed, task)))
            .collect();
        broker.publish(messages).await.unwrap();
    }
    let tokenizer = Arc::new(bundled::tokenizer().unwrap());
    let embedder = Arc::new(SlowEmbedder(HashEmbedder::new(tokenizer, DIMS, 256).unwrap()));
    let sizes = EmbedderChunkSizes {
        chunker: ChunkerKind::Structure,
        tokens_max: 256,
        tokens_target: 256,
        tokens_reserved: 2,
    };
    let vectors = Arc::new(MemoryVectors::new(DIMS));
    Arc::new(OpenCollection::new(CollectionParts { record, sizes, embedder, vectors, lexical: None }, true))
}

fn whole(text: &str) -> ChunkSpan {
    ChunkSpan {
        span: TextSpan { start: 0, end: text.len() },
        heading: Vec::new(),
        embed_tokens: 128,
        open_fence: None,
    }
}

fn limits() -> StageLimits {
    StageLimits {
        chunk_batch_documents_max: 512,
        embed_batch_documents_max: 512,
        embed_batch_texts_max: 64,
        embed_batch_tokens_max: 16_384,
        embed_claim_max: Duration::from_secs(30),
        commit_documents_max: 1024,
        commit_wait_max: Duration::from_millis(250),
        batch_body_bytes_max: 32 << 20,
        chunks_per_document_max: 1000,
    }
}

/// An embedder that lets its callers wait.
struct SlowEmbedder(HashEmbedder);

#[async_trait]
impl Embedder for SlowEmbedder {
    fn info(&self) -> &EmbedderInfo {
        self.0.info()
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        self.0.tokenizer()
    }

    async fn embed(&self, texts: &[String], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault> {
        tokio::time::sleep(LATENCY).await;
        self.0.embed(texts, purpose).await
    }
}
