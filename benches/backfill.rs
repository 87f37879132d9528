//! How long a live document takes from its submission until it is visible: before a re-index and
//! while it runs at full speed. (After it the vector index is built, on all cores.)
//!
//! `cargo bench --bench backfill [-- [--bundled] [--config FILE]]`: the embedded stack, or the one of a
//! configuration, all stages and the builder in this process; the null embedder, or the bundled model,
//! which both want all cores for. Documents come at a steady pace, whatever became of the ones before
//! (an open loop), so what waits is counted as waiting.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use contexture::config::ContextureConfig;
use contexture::domain::ids::{CollectionId, CollectionKey, VersionKey};
use contexture::domain::pipeline::Pipeline;
use contexture::ports::generations::{GenerationBuildPace, GenerationState};
use contexture::wiring::{ProcessRole, ServiceStack};
use support::{DocumentGenerator, NULL_PIPELINE, percentile, submission};

/// Documents under the null embedder, and under the bundled model, which is slower.
const DOCUMENTS: [usize; 2] = [10_000, 1_200];
const DOCUMENT_BYTES: usize = 2048;
const SMALLER: &str = "[chunker]\ntokens_max = 96\ntokens_target = 80\n";
/// Rounds before.
const ROUNDS: usize = 10;
const SUBMISSIONS: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let variables = [("CONTEXTURE_DATA_DIR".to_owned(), directory.path().display().to_string())];
    let mut arguments = std::env::args().skip_while(|argument| argument != "--config").skip(1);
    let file = arguments.next();
    let config = ContextureConfig::load(file.as_deref().map(Path::new), variables).unwrap();
    let stack = ServiceStack::open(&config, ProcessRole::Serve { workers: true }).await.unwrap();
    let name = format!("backfill-{}", std::process::id());
    let collection = CollectionId::new(&name).unwrap();
    let is_bundled = std::env::args().any(|argument| argument == "--bundled");
    let model = if is_bundled { "[embedder]\nkind = \"bundled\"\n" } else { NULL_PIPELINE };
    let documents_max = DOCUMENTS[usize::from(is_bundled)];
    let pipeline = Pipeline::from_toml(model).unwrap();
    stack.ensure_collection(&collection, Some(&pipeline)).await.unwrap();
    let mut generator = DocumentGenerator::new(5);
    let documents: Vec<String> = (0..documents_max).map(|_| generator.document(DOCUMENT_BYTES)).collect();
    support::ingest(&stack, &collection, documents.into_iter()).await;
    let key = CollectionKey { tenant: stack.principal.tenant().clone(), collection: collection.clone() };
    println!("{documents_max} documents of {DOCUMENT_BYTES} bytes; one submission each {PAUSE:?}");

    let reindexing = stack.reindexing();
    let mut live = LiveTrafficMeasurement {
        stack: &stack,
        collection,
        key: key.clone(),
        generator,
        sent: documents_max,
    };
    let (mut without, mut during) = (Vec::new(), Vec::new());
    tokio::task::spawn_blocking(support::wait_until_idle).await.unwrap();
    for _ in 0..ROUNDS {
        without.extend(live.round().await);
    }
    let other = Pipeline::from_toml(&format!("{model}{SMALLER}")).unwrap();
    stack.begin_reindex(&key, &other, GenerationBuildPace::default()).await.unwrap();
    let began = Instant::now();
    let mut built = 0;
    loop {
        let times = live.round().await;
        if reindexing.building(&key).await.unwrap().log.after < SUBMISSIONS as u64 {
            break;
        }
        during.extend(times);
        built = prepared(&stack, &key).await;
    }
    println!(
        "{built} documents were built in {:.1} s beside {} live ones",
        began.elapsed().as_secs_f64(),
        during.len()
    );
    assert!(built > 0, "nothing was built beside live documents");
    println!("submit to visible    {:>10} {:>10} {:>10} {:>10}", "p50", "p95", "p99", "of");
    without.sort();
    during.sort();
    for (name, times) in [("without backfill", &without), ("during backfill", &during)] {
        print!("{name:<20}");
        for share in [0.5, 0.95, 0.99] {
            print!(" {:>7.1} ms", percentile(times, share).as_secs_f64() * 1000.0);
        }
        println!(" {:>10}", times.len());
    }
    let ratio = |share| percentile(&during, share).as_secs_f64() / percentile(&without, share).as_secs_f64();
    println!("ratio                {:>10.2} {:>10.2} {:>10.2}", ratio(0.5), ratio(0.95), ratio(0.99));
    reindexing.cancel(&key).await.unwrap();
    stack.shutdown().await;
}

/// Documents that the builder made, of the generation that is being built.
async fn prepared(stack: &ServiceStack, key: &CollectionKey) -> u64 {
    let records = stack.ledger.generations(Some(key)).await.unwrap();
    records.iter().find(|record| record.state == GenerationState::Building).unwrap().prepared
}

/// Live documents.
struct LiveTrafficMeasurement<'a> {
    stack: &'a ServiceStack,
    collection: CollectionId,
    key: CollectionKey,
    generator: DocumentGenerator,
    sent: usize,
}

impl LiveTrafficMeasurement<'_> {
    /// Submits a round of new documents, one each [`PAUSE`]; how long each took to be visible.
    async fn round(&mut self) -> Vec<Duration> {
        let mut progress = self.stack.progress();
        let mut ticks = tokio::time::interval(PAUSE);
        let mut open: HashMap<VersionKey, Instant> = HashMap::new();
        let mut times = Vec::new();
        let mut left = SUBMISSIONS;
        while left > 0 || !open.is_empty() {
            tokio::select! {
                tick = ticks.tick(), if left > 0 => {
                    left -= 1;
                    let text = self.generator.document(DOCUMENT_BYTES);
                    let one = submission(&self.stack.principal, &self.collection, self.sent, text);
                    self.sent += 1;
                    let receipts = self.stack.submitter.submit(vec![one]).await.unwrap();
                    open.insert(receipts[0].task.as_ref().unwrap().key.clone(), tick.into_std());
                }
                changed = progress.changed() => {
                    changed.unwrap();
                    let now = Instant::now();
                    let keys: Vec<VersionKey> = open.keys().cloned().collect();
                    for key in keys {
                        let history = self.stack.ledger.history(&self.key, &key.document_id).await.unwrap();
                        if history[0].state == contexture::ports::ledger::VersionState::Visible {
                            times.push(now - open.remove(&key).unwrap());
                        }
                    }
                }
            }
        }
        times
    }
}
