//! The production stack under fire: RabbitMQ, Postgres, Qdrant's protocol, and processes that die.
//!
//! `CONTEXTURE_STORM=DOCUMENTS,KILLS,RESTARTS` sets the size of the storm; the default is small
//! enough for every run. The seed is printed, and `CONTEXTURE_STORM_SEED` sets it.

#![cfg(all(feature = "rabbitmq", feature = "postgres", feature = "qdrant"))]
#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

#[path = "production/comparing.rs"]
mod comparing;
#[path = "support/edge_behind_qdrant_grpc/mod.rs"]
#[expect(dead_code, reason = "the suite of the port uses the rest")]
mod edge_behind_qdrant_grpc;
#[path = "production/embedded_stack.rs"]
mod embedded_stack;
#[path = "production/folders.rs"]
mod folders;
#[path = "production/node.rs"]
mod node;
#[path = "production/oracle.rs"]
mod oracle;
#[path = "production/producer.rs"]
mod producer;
#[path = "production/reindexing.rs"]
mod reindexing;
#[path = "production/traffic.rs"]
mod traffic;
#[path = "production/world.rs"]
mod world;

use std::time::Duration;

use contexture::ports::ledger::ChangeLogEntry;
use oracle::ExpectedState;
use producer::{ProducedMessage, StormProducer};
use tokio::time::Instant;
use world::{StormWorld, run};

/// Longest time from the last message to quiet, in which retries of a minute may lie.
const QUIET_MAX: Duration = Duration::from_mins(4);
const LOOK: Duration = Duration::from_millis(250);

struct StormSchedule(u64);

impl StormSchedule {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Documents of which a fifth is updated and a twentieth deleted; every message up to three times,
/// all shuffled; and what must come of them.
fn storm(documents: usize, random: &mut StormSchedule) -> (Vec<ProducedMessage>, ExpectedState) {
    const WORDS: [&str; 8] = ["queue", "worker", "index", "commit", "snapshot", "retry", "budget", "ledger"];
    let (mut messages, mut truth) = (Vec::new(), ExpectedState::new());
    truth.insert("seed.md".to_owned(), (1, Some("# Seed\n\nThe first document of all.\n".to_owned())));
    for number in 0..documents {
        let id = format!("note-{number:05}.md");
        let mut last = 1 + u64::from(random.below(5) == 0);
        let mut text = None;
        for version in 1..=last {
            let words: Vec<&str> = (0..60).map(|_| WORDS[random.below(WORDS.len())]).collect();
            let body =
                format!("# Note {number}\n\nVersion {version} of case{number}: {}.\n", words.join(" "));
            messages.push(ProducedMessage { id: id.clone(), version, text: Some(body.clone()) });
            text = Some(body);
        }
        if random.below(20) == 0 {
            last += 1;
            text = None;
            messages.push(ProducedMessage { id: id.clone(), version: last, text: None });
        }
        truth.insert(id, (last, text));
    }
    for index in 0..messages.len() {
        for _ in 0..random.below(3) {
            messages.push(messages[index].clone());
        }
    }
    for index in (1..messages.len()).rev() {
        messages.swap(index, random.below(index + 1));
    }
    (messages, truth)
}

/// What a process works on, and the folder it has its files in.
type ProcessPart = (&'static str, &'static [&'static str]);

/// Whether the ledger serves exactly these versions.
async fn serves(world: &StormWorld, truth: &ExpectedState) -> bool {
    let visible = world.ledger.changes(&StormWorld::collection(), 0, truth.len() + 1).await.unwrap();
    let is_true = |change: &ChangeLogEntry| {
        let key = &change.task.key;
        truth.get(key.document_id.as_str()).is_some_and(|(version, _)| *version == key.version.get())
    };
    visible.len() == truth.len() && visible.iter().all(is_true)
}

/// Waits until every message was taken in and nothing is in flight.
async fn quiet(world: &StormWorld, producer: &StormProducer, truth: &ExpectedState) {
    let deadline = Instant::now() + QUIET_MAX;
    loop {
        let counts = world.ledger.counts(&StormWorld::collection()).await.unwrap();
        let waiting = producer.waiting(world).await;
        // What a worker has in hand, or lost when it was killed, is in neither.
        if waiting == 0 && counts.in_flight == 0 && serves(world, truth).await {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{waiting} messages wait, {counts:?}, {} documents expected\n{}",
            truth.len(),
            world.complaints()
        );
        tokio::time::sleep(LOOK).await;
    }
}

fn sizes() -> (usize, usize, usize) {
    let given = std::env::var("CONTEXTURE_STORM").unwrap_or_else(|_| "400,12,1".to_owned());
    let numbers: Vec<usize> = given.split(',').map(|number| number.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storm_of_deliveries_and_kills_ends_in_one_truth() {
    let seed = std::env::var("CONTEXTURE_STORM_SEED")
        .map_or(u64::from(std::process::id()), |seed| seed.parse().unwrap());
    let (documents, kills, restarts) = sizes();
    println!("seed {seed}, {documents} documents, {kills} kills, {restarts} broker restarts");
    let mut random = StormSchedule(seed);
    let mut world = StormWorld::new("storm").await;
    let (messages, truth) = storm(documents, &mut random);
    let parts: [ProcessPart; 5] = [
        ("front", &["submit", "chunk"]),
        ("embed-1", &["embed"]),
        ("embed-2", &["chunk", "embed"]),
        ("index-1", &["index"]),
        ("index-2", &["index"]),
    ];
    let mut workers: Vec<_> = parts.iter().map(|(data, stages)| world.worker(data, stages)).collect();
    let producer = StormProducer::new(&world);
    let blows = kills + if world.node.is_private() { restarts } else { 0 };
    let batch = messages.len().div_ceil(blows + 1);
    for (blow, batch) in messages.chunks(batch).enumerate() {
        producer.publish(&world, batch).await;
        if blow >= blows {
            continue;
        }
        // A moment of work between two blows, so that they fall into the middle of it.
        tokio::time::sleep(Duration::from_millis(random.below(600) as u64)).await;
        let every = (blows / restarts.max(1)).max(1);
        if restarts > 0 && world.node.is_private() && blow % every == every / 2 {
            world.node.kill_and_restart().await;
        } else {
            let victim = random.below(workers.len());
            workers[victim].kill();
            workers[victim] = world.worker(parts[victim].0, parts[victim].1);
        }
    }
    quiet(&world, &producer, &truth).await;

    // A replica that starts from nothing, beside the writers.
    let question = "retry budget of case7";
    let ask = |data: &str| {
        let mut query = world.command(data);
        query.args(["--json", "query", "--collection", world::COLLECTION, "--budget", "300", question]);
        query
    };
    let answer = |text: String| {
        let mut answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        answer.as_object_mut().unwrap().remove("snapshot");
        answer
    };
    let late = answer(run(ask("late replica")).await);
    assert_eq!(late["degraded"], serde_json::json!([]), "{late}");
    assert!(!late["passages"].as_array().unwrap().is_empty());
    oracle::check(&world, "late replica", &truth).await;
    for writer in ["index-1", "index-2"] {
        assert_eq!(
            answer(run(ask(writer)).await)["passages"],
            late["passages"],
            "{writer} answers as a late replica"
        );
        oracle::check(&world, writer, &truth).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_takes_over_when_the_writer_is_killed() {
    let world = StormWorld::new("standby").await;
    let _front = world.worker("front", &["submit", "chunk", "embed"]);
    let mut writers = vec![world.worker("index-1", &["index"])];
    let producer = StormProducer::new(&world);
    let (messages, truth) = storm(40, &mut StormSchedule(3));
    producer.publish(&world, &messages[..messages.len() / 2]).await;
    let written = async |at_least: u64| {
        let deadline = Instant::now() + QUIET_MAX;
        while world.ledger.counts(&StormWorld::collection()).await.unwrap().visible < at_least {
            assert!(Instant::now() < deadline, "{}", world.complaints());
            tokio::time::sleep(LOOK).await;
        }
    };
    written(10).await;
    writers.push(world.worker("index-2", &["index"]));
    writers[0].kill();
    let killed = Instant::now();
    producer.publish(&world, &messages[messages.len() / 2..]).await;
    quiet(&world, &producer, &truth).await;
    println!("everything visible {:.1} s after the writer was killed", killed.elapsed().as_secs_f64());
    oracle::check(&world, "index-2", &truth).await;
}
