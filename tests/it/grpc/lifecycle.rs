//! Health, reflection, panics, and how the server ends.

use std::sync::Arc;
use std::time::Duration;

use contexture::config::ServerLimits;
use contexture::server::grpc::SERVICE_NAMES;
use contexture::server::grpc::proto::submit_result::Outcome;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::support::*;

#[tokio::test]
async fn reflection_lists_and_describes_the_services() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let ask = |message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let requests = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("contexture.v1.SubmitRequest".to_owned())),
    ];
    let mut client = ServerReflectionClient::new(server.channel().await);
    let responses = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let responses: Vec<ServerReflectionResponse> = responses.map(Result::unwrap).collect().await;

    let Some(MessageResponse::ListServicesResponse(list)) = &responses[0].message_response else {
        panic!("{responses:?}")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in SERVICE_NAMES.into_iter().chain(["grpc.health.v1.Health"]) {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    assert!(matches!(responses[1].message_response, Some(MessageResponse::FileDescriptorResponse(_))));
}

#[tokio::test]
async fn clients_of_the_older_reflection_find_the_services_too() {
    use older::server_reflection_request::MessageRequest as Asked;
    use older::server_reflection_response::MessageResponse as Answered;
    use tonic_reflection::pb::v1alpha as older;

    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let request = older::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(Asked::ListServices(String::new())),
    };
    let channel = server.channel().await;
    let mut client = older::server_reflection_client::ServerReflectionClient::new(channel);
    let asked = client.server_reflection_info(tokio_stream::iter([request])).await;
    let response = asked.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(Answered::ListServicesResponse(list)) = response.message_response else {
        panic!("no list of services")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(SERVICE_NAMES.iter().all(|name| names.contains(name)), "{names:?}");
}

#[tokio::test]
async fn health_answers_without_a_key_while_the_server_is_full() {
    let scripted = Arc::new(ScriptedServices::holding());
    let limits = ServerLimits { requests_in_flight_max: 1, ..limits() };
    let keys =
        vec![key("reader", "some-secret-key-0001", &[contexture::domain::principal::AccessScope::Read])];
    let server = RunningServer::start(&scripted, limits, keys).await;
    let mut client = server.context().await;
    let mut request = tonic::Request::new(question());
    request.metadata_mut().insert("x-api-key", "some-secret-key-0001".parse().unwrap());
    let held = tokio::spawn(async move { client.assemble(request).await });
    scripted.entered(1).await;
    let mut health = HealthClient::new(server.channel().await);
    for name in SERVICE_NAMES.into_iter().chain([""]) {
        let response = health.check(HealthCheckRequest { service: name.to_owned() }).await.unwrap();
        assert_eq!(response.into_inner().status(), ServingStatus::Serving, "{name}");
    }
    scripted.leave.add_permits(1);
    assert!(held.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_panic_is_one_calls_error() {
    let scripted = Arc::new(ScriptedServices {
        on_submit: Box::new(|submissions| {
            assert_ne!(submissions[0].document_id().as_str(), "poison", "scripted panic");
            Ok(submissions.iter().map(accepted).collect())
        }),
        ..ScriptedServices::default()
    });
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    let status = client.submit(submission("poison", 1)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "handler_panicked"));
    assert!(!status.message().contains("scripted"));
    assert!(client.submit(submission("a", 1)).await.is_ok());
}

#[tokio::test]
async fn shutdown_lets_calls_in_work_finish() {
    let scripted = Arc::new(ScriptedServices::holding());
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    let held = tokio::spawn(async move { client.submit(submission("a", 1)).await });
    scripted.entered(1).await;
    // Watchers of health and open streams must not hold the server up.
    let mut health = HealthClient::new(server.channel().await);
    let watch = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let (requests, receiver) = mpsc::channel(1);
    let mut streaming = server.ingest().await;
    let stream = streaming.submit_stream(ReceiverStream::new(receiver)).await.unwrap();
    let mut results = stream.into_inner();
    requests.send(submission("b", 1)).await.unwrap();
    scripted.entered(2).await;

    server.shutdown.send(()).unwrap();
    while watch.message().await.unwrap().is_some() {}
    scripted.leave.add_permits(2);

    assert!(held.await.unwrap().is_ok());
    let result = results.message().await.unwrap().unwrap();
    assert!(matches!(result.outcome, Some(Outcome::Receipt(_))), "the window in work is answered");
    let status = results.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "shutting_down"));
    server.done.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_told_so() {
    let scripted = Arc::new(ScriptedServices::holding());
    let limits = ServerLimits { drain_max: Duration::from_millis(20), ..limits() };
    let server = RunningServer::start(&scripted, limits, Vec::new()).await;
    let mut client = server.ingest().await;
    let held = tokio::spawn(async move { client.submit(submission("a", 1)).await });
    scripted.entered(1).await;
    server.shutdown.send(()).unwrap();
    let status = held.await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "shutting_down"));
    server.done.await.unwrap().unwrap();
}
