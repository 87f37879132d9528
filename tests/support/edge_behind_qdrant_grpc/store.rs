//! The collections: one shard of the engine each.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use qdrant_client::qdrant::{QuantizationConfig, VectorParams};
use qdrant_edge::{
    CountRequest, CreateIndex, Distance, EdgeConfigBuilder, EdgeOptimizersConfig, EdgeShard,
    EdgeVectorParamsBuilder, FieldIndexOperations, OperationError, PayloadFieldSchema, PayloadSchemaType,
    PointOperations, ScrollRequest, UpdateOperation, WithPayloadInterface, WithVector,
};
use tempfile::TempDir;
use tonic::Status;

/// Below this size nothing is indexed, in kilobytes: tests are small.
const INDEXING_THRESHOLD_KB: usize = 64;

pub(super) struct EdgeCollectionStore {
    collections: Mutex<HashMap<String, Arc<EdgeCollection>>>,
    /// Goes last: a shard flushes into it when it ends.
    directory: TempDir,
}

pub(super) struct EdgeCollection {
    pub(super) shard: EdgeShard,
    pub(super) params: VectorParams,
    pub(super) quantization: Option<QuantizationConfig>,
    /// Indexed payload keys and their types, as the client named them.
    pub(super) indexes: Mutex<BTreeMap<String, i32>>,
}

impl EdgeCollectionStore {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), collections: Mutex::default() }
    }

    pub(super) fn get(&self, name: &str) -> Result<Arc<EdgeCollection>, Status> {
        self.collections
            .lock()
            .unwrap()
            .get(name)
            .cloned()
            .ok_or_else(|| Status::not_found(format!("Not found: Collection `{name}` doesn't exist!")))
    }

    pub(super) fn create(
        &self,
        name: &str,
        params: VectorParams,
        quantization: Option<QuantizationConfig>,
    ) -> Result<(), Status> {
        let mut collections = self.collections.lock().unwrap();
        if collections.contains_key(name) {
            return Err(Status::already_exists(format!("Collection `{name}` already exists!")));
        }
        let distance = match params.distance() {
            qdrant_client::qdrant::Distance::Cosine => Distance::Cosine,
            qdrant_client::qdrant::Distance::Dot => Distance::Dot,
            other => return Err(Status::unimplemented(format!("distance {other:?}"))),
        };
        let mut vector = EdgeVectorParamsBuilder::new(usize::try_from(params.size).unwrap(), distance);
        if quantization.is_some() {
            let int8 = serde_json::json!({"scalar": {"type": "int8", "quantile": 0.99, "always_ram": true}});
            vector = vector.quantization_config(serde_json::from_value(int8).unwrap());
        }
        let optimizers = EdgeOptimizersConfig {
            indexing_threshold: Some(INDEXING_THRESHOLD_KB),
            ..EdgeOptimizersConfig::default()
        };
        let config = EdgeConfigBuilder::new().vector("", vector.build()).optimizers(optimizers).build();
        let directory = tempfile::tempdir_in(self.directory.path()).unwrap().keep();
        let shard = EdgeShard::new(&directory, config).map_err(refusal)?;
        let collection = EdgeCollection { shard, params, quantization, indexes: Mutex::default() };
        collections.insert(name.to_owned(), Arc::new(collection));
        Ok(())
    }

    pub(super) fn delete(&self, name: &str) -> bool {
        self.collections.lock().unwrap().remove(name).is_some()
    }

    pub(super) fn lose_every(&self, nth: usize, name: &str) {
        let collection = self.get(name).unwrap();
        let everything = ScrollRequest {
            offset: None,
            limit: Some(usize::MAX >> 1),
            filter: None,
            with_payload: Some(WithPayloadInterface::Bool(false)),
            with_vector: WithVector::Bool(false),
            order_by: None,
        };
        let (points, _) = collection.shard.scroll(everything).unwrap();
        let ids = points.into_iter().step_by(nth).map(|point| point.id).collect();
        collection.update(PointOperations::DeletePoints { ids }).unwrap();
    }

    pub(super) fn optimize(&self, name: &str) {
        self.get(name).unwrap().shard.optimize().unwrap();
    }
}

impl EdgeCollection {
    pub(super) fn update(&self, operation: PointOperations) -> Result<(), Status> {
        self.shard.update(UpdateOperation::PointOperation(operation)).map_err(refusal)
    }

    pub(super) fn index(&self, key: &str, field_type: i32, schema: PayloadSchemaType) -> Result<(), Status> {
        let field_name = key.parse().map_err(|()| Status::invalid_argument(format!("key '{key}'")))?;
        let create = FieldIndexOperations::CreateIndex(CreateIndex {
            field_name,
            field_schema: Some(PayloadFieldSchema::FieldType(schema)),
        });
        self.shard.update(UpdateOperation::FieldIndexOperation(create)).map_err(refusal)?;
        self.indexes.lock().unwrap().insert(key.to_owned(), field_type);
        Ok(())
    }

    pub(super) fn count(&self, filter: Option<qdrant_edge::Filter>) -> Result<usize, Status> {
        self.shard.count(CountRequest { filter, exact: true }).map_err(refusal)
    }
}

pub(super) fn refusal(error: OperationError) -> Status {
    match error {
        OperationError::WrongVectorDimension { .. } | OperationError::ValidationError { .. } => {
            Status::invalid_argument(format!("Wrong input: {error}"))
        }
        other => Status::internal(format!("Service internal error: {other}")),
    }
}
