//! A document's way through the ledger, on SQLite and on Postgres in turn, as a ratio.
//!
//! `cargo bench --bench ledger` takes 10,000 versions of 2 KiB from accept to visible in batches
//! of 256, one batch after the other and then four at a time, and prints the time of each step.
//! The server is at `CONTEXTURE_TEST_POSTGRES_URL`, else at postgres@127.0.0.1:5432.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contexture::adapters::postgres::{PostgresConfig, PostgresLedger};
use contexture::adapters::sqlite::{SqliteDatabase, SqliteLedger};
use contexture::domain::chunk::{ChunkSpan, TextSpan};
use contexture::domain::document::{DocumentDescription, Submission};
use contexture::domain::ids::{
    CollectionId, CollectionKey, DocumentId, Epoch, FieldHasher, TenantId, VersionKey, derive_embedding_key,
};
use contexture::domain::principal::{AccessScope, Principal};
use contexture::ports::clock::SystemClock;
use contexture::ports::ledger::{EMBEDDING_CACHE_BYTES_MAX, Ledger, VersionOutcome};
use futures::stream::{StreamExt, iter};
use sqlx::Connection;
use support::{DocumentGenerator, median};

const VERSIONS: usize = 10_000;
const BODY_BYTES: usize = 2048;
const BATCH: usize = 256;
const CHUNKS: usize = 3;
const DIMS: usize = 384;
const REPEATS: usize = 3;
const SCHEMA: &str = "contexture_bench_ledger";
const STEPS: [&str; 6] = ["accept", "published", "spans", "embedded", "visible", "all"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut generator = DocumentGenerator::new(1);
        let texts: Vec<String> = (0..VERSIONS).map(|_| generator.document(BODY_BYTES)).collect();
        for lanes in [1, 4] {
            compare(&texts, lanes).await;
        }
        drop_schema().await;
    });
}

async fn compare(texts: &[String], lanes: usize) {
    let (mut embedded, mut server) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let directory = tempfile::tempdir().unwrap();
        let database = SqliteDatabase::open(&directory.path().join("ledger.db")).unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::new(database, Arc::new(SystemClock)));
        embedded.push(journey(&ledger, texts, lanes).await);
        drop_schema().await;
        let config = config();
        let ledger: Arc<dyn Ledger> =
            Arc::new(PostgresLedger::connect(&config, Arc::new(SystemClock)).await.unwrap());
        server.push(journey(&ledger, texts, lanes).await);
    }
    println!(
        "{VERSIONS} versions of {BODY_BYTES} bytes, batches of {BATCH}, {lanes} at a time, median of {REPEATS}"
    );
    println!("  step        SQLite s   Postgres s   ratio");
    for (step, name) in STEPS.iter().enumerate() {
        let mut seconds =
            [&embedded, &server].map(|runs| runs.iter().map(|run| run[step]).collect::<Vec<f64>>());
        let [one, other] = seconds.each_mut().map(|runs| median(runs));
        println!("  {name:<10} {one:>9.3} {other:>12.3} {:>7.2}", other / one);
    }
}

/// Seconds of each step, and of all.
async fn journey(ledger: &Arc<dyn Ledger>, texts: &[String], lanes: usize) -> [f64; STEPS.len()] {
    let key = CollectionKey {
        tenant: TenantId::new("bench").unwrap(),
        collection: CollectionId::new("ledger").unwrap(),
    };
    let epoch = Epoch::from_bytes(FieldHasher::new("bench").finish());
    ledger.ensure_collection(&key, "", epoch).await.unwrap();
    let batches: Vec<LedgerBatch> = texts
        .chunks(BATCH)
        .enumerate()
        .map(|(number, texts)| LedgerBatch::new(&key, number * BATCH, texts))
        .collect();
    let begin = Instant::now();
    let mut seconds = [0.0; STEPS.len()];
    for (step, taken) in seconds.iter_mut().enumerate().take(STEPS.len() - 1) {
        let start = Instant::now();
        iter(&batches).for_each_concurrent(lanes, |batch| batch.step(ledger, step)).await;
        *taken = start.elapsed().as_secs_f64();
    }
    seconds[STEPS.len() - 1] = begin.elapsed().as_secs_f64();
    let counts = ledger.counts(&key).await.unwrap();
    assert_eq!((counts.accepted, counts.visible), (VERSIONS as u64, VERSIONS as u64));
    seconds
}

struct LedgerBatch {
    submissions: Vec<Submission>,
    keys: Vec<VersionKey>,
}

impl LedgerBatch {
    fn new(key: &CollectionKey, first: usize, texts: &[String]) -> Self {
        let scopes = BTreeSet::from([AccessScope::Write]);
        let caller = Principal::new(key.tenant.clone(), BTreeSet::new(), scopes).unwrap();
        let submissions: Vec<Submission> = (first..)
            .zip(texts)
            .map(|(number, text)| {
                let id = DocumentId::new(&format!("folder/document-{number}.md")).unwrap();
                let body = Bytes::copy_from_slice(text.as_bytes());
                let (home, description) = (key.collection.clone(), DocumentDescription::default());
                Submission::new(&caller, home, id, None, description, body, 1 << 20).unwrap()
            })
            .collect();
        let first = contexture::domain::ids::Version::FIRST;
        let keys = submissions.iter().map(|submission| submission.key(first)).collect();
        Self { submissions, keys }
    }

    async fn step(&self, ledger: &Arc<dyn Ledger>, step: usize) {
        let keys = &self.keys;
        match STEPS[step] {
            "accept" => drop(ledger.accept(self.submissions.clone()).await.unwrap()),
            "published" => ledger.mark_published(keys).await.unwrap(),
            "spans" => {
                assert!(ledger.bodies(keys).await.unwrap().iter().all(Option::is_some));
                let spans = |ordinal: usize| ChunkSpan {
                    span: TextSpan { start: ordinal * 600, end: (ordinal + 1) * 600 },
                    heading: vec!["A part of it".to_owned()],
                    embed_tokens: 200,
                    open_fence: None,
                };
                let all = keys.iter().map(|key| (key.clone(), (0..CHUNKS).map(spans).collect()));
                ledger.store_spans(1, all.collect()).await.unwrap();
            }
            "embedded" => {
                let spans = ledger.spans(1, keys).await.unwrap();
                assert!(ledger.bodies(keys).await.unwrap().iter().all(Option::is_some));
                let texts = keys.iter().zip(spans).flat_map(|(key, spans)| {
                    let count = spans.unwrap().len();
                    (0..count).map(move |ordinal| {
                        derive_embedding_key("bench", &format!("{} {ordinal}", key.document_id))
                    })
                });
                let texts: Vec<_> = texts.collect();
                assert!(ledger.cached_vectors(&texts).await.unwrap().iter().all(Option::is_none));
                let vectors = texts.into_iter().map(|key| (key, vec![0.25; DIMS])).collect();
                ledger.cache_vectors(vectors).await.unwrap();
                ledger.mark_embedded(keys).await.unwrap();
            }
            _ => {
                assert!(ledger.bodies(keys).await.unwrap().iter().all(Option::is_some));
                assert!(ledger.spans(1, keys).await.unwrap().iter().all(Option::is_some));
                ledger
                    .finish(keys.iter().map(|key| (key.clone(), VersionOutcome::Visible(1))).collect())
                    .await
                    .unwrap();
            }
        }
    }
}

fn url() -> String {
    std::env::var("CONTEXTURE_TEST_POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

fn config() -> PostgresConfig {
    PostgresConfig {
        url: url(),
        schema: SCHEMA.to_owned(),
        connections_max: 8,
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
        cache_bytes_max: EMBEDDING_CACHE_BYTES_MAX,
    }
}

async fn drop_schema() {
    let mut connection = sqlx::PgConnection::connect(&url()).await.unwrap();
    let sql = format!("SET client_min_messages = 'error'; DROP SCHEMA IF EXISTS {SCHEMA} CASCADE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}
