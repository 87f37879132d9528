//! What is checked before the first point.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use contexture_adapters::qdrant::{QDRANT_REFUSED, QdrantConfig, QdrantVectors, collection_name};
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::VectorStore;
use qdrant_client::qdrant::{CreateCollectionBuilder, Distance, UpdateStatus, VectorParamsBuilder};
use tonic::Status;

use super::{DIMS, EAST, QdrantTestCollection, code, every_call, plain};
use crate::support::collection;
use crate::support::edge_behind_qdrant_grpc::InjectedFault;
use crate::support::qdrant::{KEY, PLAIN};

async fn refused(place: &QdrantTestCollection) -> Fault {
    place.vectors(DIMS).await.map(drop).unwrap_err()
}

/// The client itself, to make what the adapter would not make.
fn client(config: &QdrantConfig) -> qdrant_client::Qdrant {
    let builder = qdrant_client::Qdrant::from_url(&config.url).api_key(config.api_key.clone());
    builder.skip_compatibility_check().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn collection_is_made_once_and_keeps_its_points() {
    let place = QdrantTestCollection::open();
    let first = place.vectors(DIMS).await.unwrap();
    first.upsert(vec![plain("doc", 0, EAST)]).await.unwrap();
    let second = place.vectors(DIMS).await.unwrap();
    assert_eq!(second.count().await.unwrap(), 1);
    let description = client(&place.config).collection_info(&place.collection).await.unwrap();
    let schema = description.result.unwrap().payload_schema;
    let indexed: BTreeSet<&str> = schema.keys().map(String::as_str).collect();
    assert_eq!(indexed, BTreeSet::from(["acl", "doc", "facets", "place_first", "place_last", "ver"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_open_at_once_share_one_collection() {
    let place = QdrantTestCollection::open();
    let (left, right) = tokio::join!(place.vectors(DIMS), place.vectors(DIMS));
    left.unwrap().upsert(vec![plain("doc", 0, EAST)]).await.unwrap();
    assert_eq!(right.unwrap().count().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_dimensions_are_refused_with_both_numbers() {
    let place = QdrantTestCollection::open();
    drop(place.vectors(DIMS).await.unwrap());
    let fault = place.vectors(8).await.map(drop).unwrap_err();
    assert_eq!(code(&fault), "wrong_dimensions");
    let text = fault.to_string();
    assert!(text.contains("of 4 numbers") && text.contains("gives 8"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_distance_is_refused() {
    let place = QdrantTestCollection::open();
    let vectors = VectorParamsBuilder::new(DIMS as u64, Distance::Dot);
    let creation = CreateCollectionBuilder::new(&place.collection).vectors_config(vectors);
    client(&place.config).create_collection(creation).await.unwrap();
    let fault = refused(&place).await;
    assert_eq!(code(&fault), QDRANT_REFUSED);
    assert!(fault.to_string().contains("Dot"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_versions_the_client_speaks_with_are_accepted() {
    let mut place = QdrantTestCollection::in_process();
    for version in ["1.17.9", "1.21.0", "2.19.0", "0.19.0", "", "1", "dev", "v1.19.0"] {
        place.server().set_version(version);
        let fault = refused(&place).await;
        assert_eq!(code(&fault), "qdrant_version", "{version}");
        assert!(fault.to_string().contains(&format!("'{version}'")), "{fault}");
        assert_eq!(
            place.server().calls("Collections/create"),
            0,
            "nothing is made on a server that is refused"
        );
    }
    for version in ["1.18.0", "1.19.4", "1.20.0-dev"] {
        place.server().set_version(version);
        place.vectors(DIMS).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_that_is_not_completed_is_made_again() {
    let mut place = QdrantTestCollection::in_process();
    drop(place.vectors(DIMS).await.unwrap());
    let made = place.server().calls("Points/create_field_index");
    drop(place.vectors(DIMS).await.unwrap());
    assert_eq!(place.server().calls("Points/create_field_index"), made, "what is there is not made again");

    let mut other = QdrantTestCollection::in_process();
    // Described as missing, created, described; then the first index.
    let fine = InjectedFault::Unfinished(UpdateStatus::Completed);
    let late = InjectedFault::Unfinished(UpdateStatus::WaitTimeout);
    other.server().inject([fine.clone(), fine.clone(), fine, late]);
    assert!(matches!(refused(&other).await, Fault::Transient(_)));
    drop(other.vectors(DIMS).await.unwrap());
    assert_eq!(other.server().calls("Points/create_field_index"), 1 + 5, "the rest follows");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_is_unauthorized() {
    let mut place = QdrantTestCollection::in_process();
    for key in [None, Some("another".to_owned())] {
        place.config.api_key = key;
        assert!(matches!(refused(&place).await, Fault::Unauthorized(_)));
    }
    assert_eq!(place.server().calls("Collections/get"), 2, "asked once each, not again");
    place.server().inject([InjectedFault::Refusal(Status::permission_denied("read only"))]);
    place.config.api_key = Some(KEY.to_owned());
    assert!(matches!(refused(&place).await, Fault::Unauthorized(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_configurations_are_refused_without_a_call() {
    let place = QdrantTestCollection::in_process();
    let with = |change: &dyn Fn(&mut QdrantConfig)| {
        let mut config = place.config.clone();
        change(&mut config);
        config
    };
    for config in [
        with(&|config| config.url = "127.0.0.1:6334".to_owned()),
        with(&|config| config.url = "ftp://127.0.0.1".to_owned()),
        with(&|config| config.url = "http://".to_owned()),
        with(&|config| config.url = format!("http://user:{KEY}@127.0.0.1:6334")),
        with(&|config| config.api_key = Some(format!("{KEY}\n"))),
        with(&|config| config.api_key = Some(format!("{KEY} é"))),
        with(&|config| config.api_key = Some(String::new())),
        with(&|config| config.timeout = std::time::Duration::ZERO),
    ] {
        let fault = QdrantVectors::open(&config, "any", DIMS, PLAIN).await.map(drop).unwrap_err();
        assert_eq!(code(&fault), QDRANT_REFUSED, "{config:?}");
        assert!(!fault.to_string().contains(KEY), "{fault}");
    }
}

/// Everything written through it, to be searched.
#[derive(Clone, Default)]
struct CapturedQdrantLog(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for CapturedQdrantLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, so that what the libraries log at their most talkative is seen, too.
#[tokio::test]
async fn key_is_in_no_error_and_no_log() {
    let log = CapturedQdrantLog::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut said = Vec::new();
    let mut place = QdrantTestCollection::in_process();
    said.push(format!("{:?}", place.config));
    let vectors = place.vectors(DIMS).await.unwrap();
    for status in [
        Status::internal(format!("upstream said: api-key {KEY}")),
        Status::invalid_argument(format!("api-key {KEY}")),
        Status::unauthenticated(format!("Invalid API key {KEY}")),
        Status::resource_exhausted(format!("quota of {KEY}")),
        Status::not_found(KEY),
    ] {
        // Twice, for the client repeats what it takes for a lost connection.
        place.server().inject([InjectedFault::Refusal(status.clone()), InjectedFault::Refusal(status)]);
        let fault = vectors.count().await.unwrap_err();
        said.push(format!("{fault} {fault:?}"));
        while place.server().faults_left() > 0 {
            let _ = vectors.count().await;
        }
    }
    place.server().stop().await;
    for fault in every_call(&vectors).await {
        said.push(format!("{:?}", fault.unwrap_err()));
    }
    assert!(said.iter().any(|text| text.contains("***")), "the server's words are passed on: {said:?}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.len() > 1_000, "the libraries log: {} bytes", log.len());
    for text in said.iter().chain([&log]) {
        assert!(!text.contains(KEY), "{text}");
    }
}

#[test]
fn names_of_collections_are_unique_and_plain() {
    let mut names = BTreeSet::new();
    let long = "a".repeat(64);
    let longer = format!("{}b", "a".repeat(63));
    for (tenant, name) in [
        ("acme", "notes"),
        ("acme_notes", "x"),
        ("acme", "notes_x"),
        (&long, "n"),
        (&longer, "n"),
        ("n", &long),
    ] {
        for generation in [1, 2, 11] {
            let made = collection_name("contexture", &collection(tenant, name), generation);
            assert!(made.len() <= 128, "{made}");
            let plain = |one: char| one.is_ascii_alphanumeric() || "_-".contains(one);
            assert!(made.starts_with("contexture_") && made.chars().all(plain), "{made}");
            assert_eq!(made, collection_name("contexture", &collection(tenant, name), generation));
            assert!(names.insert(made.clone()), "{made} twice");
        }
    }
}
