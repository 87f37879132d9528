//! What producers are told: golden events, `schemas/event.v1.json`, ids that derive from content.

use contexture_core::domain::event::{DocumentEvent, EventKind, SourceMessage};
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::origin::MessageOrigin;
use contexture_core::domain::submit_message::{MessageRejection, SubmitMessageV1};
use contexture_core::domain::task::{IngestStage, IngestTask, TaskEnvelope};
use contexture_core::fault::FailureReason;
use serde_json::Value;

use crate::support::schemas::{assert_valid, schema};
use crate::support::{collection, document, task, version, version_key};

const NOW_MS: u64 = 1_795_000_000_123;
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn origin() -> Option<MessageOrigin> {
    let text = |text: &str| Some(text.to_owned());
    MessageOrigin::new(text("m-1"), text("c-1"), text("answers"), text(TRACE))
}

fn home() -> CollectionKey {
    collection("acme", "handbook")
}

fn asked(body: &[u8]) -> DocumentEvent {
    let origin = origin();
    let asked = SourceMessage { routing_key: "acme.handbook", body, origin: origin.as_ref() };
    let rejection = SubmitMessageV1::decode(body).unwrap_err();
    DocumentEvent::rejected(asked, Some(&home()), &rejection)
}

fn samples() -> Vec<(&'static str, DocumentEvent)> {
    let task = IngestTask { origin: origin(), ..task(version_key(&home(), "guides/Zürich.md", 42)) };
    let message = SourceMessage { routing_key: "acme.handbook", body: b"{}", origin: None }.to_identity();
    let answer = |kind, version, latest| {
        DocumentEvent::without_effect(kind, message.clone(), &home(), &document("a"), version, latest)
    };
    let forbidden = MessageRejection::for_field("tenant_forbidden", "user_id", "not yours");
    let foreign = SourceMessage { routing_key: "other.docs", body: b"{}", origin: None };
    vec![
        ("accepted", DocumentEvent::accepted(&task)),
        ("visible", DocumentEvent::visible(&IngestTask { deletes: true, origin: None, ..task.clone() })),
        ("superseded", DocumentEvent::superseded(&task)),
        (
            "dead",
            DocumentEvent::dead(
                &task,
                Some(IngestStage::Chunk),
                &FailureReason::new("empty_document", "nothing in it"),
            ),
        ),
        ("duplicate", answer(EventKind::Duplicate, Some(version(3)), (Some(version(3)), Some("visible")))),
        ("conflict", answer(EventKind::Conflict, Some(version(3)), (Some(version(3)), Some("chunked")))),
        ("late", answer(EventKind::Superseded, Some(version(2)), (Some(version(3)), Some("dead")))),
        ("nothing_to_delete", answer(EventKind::Duplicate, None, (None, None))),
        ("rejected", asked(b"{\"document_id\":\n")),
        ("rejected_field", asked(b"{\"document_id\":7}")),
        ("rejected_foreign", DocumentEvent::rejected(foreign, None, &forbidden)),
    ]
}

#[test]
fn golden_events_are_written_alike() {
    let path = crate::support::workspace::workspace_file("tests/golden/events.jsonl");
    let stored = std::fs::read_to_string(path).unwrap();
    let written: String =
        samples().iter().map(|(_, event)| String::from_utf8(event.to_json(NOW_MS)).unwrap() + "\n").collect();
    assert_eq!(written, stored);
}

#[test]
fn every_event_is_valid_to_its_schema() {
    let schema = schema("event.v1.json");
    for (name, event) in samples() {
        let json: Value = serde_json::from_slice(&event.to_json(NOW_MS)).unwrap();
        assert_valid(&schema, &json);
        for missing in ["id", "type", "data", "specversion"] {
            let mut broken = json.clone();
            broken.as_object_mut().unwrap().remove(missing);
            assert!(!schema.is_valid(&broken), "{name} without {missing}");
        }
        let mut surplus = json.clone();
        surplus["data"]["text"] = "x".into();
        assert!(!schema.is_valid(&surplus), "{name} with more in its data");
    }
}

#[test]
fn every_kind_has_a_sample_and_a_type_of_the_schema() {
    for kind in EventKind::ALL {
        let found = samples().into_iter().find(|(_, event)| event.kind() == kind);
        let (_, event) = found.unwrap_or_else(|| panic!("no sample of {kind:?}"));
        assert_eq!(event.routing_key().rsplit('.').next(), Some(kind.name()));
    }
}

#[test]
fn ids_say_what_happened_and_not_when() {
    let ids: std::collections::BTreeSet<String> = samples().iter().map(|(_, event)| event.id()).collect();
    // The four answers to one message differ by kind; the two duplicates are one answer.
    assert_eq!(ids.len(), samples().len() - 1);
    assert_eq!(asked(b"[").id(), asked(b"[").id());
    assert_ne!(asked(b"[").id(), asked(b"[ ").id(), "another message");
    let one = task(version_key(&home(), "a", 1));
    let of_message = IngestTask { origin: origin(), attempt: 3, accepted_ms: 99, ..one.clone() };
    assert_eq!(
        DocumentEvent::visible(&one).id(),
        DocumentEvent::visible(&of_message).id(),
        "the same version"
    );
}

#[test]
fn nobody_is_named_to_who_may_not_write() {
    let event = samples().pop().unwrap().1;
    assert_eq!(event.routing_key(), "_._.rejected");
    assert!(!String::from_utf8(event.to_json(0)).unwrap().contains("other"));
}

#[test]
fn tasks_are_valid_to_their_schema() {
    let schema = schema("task.v1.json");
    let plain = task(version_key(&home(), "a", 1));
    for stage in IngestStage::ALL {
        for task in [plain.clone(), IngestTask { origin: origin(), ..plain.clone() }] {
            let envelope = TaskEnvelope::new(stage, task);
            let json = serde_json::to_value(&envelope).unwrap();
            assert_valid(&schema, &json);
            assert_eq!(serde_json::from_value::<TaskEnvelope>(json.clone()).unwrap(), envelope);
            for field in json.as_object().unwrap().keys().filter(|field| *field != "origin") {
                let mut broken = json.clone();
                broken.as_object_mut().unwrap().remove(field);
                assert!(!schema.is_valid(&broken), "without {field}");
                assert!(serde_json::from_value::<TaskEnvelope>(broken).is_err(), "without {field}");
            }
        }
    }
    for name in ["chunk_v1.json", "embed_v1.json", "index_v1.json", "chunk_v1_origin.json"] {
        let path = crate::support::workspace::workspace_file("tests/golden").join(name);
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_valid(&schema, &golden);
    }
}
