//! What becomes of a plain object that Node is given as metadata.
//!
//! The bytes are what `@grpc/proto-loader` 0.8 with `protobufjs` 7.6 writes, with `keepCase` and without, for
//! `{collection: "docs", document_id: "a", body: Buffer.from("x"), metadata: …}`.

use std::sync::Arc;

use contexture::domain::metadata::{MetadataScalar, MetadataValue};
use contexture::server::grpc::proto::SubmitRequest;
use prost::Message;
use tonic::Code;

use super::support::*;

/// The message before its metadata.
const HEAD: &str = "0a04646f6373120161220178";

fn from_node(metadata: &str) -> SubmitRequest {
    let hex = format!("{HEAD}{metadata}");
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let request = SubmitRequest::decode(bytes.as_slice()).unwrap();
    // So that the client below sends the same again: prost leaves out an entry's value that is the default.
    assert_eq!(SubmitRequest::decode(request.encode_to_vec().as_slice()).unwrap(), request);
    request
}

#[tokio::test]
async fn a_plain_object_from_node_is_refused_and_not_lost() {
    let server = RunningServer::start(&Arc::new(ScriptedServices::default()), limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    // {lang: "en", year: 2024}, {}, {fields: {}} and [1, 2] are all the same on the wire.
    let status = client.submit(from_node("3a00")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "empty_metadata"));
    assert_eq!(field(&status), "metadata");
    assert!(status.message().contains("{fields: {key: {stringValue: "), "{}", status.message());
    assert!(status.message().contains("leave it out"), "{}", status.message());

    // {fields: {lang: {text: "en"}}}, and {fields: {lang: {string_value: "en"}}}: names that Value lacks.
    let status = client.submit(from_node("3a0a0a080a046c616e671200")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_metadata_value"));
    assert_eq!(field(&status), "metadata.lang");
    assert!(status.message().contains("{stringValue: "), "{}", status.message());

    // {fields: {tags: {listValue: {values: [{}]}}}}: the same in a list.
    let status = client.submit(from_node("3a0e0a0c0a0474616773120432020a00")).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), field(&status).as_str()),
        ("invalid_metadata_value", "metadata.tags")
    );
}

#[tokio::test]
async fn metadata_as_node_has_to_write_it_arrives() {
    let scripted = Arc::new(ScriptedServices::default());
    let server = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = server.ingest().await;
    client.submit(from_node("")).await.unwrap();
    // {fields: {lang: {stringValue: "en"}}}
    client.submit(from_node("3a0e0a0c0a046c616e6712041a02656e")).await.unwrap();
    // {fields: {tags: {listValue: {values: [{stringValue: "a"}]}}}}
    client.submit(from_node("3a110a0f0a0474616773120732050a031a0161")).await.unwrap();
    let seen: Vec<_> = scripted.seen.lock().unwrap().drain(..).flatten().collect();
    let value = |at: usize, key: &str| seen[at].description().metadata.get(key).cloned();
    let text = |text: &str| MetadataScalar::Text(text.to_owned());
    assert_eq!(seen[0].description().metadata.iter().count(), 0);
    assert_eq!(value(1, "lang"), Some(MetadataValue::One(text("en"))));
    assert_eq!(value(2, "tags"), Some(MetadataValue::Many(vec![text("a")])));
}
