//! How long a live document takes from its submission until it is visible, while a re-index runs at
//! full speed and while it is paused, in turns.
//!
//! `cargo bench --bench backfill [-- --config FILE]`: the embedded stack, or the one of a
//! configuration, all stages and the builder in this process. Documents come at a steady pace, whatever
//! became of the ones before (an open loop), so what waits is counted as waiting.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use contexture::config::Config;
use contexture::domain::ids::{CollectionId, CollectionKey, VersionKey};
use contexture::domain::pipeline::{DEFAULT_TOML, Pipeline};
use contexture::ports::generations::{BuildPace, GenerationState};
use contexture::wiring::{Roles, Stack};
use support::{Generator, percentile, submission};

const DOCUMENTS: usize = 20_000;
const DOCUMENT_BYTES: usize = 2048;
const OTHER: &str = "[embedder]\nkind = \"bundled\"\n[chunker]\ntokens_max = 96\ntokens_target = 80\n";
const ROUNDS: usize = 10;
const SUBMISSIONS: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);
/// How long a builder may take to notice that it is to stop or to go on.
const SETTLE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let variables = [("CONTEXTURE_DATA_DIR".to_owned(), directory.path().display().to_string())];
    let mut arguments = std::env::args().skip_while(|argument| argument != "--config").skip(1);
    let file = arguments.next();
    let config = Config::load(file.as_deref().map(Path::new), variables).unwrap();
    let stack = Stack::open(&config, Roles::Serve { workers: true }).await.unwrap();
    let name = format!("backfill-{}", std::process::id());
    let collection = CollectionId::new(&name).unwrap();
    let pipeline = Pipeline::from_toml(DEFAULT_TOML).unwrap();
    stack.ensure_collection(&collection, Some(&pipeline)).await.unwrap();
    let mut generator = Generator::new(5);
    let documents: Vec<String> = (0..DOCUMENTS).map(|_| generator.document(DOCUMENT_BYTES)).collect();
    support::ingest(&stack, &collection, documents.into_iter()).await;
    let key = CollectionKey { tenant: stack.principal.tenant().clone(), collection: collection.clone() };
    println!("{DOCUMENTS} documents of {DOCUMENT_BYTES} bytes; one submission each {PAUSE:?}");

    let reindexing = stack.reindexing();
    stack.begin_reindex(&key, &Pipeline::from_toml(OTHER).unwrap(), BuildPace::default()).await.unwrap();
    let mut live = Live { stack: &stack, collection, key: key.clone(), generator, sent: DOCUMENTS };
    let (mut without, mut during) = (Vec::new(), Vec::new());
    let mut built = 0;
    for round in 0..ROUNDS {
        reindexing.pause(&key).await.unwrap();
        tokio::time::sleep(SETTLE).await;
        without.extend(live.round().await);
        reindexing.resume(&key, None).await.unwrap();
        tokio::time::sleep(SETTLE).await;
        let (before, began) = (prepared(&stack, &key).await, Instant::now());
        let times = live.round().await;
        let (after, took) = (prepared(&stack, &key).await, began.elapsed());
        if reindexing.building(&key).await.unwrap().log.after < SUBMISSIONS as u64 {
            println!("round {round}: the backfill ended; its documents do not count");
            break;
        }
        built += after - before;
        println!("round {round}: {} documents are built in {:.1} s", after - before, took.as_secs_f64());
        during.extend(times);
    }
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
async fn prepared(stack: &Stack, key: &CollectionKey) -> u64 {
    let records = stack.ledger.generations(Some(key)).await.unwrap();
    records.iter().find(|record| record.state == GenerationState::Building).unwrap().prepared
}

/// Live documents.
struct Live<'a> {
    stack: &'a Stack,
    collection: CollectionId,
    key: CollectionKey,
    generator: Generator,
    sent: usize,
}

impl Live<'_> {
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
                        if history[0].state == contexture::ports::ledger::State::Visible {
                            times.push(now - open.remove(&key).unwrap());
                        }
                    }
                }
            }
        }
        times
    }
}
