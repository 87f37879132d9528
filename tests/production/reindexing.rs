//! A re-index to another model and chunk size while users ask and producers write, and every
//! process is killed in turn: no question fails, no answer mixes generations, nothing is lost.
//!
//! `CONTEXTURE_REINDEX=DOCUMENTS,QUESTIONS_PER_SECOND,UPDATES_PER_SECOND[,DOCUMENTS_BUILT_PER_SECOND]`
//! sets the size; without the last the build goes as fast as it can.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use contexture::server::grpc::proto::admin_service_client::AdminServiceClient;
use contexture::server::grpc::proto::{
    ActivateReindexRequest, AuditReport, BuildPace, CollectionRequest, StartReindexRequest,
};
use tokio::time::Instant;

use super::embedded_stack::EmbeddedStackProcess;
use super::oracle::{self, ExpectedState, GenerationUnderTest};
use super::producer::{ProducedMessage, StormProducer};
use super::traffic::{AskedQuestions, ChunkCutter, ExpectedTexts, StormTraffic};
use super::world::{COLLECTION, PIPELINE, StormWorld, WorkerProcess, run};
use super::{LOOK, ProcessPart, StormSchedule, quiet};

const OTHER: &str = "[embedder]\nkind = \"hash\"\ndims = 32\ntokens_max = 128\n[chunker]\ntokens_max = 64\ntokens_target = 64\n";
const FIRST: ChunkCutter = ChunkCutter { tokens_max: 128 };
const SECOND: ChunkCutter = ChunkCutter { tokens_max: 64 };
const BATCH_PAUSE: Duration = Duration::from_millis(500);
pub(super) const DONE_MAX: Duration = Duration::from_mins(5);

struct CollectionSizes {
    documents: usize,
    questions: u32,
    updates: usize,
    built_per_second: Option<u32>,
}

impl CollectionSizes {
    /// How long a build may take.
    fn done_max(&self) -> Duration {
        DONE_MAX + Duration::from_millis(50) * u32::try_from(self.documents).unwrap()
    }
}

fn sizes() -> CollectionSizes {
    let given = std::env::var("CONTEXTURE_REINDEX").unwrap_or_else(|_| "300,20,10".to_owned());
    let numbers: Vec<usize> = given.split(',').map(|number| number.parse().unwrap()).collect();
    CollectionSizes {
        documents: numbers[0],
        questions: u32::try_from(numbers[1]).unwrap(),
        updates: numbers[2],
        built_per_second: numbers.get(3).map(|number| u32::try_from(*number).unwrap()),
    }
}

/// Documents that are written again and again.
struct DocumentLibrary {
    truth: ExpectedState,
    texts: ExpectedTexts,
    random: StormSchedule,
    updated: usize,
}

impl DocumentLibrary {
    fn new(seed: u64) -> Self {
        Self {
            truth: ExpectedState::new(),
            texts: ExpectedTexts::default(),
            random: StormSchedule(seed),
            updated: 0,
        }
    }

    fn knows(&mut self, id: &str, text: &str) {
        self.texts.note(id, 1, text);
        self.truth.insert(id.to_owned(), (1, Some(text.to_owned())));
    }

    /// The next version of a document: longer than a chunk of either pipeline.
    fn next(&mut self, number: usize) -> ProducedMessage {
        const WORDS: [&str; 8] =
            ["queue", "worker", "index", "commit", "snapshot", "retry", "budget", "ledger"];
        let id = format!("note-{number:05}.md");
        let version = self.truth.get(&id).map_or(1, |(version, _)| version + 1);
        let mut text = format!("# Note {number}\n\n");
        for paragraph in 0..4 {
            let words: Vec<&str> = (0..40).map(|_| WORDS[self.random.below(WORDS.len())]).collect();
            let words = words.join(" ");
            let _ = write!(text, "Version {version} of case{number}, part {paragraph}: {words}.\n\n");
        }
        self.texts.note(&id, version, &text);
        self.truth.insert(id.clone(), (version, Some(text.clone())));
        ProducedMessage { id, version, text: Some(text) }
    }

    /// What is due of updates at the storm's rate, at least one.
    fn due(&mut self, sizes: &CollectionSizes, since: Instant) -> Vec<ProducedMessage> {
        let due = since.elapsed().as_millis() * sizes.updates as u128 / 1000;
        let count = usize::try_from(due).unwrap().saturating_sub(self.updated).clamp(1, 1000);
        self.updated += count;
        (0..count)
            .map(|_| {
                let number = self.random.below(sizes.documents);
                self.next(number)
            })
            .collect()
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn report(name: &str, sizes: &CollectionSizes, updates: usize, asked: &AskedQuestions, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!("{name}: {} documents, {updates} updates, {seconds:.0} s: {asked:?}", sizes.documents);
    assert!(asked.by_first > 0 && asked.by_second > 0, "both served: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_reindex_under_traffic_and_kills() {
    let sizes = sizes();
    let world = StormWorld::new("reindex").await;
    std::fs::write(world.path("other.toml"), OTHER).unwrap();
    let parts: [ProcessPart; 4] = [
        ("front", &["submit", "chunk", "embed"]),
        ("embed", &["chunk", "embed"]),
        ("index-1", &["index"]),
        ("index-2", &["index"]),
    ];
    let mut workers: Vec<WorkerProcess> =
        parts.iter().map(|(data, stages)| world.worker(data, stages)).collect();
    let addresses = [free_address(), free_address()];
    let serve = |which: usize| world.server(&format!("server-{which}"), addresses[which]);
    let mut servers: Vec<WorkerProcess> = (0..2).map(serve).collect();
    let producer = StormProducer::new(&world);
    let mut library = DocumentLibrary::new(u64::from(std::process::id()));
    library.knows("seed.md", "# Seed\n\nThe first document of all.\n");
    let all: Vec<ProducedMessage> = (0..sizes.documents).map(|number| library.next(number)).collect();
    for batch in all.chunks(1000) {
        producer.publish(&world, batch).await;
    }
    quiet(&world, &producer, &library.truth).await;

    let began = Instant::now();
    let traffic = StormTraffic::start(
        &addresses,
        sizes.questions,
        sizes.documents,
        library.texts.clone(),
        [FIRST, SECOND],
    );
    let reindex = |arguments: &[&str]| {
        let mut command = world.command("client");
        command.args(["--json", "reindex", arguments[0], "--collection", COLLECTION]).args(&arguments[1..]);
        command
    };
    let other = world.path("other.toml").display().to_string();
    let mut start = reindex(&["start", "--pipeline", &other, "--no-wait"]);
    if let Some(rate) = sizes.built_per_second {
        start.arg("--documents-per-second").arg(rate.to_string());
    }
    run(start).await;
    let victims = parts.len() + servers.len();
    let mut round = 0;
    loop {
        let batch = library.due(&sizes, began);
        producer.publish(&world, &batch).await;
        if round < victims {
            // Everyone in turn, in the middle of it.
            if round < parts.len() {
                workers[round].kill();
                workers[round] = world.worker(parts[round].0, parts[round].1);
            } else {
                servers[round - parts.len()].kill();
                servers[round - parts.len()] = serve(round - parts.len());
            }
        }
        round += 1;
        tokio::time::sleep(BATCH_PAUSE).await;
        traffic.so_far();
        assert!(began.elapsed() < sizes.done_max(), "it does not end: {}", world.complaints());
        let status: serde_json::Value = serde_json::from_str(&run(reindex(&["status"])).await).unwrap();
        let left = status["generations"][1]["remaining"].as_u64().unwrap();
        if round >= victims && left <= sizes.documents as u64 / 100 {
            break;
        }
    }
    let built = began.elapsed();
    run(reindex(&["activate"])).await;
    while traffic.so_far().1 == 0 {
        let batch = library.due(&sizes, began);
        producer.publish(&world, &batch).await;
        tokio::time::sleep(BATCH_PAUSE).await;
        assert!(began.elapsed() < sizes.done_max(), "it does not serve: {}", world.complaints());
    }
    // And after it: writes, and kills of whoever indexes and answers.
    for which in 0..2 {
        let batch = library.due(&sizes, began);
        producer.publish(&world, &batch).await;
        workers[2 + which].kill();
        workers[2 + which] = world.worker(parts[2 + which].0, parts[2 + which].1);
        servers[which].kill();
        servers[which] = serve(which);
        tokio::time::sleep(BATCH_PAUSE).await;
    }
    quiet(&world, &producer, &library.truth).await;
    let asked = traffic.end().await;
    println!("built in {:.0} s", built.as_secs_f64());
    report("production", &sizes, library.updated, &asked, began);
    let second = GenerationUnderTest { generation: 2, dims: 32, cutting: SECOND };
    oracle::check_build(&world, "index-1", &library.truth, second).await;
    oracle::check_build(&world, "index-2", &library.truth, second).await;
    // What served before is kept up to date.
    oracle::check_build(&world, "index-1", &library.truth, GenerationUnderTest::FIRST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_reindex_under_traffic_and_kills() {
    let sizes = sizes();
    let home = EmbeddedStackProcess { place: tempfile::tempdir().unwrap(), address: free_address() };
    std::fs::write(home.place.path().join("pipeline.toml"), PIPELINE).unwrap();
    let mut library = DocumentLibrary::new(u64::from(std::process::id()));
    let folder = home.place.path().join("documents");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..sizes.documents {
        let ProducedMessage { id, text, .. } = library.next(number);
        std::fs::write(folder.join(id), text.unwrap()).unwrap();
    }
    let mut ingest = home.command();
    ingest.args(["ingest", "--collection", COLLECTION, "--pipeline"]);
    run_in(ingest.arg(home.place.path().join("pipeline.toml")).arg(&folder));
    let mut server = home.serve();
    let began = Instant::now();
    let traffic = StormTraffic::start(
        &[home.address],
        sizes.questions,
        sizes.documents,
        library.texts.clone(),
        [FIRST, SECOND],
    );
    home.generations().await;
    let mut admin = AdminServiceClient::new(home.channel());
    let start = StartReindexRequest {
        collection: COLLECTION.to_owned(),
        pipeline: OTHER.to_owned(),
        pace: Some(BuildPace { documents_per_second: sizes.built_per_second, provider_percent: None }),
    };
    admin.start_reindex(start).await.unwrap();
    let mut round = 0;
    loop {
        home.submit(&library.due(&sizes, began)).await;
        if round < 3 {
            server.kill();
            server = home.serve();
        }
        round += 1;
        tokio::time::sleep(BATCH_PAUSE).await;
        traffic.so_far();
        assert!(began.elapsed() < sizes.done_max(), "it does not end");
        let generations = home.generations().await;
        if round > 3 && generations[1].remaining <= sizes.documents as u64 / 100 {
            break;
        }
    }
    let built = began.elapsed();
    let activate = ActivateReindexRequest { collection: COLLECTION.to_owned(), allow_failed: false };
    admin.activate_reindex(activate).await.unwrap();
    // Killed right after the flip, before the new one serves.
    server.kill();
    server = home.serve();
    while traffic.so_far().1 == 0 {
        home.submit(&library.due(&sizes, began)).await;
        tokio::time::sleep(BATCH_PAUSE).await;
        assert!(began.elapsed() < sizes.done_max(), "it does not serve");
    }
    home.quiet(sizes.documents).await;
    // Followers end where the active one is.
    let deadline = Instant::now() + DONE_MAX;
    while !home.generations().await.iter().all(|one| one.remaining == 0) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(LOOK).await;
    }
    for generation in [1, 2] {
        assert!(
            oracle::until_followed(&home.index(generation), &library.truth).await,
            "generation {generation}"
        );
    }
    let asked = traffic.end().await;
    println!("built in {:.0} s", built.as_secs_f64());
    report("embedded", &sizes, library.updated, &asked, began);
    let request = CollectionRequest { collection: COLLECTION.to_owned() };
    let mut audit = admin.audit(request).await.unwrap().into_inner();
    let mut found = None;
    while let Some(progress) = audit.message().await.unwrap() {
        found = progress.report;
    }
    let whole = AuditReport { documents: sizes.documents as u64, ..AuditReport::default() };
    assert_eq!(found, Some(whole), "nothing is lacking, nothing is left over");
    drop(server);
    for (generation, cutting) in [(1, FIRST), (2, SECOND)] {
        oracle::check_index(&home.index(generation), &library.truth, cutting);
    }
}

fn run_in(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
