//! What a server can do wrong while points come and go.

use std::time::Duration;

use contexture_adapters::qdrant::COLLECTION_MISSING;
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::VectorStore;
use qdrant_client::qdrant::UpdateStatus;
use tonic::{Code, Status};

use super::{DIMS, EAST, QdrantTestCollection, code, every_call, one_of_many, plain};
use crate::support::anyone;
use crate::support::edge_behind_qdrant_grpc::InjectedFault;

/// Far beyond any deadline of a test: it only tells a call that is cut from one that hangs.
const HANGS: Duration = Duration::from_mins(1);

fn refusals(code: Code, times: usize) -> Vec<InjectedFault> {
    vec![InjectedFault::Refusal(Status::new(code, "injected")); times]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_completed_changes_count() {
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    for status in [
        UpdateStatus::WaitTimeout,
        UpdateStatus::Acknowledged,
        UpdateStatus::ClockRejected,
        UpdateStatus::UnknownUpdateStatus,
    ] {
        let (upserts, deletes) =
            (place.server().calls("Points/upsert"), place.server().calls("Points/delete"));
        place.server().inject([InjectedFault::Unfinished(status), InjectedFault::Unfinished(status)]);
        let fault = vectors.upsert(vec![plain("doc", 0, EAST)]).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient(_)), "{status:?}: {fault:?}");
        let fault = vectors.delete(vec![plain("doc", 0, EAST).id]).await.unwrap_err();
        assert!(matches!(fault, Fault::Transient(_)), "{status:?}: {fault:?}");
        assert_eq!(place.server().calls("Points/upsert"), upserts + 1, "repeating is the caller's to decide");
        assert_eq!(place.server().calls("Points/delete"), deletes + 1);
    }
    vectors.upsert(vec![plain("doc", 0, EAST)]).await.unwrap();
    assert_eq!(vectors.count().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_batch_that_is_not_completed_fails_the_whole() {
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    let points: Vec<_> = (0..1_000).map(|number| one_of_many(number, EAST.to_vec())).collect();
    let fine = InjectedFault::Unfinished(UpdateStatus::Completed);
    place.server().inject([fine, InjectedFault::Unfinished(UpdateStatus::WaitTimeout)]);
    assert!(matches!(vectors.upsert(points.clone()).await, Err(Fault::Transient(_))));
    vectors.upsert(points).await.unwrap();
    assert_eq!(vectors.count().await.unwrap(), 1_000, "and can be repeated as a whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_collection_is_told_at_once_and_no_fault_of_what_is_written() {
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    vectors.remove().await.unwrap();
    vectors.remove().await.unwrap();
    let mut faults = every_call(&vectors).await.into_iter().map(Result::unwrap_err);
    let written = faults.next().unwrap();
    assert!(matches!(written, Fault::Transient(_)), "a document would die of it: {written:?}");
    for fault in faults {
        assert_eq!(code(&fault), COLLECTION_MISSING);
    }
    for method in ["upsert", "delete", "query", "scroll", "count"] {
        assert_eq!(place.server().calls(&format!("Points/{method}")), 1, "{method}");
    }
    drop(place.vectors(DIMS).await.unwrap());
    assert!(every_call(&vectors).await.into_iter().all(|answer| answer.is_ok()), "made again, all is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_say_what_may_be_done_about_them() {
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    for code in [
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::FailedPrecondition,
        Code::OutOfRange,
        Code::Unimplemented,
    ] {
        place.server().inject(refusals(code, 1));
        assert!(matches!(vectors.count().await, Err(Fault::Permanent(_))), "{code:?}");
    }
    for code in [Code::Unauthenticated, Code::PermissionDenied] {
        place.server().inject(refusals(code, 1));
        assert!(matches!(vectors.count().await, Err(Fault::Unauthorized(_))), "{code:?}");
    }
    for code in [Code::DeadlineExceeded, Code::Aborted, Code::DataLoss] {
        place.server().inject(refusals(code, 1));
        assert!(matches!(vectors.count().await, Err(Fault::Transient(_))), "{code:?}");
    }
    // What may be a lost connection the client asks twice.
    for code in [Code::Unavailable, Code::Internal, Code::Unknown, Code::Cancelled] {
        let before = place.server().calls("Points/count");
        place.server().inject(refusals(code, 2));
        assert!(matches!(vectors.count().await, Err(Fault::Transient(_))), "{code:?}");
        assert_eq!(place.server().calls("Points/count"), before + 2, "{code:?}");
        place.server().inject(refusals(code, 1));
        vectors.count().await.unwrap();
    }
    assert_eq!(place.server().faults_left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_server_is_waited_for_as_it_asks() {
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    for (asked, waited) in [(None, 1), (Some("7"), 7), (Some("soon"), 1), (Some("86400"), 600)] {
        let mut status = Status::resource_exhausted("Rate limiting exceeded");
        if let Some(asked) = asked {
            status.metadata_mut().insert("retry-after", asked.parse().unwrap());
        }
        place.server().inject([InjectedFault::Refusal(status)]);
        let fault = vectors.upsert(vec![plain("doc", 0, EAST)]).await.unwrap_err();
        let Fault::Throttled { retry_after, .. } = fault else { panic!("{fault:?}") };
        assert_eq!(retry_after, Duration::from_secs(waited));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_was_away_is_used_again() {
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    vectors.upsert(vec![plain("doc", 0, EAST)]).await.unwrap();
    place.server().stop().await;
    for answer in every_call(&vectors).await {
        assert!(matches!(answer, Err(Fault::Transient(_))), "{answer:?}");
    }
    assert!(matches!(place.vectors(DIMS).await.map(drop), Err(Fault::Transient(_))), "opening, too");
    place.server().serve();
    assert_eq!(vectors.count().await.unwrap(), 1);
    vectors.upsert(vec![plain("doc", 1, EAST)]).await.unwrap();
    assert_eq!(vectors.count().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_server_is_cut_at_the_deadline() {
    let mut place = QdrantTestCollection::in_process();
    place.config.timeout = Duration::from_millis(300);
    let vectors = place.vectors(DIMS).await.unwrap();
    place.server().inject(vec![InjectedFault::Silence; 5]);
    let answers = tokio::time::timeout(HANGS, every_call(&vectors)).await.unwrap();
    for answer in answers {
        let fault = answer.unwrap_err();
        assert!(matches!(&fault, Fault::Transient(what) if what.as_str().contains("300ms")), "{fault:?}");
    }
    assert_eq!(place.server().faults_left(), 0, "each call was asked once");
    place.server().inject([InjectedFault::Silence]);
    let opening = tokio::time::timeout(HANGS, place.vectors(DIMS)).await.unwrap();
    assert!(matches!(opening.map(drop), Err(Fault::Transient(_))));
    vectors.count().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_points_are_missed_and_can_be_staged_again() {
    let mut place = QdrantTestCollection::in_process();
    let vectors = place.vectors(DIMS).await.unwrap();
    let points: Vec<_> = (0..200).map(|number| one_of_many(number, EAST.to_vec())).collect();
    vectors.upsert(points.clone()).await.unwrap();
    let collection = place.collection.clone();
    place.server().lose_every(20, &collection);
    assert_eq!(vectors.count().await.unwrap(), 190);
    vectors.upsert(points).await.unwrap();
    assert_eq!(vectors.count().await.unwrap(), 200);
    assert_eq!(vectors.search(EAST.to_vec(), None, &anyone(), 1_000).await.unwrap().len(), 200);
}
