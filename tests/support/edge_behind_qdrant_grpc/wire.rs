//! Messages to the engine's types and back.

use std::collections::HashMap;

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{
    Condition, FieldCondition, Filter, ListValue, PointId, SearchParams, Struct, Value, vector, vectors,
};
use serde_json::{Map, Value as Json, json};
use tonic::Status;

pub(super) fn id_to_engine(id: Option<PointId>) -> Result<qdrant_edge::PointId, Status> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(text)) => text
            .parse()
            .map(qdrant_edge::PointId::Uuid)
            .map_err(|_| Status::invalid_argument("Unable to parse UUID")),
        Some(PointIdOptions::Num(number)) => Ok(qdrant_edge::PointId::NumId(number)),
        None => Err(Status::invalid_argument("No ID options provided")),
    }
}

pub(super) fn id_from_engine(id: &qdrant_edge::PointId) -> PointId {
    match id {
        qdrant_edge::PointId::Uuid(uuid) => PointId::from(uuid.to_string()),
        qdrant_edge::PointId::NumId(number) => PointId::from(*number),
    }
}

pub(super) fn vector_to_engine(vectors: Option<qdrant_client::qdrant::Vectors>) -> Result<Vec<f32>, Status> {
    let dense = vectors.and_then(|vectors| match vectors.vectors_options? {
        vectors::VectorsOptions::Vector(one) => match one.vector? {
            vector::Vector::Dense(dense) => Some(dense.data),
            _ => None,
        },
        vectors::VectorsOptions::Vectors(_) => None,
    });
    dense.ok_or_else(|| Status::unimplemented("only one unnamed dense vector"))
}

pub(super) fn object_to_json(fields: HashMap<String, Value>) -> Map<String, Json> {
    fields.into_iter().map(|(key, value)| (key, to_json(value))).collect()
}

fn to_json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => json!(flag),
        Some(Kind::IntegerValue(number)) => json!(number),
        Some(Kind::DoubleValue(number)) => json!(number),
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(to_json).collect(),
        Some(Kind::StructValue(object)) => Json::Object(object_to_json(object.fields)),
    }
}

pub(super) fn object_from_json(object: Map<String, Json>) -> HashMap<String, Value> {
    object.into_iter().map(|(key, value)| (key, from_json(value))).collect()
}

fn from_json(value: Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Kind::IntegerValue(whole),
            None => Kind::DoubleValue(number.as_f64().unwrap()),
        },
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(from_json).collect() })
        }
        Json::Object(object) => Kind::StructValue(Struct { fields: object_from_json(object) }),
    };
    Value { kind: Some(kind) }
}

pub(super) fn filter_to_engine(filter: Option<Filter>) -> Result<Option<qdrant_edge::Filter>, Status> {
    let Some(filter) = filter else { return Ok(None) };
    let json = filter_to_json(filter)?;
    serde_json::from_value(json).map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn filter_to_json(filter: Filter) -> Result<Json, Status> {
    if filter.min_should.is_some() {
        return Err(Status::unimplemented("min_should"));
    }
    let mut json = Map::new();
    for (name, conditions) in
        [("must", filter.must), ("should", filter.should), ("must_not", filter.must_not)]
    {
        if !conditions.is_empty() {
            let conditions: Result<Vec<Json>, Status> =
                conditions.into_iter().map(condition_to_json).collect();
            json.insert(name.to_owned(), conditions?.into());
        }
    }
    Ok(json.into())
}

fn condition_to_json(condition: Condition) -> Result<Json, Status> {
    match condition.condition_one_of {
        Some(ConditionOneOf::Filter(filter)) => filter_to_json(filter),
        Some(ConditionOneOf::Field(field)) => field_to_json(field),
        Some(ConditionOneOf::HasId(ids)) => {
            let ids: Result<Vec<Json>, Status> =
                ids.has_id.into_iter().map(|id| Ok(json!(id_to_engine(Some(id))?))).collect();
            Ok(json!({"has_id": ids?}))
        }
        other => Err(Status::unimplemented(format!("condition {other:?}"))),
    }
}

fn field_to_json(field: FieldCondition) -> Result<Json, Status> {
    let key = &field.key;
    match (field.r#match.and_then(|matched| matched.match_value), field.range) {
        (Some(MatchValue::Keyword(term)), None) => Ok(json!({"key": key, "match": {"value": term}})),
        (Some(MatchValue::Keywords(terms)), None) => Ok(json!({"key": key, "match": {"any": terms.strings}})),
        (Some(MatchValue::Text(text)), None) => Ok(json!({"key": key, "match": {"text": text}})),
        (None, Some(range)) => {
            let range = json!({"gt": range.gt, "gte": range.gte, "lt": range.lt, "lte": range.lte});
            Ok(json!({"key": key, "range": range}))
        }
        _ => Err(Status::unimplemented(format!("condition on '{key}'"))),
    }
}

pub(super) fn params_to_engine(
    params: Option<SearchParams>,
) -> Result<Option<qdrant_edge::SearchParams>, Status> {
    let Some(params) = params else { return Ok(None) };
    let quantization = params.quantization.map(|it| {
        json!({"ignore": it.ignore.unwrap_or(false), "rescore": it.rescore, "oversampling": it.oversampling})
    });
    let json = json!({
        "hnsw_ef": params.hnsw_ef,
        "exact": params.exact.unwrap_or(false),
        "indexed_only": params.indexed_only.unwrap_or(false),
        "quantization": quantization,
    });
    serde_json::from_value(json).map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
}
