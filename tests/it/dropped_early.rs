//! A generation that is dropped before the one that is active could serve.

use std::time::Duration;

use bytes::Bytes;
use contexture::config::ContextureConfig;
use contexture::context::request::{ContextQuery, RawContextQuery};
use contexture::domain::document::{DocumentDescription, Submission};
use contexture::domain::ids::{CollectionId, DocumentId};
use contexture::domain::pipeline::Pipeline;
use contexture::ports::generations::{GenerationBuildPace, GenerationChange};
use contexture::wiring::{ProcessRole, ServiceStack};

const FIRST: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 256\n";
const SECOND: &str = "[embedder]\nkind = \"hash\"\ndims = 32\ntokens_max = 128\n";
const PATIENCE: Duration = Duration::from_mins(1);

/// It is built and followed to its end, and serves then: nobody has to start the process anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_active_generation_comes_to_serve_although_the_one_before_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().display().to_string();
    let config = ContextureConfig::load(None, [("CONTEXTURE_DATA_DIR".to_owned(), data_dir)]).unwrap();
    let stack = ServiceStack::open(&config, ProcessRole::Change).await.unwrap();
    let collection = CollectionId::new("notes").unwrap();
    let open =
        stack.ensure_collection(&collection, Some(&Pipeline::from_toml(FIRST).unwrap())).await.unwrap();
    let key = open.record.key.clone();
    drop(open);
    let submission = Submission::new(
        &stack.principal,
        collection.clone(),
        DocumentId::new("heron.md").unwrap(),
        None,
        DocumentDescription::default(),
        Bytes::from_static(b"# Birds\n\nThe heron stands in the lake.\n"),
        1 << 20,
    );
    let mut progress = stack.progress();
    stack.submitter.submit(vec![submission.unwrap()]).await.unwrap();
    tokio::time::timeout(PATIENCE, progress.wait_for(|progress| progress.settled >= 1))
        .await
        .unwrap()
        .unwrap();

    let second = Pipeline::from_toml(SECOND).unwrap();
    let second =
        stack.begin_reindex(&key, &second, GenerationBuildPace::default()).await.unwrap().home.generation;
    for (generation, change) in [(second, GenerationChange::Activate), (1, GenerationChange::Dropped)] {
        assert!(stack.ledger.change_generation(&key, generation, change).await.unwrap());
    }
    stack.until_serving(&key, second, PATIENCE).await.unwrap();
    let raw = RawContextQuery {
        collection: collection.to_string(),
        question: "Where does the heron stand?".to_owned(),
        ..RawContextQuery::default()
    };
    let found = stack.engine.search(ContextQuery::new(stack.principal.clone(), &raw).unwrap()).await.unwrap();
    assert_eq!((found.results.len(), found.degraded.len()), (1, 0), "{:?}", found.degraded);
    stack.shutdown().await;
}
