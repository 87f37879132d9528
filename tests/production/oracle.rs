//! What must hold when everything is quiet: promises I1 to I7 of a document store.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use contexture::adapters::embedder::bundled;
use contexture::adapters::qdrant::{CollectionOptions, QdrantConfig, QdrantVectors, collection_name};
use contexture::adapters::tantivy::TantivyReader;
use contexture::domain::ids::DocumentId;
use contexture::ingest::chunk::{decode_body, split_into_chunks};
use contexture::ports::ledger::VersionState;
use contexture::ports::lexical::{AnalyzerSettings, LexicalIndex, LexicalSnapshot};
use contexture::ports::vectors::VectorStore;

use super::traffic::ChunkCutter;
use super::world::{COLLECTION, StormWorld};

/// What a document must come to: its highest version, and its text; none when that deletes it.
pub(crate) type ExpectedState = BTreeMap<String, (u64, Option<String>)>;

/// Leftover vectors are swept by whoever keeps house, at the latest after a lease has ended.
const SWEEP_MAX: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(500);

/// A generation, and how it was built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GenerationUnderTest {
    pub(crate) generation: u32,
    pub(crate) dims: usize,
    pub(crate) cutting: ChunkCutter,
}

impl GenerationUnderTest {
    /// As the world builds its collection.
    pub(crate) const FIRST: Self = Self { generation: 1, dims: 64, cutting: ChunkCutter { tokens_max: 128 } };
}

/// Checks the ledger, the index in the folder `data`, and the vectors.
pub(crate) async fn check(world: &StormWorld, data: &str, truth: &ExpectedState) {
    check_build(world, data, truth, GenerationUnderTest::FIRST).await;
}

/// The same of one generation.
pub(crate) async fn check_build(
    world: &StormWorld,
    data: &str,
    truth: &ExpectedState,
    build: GenerationUnderTest,
) {
    ledger(world, truth).await;
    let of_collection = world.path(data).join("collections/local").join(COLLECTION);
    let directory = of_collection.join(build.generation.to_string()).join("lexical");
    let follows = until_followed(&directory, truth).await;
    assert!(follows, "I2: {data} does not follow: {}", world.complaints());
    let chunks = check_index(&directory, truth, build.cutting);
    vectors_hold(world, &*opened(&directory).snapshot(), truth, chunks, build).await;
}

/// Checks an index by itself; returns how many chunks there are.
pub(crate) fn check_index(directory: &Path, truth: &ExpectedState, cutting: ChunkCutter) -> u64 {
    index_holds(&*opened(directory).snapshot(), truth, cutting)
}

/// Whoever indexes follows the others, and the builder, a moment later; false where it does not.
pub(crate) async fn until_followed(directory: &Path, truth: &ExpectedState) -> bool {
    let deadline = tokio::time::Instant::now() + SWEEP_MAX;
    while !follows(&*opened(directory).snapshot(), truth) {
        if tokio::time::Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

fn opened(directory: &Path) -> TantivyReader {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: false };
    TantivyReader::open(directory, &analysis).unwrap()
}

fn follows(snapshot: &dyn LexicalSnapshot, truth: &ExpectedState) -> bool {
    truth.iter().all(|(id, (version, _))| {
        let head = snapshot.head(&DocumentId::new(id).unwrap()).unwrap();
        head.is_some_and(|head| head.version.get() == *version)
    })
}

/// I1, I2, I6, I7.
async fn ledger(world: &StormWorld, truth: &ExpectedState) {
    let key = StormWorld::collection();
    let counts = world.ledger.counts(&key).await.unwrap();
    assert_eq!(counts.in_flight, 0, "{counts:?}");
    assert_eq!(counts.accepted, counts.visible + counts.superseded + counts.dead, "I7: {counts:?}");
    assert_eq!(counts.dead, 0, "nothing died: {counts:?}");
    assert_eq!(counts.visible, truth.len() as u64, "I1 and I6: {counts:?}");
    for (id, (version, text)) in truth {
        let history = world.ledger.history(&key, &DocumentId::new(id).unwrap()).await.unwrap();
        let head = history.iter().find(|record| record.state == VersionState::Visible).unwrap();
        assert_eq!((head.key.version.get(), head.deletes), (*version, text.is_none()), "I2: {id}");
    }
}

/// I2, I3, I4; returns how many chunks there are.
fn index_holds(snapshot: &dyn LexicalSnapshot, truth: &ExpectedState, cutting: ChunkCutter) -> u64 {
    let tokenizer = bundled::tokenizer().unwrap();
    let limits = cutting.limits();
    let mut chunks = 0;
    for (id, (version, text)) in truth {
        let id = DocumentId::new(id).unwrap();
        let head = snapshot.head(&id).unwrap().unwrap_or_else(|| panic!("I1: {id} is not in the index"));
        assert_eq!((head.version.get(), head.deleted), (*version, text.is_none()), "I2: {id}");
        let found = snapshot.chunk_range(&id, 0, u32::MAX).unwrap();
        let expected = text.as_ref().map_or_else(Vec::new, |text| {
            let decoded = decode_body(text.as_bytes(), None, id.as_str()).unwrap();
            let spans = split_into_chunks(&decoded, decoded.title.as_deref(), &tokenizer, &limits).unwrap();
            spans.iter().map(|one| decoded.text[one.span.start..one.span.end].to_owned()).collect()
        });
        let texts: Vec<&str> = found.iter().map(|chunk| chunk.text.as_str()).collect();
        assert_eq!(texts, expected, "I3: {id}");
        let ordinals: Vec<u32> = found.iter().map(|chunk| chunk.ordinal).collect();
        assert_eq!(ordinals, (0..head.chunk_count).collect::<Vec<_>>(), "I4: {id}");
        chunks += u64::from(head.chunk_count);
    }
    let counts = snapshot.counts().unwrap();
    let alive = truth.values().filter(|(_, text)| text.is_some()).count() as u64;
    assert_eq!((counts.documents, counts.chunks), (alive, chunks), "I6: nothing else is there");
    chunks
}

/// I5.
async fn vectors_hold(
    world: &StormWorld,
    snapshot: &dyn LexicalSnapshot,
    truth: &ExpectedState,
    chunks: u64,
    build: GenerationUnderTest,
) {
    let config = QdrantConfig {
        url: world.vectors.url(),
        api_key: None,
        timeout: SWEEP_MAX,
        connect_timeout: SWEEP_MAX,
    };
    let name = collection_name(&world.schema, &StormWorld::collection(), build.generation);
    let options = CollectionOptions { int8: false, shards: None, replicas: None };
    let vectors = QdrantVectors::open(&config, &name, build.dims, options).await.unwrap();
    let swept = async {
        while vectors.count().await.unwrap() != chunks {
            tokio::time::sleep(LOOK).await;
        }
    };
    let in_time = tokio::time::timeout(SWEEP_MAX, swept).await.is_ok();
    assert!(in_time, "I5: {} points for {chunks} chunks", vectors.count().await.unwrap());
    for id in truth.keys().step_by(7) {
        let id = DocumentId::new(id).unwrap();
        let mut points: Vec<_> = vectors.ids_of(&id).await.unwrap().into_iter().map(|(id, _)| id).collect();
        let mut heads: Vec<_> =
            snapshot.chunk_range(&id, 0, u32::MAX).unwrap().iter().map(|one| one.id).collect();
        points.sort();
        heads.sort();
        assert_eq!(points, heads, "I5: {id}");
    }
}
