//! Converts points, payloads, conditions and errors to and from the types of the engine.

use qdrant_edge::external::serde_json::{self, Value, json};
use qdrant_edge::{
    CreateIndex, FieldIndexOperations, Payload, PayloadFieldSchema, PayloadSchemaType, PointId,
    PointStructPersisted, Record, UpdateOperation, VectorStructPersisted, WithPayloadInterface,
};

use super::qdrant_payload::{self, PayloadCondition};
use contexture_core::domain::ids::ChunkId;
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{StoredVectorPoint, VectorPoint};

/// The operation that creates the index of a payload key.
pub(super) fn index_creation(key: &str) -> Result<UpdateOperation, Fault> {
    let field_name = key.parse().map_err(|()| Fault::permanent("invalid_payload_key", key))?;
    Ok(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(CreateIndex {
        field_name,
        field_schema: Some(PayloadFieldSchema::FieldType(PayloadSchemaType::Keyword)),
    })))
}

pub(super) fn to_engine_point(point: VectorPoint) -> PointStructPersisted {
    PointStructPersisted {
        id: PointId::Uuid(point.id.as_uuid()),
        payload: Some(Payload(qdrant_payload::build_payload(&point))),
        vector: VectorStructPersisted::Single(point.vector),
    }
}

/// The id of one of our points. We only write UUIDs: a numeric id is another program's point.
pub(super) fn parse_chunk_id(id: &PointId) -> Option<ChunkId> {
    match id {
        PointId::Uuid(uuid) => Some(ChunkId::from_uuid(*uuid)),
        PointId::NumId(_) => None,
    }
}

/// Selects the payload keys of a point's owner.
pub(super) fn owner_keys() -> Result<WithPayloadInterface, Fault> {
    let key = |name: &str| name.parse().map_err(|()| Fault::permanent("invalid_payload_key", name));
    Ok(WithPayloadInterface::Fields(vec![
        key(qdrant_payload::DOCUMENT_FIELD)?,
        key(qdrant_payload::VERSION_FIELD)?,
    ]))
}

pub(super) fn to_stored_point(record: &Record) -> Option<StoredVectorPoint> {
    let owner = record.payload.as_ref().and_then(|payload| {
        let document_id =
            qdrant_payload::parse_document_id(payload.0.get(qdrant_payload::DOCUMENT_FIELD)?.as_str()?)?;
        Some((
            document_id,
            qdrant_payload::parse_version(payload.0.get(qdrant_payload::VERSION_FIELD)?.as_u64()?)?,
        ))
    });
    Some(StoredVectorPoint { id: parse_chunk_id(&record.id)?, owner })
}

/// Converts a condition to an equivalent filter, by way of the engine's JSON form.
pub(super) fn to_engine_filter(condition: &PayloadCondition) -> Result<qdrant_edge::Filter, Fault> {
    let filter = match condition {
        PayloadCondition::All(parts) if !parts.is_empty() => json!({ "must": conditions_to_json(parts) }),
        other => json!({ "must": [condition_to_json(other)] }),
    };
    serde_json::from_value(filter).map_err(|error| Fault::permanent_error("invalid_filter", error))
}

fn condition_to_json(condition: &PayloadCondition) -> Value {
    match condition {
        PayloadCondition::AnyTerm(key, terms) => json!({"key": key, "match": {"any": terms}}),
        PayloadCondition::Holds(key, text) => json!({"key": key, "match": {"text": text}}),
        PayloadCondition::Range(path, bounds) => json!({
            "key": path,
            "range": {"gt": bounds.gt, "gte": bounds.gte, "lt": bounds.lt, "lte": bounds.lte},
        }),
        PayloadCondition::All(parts) if parts.is_empty() => json!({"must_not": [match_nothing()]}),
        PayloadCondition::All(parts) => json!({"must": conditions_to_json(parts)}),
        PayloadCondition::Any(parts) if parts.is_empty() => match_nothing(),
        PayloadCondition::Any(parts) => json!({"should": conditions_to_json(parts)}),
        PayloadCondition::Not(part) => json!({"must_not": [condition_to_json(part)]}),
    }
}

fn conditions_to_json(parts: &[PayloadCondition]) -> Vec<Value> {
    parts.iter().map(condition_to_json).collect()
}

/// A condition that no point meets: to the engine an empty list of clauses matches everything.
fn match_nothing() -> Value {
    json!({"has_id": []})
}

pub(super) fn engine_fault(error: qdrant_edge::OperationError) -> Fault {
    Fault::transient_error("vectors", error)
}
