//! Stage messages: their wire form is held by golden files, so an older worker and a newer one
//! understand each other.

use std::fs;

use contexture_core::domain::ids::{ContentHash, Epoch};
use contexture_core::domain::origin::MessageOrigin;
use contexture_core::domain::task::{IngestStage, IngestTask, TaskEnvelope};

use crate::support::{collection, version_key};

fn golden(name: &str) -> String {
    let path = crate::support::workspace::workspace_file("tests/golden").join(name);
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}

fn expected(document_id: &str, number: u64) -> IngestTask {
    let epoch: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let hash: [u8; 32] = std::array::from_fn(|index| 0x11 * (15 - u8::try_from(index % 16).unwrap()));
    IngestTask {
        key: version_key(&collection("acme", "handbook"), document_id, number),
        generation: 1,
        epoch: Epoch::from_bytes(epoch),
        content_hash: ContentHash::from_bytes(hash),
        deletes: false,
        body_bytes: 1,
        attempt: 0,
        accepted_ms: 0,
        origin: None,
    }
}

#[test]
fn golden_messages_are_understood_and_written_alike() {
    let chunk = IngestTask {
        body_bytes: 1_024,
        accepted_ms: 1_795_000_000_000,
        ..expected("guides/Zürich \"notes\".md", 42)
    };
    let text = |text: &str| Some(text.to_owned());
    let trace = text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let origin = MessageOrigin::new(text("m-1"), text("c-1"), text("answers"), trace);
    let published = IngestTask { origin, ..chunk.clone() };
    let embed = IngestTask { generation: 2, attempt: 7, ..expected("a", 1) };
    let index = IngestTask {
        generation: u32::MAX,
        deletes: true,
        body_bytes: 0,
        accepted_ms: u64::MAX,
        ..expected("a", u64::MAX >> 1)
    };
    for (name, stage, task) in [
        ("chunk_v1.json", IngestStage::Chunk, chunk),
        ("chunk_v1_origin.json", IngestStage::Chunk, published),
        ("embed_v1.json", IngestStage::Embed, embed),
        ("index_v1.json", IngestStage::Index, index),
    ] {
        let stored = golden(name);
        let decoded: TaskEnvelope = serde_json::from_str(&stored).unwrap();
        assert_eq!(decoded.clone().open(), (stage, task.clone()), "{name}");
        assert_eq!(TaskEnvelope::new(stage, task), decoded);
        assert_eq!(serde_json::to_string(&decoded).unwrap(), stored, "{name}: same bytes");
    }
}

#[test]
fn foreign_messages_are_errors() {
    let known = golden("chunk_v1.json");
    for (foreign, why) in [
        (known.replace("ChunkV1", "ChunkV2"), "an unknown version"),
        (known.replace("\"epoch\"", "\"epoche\""), "a missing field"),
        (known.replace(":42,", ":-1,"), "a negative version"),
        (known.replace("000102", "00010"), "a short fingerprint"),
        (known[..known.len() - 1].to_owned(), "cut short"),
        ("null".to_owned(), "nothing"),
        ("[".repeat(100_000), "deep nesting"),
    ] {
        assert!(serde_json::from_str::<TaskEnvelope>(&foreign).is_err(), "{why}");
    }
    let newer = known.replace("\"attempt\"", "\"added_later\":1,\"attempt\"");
    assert!(serde_json::from_str::<TaskEnvelope>(&newer).is_ok(), "a newer worker may add fields");
}

#[test]
fn stages_are_known_by_name() {
    for stage in IngestStage::ALL {
        assert_eq!(IngestStage::from_name(stage.name()), Some(stage));
    }
    for unknown in ["", "Chunk", "chunk ", "submit"] {
        assert_eq!(IngestStage::from_name(unknown), None);
    }
}
