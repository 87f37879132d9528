//! The whole pipeline beside the engines alone: documents per second, and memory.
//!
//! `cargo bench --bench pipeline` ingests the same documents through submit, chunk, embed (null
//! embedder), index, and through the straight program of `support/straight.rs`, in turn, and
//! compares medians; once with small documents and once with the same text in large ones, since
//! part of the cost is by document and part by chunk. `-- --memory BYTES` ingests that much text once and
//! prints the peak resident memory; `-- --memory-engines BYTES` does the same with the engines alone.
//! `-- --ingest DOCUMENTS` ingests so many small documents three times, and nothing else: for profiles.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

#[path = "support/straight.rs"]
mod straight;
mod support;

use std::time::Instant;

use straight::StraightDocument;
use support::{DocumentGenerator, median};

/// Documents and their bytes.
const SHAPES: [(usize, usize); 4] = [(4000, 2048), (16_000, 2048), (125, 64 * 1024), (500, 64 * 1024)];
const REPEATS: usize = 3;
const LARGE_DOCUMENT_BYTES: usize = 64 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number_after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    if let Some(bytes) = number_after("--memory") {
        memory_of_the_pipeline(bytes);
    } else if let Some(bytes) = number_after("--memory-engines") {
        memory_of_the_engines(bytes);
    } else if let Some(count) = number_after("--ingest") {
        let mut generator = DocumentGenerator::new(1);
        let texts: Vec<String> = (0..count).map(|_| generator.document(SHAPES[0].1)).collect();
        for _ in 0..REPEATS {
            seconds(|directory| ingest(directory, texts.iter().cloned()));
        }
    } else {
        for (documents, bytes) in SHAPES {
            compare(documents, bytes);
        }
    }
}

fn compare(count: usize, bytes: usize) {
    let mut generator = DocumentGenerator::new(1);
    let texts: Vec<String> = (0..count).map(|_| generator.document(bytes)).collect();
    let documents: Vec<StraightDocument> =
        texts.iter().enumerate().map(|(number, text)| StraightDocument::cut(number, text)).collect();
    let chunks: usize = documents.iter().map(|document| document.chunks.len()).sum();
    let (mut ours, mut engines) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        engines.push(seconds(|directory| straight::run(directory, &documents)));
        ours.push(seconds(|directory| ingest(directory, texts.iter().cloned())));
    }
    let (ours, engines) = (median(&mut ours), median(&mut engines));
    println!("{count} documents of {bytes} bytes, {chunks} chunks, null embedder, median of {REPEATS}");
    println!("                 seconds   documents/s");
    println!("engines alone    {engines:7.2}   {:11.0}", count as f64 / engines);
    println!("the pipeline     {ours:7.2}   {:11.0}", count as f64 / ours);
    println!("share of the engines' speed: {:.2}", engines / ours);
}

fn memory_of_the_pipeline(bytes: usize) {
    let mut generator = DocumentGenerator::new(1);
    let began = Instant::now();
    seconds(|directory| {
        let texts = (0..bytes / LARGE_DOCUMENT_BYTES).map(|_| generator.document(LARGE_DOCUMENT_BYTES));
        ingest(directory, texts);
    });
    report("the pipeline", bytes, began.elapsed().as_secs_f64());
}

fn memory_of_the_engines(bytes: usize) {
    let mut generator = DocumentGenerator::new(1);
    let began = Instant::now();
    seconds(|directory| {
        let documents = (0..bytes / LARGE_DOCUMENT_BYTES)
            .map(|number| StraightDocument::cut(number, &generator.document(LARGE_DOCUMENT_BYTES)));
        straight::run_each(directory, documents);
    });
    report("the engines alone", bytes, began.elapsed().as_secs_f64());
}

fn report(what: &str, bytes: usize, seconds: f64) {
    let peak = support::peak_resident_bytes() as f64 / f64::from(1 << 20);
    let megabytes = bytes as f64 / f64::from(1 << 20);
    println!("{what}: {megabytes:.0} MiB of text in {seconds:.0} s, peak resident memory {peak:.0} MiB");
}

fn ingest(directory: &std::path::Path, texts: impl Iterator<Item = String>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let began = Instant::now();
        let (stack, collection) = support::open(directory).await;
        let opened = began.elapsed().as_secs_f64();
        support::ingest(&stack, &collection, texts).await;
        let settled = began.elapsed().as_secs_f64();
        stack.shutdown().await;
        let closed = began.elapsed().as_secs_f64();
        println!(
            "  opening {opened:.2} s, submit to visible {:.2} s, closing {:.2} s",
            settled - opened,
            closed - settled
        );
    });
}

fn seconds(work: impl FnOnce(&std::path::Path)) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let began = Instant::now();
    work(directory.path());
    began.elapsed().as_secs_f64()
}
