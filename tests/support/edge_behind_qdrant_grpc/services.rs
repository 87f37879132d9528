//! The three services, and of them the methods that the adapter calls.

use std::collections::HashMap;
use std::sync::Arc;

use ::qdrant_client::qdrant::collections_server::Collections;
use ::qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use ::qdrant_client::qdrant::points_server::Points;
use ::qdrant_client::qdrant::qdrant_server::Qdrant;
use ::qdrant_client::qdrant::*;
use qdrant_edge::{
    NamedQuery, Payload, PayloadSchemaType as Schema, PointInsertOperations, PointOperations,
    PointStructPersisted, QueryEnum, ScrollRequest, SearchRequest, VectorStructPersisted,
    WithPayloadInterface, WithVector,
};
use tonic::{Request, Response, Status};

use super::faults::FaultPlan;
use super::store::{EdgeCollection, EdgeCollectionStore, refusal};
use super::wire;

#[derive(Clone)]
pub(super) struct QdrantGrpcService {
    store: Arc<EdgeCollectionStore>,
    plan: Arc<FaultPlan>,
}

impl QdrantGrpcService {
    pub(super) fn new(store: Arc<EdgeCollectionStore>, plan: Arc<FaultPlan>) -> Self {
        Self { store, plan }
    }

    async fn upsert_points(&self, request: UpsertPoints) -> Result<(), Status> {
        let collection = self.store.get(&request.collection_name)?;
        let dims = usize::try_from(collection.params.size).unwrap();
        let points: Result<Vec<_>, Status> =
            request.points.into_iter().map(|point| point_to_engine(point, dims)).collect();
        let list = PointInsertOperations::PointsList(points?);
        blocking(move || collection.update(PointOperations::UpsertPoints(list))).await
    }

    async fn delete_points(&self, request: DeletePoints) -> Result<(), Status> {
        let collection = self.store.get(&request.collection_name)?;
        let selected = request.points.and_then(|points| points.points_selector_one_of);
        let Some(PointsSelectorOneOf::Points(list)) = selected else {
            return Err(Status::unimplemented("deletes by filter"));
        };
        let ids: Result<Vec<_>, Status> =
            list.ids.into_iter().map(|id| wire::id_to_engine(Some(id))).collect();
        let ids = ids?;
        blocking(move || collection.update(PointOperations::DeletePoints { ids })).await
    }

    async fn create_index(&self, request: CreateFieldIndexCollection) -> Result<(), Status> {
        let collection = self.store.get(&request.collection_name)?;
        let (schema, data_type) = match request.field_type() {
            FieldType::Keyword => (Schema::Keyword, PayloadSchemaType::Keyword),
            FieldType::Integer => (Schema::Integer, PayloadSchemaType::Integer),
            other => return Err(Status::unimplemented(format!("index of type {other:?}"))),
        };
        blocking(move || collection.index(&request.field_name, data_type as i32, schema)).await
    }

    async fn query_points(&self, request: QueryPoints) -> Result<QueryResponse, Status> {
        let collection = self.store.get(&request.collection_name)?;
        let nearest = match request.query.and_then(|query| query.variant) {
            Some(query::Variant::Nearest(VectorInput {
                variant: Some(vector_input::Variant::Dense(dense)),
            })) => dense,
            other => return Err(Status::unimplemented(format!("query {other:?}"))),
        };
        let limit = usize::try_from(request.limit.unwrap_or(10)).unwrap();
        if limit == 0 {
            return Err(Status::invalid_argument("limit: value 0 invalid, must be 1 or larger"));
        }
        let search = SearchRequest {
            query: QueryEnum::Nearest(NamedQuery::default_dense(nearest.data)),
            filter: wire::filter_to_engine(request.filter)?,
            params: wire::params_to_engine(request.params)?,
            limit,
            offset: 0,
            with_payload: Some(WithPayloadInterface::Bool(false)),
            with_vector: Some(WithVector::Bool(false)),
            score_threshold: None,
        };
        let found = blocking(move || collection.shard.search(search).map_err(refusal)).await?;
        let result = found.into_iter().map(|point| ScoredPoint {
            id: Some(wire::id_from_engine(&point.id)),
            score: point.score,
            ..ScoredPoint::default()
        });
        Ok(QueryResponse { result: result.collect(), ..QueryResponse::default() })
    }

    async fn scroll_points(&self, request: ScrollPoints) -> Result<ScrollResponse, Status> {
        let collection = self.store.get(&request.collection_name)?;
        let offset = request.offset.map(|id| wire::id_to_engine(Some(id))).transpose()?;
        let keys = named_keys(request.with_payload)?;
        let scroll = ScrollRequest {
            offset,
            limit: Some(request.limit.unwrap_or(10) as usize),
            filter: wire::filter_to_engine(request.filter)?,
            with_payload: Some(WithPayloadInterface::Bool(true)),
            with_vector: WithVector::Bool(false),
            order_by: None,
        };
        let (page, next) = blocking(move || collection.shard.scroll(scroll).map_err(refusal)).await?;
        let result = page.into_iter().map(|record| retrieved(record, &keys));
        Ok(ScrollResponse {
            result: result.collect(),
            next_page_offset: next.as_ref().map(wire::id_from_engine),
            ..ScrollResponse::default()
        })
    }

    async fn get_points(&self, request: GetPoints) -> Result<GetResponse, Status> {
        let collection = self.store.get(&request.collection_name)?;
        let keys = named_keys(request.with_payload)?;
        let ids =
            request.ids.into_iter().map(|id| wire::id_to_engine(Some(id))).collect::<Result<Vec<_>, _>>()?;
        let found = blocking(move || {
            let payload = Some(WithPayloadInterface::Bool(true));
            collection.shard.retrieve(&ids, payload, Some(WithVector::Bool(false))).map_err(refusal)
        });
        let result = found.await?.into_iter().map(|record| retrieved(record, &keys)).collect();
        Ok(GetResponse { result, ..GetResponse::default() })
    }

    async fn count_points(&self, request: CountPoints) -> Result<CountResponse, Status> {
        let collection = self.store.get(&request.collection_name)?;
        let filter = wire::filter_to_engine(request.filter)?;
        let count = blocking(move || collection.count(filter)).await?;
        Ok(CountResponse { result: Some(CountResult { count: count as u64 }), ..CountResponse::default() })
    }

    async fn create_collection(&self, request: CreateCollection) -> Result<(), Status> {
        let Some(vectors_config::Config::Params(params)) = request.vectors_config.and_then(|it| it.config)
        else {
            return Err(Status::unimplemented("only one unnamed vector"));
        };
        let store = self.store.clone();
        blocking(move || store.create(&request.collection_name, params, request.quantization_config)).await
    }
}

fn named_keys(selector: Option<WithPayloadSelector>) -> Result<Vec<String>, Status> {
    match selector.and_then(|payload| payload.selector_options) {
        Some(with_payload_selector::SelectorOptions::Include(include)) => Ok(include.fields),
        _ => Err(Status::unimplemented("only named payload keys")),
    }
}

fn retrieved(record: qdrant_edge::Record, keys: &[String]) -> RetrievedPoint {
    let mut payload = record.payload.map(|payload| payload.0).unwrap_or_default();
    payload.retain(|key, _| keys.contains(key));
    RetrievedPoint {
        id: Some(wire::id_from_engine(&record.id)),
        payload: wire::object_from_json(payload),
        ..RetrievedPoint::default()
    }
}

fn point_to_engine(point: PointStruct, dims: usize) -> Result<PointStructPersisted, Status> {
    let vector = wire::vector_to_engine(point.vectors)?;
    if vector.len() != dims {
        let got = vector.len();
        return Err(Status::invalid_argument(format!(
            "Wrong input: Vector dimension error: expected dim: {dims}, got {got}"
        )));
    }
    Ok(PointStructPersisted {
        id: wire::id_to_engine(point.id)?,
        vector: VectorStructPersisted::Single(vector),
        payload: Some(Payload(wire::object_to_json(point.payload))),
    })
}

fn describe(collection: &EdgeCollection) -> Result<CollectionInfo, Status> {
    let params = CollectionParams {
        vectors_config: Some(VectorsConfig {
            config: Some(vectors_config::Config::Params(collection.params)),
        }),
        ..CollectionParams::default()
    };
    let indexes = collection.indexes.lock().unwrap();
    let schema: HashMap<String, PayloadSchemaInfo> = indexes
        .iter()
        .map(|(key, data_type)| {
            (key.clone(), PayloadSchemaInfo { data_type: *data_type, ..PayloadSchemaInfo::default() })
        })
        .collect();
    Ok(CollectionInfo {
        status: CollectionStatus::Green as i32,
        config: Some(CollectionConfig {
            params: Some(params),
            quantization_config: collection.quantization,
            ..CollectionConfig::default()
        }),
        payload_schema: schema,
        points_count: Some(collection.count(None)? as u64),
        ..CollectionInfo::default()
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Status::internal(error.to_string()))?
}

fn updated(status: UpdateStatus) -> Response<PointsOperationResponse> {
    let result = UpdateResult { operation_id: Some(0), status: status as i32 };
    Response::new(PointsOperationResponse { result: Some(result), ..PointsOperationResponse::default() })
}

/// One impl of a generated trait: the methods that do something, and those that do not.
macro_rules! service {
    ($trait:ident {
        $($name:ident($request:ty) -> $response:ty = |$this:ident, $inner:ident, $status:ident| $body:expr;)*
    } unimplemented { $($other:ident($other_request:ty) -> $other_response:ty;)* }) => {
        #[tonic::async_trait]
        impl $trait for QdrantGrpcService {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let $status = self.plan.admit(concat!(stringify!($trait), "/", stringify!($name)), &request).await?;
                let ($this, $inner) = (self, request.into_inner());
                $body
            })*
            $(async fn $other(&self, _: Request<$other_request>) -> Result<Response<$other_response>, Status> {
                Err(Status::unimplemented(stringify!($other)))
            })*
        }
    };
}

service!(Points {
    upsert(UpsertPoints) -> PointsOperationResponse = |this, request, status| {
        this.upsert_points(request).await?;
        Ok(updated(status))
    };
    delete(DeletePoints) -> PointsOperationResponse = |this, request, status| {
        this.delete_points(request).await?;
        Ok(updated(status))
    };
    create_field_index(CreateFieldIndexCollection) -> PointsOperationResponse = |this, request, status| {
        this.create_index(request).await?;
        Ok(updated(status))
    };
    scroll(ScrollPoints) -> ScrollResponse = |this, request, _status| {
        Ok(Response::new(this.scroll_points(request).await?))
    };
    get(GetPoints) -> GetResponse = |this, request, _status| {
        Ok(Response::new(this.get_points(request).await?))
    };
    count(CountPoints) -> CountResponse = |this, request, _status| {
        Ok(Response::new(this.count_points(request).await?))
    };
    query(QueryPoints) -> QueryResponse = |this, request, _status| {
        Ok(Response::new(this.query_points(request).await?))
    };
} unimplemented {
    update_vectors(UpdatePointVectors) -> PointsOperationResponse;
    delete_vectors(DeletePointVectors) -> PointsOperationResponse;
    set_payload(SetPayloadPoints) -> PointsOperationResponse;
    overwrite_payload(SetPayloadPoints) -> PointsOperationResponse;
    delete_payload(DeletePayloadPoints) -> PointsOperationResponse;
    clear_payload(ClearPayloadPoints) -> PointsOperationResponse;
    delete_field_index(DeleteFieldIndexCollection) -> PointsOperationResponse;
    create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse;
    delete_vector_name(DeleteVectorNameRequest) -> PointsOperationResponse;
    search(SearchPoints) -> SearchResponse;
    search_batch(SearchBatchPoints) -> SearchBatchResponse;
    search_groups(SearchPointGroups) -> SearchGroupsResponse;
    recommend(RecommendPoints) -> RecommendResponse;
    recommend_batch(RecommendBatchPoints) -> RecommendBatchResponse;
    recommend_groups(RecommendPointGroups) -> RecommendGroupsResponse;
    discover(DiscoverPoints) -> DiscoverResponse;
    discover_batch(DiscoverBatchPoints) -> DiscoverBatchResponse;
    update_batch(UpdateBatchPoints) -> UpdateBatchResponse;
    query_batch(QueryBatchPoints) -> QueryBatchResponse;
    query_groups(QueryPointGroups) -> QueryGroupsResponse;
    facet(FacetCounts) -> FacetResponse;
    search_matrix_pairs(SearchMatrixPoints) -> SearchMatrixPairsResponse;
    search_matrix_offsets(SearchMatrixPoints) -> SearchMatrixOffsetsResponse;
});

service!(Collections {
    get(GetCollectionInfoRequest) -> GetCollectionInfoResponse = |this, request, _status| {
        let collection = this.store.get(&request.collection_name)?;
        let result = Some(blocking(move || describe(&collection)).await?);
        Ok(Response::new(GetCollectionInfoResponse { result, ..GetCollectionInfoResponse::default() }))
    };
    create(CreateCollection) -> CollectionOperationResponse = |this, request, _status| {
        this.create_collection(request).await?;
        Ok(Response::new(CollectionOperationResponse { result: true, time: 0.0 }))
    };
    delete(DeleteCollection) -> CollectionOperationResponse = |this, request, _status| {
        let result = this.store.delete(&request.collection_name);
        Ok(Response::new(CollectionOperationResponse { result, time: 0.0 }))
    };
} unimplemented {
    list(ListCollectionsRequest) -> ListCollectionsResponse;
    update(UpdateCollection) -> CollectionOperationResponse;
    update_aliases(ChangeAliases) -> CollectionOperationResponse;
    list_collection_aliases(ListCollectionAliasesRequest) -> ListAliasesResponse;
    list_aliases(ListAliasesRequest) -> ListAliasesResponse;
    collection_cluster_info(CollectionClusterInfoRequest) -> CollectionClusterInfoResponse;
    collection_exists(CollectionExistsRequest) -> CollectionExistsResponse;
    update_collection_cluster_setup(UpdateCollectionClusterSetupRequest) -> UpdateCollectionClusterSetupResponse;
    create_shard_key(CreateShardKeyRequest) -> CreateShardKeyResponse;
    delete_shard_key(DeleteShardKeyRequest) -> DeleteShardKeyResponse;
    list_shard_keys(ListShardKeysRequest) -> ListShardKeysResponse;
});

#[tonic::async_trait]
impl Qdrant for QdrantGrpcService {
    /// Needs no key, as in a real server.
    async fn health_check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckReply>, Status> {
        let version = self.plan.version();
        Ok(Response::new(HealthCheckReply { title: "edge behind gRPC".to_owned(), version, commit: None }))
    }
}
