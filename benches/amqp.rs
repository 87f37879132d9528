//! Submission through RabbitMQ: from the first publish to the last document visible.
//!
//! `cargo bench --bench amqp` takes 2 KiB documents through the broker, through the embedded
//! stack, and through the bare engines, in turn, and compares medians. The bare engines are what
//! can be had at best: the same documents and the same stage messages through four quorum queues,
//! published with confirms and consumed with acknowledgements, while at the same time, waiting for
//! nothing of it, the straight program of `support/straight.rs` upserts and commits the chunks.
//!
//! `-- --queued MESSAGES` compares the memory and the speed of a process that works on a short
//! queue and one with so many messages of 1 KiB in front of it. `-- --embed-workers` compares two
//! embed workers with one, on an embedder that takes 50 ms a call.
//!
//! Needs a RabbitMQ: on its standard port here, or named by `CONTEXTURE_TEST_AMQP_URL`.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]
#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

#[path = "support/amqp.rs"]
mod amqp;
#[path = "../tests/support/one.rs"]
mod one;
#[path = "support/slow.rs"]
mod slow;
#[path = "support/straight.rs"]
mod straight;
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contexture::config::ContextureConfig;
use contexture::domain::ids::CollectionId;
use contexture::domain::pipeline::Pipeline;
use contexture::wiring::{ProcessRole, ServiceStack};
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use amqp::ConfirmingClient;
use support::{COLLECTION, DocumentGenerator, NULL_PIPELINE, median};

const DOCUMENTS: usize = 4000;
const DOCUMENT_BYTES: usize = 2048;
const REPEATS: usize = 3;
/// Bytes of a stage message: what the tasks of these documents have.
const TASK_BYTES: usize = 420;
/// Queues a document goes through.
const QUEUES: usize = 4;
/// What the bare engines' consumers hold at once.
const PREFETCH: u16 = 512;
/// Documents over which memory and speed are compared, whatever waits behind them.
const WINDOW: usize = 20_000;
/// The short queue.
const SHORT: usize = 1000;
const MESSAGE_BYTES: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number_after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let Some(documents) = number_after("--drain") {
        runtime.block_on(drain(documents));
    } else if let Some(messages) = number_after("--queued") {
        runtime.block_on(queued(messages));
    } else if arguments.iter().any(|argument| argument == "--embed-workers") {
        runtime.block_on(slow::compare());
    } else {
        runtime.block_on(compare());
    }
}

async fn compare() {
    let mut generator = DocumentGenerator::new(1);
    let texts: Vec<String> = (0..DOCUMENTS).map(|_| generator.document(DOCUMENT_BYTES)).collect();
    let documents: Arc<Vec<straight::StraightDocument>> = Arc::new(
        texts
            .iter()
            .enumerate()
            .map(|(number, text)| straight::StraightDocument::cut(number, text))
            .collect(),
    );
    let (mut through, mut embedded, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        bare.push(bare_engines(&texts, documents.clone()).await);
        embedded.push(embedded_stack(&texts).await);
        through.push(through_the_broker(&texts).await);
    }
    let [through, embedded, bare] = [&mut through, &mut embedded, &mut bare].map(|figures| median(figures));
    println!("{DOCUMENTS} documents of {DOCUMENT_BYTES} bytes, null embedder, median of {REPEATS}");
    println!("                      seconds   documents/s");
    for (what, seconds) in
        [("bare engines", bare), ("embedded stack", embedded), ("through RabbitMQ", through)]
    {
        println!("{what:20}  {seconds:7.2}   {:11.0}", DOCUMENTS as f64 / seconds);
    }
    println!("share of the bare engines' speed: {:.2}", bare / through);
    println!("share of the embedded stack's speed: {:.2}", embedded / through);
}

async fn embedded_stack(texts: &[String]) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let (stack, collection) = support::open(directory.path()).await;
    let began = Instant::now();
    support::ingest(&stack, &collection, texts.iter().cloned()).await;
    let took = began.elapsed().as_secs_f64();
    stack.shutdown().await;
    took
}

async fn through_the_broker(texts: &[String]) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let prefix = amqp::prefix("through");
    let stack = open(directory.path(), &prefix).await;
    let client = ConfirmingClient::connect().await;
    let mut progress = stack.progress();
    let messages: Vec<Vec<u8>> =
        texts.iter().enumerate().map(|(number, text)| message(number, text)).collect();
    let began = Instant::now();
    client.publish(&format!("{prefix}.submit"), &format!("local.{COLLECTION}"), messages).await;
    progress.wait_for(|progress| progress.settled >= DOCUMENTS as u64).await.unwrap();
    let took = began.elapsed().as_secs_f64();
    stack.shutdown().await;
    client.delete_all(&prefix).await;
    took
}

fn message(number: usize, text: &str) -> Vec<u8> {
    json!({"document_id": format!("document-{number}.md"), "media_type": "text/markdown", "text": text})
        .to_string()
        .into_bytes()
}

/// A process with every role, whose collection is there before its intake starts.
async fn open(directory: &Path, prefix: &str) -> ServiceStack {
    let config = ContextureConfig::load(None, variables(directory, prefix)).unwrap();
    let before = ServiceStack::open(&config, ProcessRole::Change).await.unwrap();
    let pipeline = Pipeline::from_toml(NULL_PIPELINE).unwrap();
    before.ensure_collection(&CollectionId::new(COLLECTION).unwrap(), Some(&pipeline)).await.unwrap();
    before.shutdown().await;
    ServiceStack::open(&config, ProcessRole::Serve { workers: true }).await.unwrap()
}

fn variables(directory: &Path, prefix: &str) -> [(String, String); 3] {
    [
        ("CONTEXTURE_DATA_DIR".to_owned(), directory.display().to_string()),
        ("CONTEXTURE__BROKER__URL".to_owned(), amqp::url()),
        ("CONTEXTURE__BROKER__PREFIX".to_owned(), prefix.to_owned()),
    ]
}

/// The same messages through as many queues, and the same chunks into the engines, side by side.
async fn bare_engines(texts: &[String], documents: Arc<Vec<straight::StraightDocument>>) -> f64 {
    let prefix = amqp::prefix("bare");
    let client = ConfirmingClient::connect().await;
    let queues: Vec<String> = (0..QUEUES).map(|number| format!("{prefix}.{number}")).collect();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    for queue in &queues {
        let durable = QueueDeclareOptions::durable();
        client.channel.queue_declare(queue.as_str().into(), durable, arguments.clone()).await.unwrap();
    }
    let messages: Vec<Vec<u8>> =
        texts.iter().enumerate().map(|(number, text)| message(number, text)).collect();
    let began = Instant::now();
    let engines = tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir().unwrap();
        straight::run(directory.path(), &documents);
    });
    let hops: Vec<_> = (0..QUEUES)
        .map(|number| tokio::spawn(hop(queues[number].clone(), queues.get(number + 1).cloned())))
        .collect();
    client.publish("", &queues[0], messages).await;
    for hop in hops {
        hop.await.unwrap();
    }
    engines.await.unwrap();
    let took = began.elapsed().as_secs_f64();
    for queue in &queues {
        client.delete_queue(queue).await;
    }
    took
}

/// Consumes a queue and publishes a stage message to the next one for each.
async fn hop(from: String, to: Option<String>) {
    let client = ConfirmingClient::connect().await;
    client.channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
    let consuming = client.channel.basic_consume(
        from.as_str().into(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut deliveries = consuming.await.unwrap().ready_chunks(PREFETCH.into());
    let mut seen = 0;
    while seen < DOCUMENTS {
        let batch = deliveries.next().await.unwrap();
        seen += batch.len();
        if let Some(to) = &to {
            client.publish("", to, vec![vec![b'x'; TASK_BYTES]; batch.len()]).await;
        }
        let last = batch.last().unwrap().as_ref().unwrap();
        last.ack(BasicAckOptions { multiple: true }).await.unwrap();
    }
}

/// Compares a process that has little before it with one that has `messages`.
async fn queued(messages: usize) {
    assert!(messages > WINDOW, "more than the {WINDOW} documents that are compared");
    let short = worked_on(SHORT, WINDOW).await;
    let long = worked_on(messages, messages).await;
    println!("{WINDOW} documents of {MESSAGE_BYTES} bytes through every stage, one process");
    println!("queued        documents/s   peak MiB");
    for (queued, drained) in [(SHORT, &short), (messages, &long)] {
        println!("{queued:9}     {:11.0}   {:8.0}", WINDOW as f64 / drained.seconds, drained.peak_mib);
    }
    println!("memory, long to short queue: {:.2}", long.peak_mib / short.peak_mib);
    println!("speed, long to short queue: {:.2}", short.seconds / long.seconds);
}

struct DrainMeasurement {
    seconds: f64,
    peak_mib: f64,
}

/// A process of its own on a queue that is kept at `queued` messages until `total` were published.
async fn worked_on(queued: usize, total: usize) -> DrainMeasurement {
    const TOP_UP: usize = 100;
    let directory = tempfile::tempdir().unwrap();
    let prefix = amqp::prefix(&format!("queued-{queued}"));
    open(directory.path(), &prefix).await.shutdown().await;
    let client = ConfirmingClient::connect().await;
    let (exchange, key) = (format!("{prefix}.submit"), format!("local.{COLLECTION}"));
    let mut generator = DocumentGenerator::new(7);
    let mut next = 0;
    let mut some = |count: usize| -> Vec<Vec<u8>> {
        let first = next;
        next += count;
        (first..next).map(|number| message(number, &generator.document(MESSAGE_BYTES))).collect()
    };
    let mut published = 0;
    while published < queued {
        let count = (queued - published).min(10_000);
        client.publish(&exchange, &key, some(count)).await;
        published += count;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--drain", &WINDOW.to_string()]).envs(variables(directory.path(), &prefix));
    let child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let printed = loop {
        if let Ok(done) = tokio::time::timeout(Duration::from_millis(5), &mut output).await {
            break done.unwrap();
        }
        let room = queued.saturating_sub(client.ready(&exchange).await as usize).min(total - published);
        if room >= TOP_UP {
            client.publish(&exchange, &key, some(room)).await;
            published += room;
        }
    };
    assert!(printed.status.success(), "the process that works on the queue failed");
    let text = String::from_utf8(printed.stdout).unwrap();
    let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    client.delete_all(&prefix).await;
    DrainMeasurement { seconds: figures[0], peak_mib: figures[1] }
}

/// The process that works: every role until so many documents are done, then seconds and MiB.
async fn drain(documents: usize) {
    let config = ContextureConfig::load(None, std::env::vars()).unwrap();
    let stack = ServiceStack::open(&config, ProcessRole::Serve { workers: true }).await.unwrap();
    let began = Instant::now();
    stack.progress().wait_for(|progress| progress.settled >= documents as u64).await.unwrap();
    let peak_mib = support::peak_resident_bytes() as f64 / f64::from(1 << 20);
    println!("{} {peak_mib}", began.elapsed().as_secs_f64());
    std::process::exit(0);
}
