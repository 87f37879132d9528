//! What the embedded engine has answered survives SIGKILL at any moment, the flush included.
//!
//! This test is its own child: it stages known points and is killed; what was not answered is
//! staged again. In the end every point is there, once, with its exact score. The seed is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use contexture_adapters::edge::QdrantEdgeVectors;
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::ChunkId;
use contexture_core::ports::vectors::{VectorPoint, VectorStore};

use super::point;
use crate::support::{anyone, document, unit_vector};

const DOCUMENTS: usize = 300;
const CHUNKS: usize = 7;
const BATCH_DOCUMENTS: usize = 10;
const DIMS: usize = 64;
const KILLS: u64 = 12;
/// The longest life of a child; staging everything takes several of them.
const LIFE_US_MAX: u64 = 300_000;
/// Share of the answers that the child takes note of, in percent; the others are staged again,
/// as after a crash between the answer and its note.
const NOTED_PERCENT: u64 = 50;
/// Tells the child where to work, and with which seed.
const PLACE: &str = "CONTEXTURE_TEST_KILLS_PLACE";
const SEED: &str = "CONTEXTURE_TEST_KILLS_SEED";

struct KillPoints(u64);

impl KillPoints {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn name(number: usize) -> String {
    format!("note-{number}")
}

fn staged(number: usize, ordinal: usize) -> VectorPoint {
    let vector = unit_vector(number * CHUNKS + ordinal, DIMS);
    VectorPoint { vector, ..point(&name(number), 1, ordinal, [0.0; 4], &DocumentDescription::default()) }
}

fn batch(number: usize) -> Vec<VectorPoint> {
    let documents = number * BATCH_DOCUMENTS..((number + 1) * BATCH_DOCUMENTS).min(DOCUMENTS);
    documents.flat_map(|document| (0..CHUNKS).map(move |ordinal| staged(document, ordinal))).collect()
}

fn noted(place: &Path) -> BTreeSet<usize> {
    let notes = std::fs::read_to_string(place.join("notes")).unwrap_or_default();
    notes.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Stages what is not noted, two batches at once, as two workers do.
async fn stage(place: &Path, mut is_noted: impl FnMut() -> bool) -> QdrantEdgeVectors {
    let vectors = QdrantEdgeVectors::open(&place.join("vectors"), DIMS).unwrap();
    let known = noted(place);
    let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(place.join("notes")).unwrap();
    let batches = (0..DOCUMENTS.div_ceil(BATCH_DOCUMENTS)).filter(|number| !known.contains(number));
    for pair in batches.collect::<Vec<_>>().chunks(2) {
        let second = pair.get(1).map(|number| batch(*number)).unwrap_or_default();
        tokio::try_join!(vectors.upsert(batch(pair[0])), vectors.upsert(second)).unwrap();
        for number in pair {
            if is_noted() {
                notes.write_all(format!("{number}\n").as_bytes()).unwrap();
            }
        }
    }
    vectors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the test below"]
async fn child() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let mut random = KillPoints(std::env::var(SEED).unwrap().parse().unwrap());
    drop(stage(Path::new(&place), || random.below(100) < NOTED_PERCENT).await);
}

/// Whether the child was still alive when it was killed.
fn live_and_kill(place: &Path, seed: u64, life: Duration) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "vectors::kills::child"]);
    command.env(PLACE, place).env(SEED, seed.to_string()).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (ended, end) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let _ = std::io::copy(&mut output, &mut std::io::sink());
        let _ = ended.send(());
    });
    let killed = end.recv_timeout(life).is_err();
    let _ = child.kill();
    let status = child.wait().unwrap();
    reader.join().unwrap();
    assert!(killed || status.success(), "a child failed by itself: {status}");
    killed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_points_survive_kills() {
    let place = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = KillPoints(seed);
    let mut killed = 0;
    for _ in 0..KILLS {
        let (seed, life) = (random.below(1 << 30), Duration::from_micros(random.below(LIFE_US_MAX)));
        killed += u64::from(live_and_kill(place.path(), seed, life));
    }
    assert!(killed > 0, "no child was killed");
    let vectors = stage(place.path(), || true).await;

    assert_eq!(vectors.count().await.unwrap(), (DOCUMENTS * CHUNKS) as u64);
    for number in 0..DOCUMENTS {
        let listed = vectors.ids_of(&document(&name(number))).await.unwrap();
        let listed: BTreeSet<ChunkId> = listed.into_iter().map(|(id, _)| id).collect();
        assert_eq!(listed, (0..CHUNKS).map(|ordinal| staged(number, ordinal).id).collect(), "{number}");
    }
    for question in 0..5 {
        let question = unit_vector(question + DOCUMENTS * CHUNKS, DIMS);
        let hits = vectors.search(question.clone(), None, &anyone(), 2 * DOCUMENTS * CHUNKS).await.unwrap();
        assert_eq!(hits.len(), DOCUMENTS * CHUNKS);
        let scores: BTreeMap<ChunkId, f32> = hits.into_iter().map(|hit| (hit.id, hit.score)).collect();
        for one in (0..DOCUMENTS).flat_map(|number| (0..CHUNKS).map(move |ordinal| staged(number, ordinal))) {
            let exact: f32 = one.vector.iter().zip(&question).map(|(left, right)| left * right).sum();
            assert!((scores[&one.id] - exact).abs() < 1e-5, "{} is not {exact}", scores[&one.id]);
        }
    }
}
