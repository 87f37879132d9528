//! Points in the messages of the protocol, in calls of bounded size.

use std::collections::HashMap;

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{ListValue, PointId, PointStruct, Struct, Value, point_id};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::staged;
use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::ports::vectors::Point;

/// Most points of one upsert.
pub const UPSERT_POINTS_MAX: usize = 512;
/// Most bytes of one upsert, as estimated; below the 4 MiB that gRPC servers and proxies accept
/// by default. A larger point goes alone.
pub const UPSERT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What a point and a payload entry cost besides their content, in bytes.
const OVERHEAD_BYTES: usize = 64;

/// Cuts points into upserts of at most [`UPSERT_POINTS_MAX`] and [`UPSERT_BYTES_MAX`].
pub(super) fn batches(points: Vec<Point>) -> Vec<Vec<PointStruct>> {
    let mut batches: Vec<Vec<PointStruct>> = Vec::new();
    let mut bytes_open = usize::MAX;
    for point in points {
        let payload = staged::payload(&point);
        let bytes = point.vector.len() * size_of::<f32>() + OVERHEAD_BYTES + object_bytes(&payload);
        let open = batches.last_mut().filter(|batch| {
            batch.len() < UPSERT_POINTS_MAX && bytes_open.saturating_add(bytes) <= UPSERT_BYTES_MAX
        });
        let message = PointStruct::new(
            id_to_wire(point.id),
            point.vector,
            qdrant_client::Payload::from(object(payload)),
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
        point_id::PointIdOptions::Num(_) => None,
    }
}

pub(super) fn version_of(payload: &HashMap<String, Value>) -> Option<Version> {
    match payload.get(staged::VERSION)?.kind {
        Some(Kind::IntegerValue(number)) => staged::version(u64::try_from(number).ok()?),
        _ => None,
    }
}

/// The document and version that a payload names.
pub(super) fn owner_of(payload: &HashMap<String, Value>) -> Option<(DocumentId, Version)> {
    let Some(Kind::StringValue(document)) = &payload.get(staged::DOCUMENT)?.kind else { return None };
    Some((staged::document(document)?, version_of(payload)?))
}

fn object(payload: Map<String, Json>) -> HashMap<String, Value> {
    payload.into_iter().map(|(key, value)| (key, to_wire(value))).collect()
}

fn to_wire(value: Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Kind::IntegerValue(whole),
            (None, Some(other)) => Kind::DoubleValue(other),
            (None, None) => Kind::NullValue(0),
        },
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.into_iter().map(to_wire).collect() }),
        Json::Object(map) => Kind::StructValue(Struct { fields: object(map) }),
    };
    Value { kind: Some(kind) }
}

fn object_bytes(map: &Map<String, Json>) -> usize {
    map.iter().map(|(key, value)| OVERHEAD_BYTES + key.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len() + size_of::<u64>(),
        Json::Array(items) => items.iter().map(value_bytes).sum(),
        Json::Object(map) => object_bytes(map),
        Json::Null | Json::Bool(_) | Json::Number(_) => 2 * size_of::<u64>(),
    }
}
