//! `assemble` with 100,000 chunks indexed, null embedder, budget 2,000: p50 and p99 by step.
//!
//! `cargo bench --bench query`. Rendering is part of assembling (the text is counted before it
//! is answered); it is timed once more alone.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]

mod support;

use std::time::{Duration, Instant};

use contexture::context::render::render_passages;
use contexture::context::request::{AssemblyRequest, ContextFormat, ContextQuery, RawContextQuery};
use support::{COLLECTION, DocumentGenerator, percentile};

const CHUNKS: u64 = 100_000;
const QUERIES: usize = 1000;
const BUDGET_TOKENS: i64 = 2000;
const DOCUMENT_BYTES: usize = 16 * 1024;
const BATCH_DOCUMENTS: usize = 500;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let (stack, collection) = support::open(directory.path()).await;
    let mut generator = DocumentGenerator::new(2);
    let mut sent = 0;
    while stack.progress().borrow().chunks < CHUNKS {
        let first = sent;
        let mut progress = stack.progress();
        let batch = (0..BATCH_DOCUMENTS)
            .map(|offset| {
                let text = generator.document(DOCUMENT_BYTES);
                support::submission(&stack.principal, &collection, first + offset, text)
            })
            .collect();
        stack.submitter.submit(batch).await.unwrap();
        sent += BATCH_DOCUMENTS;
        progress.wait_for(|progress| progress.settled >= sent as u64).await.unwrap();
    }
    println!(
        "{} chunks of {sent} documents, budget {BUDGET_TOKENS} tokens",
        stack.progress().borrow().chunks
    );
    tokio::task::spawn_blocking(support::wait_until_idle).await.unwrap();
    let mut steps: [Vec<Duration>; 5] = Default::default();
    for query in 0..QUERIES + 20 {
        let question: Vec<String> = (0..6).map(|_| generator.word()).collect();
        let raw = RawContextQuery {
            collection: COLLECTION.to_owned(),
            question: question.join(" "),
            budget: Some(BUDGET_TOKENS),
            ..RawContextQuery::default()
        };
        let checked = ContextQuery::new(stack.principal.clone(), &raw).unwrap();
        let began = Instant::now();
        let answer = stack.engine.assemble(checked, AssemblyRequest::new(&raw).unwrap()).await.unwrap();
        let whole = began.elapsed();
        let began = Instant::now();
        std::hint::black_box(render_passages(&answer.passages, ContextFormat::Markdown));
        let rendering = began.elapsed();
        if query >= 20 {
            let timings = answer.timings;
            for (step, time) in
                steps.iter_mut().zip([timings.retrieve, timings.fuse, timings.assemble, rendering, whole])
            {
                step.push(time);
            }
        }
    }
    println!("{QUERIES} queries             p50        p99");
    for (name, step) in
        ["retrieve", "fuse", "assemble + render", "  of it render", "whole call"].iter().zip(&mut steps)
    {
        step.sort();
        println!("{name:<20} {:>8.3} ms {:>8.3} ms", ms(percentile(step, 0.5)), ms(percentile(step, 0.99)));
    }
    stack.shutdown().await;
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
