//! Every limit of the server at its maximum and one beyond; deadlines.

use std::sync::Arc;
use std::time::Duration;

use contexture::config::ServerLimits;
use contexture::server::grpc::proto;
use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use contexture::server::grpc::proto::ingest_service_client::IngestServiceClient;
use prost::Message;
use tokio::time::Instant;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use super::support::*;

/// Length prefix and compression flag before every gRPC message.
const FRAME_HEADER_BYTES: usize = 5;

#[tokio::test]
async fn bodies_and_messages_have_a_maximum() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    assert!(client.submit(submission("a", BODY_BYTES_MAX)).await.is_ok());
    let status = client.submit(submission("a", BODY_BYTES_MAX + 1)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "body_too_large"));
    assert_eq!(field(&status), "body");

    let message_bytes_max = limits().message_bytes_max;
    let body_for = |message_bytes: usize| {
        let around = submission("a", message_bytes).encoded_len() - message_bytes;
        message_bytes - around
    };
    let at_most = submission("a", body_for(message_bytes_max));
    assert_eq!(at_most.encoded_len(), message_bytes_max);
    assert_eq!(reason(&client.submit(at_most).await.unwrap_err()), "body_too_large");
    let beyond = client.submit(submission("a", body_for(message_bytes_max) + 1)).await.unwrap_err();
    assert_eq!((beyond.code(), reason(&beyond).as_str()), (Code::InvalidArgument, "message_too_large"));
}

#[tokio::test]
async fn a_message_of_another_shape_is_the_callers_mistake() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    // A MinVersion has a number where a SubmitRequest has its document id.
    let codec = tonic_prost::ProstCodec::<proto::MinVersion, proto::Receipt>::default();
    let message = proto::MinVersion { document_id: "docs".to_owned(), version: 4 };
    let path = "/contexture.v1.IngestService/Submit".parse().unwrap();
    let status = client.unary(Request::new(message), path, codec).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "undecodable_message"));
}

#[tokio::test]
async fn calls_beyond_the_maximum_are_refused_at_once() {
    let scripted = Arc::new(ScriptedServices::holding());
    let limits = ServerLimits { requests_in_flight_max: 2, ..limits() };
    let server = RunningServer::start(&scripted, limits, Vec::new()).await;
    let (ingest, context) = (server.ingest().await, server.context().await);
    let mut held = ingest.clone();
    let first = tokio::spawn(async move { held.submit(submission("a", 1)).await });
    let mut held = context.clone();
    let second = tokio::spawn(async move { held.assemble(question()).await });
    scripted.entered(2).await;

    let status = ingest.clone().submit(submission("b", 1)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "requests_in_flight"));
    let retry = status.get_details_retry_info().unwrap();
    assert_eq!(retry.retry_delay, Some(Duration::from_millis(250)));

    scripted.leave.add_permits(3);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert!(ingest.clone().submit(submission("b", 1)).await.is_ok());
}

#[tokio::test]
async fn bytes_beyond_the_maximum_are_refused_at_once() {
    let both = 2 * (submission("a", 900).encoded_len() + FRAME_HEADER_BYTES);
    for (room, second_fits) in [(both, true), (both - 1, false)] {
        let scripted = Arc::new(ScriptedServices::holding());
        let limits = ServerLimits { request_bytes_in_flight_max: room, ..limits() };
        let gated = gated(&scripted, limits);
        let client = IngestServiceClient::new(gated.ingest.clone());
        let mut held = client.clone();
        let first = tokio::spawn(async move { held.submit(submission("a", 900)).await });
        scripted.entered(1).await;
        assert_eq!(gated.ingest.request_bytes_in_flight(), both / 2);

        let mut other = client.clone();
        let second = tokio::spawn(async move { other.submit(submission("a", 900)).await });
        if second_fits {
            scripted.entered(2).await;
            scripted.leave.add_permits(2);
            assert!(second.await.unwrap().is_ok());
        } else {
            let status = second.await.unwrap().unwrap_err();
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::ResourceExhausted, "bytes_in_flight")
            );
            scripted.leave.add_permits(1);
        }
        assert!(first.await.unwrap().is_ok());
        assert_eq!((gated.ingest.request_bytes_in_flight(), gated.ingest.requests_in_flight()), (0, 0));
    }
}

#[tokio::test]
async fn calls_of_one_connection_have_a_maximum() {
    const CALLS: usize = 12;
    for (streams_max, held) in [(3_usize, 3), (CALLS, CALLS)] {
        let scripted = Arc::new(ScriptedServices::holding());
        let limits =
            ServerLimits { streams_per_connection_max: u32::try_from(streams_max).unwrap(), ..limits() };
        let server = RunningServer::start(&scripted, limits, Vec::new()).await;
        let client = server.ingest().await;
        // The first call makes sure that the client knows the server's settings.
        scripted.leave.add_permits(1);
        client.clone().submit(submission("a", 1)).await.unwrap();
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move { client.submit(submission("a", 1)).await })
            })
            .collect();
        let (mut through, mut most_inside) = (0, 0);
        while through < CALLS {
            // Each round lets go exactly the calls that are allowed inside together.
            let round = held.min(CALLS - through);
            scripted.entered(1 + through + round).await;
            let inside = *scripted.entered.borrow() - 1 - through;
            most_inside = most_inside.max(inside);
            scripted.leave.add_permits(round);
            through += round;
        }
        for call in calls {
            assert!(call.await.unwrap().is_ok());
        }
        assert_eq!(most_inside, held);
    }
}

#[tokio::test]
async fn metadata_has_a_maximum_and_the_server_outlives_it() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let with_metadata = |bytes: usize| {
        let mut request = Request::new(question());
        request.metadata_mut().insert("x-padding", "p".repeat(bytes).parse().unwrap());
        request
    };
    assert!(server.context().await.assemble(with_metadata(12 * 1024)).await.is_ok());
    assert!(server.context().await.assemble(with_metadata(17 * 1024)).await.is_err());
    assert!(server.context().await.assemble(question()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_the_callers_or_ours_and_never_beyond_the_maximum() {
    let ours = limits();
    for (asked, expected) in [
        (None, ours.request_deadline),
        (Some("200m"), Duration::from_millis(200)),
        (Some("3S"), Duration::from_secs(3)),
        (Some("1H"), ours.request_deadline_max),
        (Some("99999999H"), ours.request_deadline_max),
    ] {
        let scripted = Arc::new(ScriptedServices::holding());
        let gated = gated(&scripted, limits());
        let mut request = Request::new(submission("a", 1));
        if let Some(asked) = asked {
            request.metadata_mut().insert("grpc-timeout", asked.parse().unwrap());
        }
        let began = Instant::now();
        let status = IngestServiceClient::new(gated.ingest.clone()).submit(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "deadline_passed"));
        let waited = began.elapsed();
        assert!(waited >= expected && waited < expected + Duration::from_millis(5), "{asked:?}: {waited:?}");
        assert_eq!(gated.ingest.requests_in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_passed_or_unreadable_deadline_never_reaches_a_handler() {
    let scripted = Arc::new(ScriptedServices::default());
    let gated = gated(&scripted, limits());
    for (asked, code) in [
        ("0S", Code::DeadlineExceeded),
        ("0n", Code::DeadlineExceeded),
        ("5", Code::InvalidArgument),
        ("S", Code::InvalidArgument),
        ("-1S", Code::InvalidArgument),
        ("123456789S", Code::InvalidArgument),
        ("5x", Code::InvalidArgument),
    ] {
        let mut request = Request::new(question());
        request.metadata_mut().insert("grpc-timeout", asked.parse().unwrap());
        let status = ContextServiceClient::new(gated.context.clone()).assemble(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{asked}");
    }
    assert_eq!(*scripted.entered.borrow(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_query_knows_its_deadline_less_the_way_out() {
    let scripted = Arc::new(ScriptedServices::default());
    let gated = gated(&scripted, limits());
    for (asked, expected_ms) in [("100m", 90), ("10S", 9950)] {
        let mut request = Request::new(question());
        request.metadata_mut().insert("grpc-timeout", asked.parse().unwrap());
        ContextServiceClient::new(gated.context.clone()).assemble(request).await.unwrap();
        let deadline = scripted.queries.lock().unwrap().pop().unwrap().deadline;
        assert_eq!(deadline, Duration::from_millis(expected_ms), "{asked}");
    }
}

#[tokio::test]
async fn a_deadline_over_the_network_ends_the_call() {
    let scripted = Arc::new(ScriptedServices::holding());
    let limits = ServerLimits { request_deadline: Duration::from_millis(20), ..limits() };
    let server = RunningServer::start(&scripted, limits, Vec::new()).await;
    let status = server.ingest().await.submit(submission("a", 1)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "deadline_passed"));
}
