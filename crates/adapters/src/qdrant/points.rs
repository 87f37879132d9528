//! Converts points to messages of the protocol, in batches of bounded size.

use std::collections::HashMap;

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{ListValue, PointId, PointStruct, Struct, Value, point_id};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::qdrant_payload;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::ports::vectors::VectorPoint;

/// Most points of one upsert.
pub const UPSERT_POINTS_MAX: usize = 512;
/// Most bytes of one upsert, as estimated. gRPC servers and proxies accept 4 MiB by default. A
/// larger point goes alone.
pub const UPSERT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Estimated overhead of a point or a payload entry, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Splits points into upserts of at most [`UPSERT_POINTS_MAX`] and [`UPSERT_BYTES_MAX`].
pub(super) fn batch_upserts(points: Vec<VectorPoint>) -> Vec<Vec<PointStruct>> {
    let mut batches: Vec<Vec<PointStruct>> = Vec::new();
    // Bytes of the last batch. No batch is open at first, so no point fits into it.
    let mut bytes_open = usize::MAX;
    for point in points {
        let payload = qdrant_payload::build_payload(&point);
        let bytes = point.vector.len() * size_of::<f32>() + ENTRY_OVERHEAD_BYTES + object_bytes(&payload);
        let open = batches.last_mut().filter(|batch| {
            batch.len() < UPSERT_POINTS_MAX && bytes_open.saturating_add(bytes) <= UPSERT_BYTES_MAX
        });
        let message = PointStruct::new(
            id_to_wire(point.id),
            point.vector,
            qdrant_client::Payload::from(payload_to_wire(payload)),
        );
        if let Some(batch) = open {
            batch.push(message);
            bytes_open += bytes;
        } else {
            batches.push(vec![message]);
            bytes_open = bytes;
        }
    }
    batches
}

pub(super) fn id_to_wire(id: ChunkId) -> PointId {
    PointId::from(id.as_uuid().to_string())
}

pub(super) fn id_from_wire(id: Option<PointId>) -> Option<ChunkId> {
    match id?.point_id_options? {
        point_id::PointIdOptions::Uuid(text) => Uuid::parse_str(&text).ok().map(ChunkId::from_uuid),
        // We only write UUIDs: a numeric id is another program's point.
        point_id::PointIdOptions::Num(_) => None,
    }
}

pub(super) fn version_in_payload(payload: &HashMap<String, Value>) -> Option<Version> {
    match payload.get(qdrant_payload::VERSION_FIELD)?.kind {
        Some(Kind::IntegerValue(number)) => qdrant_payload::parse_version(u64::try_from(number).ok()?),
        _ => None,
    }
}

/// The document and version that a point belongs to, as its payload names them.
pub(super) fn owner_in_payload(payload: &HashMap<String, Value>) -> Option<(DocumentId, Version)> {
    let Some(Kind::StringValue(document)) = &payload.get(qdrant_payload::DOCUMENT_FIELD)?.kind else {
        return None;
    };
    Some((qdrant_payload::parse_document_id(document)?, version_in_payload(payload)?))
}

fn payload_to_wire(payload: Map<String, Json>) -> HashMap<String, Value> {
    payload.into_iter().map(|(key, value)| (key, value_to_wire(value))).collect()
}

fn value_to_wire(value: Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            // Whole numbers stay integers: versions are indexed, and read back, as integers.
            (Some(whole), _) => Kind::IntegerValue(whole),
            (None, Some(other)) => Kind::DoubleValue(other),
            (None, None) => Kind::NullValue(0),
        },
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(value_to_wire).collect() })
        }
        Json::Object(map) => Kind::StructValue(Struct { fields: payload_to_wire(map) }),
    };
    Value { kind: Some(kind) }
}

fn object_bytes(map: &Map<String, Json>) -> usize {
    map.iter().map(|(key, value)| ENTRY_OVERHEAD_BYTES + key.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len() + size_of::<u64>(),
        Json::Array(items) => items.iter().map(value_bytes).sum(),
        Json::Object(map) => object_bytes(map),
        Json::Null | Json::Bool(_) | Json::Number(_) => 2 * size_of::<u64>(),
    }
}
