//! Every kind of bad input ends defined, and the next good message is visible.

use serde_json::{Value, json};

use super::{BODY_BYTES_MAX, ProducedService, ends, kind};

/// A message and how it ends: a kind, and the reason's code where there is one.
struct ProducerCase {
    name: &'static str,
    body: Vec<u8>,
    end: &'static str,
    code: Option<&'static str>,
}

fn case(name: &'static str, body: impl Into<Vec<u8>>, end: &'static str, code: &'static str) -> ProducerCase {
    ProducerCase { name, body: body.into(), end, code: Some(code).filter(|code| !code.is_empty()) }
}

fn json_case(name: &'static str, body: &Value, end: &'static str, code: &'static str) -> ProducerCase {
    case(name, serde_json::to_vec(body).unwrap(), end, code)
}

fn text(id: &str, version: u64, text: &str) -> Value {
    json!({ "document_id": id, "version": version, "text": text })
}

fn cases() -> Vec<ProducerCase> {
    let deep = [b"{\"metadata\":".as_slice(), &vec![b'['; 100_000]].concat();
    let keys: Value = (0..10_000).map(|number| (format!("k{number}"), json!(1))).collect();
    vec![
        case("no bytes", b"", "rejected", "invalid_json"),
        case("NUL", b"\0\0", "rejected", "invalid_json"),
        case("not UTF-8", b"{\"document_id\":\"\xff\"}", "rejected", "invalid_json"),
        case("deep", deep, "rejected", "too_many_values"),
        case("not so deep", [b'['; 1000], "rejected", "invalid_json"),
        json_case("NUL id", &text("a\0b", 1, "x"), "rejected", "invalid_document_id"),
        json_case("../ id", &text("../a", 1, "x"), "rejected", "invalid_document_id"),
        json_case("long id", &text(&"i".repeat(513), 1, "x"), "rejected", "invalid_document_id"),
        json_case("version 0", &text("a", 0, "x"), "rejected", "invalid_version"),
        json_case("version 5", &text("fenced", 5, "five"), "visible", ""),
        json_case("version 5 again", &text("fenced", 5, "five"), "duplicate", ""),
        json_case("version 5, other content", &text("fenced", 5, "other"), "conflict", ""),
        json_case("version 4", &text("fenced", 4, "four"), "superseded", ""),
        json_case("delete 9", &json!({"document_id":"gone","version":9,"delete":true}), "visible", ""),
        json_case("version 8 after delete 9", &text("gone", 8, "eight"), "superseded", ""),
        json_case("empty body", &text("a", 1, ""), "rejected", "empty_body"),
        json_case("white space", &text("blank", 1, " \n\t "), "dead", "empty_document"),
        json_case("largest body", &text("largest", 1, &"x ".repeat(BODY_BYTES_MAX / 2)), "visible", ""),
        json_case("too large", &text("a", 1, &"x".repeat(BODY_BYTES_MAX + 1)), "rejected", "body_too_large"),
        json_case(
            "body of no encoding",
            &json!({ "document_id": "bytes", "body_base64": "AJ+Slg==" }),
            "dead",
            "invalid_encoding",
        ),
        json_case(
            "PDF",
            &json!({ "document_id": "pdf", "body_base64": "JVBERi0xLjcKJeLjz9MK" }),
            "dead",
            "corrupt_document",
        ),
        json_case(
            "picture",
            &json!({ "document_id": "picture", "body_base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB" }),
            "dead",
            "unsupported_type",
        ),
        json_case(
            "bad base64",
            &json!({"document_id":"a","body_base64":"%%%"}),
            "rejected",
            "invalid_base64",
        ),
        json_case(
            "unknown field",
            &json!({"document_id":"a","acl":[],"text":"x"}),
            "rejected",
            "unknown_field",
        ),
        json_case(
            "many keys",
            &json!({ "document_id": "a", "metadata": keys, "text": "x" }),
            "rejected",
            "too_many_metadata_keys",
        ),
        json_case("nobody reads", &json!({"document_id":"nobody","groups":[],"text":"x"}), "visible", ""),
        json_case(
            "foreign file",
            &json!({ "document_id": "a", "body_ref": "file:///etc/hostname" }),
            "rejected",
            "body_ref_off",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_ends_defined_and_nothing_behind_it_waits() {
    let Some(service) = ProducedService::start().await else { return };
    let cases = cases();
    for (index, case) in cases.iter().enumerate() {
        service.publish(case.name, case.body.clone()).await;
        let good = text(&format!("good-{index}"), 1, &format!("Good document number {index}."));
        service.publish(&format!("good-{index}"), serde_json::to_vec(&good).unwrap()).await;
    }
    let all = cases.len() * 2;
    let heard = service
        .hear(|heard| heard.values().filter(|events| events.last().is_some_and(ends)).count() == all)
        .await;
    for case in &cases {
        let events = &heard[case.name];
        let end = events.last().unwrap();
        assert_eq!(kind(end), case.end, "{}: {end}", case.name);
        assert_eq!(end["data"]["reason"]["code"].as_str(), case.code, "{}: {end}", case.name);
        let expected: usize = if matches!(case.end, "visible" | "dead") { 2 } else { 1 };
        assert_eq!(events.len(), expected, "{}", case.name);
        assert!(events[..expected - 1].iter().all(|event| kind(event) == "accepted"), "{}", case.name);
    }
    for index in 0..cases.len() {
        let kinds: Vec<_> = heard[&format!("good-{index}")].iter().map(kind).collect();
        assert_eq!(kinds, ["accepted", "visible"], "behind {}", cases[index].name);
    }
    let rejected = cases.iter().filter(|case| case.end == "rejected").count();
    let dead = service.rabbit.named("dead");
    service.beside.has_ready(&dead, u32::try_from(rejected).unwrap()).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_equal_messages_become_one_visible_version() {
    let Some(service) = ProducedService::start().await else { return };
    let body = serde_json::to_vec(&text("same", 1, "The same, again and again.")).unwrap();
    for _ in 0..100 {
        service.publish("same", body.clone()).await;
    }
    let heard = service.hear(|heard| heard.get("same").is_some_and(|events| events.len() >= 101)).await;
    let of = |wanted: &str| heard["same"].iter().filter(|event| kind(event) == wanted).count();
    assert_eq!((of("accepted"), of("duplicate"), of("visible")), (1, 99, 1));
    service.stop().await;
}
