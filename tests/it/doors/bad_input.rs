//! One table of bad input through all doors: the same code and the same field in each.

use bytes::Bytes;
use contexture::server::grpc::proto::{AssembleRequest, MinVersion, Section, SubmitRequest};
use prost_types::value::Kind;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Status;
use tonic_types::StatusExt;

use super::callers::DoorCaller;
use super::{PIPELINE, ServedStack};

const KEY: &str = "key-of-the-table-0123456789";
const COLLECTION: &str = "table";

/// A request that is wrong, and what each door has to say.
struct BadInputCase {
    request: BadRequestKind,
    code: &'static str,
    field: &'static str,
}

/// The JSON of a request. What MCP's tool has arguments for goes through it, too.
enum BadRequestKind {
    Context(Value),
    Submit(Value),
}

fn context(fields: Value, code: &'static str, field: &'static str) -> BadInputCase {
    let mut request = json!({"question": "why?", "budget": 500});
    merge(&mut request, fields);
    BadInputCase { request: BadRequestKind::Context(request), code, field }
}

fn submit(fields: Value, code: &'static str, field: &'static str) -> BadInputCase {
    let mut request = json!({"id": "a.md", "text": "A text."});
    merge(&mut request, fields);
    BadInputCase { request: BadRequestKind::Submit(request), code, field }
}

fn merge(request: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { unreachable!("cases are objects") };
    request.as_object_mut().unwrap().extend(fields);
}

fn query_cases() -> Vec<BadInputCase> {
    let deep_filter = format!("{}a = 1{}", "not (".repeat(1000), ")".repeat(1000));
    vec![
        context(json!({"question": ""}), "empty_question", "question"),
        context(json!({"question": " \n\t "}), "empty_question", "question"),
        context(json!({"question": "x".repeat(1 << 20)}), "question_too_long", "question"),
        context(json!({"top_k": 0}), "invalid_top_k", "top_k"),
        context(json!({"top_k": -1}), "invalid_top_k", "top_k"),
        context(json!({"top_k": 1_000_000_000}), "invalid_top_k", "top_k"),
        context(json!({"budget": -1}), "invalid_budget", "budget"),
        context(json!({"budget": 1_000_000_001}), "invalid_budget", "budget"),
        context(json!({"tokenizer": "no-such-model"}), "unknown_tokenizer", "tokenizer"),
        context(json!({"format": "no-such-format"}), "unknown_format", "format"),
        context(json!({"order": "sideways"}), "unknown_order", "order"),
        context(json!({"fusion": "magic"}), "unknown_fusion", "fusion"),
        context(json!({"cutoff": 2.0}), "invalid_cutoff", "cutoff"),
        context(json!({"rerank": true}), "no_reranker", "rerank"),
        context(json!({"filter": "lang ="}), "invalid_filter", "filter"),
        context(json!({"filter": "lang = \"en"}), "invalid_filter", "filter"),
        context(json!({"filter": deep_filter}), "filter_too_deep", "filter"),
        context(json!({"filter": "x".repeat(20_000)}), "filter_too_long", "filter"),
        context(
            json!({"passages_per_document_max": 0}),
            "invalid_passages_per_document",
            "passages_per_document_max",
        ),
        context(json!({"reserve_answer": -5}), "invalid_reserve", "reserve_answer"),
        context(
            json!({"min_versions": [{"document_id": "a.md", "version": 0}]}),
            "invalid_version",
            "version",
        ),
        context(
            json!({"min_versions": [{"document_id": "../a", "version": 1}]}),
            "invalid_document_id",
            "document_id",
        ),
        context(json!({"sections": [{"name": ""}]}), "invalid_sections", "sections"),
        context(json!({"sections": [{"name": "a", "share": 1.5}]}), "invalid_sections", "sections"),
        context(json!({"continuation": "not one of ours"}), "invalid_continuation", "continuation"),
        context(json!({"collection": "no-such-collection"}), "unknown_collection", "collection"),
        context(json!({"collection": "No Name"}), "invalid_collection", "collection"),
    ]
}

fn submit_cases() -> Vec<BadInputCase> {
    let many_keys: serde_json::Map<String, Value> =
        (0..65).map(|key| (format!("k{key}"), json!(1))).collect();
    let many_groups: Vec<String> = (0..257).map(|group| format!("g{group}")).collect();
    vec![
        submit(json!({"id": "x".repeat(513)}), "invalid_document_id", "document_id"),
        submit(json!({"id": "a/../b"}), "invalid_document_id", "document_id"),
        submit(json!({"id": "a\u{0}b"}), "invalid_document_id", "document_id"),
        submit(json!({"version": 0}), "invalid_version", "version"),
        submit(json!({"version": u64::MAX}), "invalid_version", "version"),
        submit(json!({"text": ""}), "empty_body", "body"),
        submit(json!({"title": "two\nlines"}), "invalid_text", "title"),
        submit(json!({"title": "x".repeat(1025)}), "invalid_text", "title"),
        submit(json!({"media_type": "x".repeat(257)}), "invalid_text", "media_type"),
        submit(json!({"metadata": many_keys}), "too_many_metadata_keys", "metadata"),
        submit(json!({"metadata": {"nested": {"a": 1}}}), "invalid_metadata_value", "metadata.nested"),
        submit(json!({"metadata": {"nothing": null}}), "invalid_metadata_value", "metadata.nothing"),
        submit(json!({"metadata": {"long": "x".repeat(1025)}}), "metadata_value_too_long", "metadata.long"),
        submit(json!({"groups": many_groups}), "too_many_groups", "acl"),
        submit(json!({"groups": [""]}), "invalid_group", "acl"),
        submit(json!({"collection": "no-such-collection"}), "unknown_collection", "collection"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_says_the_same_of_bad_input() {
    let served = ServedStack::start(&[("table", "acme", KEY, &["read", "write", "admin"])]).await;
    let caller = DoorCaller::new(served.address, KEY).await;
    let made = json!({"name": COLLECTION, "pipeline": PIPELINE});
    let (status, why) = caller.http(Method::POST, "/v1/collections", Some(made)).await;
    assert_eq!(status, 201, "{why}");
    let mut wrong = Vec::new();
    for BadInputCase { request, code, field } in query_cases().into_iter().chain(submit_cases()) {
        let wanted = (code.to_owned(), field.to_owned());
        let (shown, said) = match &request {
            BadRequestKind::Context(request) => (request, context_answers(&caller, request).await),
            BadRequestKind::Submit(request) => (request, submit_answers(&caller, request).await),
        };
        for (door, said) in said {
            // An error of a tool is text: it has the code, and names the field in words.
            let same = if door == "MCP" { said.0 == wanted.0 } else { said == wanted };
            if !same {
                let shown: String = shown.to_string().chars().take(100).collect();
                wrong.push(format!("{door}: {shown}: {said:?}, not {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    served.stop().await;
}

type DoorAnswer = (&'static str, (String, String));

/// Code and field of a question, by door.
async fn context_answers(caller: &DoorCaller, request: &Value) -> Vec<DoorAnswer> {
    let mut body = request.clone();
    let named = body.as_object_mut().unwrap().remove("collection");
    let collection = named.as_ref().and_then(Value::as_str).unwrap_or(COLLECTION);
    let path = format!("/v1/collections/{}/context", collection.replace(' ', "%20"));
    let (_, problem) = caller.http(Method::POST, &path, Some(body)).await;
    let grpc = caller.grpc_assemble(assemble_request(request, collection)).await;
    let mut said = vec![("HTTP", of_problem(&problem)), ("gRPC", of_status(&grpc.unwrap_err()))];
    if let Some(arguments) = tool_arguments(request, collection) {
        let result = caller.mcp("get_context", arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        said.push(("MCP", (text.split(':').next().unwrap().to_owned(), String::new())));
    }
    said
}

async fn submit_answers(caller: &DoorCaller, request: &Value) -> Vec<DoorAnswer> {
    let mut body = request.clone();
    let named = body.as_object_mut().unwrap().remove("collection");
    let collection = named.as_ref().and_then(Value::as_str).unwrap_or(COLLECTION);
    let path = format!("/v1/collections/{collection}/documents");
    let (_, many) = caller.http(Method::POST, &path, Some(json!([body]))).await;
    let error = &many["results"][0]["error"];
    let problem = if error.is_object() { error } else { &many };
    let grpc = caller.grpc_submit(submit_request(request, collection)).await;
    vec![("HTTP", of_problem(problem)), ("gRPC", of_status(&grpc.unwrap_err()))]
}

fn of_problem(problem: &Value) -> (String, String) {
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    (text("code"), text("field"))
}

fn of_status(status: &Status) -> (String, String) {
    let code = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let field = status.get_details_bad_request().and_then(|bad| bad.field_violations.first().cloned());
    // A status of another kind has no field; HTTP has it for all.
    let field = field.map_or_else(|| implied_field(&code), |violation| violation.field);
    (code, field)
}

/// The field of errors whose gRPC status has no place for one.
fn implied_field(code: &str) -> String {
    if code == "unknown_collection" { "collection".to_owned() } else { String::new() }
}

/// The arguments of the tool, where it has all that the request has.
fn tool_arguments(request: &Value, collection: &str) -> Option<Value> {
    let fields = request.as_object().unwrap();
    let has = |name: &str| matches!(name, "question" | "budget" | "filter" | "collection");
    // The tool's budget has a range of its own.
    let usual = fields["budget"] == 500;
    if !usual || !fields.keys().all(|name| has(name)) {
        return None;
    }
    let mut arguments = json!({"question": fields["question"], "max_tokens": 500, "collection": collection});
    if let Some(filter) = fields.get("filter") {
        arguments["filter"] = filter.clone();
    }
    Some(arguments)
}

fn text(request: &Value, name: &str) -> Option<String> {
    request[name].as_str().map(str::to_owned)
}

fn assemble_request(request: &Value, collection: &str) -> AssembleRequest {
    let list = |name: &str| request[name].as_array().cloned().unwrap_or_default();
    AssembleRequest {
        collection: collection.to_owned(),
        question: text(request, "question").unwrap(),
        budget: request["budget"].as_i64(),
        tokenizer: text(request, "tokenizer"),
        format: text(request, "format"),
        top_k: request["top_k"].as_i64(),
        filter: text(request, "filter"),
        fusion: text(request, "fusion"),
        rerank: request["rerank"].as_bool(),
        order: text(request, "order"),
        cutoff: request["cutoff"].as_f64(),
        passages_per_document_max: request["passages_per_document_max"].as_i64(),
        reserve_answer: request["reserve_answer"].as_i64(),
        continuation: text(request, "continuation"),
        min_versions: list("min_versions")
            .iter()
            .map(|one| MinVersion {
                document_id: text(one, "document_id").unwrap(),
                version: one["version"].as_u64().unwrap(),
            })
            .collect(),
        sections: list("sections")
            .iter()
            .map(|one| Section {
                name: text(one, "name").unwrap(),
                question: text(one, "question"),
                filter: text(one, "filter"),
                share: one["share"].as_f64(),
            })
            .collect(),
        ..AssembleRequest::default()
    }
}

fn submit_request(request: &Value, collection: &str) -> SubmitRequest {
    let groups = |groups: &Vec<Value>| contexture::server::grpc::proto::Acl {
        groups: groups.iter().map(|group| group.as_str().unwrap().to_owned()).collect(),
    };
    SubmitRequest {
        collection: collection.to_owned(),
        document_id: text(request, "id").unwrap(),
        version: request["version"].as_u64(),
        body: Bytes::from(text(request, "text").unwrap()),
        media_type: text(request, "media_type"),
        title: text(request, "title"),
        metadata: request["metadata"].as_object().map(as_struct),
        acl: request["groups"].as_array().map(groups),
        ..SubmitRequest::default()
    }
}

fn as_struct(object: &serde_json::Map<String, Value>) -> prost_types::Struct {
    let fields = object.iter().map(|(key, value)| (key.clone(), as_value(value))).collect();
    prost_types::Struct { fields }
}

fn as_value(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.iter().map(as_value).collect() })
        }
        Value::Object(object) => Kind::StructValue(as_struct(object)),
    };
    prost_types::Value { kind: Some(kind) }
}
