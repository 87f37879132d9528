//! Dropped generations and collections, in processes with and without an index.
#![expect(clippy::unwrap_used, reason = "a test fails where one does")]

use std::sync::Arc;

use super::{CollectionStoreCatalog, IndexAccessMode};
use crate::config::ContextureConfig;
use crate::wiring::embedding::EmbedderFactory;
use crate::wiring::query_resources;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_core::domain::ids::{CollectionId, CollectionKey, TenantId};
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::fault::Fault;
use contexture_core::ports::catalog::CollectionCatalog;
use contexture_core::ports::clock::SystemClock;
use contexture_core::ports::disk_space::UnwatchedDiskSpace;
use contexture_core::ports::generations::{
    BeginBuildOutcome, GenerationBuildPace, GenerationChange, GenerationLedger,
};
use contexture_core::ports::ledger::CollectionRecord;

const FIRST: &str = "[embedder]\nkind = \"hash\"\ndims = 8\ntokens_max = 64\n";
const SECOND: &str = "[embedder]\nkind = \"hash\"\ndims = 16\ntokens_max = 64\n";

/// A process that serves a generation while another is activated and the first is dropped.
struct ServingProcess {
    catalog: CollectionStoreCatalog,
    key: CollectionKey,
    dropped: CollectionRecord,
    _data_dir: tempfile::TempDir,
}

impl ServingProcess {
    async fn new(mode: IndexAccessMode) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let path = data_dir.path().display().to_string();
        let config = ContextureConfig::load(None, [("CONTEXTURE_DATA_DIR".to_owned(), path)]).unwrap();
        let clock = Arc::new(SystemClock);
        let ledger = MemoryLedger::new(clock.clone());
        let tokenizers = query_resources::known_tokenizers(&config).unwrap();
        let states = Arc::new(MemorySharedStates::new(clock.clone()));
        let models = Arc::new(EmbedderFactory::new(&config, tokenizers, states, clock));
        let catalog = CollectionStoreCatalog::new(
            Arc::new(ledger.peer()),
            &config,
            mode,
            models,
            Arc::new(UnwatchedDiskSpace),
        );
        let key = CollectionKey {
            tenant: TenantId::new("local").unwrap(),
            collection: CollectionId::new("notes").unwrap(),
        };
        catalog.create_collection(&key, &Pipeline::from_toml(FIRST).unwrap()).await.unwrap();
        let dropped = catalog.open(&key).await.unwrap().unwrap().record.clone();
        let second = Pipeline::from_toml(SECOND).unwrap();
        let (pipeline, epoch) = (second.to_toml().unwrap(), catalog.epoch_of(&second).await.unwrap());
        let begun =
            ledger.begin_generation(&key, &pipeline, epoch, GenerationBuildPace::default()).await.unwrap();
        let BeginBuildOutcome::Started(second) = begun else { panic!("nothing else is built") };
        for (generation, change) in [
            (second.home.generation, GenerationChange::Activate),
            (dropped.generation, GenerationChange::Dropped),
        ] {
            assert!(ledger.change_generation(&key, generation, change).await.unwrap());
        }
        Self { catalog, key, dropped, _data_dir: data_dir }
    }

    async fn serves(&self) -> u32 {
        self.catalog.open(&self.key).await.unwrap().unwrap().record.generation
    }
}

/// Without an index nothing tells the process that another generation serves.
#[tokio::test]
async fn process_without_an_index_lets_go_of_what_was_dropped() {
    let process = ServingProcess::new(IndexAccessMode::Absent).await;
    assert_eq!(process.serves().await, 1);
    process.catalog.remove(&process.dropped, true).await.unwrap();
    assert_eq!(process.serves().await, 2);
}

/// The index of the other generation is not ready here. The serving generation is kept, and the caller
/// that would record its removal gets a fault.
#[tokio::test]
async fn what_serves_here_is_not_removed_and_not_said_to_be() {
    let process = ServingProcess::new(IndexAccessMode::Written).await;
    let removed = process.catalog.remove(&process.dropped, true).await;
    assert!(matches!(removed, Err(Fault::Transient(_))), "{removed:?}");
    assert_eq!(process.serves().await, 1);
    process.catalog.remove(&process.dropped, false).await.unwrap();
    assert_eq!(process.serves().await, 1);
    // Once the other serves.
    let second = process.catalog.ledger.collection(&process.key).await.unwrap().unwrap();
    let second = process.catalog.open_generation(&second).await.unwrap();
    process.catalog.serve(&second).await;
    process.catalog.remove(&process.dropped, true).await.unwrap();
    assert!(!process.catalog.directory(&process.dropped).exists());
    assert_eq!(process.serves().await, 2);
}

/// A dropped collection serves no longer and leaves no files; a query that still reads it may finish.
#[tokio::test]
async fn dropped_collection_is_closed_and_its_files_go() {
    let process = ServingProcess::new(IndexAccessMode::Written).await;
    let open = process.catalog.open(&process.key).await.unwrap().unwrap();
    let homes = process.catalog.ledger.drop_collection(&process.key).await.unwrap().unwrap();
    assert_eq!(homes.len(), 2);
    let reading = tokio::spawn(async move {
        tokio::task::yield_now().await;
        open.vectors.count().await
    });
    process.catalog.remove_collection(&homes, true).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 0);
    assert!(process.catalog.open(&process.key).await.unwrap().is_none());
    assert!(!process.catalog.directory(&process.dropped).parent().unwrap().exists());
    process.catalog.remove_collection(&homes, true).await.unwrap();
    // Made again under its name it is another one, which is not touched.
    process.catalog.create_collection(&process.key, &Pipeline::from_toml(FIRST).unwrap()).await.unwrap();
    assert_eq!(process.serves().await, 3);
    process.catalog.remove_collection(&homes, false).await.unwrap();
    assert_eq!(process.serves().await, 3);
}
