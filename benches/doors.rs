//! The doors beside the same work without one: questions over HTTP and gRPC beside the call in process, and
//! documents in one NDJSON stream beside `contexture ingest`.
//!
//! `cargo bench --bench doors`. One run holds 115,000 chunks, asks with 16 callers at once through each door in
//! turn, several rounds, and compares medians; then with one caller, for the latency without queues. The
//! clients run in the same process and on the same cores as the server, so their work counts, too.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

#[path = "support/doors.rs"]
mod doors;
mod support;

use std::time::{Duration, Instant};

use contexture::config::ContextureConfig;
use doors::{AskingDoor, GrpcDoor, HttpDoor, InProcessDoor};
use support::{DocumentGenerator, median, percentile};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const CHUNKS: u64 = 115_000;
const DOCUMENT_BYTES: usize = 16 * 1024;
const BATCH_DOCUMENTS: usize = 500;
const ROUNDS: usize = 5;
const CALLERS: usize = 16;
const QUESTIONS_PER_CALLER: usize = 60;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--documents") {
        questions().await;
    }
    if !arguments.iter().any(|argument| argument == "--questions") {
        doors::compare_ingest().await;
    }
}

async fn questions() {
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
        "{} chunks of {sent} documents, budget {} tokens",
        stack.progress().borrow().chunks,
        doors::BUDGET
    );
    tokio::task::spawn_blocking(support::wait_until_idle).await.unwrap();

    let data_dir = directory.path().display().to_string();
    let config = ContextureConfig::load(None, [("CONTEXTURE_DATA_DIR".to_owned(), data_dir)]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = stack.serve(&config, listener, async move { stopped.await.unwrap_or(()) });
    let asking = async {
        let in_process = InProcessDoor(stack.operations(&config).unwrap().context, stack.principal.clone());
        let grpc = GrpcDoor::connect(address).await;
        let http = HttpDoor(address, None);
        for callers in [CALLERS, 1] {
            compare_doors(callers, &mut generator, &in_process, &grpc, &http).await;
        }
        stop.send(()).unwrap();
    };
    let (served, ()) = tokio::join!(serving, asking);
    served.unwrap();
    stack.shutdown().await;
}

/// One door's rounds: questions per second, and how long one took.
#[derive(Default)]
struct DoorFigures {
    per_second: Vec<f64>,
    times: Vec<Duration>,
}

async fn compare_doors(
    callers: usize,
    generator: &mut DocumentGenerator,
    in_process: &InProcessDoor,
    grpc: &GrpcDoor,
    http: &HttpDoor,
) {
    let questions: Vec<Vec<String>> = (0..callers)
        .map(|_| {
            let question = |_| (0..6).map(|_| generator.word()).collect::<Vec<_>>().join(" ");
            (0..QUESTIONS_PER_CALLER).map(question).collect()
        })
        .collect();
    let mut figures: [DoorFigures; 3] = Default::default();
    for round in 0..=ROUNDS {
        // In turn within every round, so that what else the machine does meets all of them.
        let outcomes =
            [ask(in_process, &questions).await, ask(grpc, &questions).await, ask(http, &questions).await];
        // The first round warms caches and connections.
        for (figures, (per_second, times)) in figures.iter_mut().zip(outcomes).filter(|_| round > 0) {
            figures.per_second.push(per_second);
            figures.times.extend(times);
        }
    }
    println!("\n{callers} callers at once       per second        p50        p99");
    for (name, figures) in ["in process", "gRPC", "HTTP"].iter().zip(&mut figures) {
        figures.times.sort();
        println!(
            "{name:<24} {:>10.1} {:>8.3} ms {:>8.3} ms",
            median(&mut figures.per_second.clone()),
            ms(percentile(&figures.times, 0.5)),
            ms(percentile(&figures.times, 0.99))
        );
    }
    let [in_process, grpc, http] = &figures;
    let ratios: Vec<f64> =
        http.per_second.iter().zip(&grpc.per_second).map(|(http, grpc)| http / grpc).collect();
    println!("HTTP / gRPC throughput, median of rounds: {:.3}", median(&mut ratios.clone()));
    let over = |door: &DoorFigures| ms(percentile(&door.times, 0.5)) - ms(percentile(&in_process.times, 0.5));
    println!("p50 over in process: gRPC {:.3} ms, HTTP {:.3} ms", over(grpc), over(http));
}

/// All callers ask their questions through a door; returns questions per second and the time of each.
async fn ask<D: AskingDoor>(door: &D, questions: &[Vec<String>]) -> (f64, Vec<Duration>) {
    let began = Instant::now();
    let callers = questions.iter().map(|own| {
        let (mut door, own) = (door.clone(), own.clone());
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(own.len());
            door.open().await;
            for question in own {
                let began = Instant::now();
                door.ask(question).await;
                times.push(began.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for caller in futures::future::join_all(callers).await {
        times.extend(caller.unwrap());
    }
    (times.len() as f64 / began.elapsed().as_secs_f64(), times)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
