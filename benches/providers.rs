//! Four processes at one provider that allows 600 calls a minute, and refuses what is above.
//!
//! `cargo bench --bench providers` has the embed stage of four worker processes, on RabbitMQ and
//! Postgres, share a limiter; beside it four processes of a plain client with four calls open each,
//! which waits a second after a 429 and gives a text up after six. One text a call, 50 ms each. The
//! provider, over real sockets, counts calls in any 60 s. `-- --untold` leaves the limit out of the
//! configuration and the headers: the workers find it by themselves.
//!
//! Needs a RabbitMQ and a Postgres: on their standard ports here, or named by
//! `CONTEXTURE_TEST_AMQP_URL` and `CONTEXTURE_TEST_POSTGRES_URL`.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

#[path = "support/amqp.rs"]
mod amqp;
#[path = "../tests/support/one.rs"]
mod one;
#[path = "support/provider.rs"]
mod provider;
mod support;

use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use contexture::adapters::embedder::bundled;
use contexture::adapters::http::{HeaderMap, HttpEndpoint, HttpEndpointConfig, RemoteService};
use contexture::adapters::memory::vectors::MemoryVectors;
use contexture::adapters::postgres::{PostgresConfig, PostgresLedger};
use contexture::adapters::providers::{ProviderApi, ProviderEmbedder, ProviderEmbedderParts};
use contexture::adapters::rabbitmq::{AmqpUrl, RabbitMqBroker, RabbitMqConfig};
use contexture::domain::chunk::{ChunkSpan, TextSpan};
use contexture::domain::ids::{CollectionId, CollectionKey, Epoch, TenantId};
use contexture::domain::pipeline::ChunkerKind;
use contexture::domain::task::{IngestStage, TaskEnvelope};
use contexture::fault::reason;
use contexture::ingest::{
    ChunkedDocumentCache, EmbeddingSingleFlight, IngestCounters, StageLimits, StageResources, worker,
};
use contexture::ports::broker::{Broker, OutgoingMessage};
use contexture::ports::catalog::{CollectionParts as Collection, EmbedderChunkSizes, OpenCollection};
use contexture::ports::clock::SystemClock;
use contexture::ports::embedder::EmbedderInfo;
use contexture::ports::extractor::TextDocumentsOnly;
use contexture::ports::ledger::{CollectionRecord, EMBEDDING_CACHE_BYTES_MAX, Ledger};
use contexture::resilience::limiter::ProviderLimiter;
use contexture::resilience::quota_protocol::ProviderLimits;
use contexture::server::auth::local_principal;
use one::SingleCollectionCatalog;
use provider::{BenchProvider, DIMS, PER_MINUTE};
use sqlx::Connection;
use support::{COLLECTION, DocumentGenerator, submission};
use tokio::sync::watch;

const PROCESSES: usize = 4;
const MEASURED: Duration = Duration::from_mins(2);
const DOCUMENTS: usize = 2000;
const SCHEMA: &str = "contexture_bench_providers";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--worker", url, prefix, told] => runtime.block_on(work(url, prefix, told == "told")),
        ["--plain", url, number] => runtime.block_on(provider::plain(url, number.parse().unwrap())),
        _ => runtime.block_on(compare(!arguments.iter().any(|argument| argument == "--untold"))),
    }
}

async fn compare(told: bool) {
    println!("a provider of {PER_MINUTE} calls a minute, {PROCESSES} processes, {} s", MEASURED.as_secs());
    let shared = shared(told).await;
    let provider = BenchProvider::start().await;
    let plain =
        run(&provider, |number| vec!["--plain".to_owned(), provider.url().to_owned(), number.to_string()])
            .await;
    println!("                   of the limit   refused   documents lost");
    println!("shared limiter     {:10.1} %  {:6.2} %   {:14}", shared.0 * 100.0, shared.1 * 100.0, shared.2);
    println!(
        "four calls each    {:10.1} %  {:6.2} %   {:14}",
        plain.0 * 100.0,
        plain.1 * 100.0,
        provider.lost()
    );
}

/// Runs the processes; the share of the limit that was used, and of calls that were refused.
async fn run(provider: &BenchProvider, arguments: impl Fn(usize) -> Vec<String>) -> (f64, f64) {
    let mut children: Vec<Child> = (0..PROCESSES)
        .map(|number| Command::new(std::env::current_exe().unwrap()).args(arguments(number)).spawn().unwrap())
        .collect();
    provider.until_called().await;
    tokio::time::sleep(MEASURED).await;
    let (served, refused) = provider.counts();
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let allowed = f64::from(PER_MINUTE) * MEASURED.as_secs_f64() / 60.0;
    (served as f64 / allowed, refused as f64 / (served + refused).max(1) as f64)
}

/// The embed stage in four processes; besides, how many documents died.
async fn shared(told: bool) -> (f64, f64, u64) {
    drop_schema().await;
    let prefix = amqp::prefix("providers");
    let ledger = ledger().await;
    let record = queue_all(&ledger, &broker(&prefix).await).await;
    let provider = BenchProvider::start().await;
    let told = if told { "told" } else { "untold" };
    let (used, refused) =
        run(&provider, |_| ["--worker", provider.url(), &prefix, told].map(str::to_owned).to_vec()).await;
    let dead = ledger.counts(&record.key).await.unwrap().dead;
    amqp::ConfirmingClient::connect().await.delete_all(&prefix).await;
    drop_schema().await;
    (used, refused, dead)
}

/// One worker process.
async fn work(url: &str, prefix: &str, told: bool) {
    let ledger = Arc::new(ledger().await);
    let record = ledger.collections().await.unwrap().remove(0);
    let clock = Arc::new(SystemClock);
    let call_max = Duration::from_secs(10);
    let limits = ProviderLimits {
        requests_per_minute: told.then_some(PER_MINUTE),
        tokens_per_minute: None,
        calls_max: 16,
    };
    let holder = std::process::id().to_string();
    let limiter =
        ProviderLimiter::new(Arc::new(ledger.states()), clock.clone(), "bench", &holder, limits, call_max);
    let service = RemoteService { name: "embedder", rejected: reason::EMBEDDER_REJECTED };
    let endpoint =
        HttpEndpointConfig { url: url.to_owned(), api_key: None, call_max, answer_bytes_max: 1 << 20 };
    let embedder = Arc::new(ProviderEmbedder::new(ProviderEmbedderParts {
        label: "bench/model".to_owned(),
        info: EmbedderInfo {
            model: "bench/model".to_owned(),
            dims: DIMS,
            tokens_max: 512,
            tokens_reserved: 0,
            batch_texts_max: 1,
            batch_tokens_max: 512,
            calls_max: 8,
            is_metered: true,
        },
        shape: ProviderApi::OpenAi,
        model: "model".to_owned(),
        dims_asked: None,
        input_types: None,
        passage_prefix: String::new(),
        query_prefix: String::new(),
        tokenizer: Arc::new(bundled::tokenizer().unwrap()),
        endpoint: HttpEndpoint::new(service, &endpoint, clock.clone()).unwrap(),
        call_max,
        headers: HeaderMap::new(),
        authorization: None,
        limiter: Arc::new(limiter),
        clock: clock.clone(),
    }));
    let sizes = EmbedderChunkSizes {
        chunker: ChunkerKind::Structure,
        tokens_max: 256,
        tokens_target: 256,
        tokens_reserved: 0,
    };
    let vectors = Arc::new(MemoryVectors::new(DIMS));
    let collection = Collection { record, sizes, embedder, vectors, lexical: None };
    let stages = Arc::new(StageResources {
        states: Arc::new(ledger.states()),
        ledger,
        broker: Arc::new(broker(prefix).await),
        catalog: Arc::new(SingleCollectionCatalog(Arc::new(OpenCollection::new(collection, true)))),
        clock,
        extractor: Arc::new(TextDocumentsOnly),
        limits: StageLimits {
            chunk_batch_documents_max: 64,
            embed_batch_documents_max: 64,
            embed_batch_texts_max: 64,
            embed_batch_tokens_max: 16_384,
            embed_claim_max: Duration::from_secs(30),
            commit_documents_max: 64,
            commit_wait_max: Duration::from_millis(250),
            batch_body_bytes_max: 32 << 20,
            chunks_per_document_max: 1000,
        },
        counters: IngestCounters::default(),
        meter: Arc::new(contexture::ports::meter::NoopIngestMeter),
        chunked_documents: ChunkedDocumentCache::new(0),
        single_flight: EmbeddingSingleFlight::default(),
        engines: contexture_core::ingest::EngineWatch::default(),
        events: None,
        replicas: false,
    });
    let stop = watch::Sender::new(false);
    tokio::join!(
        worker::run_worker(stages.clone(), IngestStage::Embed, stop.subscribe()),
        worker::run_worker(stages.clone(), IngestStage::Embed, stop.subscribe()),
    );
}

/// Chunked documents, with a message for the embed stage each.
async fn queue_all(ledger: &PostgresLedger, broker: &RabbitMqBroker) -> CollectionRecord {
    let (principal, collection) = (local_principal().unwrap(), CollectionId::new(COLLECTION).unwrap());
    let key = CollectionKey { tenant: TenantId::new("local").unwrap(), collection: collection.clone() };
    let record = ledger.ensure_collection(&key, "", Epoch::from_bytes([1; 32])).await.unwrap();
    let mut generator = DocumentGenerator::new(3);
    let texts: Vec<String> = (0..DOCUMENTS).map(|_| generator.document(256)).collect();
    let numbered = texts.iter().enumerate();
    let submissions =
        numbered.map(|(number, text)| submission(&principal, &collection, number, text.clone())).collect();
    let receipts = ledger.accept(submissions).await.unwrap();
    let tasks: Vec<_> = receipts.into_iter().map(|receipt| receipt.task.unwrap()).collect();
    let whole = |text: &String| ChunkSpan {
        span: TextSpan { start: 0, end: text.len() },
        heading: Vec::new(),
        embed_tokens: 128,
        open_fence: None,
    };
    let spans = tasks.iter().zip(&texts).map(|(task, text)| (task.key.clone(), vec![whole(text)]));
    ledger.store_spans(1, spans.collect()).await.unwrap();
    let messages =
        tasks.into_iter().map(|task| OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Embed, task)));
    broker.publish(messages.collect()).await.unwrap();
    record
}

async fn broker(prefix: &str) -> RabbitMqBroker {
    // As many as a batch has, so that no process holds what others could do.
    let url = AmqpUrl::parse(&amqp::url()).unwrap();
    let config = RabbitMqConfig { prefix: prefix.to_owned(), prefetch: 32, ..RabbitMqConfig::new(url) };
    RabbitMqBroker::connect(config).await.unwrap()
}

fn postgres_url() -> String {
    std::env::var("CONTEXTURE_TEST_POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

async fn ledger() -> PostgresLedger {
    let config = PostgresConfig {
        url: postgres_url(),
        schema: SCHEMA.to_owned(),
        connections_max: 8,
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_mins(1),
        cache_bytes_max: EMBEDDING_CACHE_BYTES_MAX,
    };
    PostgresLedger::connect(&config, Arc::new(SystemClock)).await.unwrap()
}

async fn drop_schema() {
    let mut connection = sqlx::PgConnection::connect(&postgres_url()).await.unwrap();
    let sql = "SET client_min_messages = 'error'; DROP SCHEMA IF EXISTS contexture_bench_providers CASCADE";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}
