//! `SubmitStream`: one result per submission, in order, within its window and its patience.

use std::sync::Arc;
use std::time::Duration;

use contexture::config::ServerLimits;
use contexture::fault::Refusal;
use contexture::server::grpc::proto::ingest_service_client::IngestServiceClient;
use contexture::server::grpc::proto::submit_result::Outcome;
use contexture::server::grpc::proto::{SubmitRequest, SubmitResult};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use super::support::*;

fn receipt(result: SubmitResult) -> String {
    match result.outcome.unwrap() {
        Outcome::Receipt(receipt) => receipt.document_id,
        Outcome::Error(error) => panic!("{error:?}"),
    }
}

fn outcome(result: SubmitResult) -> Result<String, String> {
    match result.outcome.unwrap() {
        Outcome::Receipt(receipt) => Ok(receipt.document_id),
        Outcome::Error(error) => Err(error.code),
    }
}

#[tokio::test]
async fn results_come_in_order_and_windows_are_bounded() {
    let scripted = Arc::new(ScriptedServices::default());
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let requests: Vec<SubmitRequest> =
        (0..100).map(|number| submission(&format!("d{number}"), 500)).collect();
    let response = server.ingest().await.submit_stream(tokio_stream::iter(requests)).await.unwrap();
    let ids: Vec<String> = response.into_inner().map(|result| receipt(result.unwrap())).collect().await;
    let expected: Vec<String> = (0..100).map(|number| format!("d{number}")).collect();
    assert_eq!(ids, expected);
    let windows = scripted.seen.lock().unwrap();
    assert!(windows.iter().all(|window| window.len() <= limits().stream_window_submissions_max));
    assert!(windows.len() < 100, "a window holds more than one submission");
}

#[tokio::test]
async fn a_window_takes_no_more_after_its_bytes() {
    let scripted = Arc::new(ScriptedServices::default());
    let gated = gated(&scripted, ServerLimits { stream_window_bytes_max: 1024, ..limits() });
    let requests: Vec<SubmitRequest> = (0..6).map(|number| submission(&format!("d{number}"), 600)).collect();
    let mut client = IngestServiceClient::new(gated.ingest.clone());
    let response = client.submit_stream(tokio_stream::iter(requests)).await.unwrap();
    let results: Vec<SubmitResult> = response.into_inner().map(Result::unwrap).collect().await;
    assert_eq!(results.len(), 6);
    let windows: Vec<usize> = scripted.seen.lock().unwrap().iter().map(Vec::len).collect();
    assert!(windows.iter().all(|submissions| *submissions <= 2), "{windows:?}");
}

#[tokio::test]
async fn a_refused_submission_does_not_end_its_stream_or_its_neighbours() {
    let scripted = Arc::new(ScriptedServices {
        on_submit: Box::new(|submissions| {
            if submissions.iter().any(|one| one.collection().collection.as_str() == "unknown") {
                return Err(Refusal::not_found("not_found", "not found, or not yours to see"));
            }
            Ok(submissions.iter().map(accepted).collect())
        }),
        ..ScriptedServices::default()
    });
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let requests = vec![
        submission("a", 1),
        submission("b", 0),
        SubmitRequest { collection: "unknown".to_owned(), ..submission("c", 1) },
        submission("d", BODY_BYTES_MAX + 1),
        submission("e", 1),
    ];
    let response = server.ingest().await.submit_stream(tokio_stream::iter(requests)).await.unwrap();
    let outcomes: Vec<_> = response.into_inner().map(|result| outcome(result.unwrap())).collect().await;
    let expected: [Result<&str, &str>; 5] =
        [Ok("a"), Err("empty_body"), Err("not_found"), Err("body_too_large"), Ok("e")];
    let expected = expected.map(|one| one.map(str::to_owned).map_err(str::to_owned));
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn a_service_that_is_full_is_asked_once_for_a_window() {
    let scripted = Arc::new(ScriptedServices {
        on_submit: Box::new(|_| Err(Refusal::exhausted("queue_full", Duration::from_millis(70), "full"))),
        ..ScriptedServices::default()
    });
    let gated = gated(&scripted, limits());
    let requests: Vec<SubmitRequest> = (0..3).map(|number| submission(&format!("d{number}"), 1)).collect();
    let mut client = IngestServiceClient::new(gated.ingest.clone());
    let response = client.submit_stream(tokio_stream::iter(requests)).await.unwrap();
    let results: Vec<SubmitResult> = response.into_inner().map(Result::unwrap).collect().await;
    for result in results {
        let Some(Outcome::Error(error)) = result.outcome else { panic!("accepted") };
        assert_eq!((error.status, error.code.as_str()), (Code::ResourceExhausted.into(), "queue_full"));
        assert_eq!(error.retry_after_ms, Some(70));
    }
    let asked: usize = scripted.seen.lock().unwrap().iter().map(Vec::len).sum();
    assert_eq!(asked, 3, "no submission was tried twice");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_ended_after_its_results() {
    let scripted = Arc::new(ScriptedServices::default());
    let gated = gated(&scripted, limits());
    let (requests, receiver) = mpsc::channel(4);
    let mut client = IngestServiceClient::new(gated.ingest.clone());
    let mut results = client.submit_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    requests.send(submission("a", 1)).await.unwrap();
    assert_eq!(receipt(results.message().await.unwrap().unwrap()), "a");

    let began = Instant::now();
    let status = results.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "stream_idle"));
    assert!(began.elapsed() >= limits().stream_idle_max);
    drop(results);
    assert_eq!(gated.ingest.requests_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_outlives_the_default_deadline_but_not_its_own() {
    let gated = gated(&Arc::new(ScriptedServices::default()), limits());
    let (requests, receiver) = mpsc::channel(4);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("grpc-timeout", "90S".parse().unwrap());
    let mut client = IngestServiceClient::new(gated.ingest.clone());
    let mut results = client.submit_stream(request).await.unwrap().into_inner();
    let began = Instant::now();
    // Every 20 s, well within the idle limit, past the default deadline of 60 s.
    for number in 0..4 {
        tokio::time::advance(Duration::from_secs(20)).await;
        requests.send(submission(&format!("d{number}"), 1)).await.unwrap();
        assert_eq!(receipt(results.message().await.unwrap().unwrap()), format!("d{number}"));
    }
    let status = results.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "deadline_passed"));
    assert!(began.elapsed() >= Duration::from_secs(90));
}

#[tokio::test]
async fn bytes_are_given_back_window_by_window() {
    let scripted = Arc::new(ScriptedServices::default());
    // Room for three submissions, for a stream of fifty.
    let gated = gated(&scripted, ServerLimits { request_bytes_in_flight_max: 3000, ..limits() });
    let (requests, receiver) = mpsc::channel(1);
    let mut client = IngestServiceClient::new(gated.ingest.clone());
    let mut results = client.submit_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    for number in 0..50 {
        requests.send(submission(&format!("d{number}"), 900)).await.unwrap();
        assert_eq!(receipt(results.message().await.unwrap().unwrap()), format!("d{number}"));
    }
    drop(requests);
    assert!(results.message().await.unwrap().is_none());
    assert_eq!(gated.ingest.request_bytes_in_flight(), 0);
}

#[tokio::test]
async fn a_panic_in_a_stream_is_that_streams_error() {
    let scripted = Arc::new(ScriptedServices {
        on_submit: Box::new(|_| panic!("scripted panic")),
        ..ScriptedServices::default()
    });
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    let response = client.submit_stream(tokio_stream::iter([submission("a", 1)])).await.unwrap();
    let status = response.into_inner().message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "handler_panicked"));
}

#[tokio::test]
async fn an_unreadable_message_ends_the_stream_after_the_results_before_it() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let requests = vec![submission("a", 1), submission("b", limits().message_bytes_max)];
    let response = server.ingest().await.submit_stream(tokio_stream::iter(requests)).await.unwrap();
    let mut results = response.into_inner();
    assert_eq!(receipt(results.message().await.unwrap().unwrap()), "a");
    let status = results.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "message_too_large"));
}

#[tokio::test]
async fn a_service_without_receipts_is_a_defect_not_a_loss() {
    let scripted =
        Arc::new(ScriptedServices { on_submit: Box::new(|_| Ok(Vec::new())), ..ScriptedServices::default() });
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    let status = client.submit(submission("a", 1)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "receipt_missing"));
    let response = client.submit_stream(tokio_stream::iter([submission("a", 1)])).await.unwrap();
    let result = response.into_inner().message().await.unwrap().unwrap();
    assert_eq!(outcome(result), Err("receipt_missing".to_owned()));
}
