//! Preparations for the first point: check the server's version, create or check the collection,
//! create its payload indexes.

use std::collections::HashMap;

use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CreateCollection, CreateFieldIndexCollection, Distance, FieldType, QuantizationConfig,
    QuantizationType, ScalarQuantization, StrictModeConfig, VectorParams, VectorsConfig, WriteOrdering,
    WriteOrderingType, quantization_config,
};

use super::config::CollectionOptions;
use super::faults::{QDRANT_REFUSED, is_collection_missing, transient_fault};
use super::qdrant_payload;
use super::server::{QdrantServer, check_completed};
use contexture_core::fault::Fault;

/// Oldest accepted server version, as major and minor.
pub const SERVER_VERSION_MIN: (u64, u64) = (1, 18);
/// Newest accepted server version.
pub const SERVER_VERSION_MAX: (u64, u64) = (1, 20);
/// Share of the values that the int8 range covers; the rest are outliers, and clipped.
const INT8_QUANTILE: f32 = 0.99;

/// Payload keys with an index, and its type.
const PAYLOAD_INDEXES: [(&str, FieldType); 6] = [
    (qdrant_payload::DOCUMENT_FIELD, FieldType::Keyword),
    (qdrant_payload::READERS_FIELD, FieldType::Keyword),
    (qdrant_payload::FACETS_FIELD, FieldType::Keyword),
    (qdrant_payload::VERSION_FIELD, FieldType::Integer),
    (qdrant_payload::PLACE_FIRST_FIELD, FieldType::Integer),
    (qdrant_payload::PLACE_LAST_FIELD, FieldType::Integer),
];

/// Refuses a server outside the accepted versions.
pub(super) async fn check_version(server: &QdrantServer) -> Result<(), Fault> {
    let version = server.call(server.client.health_check()).await?.version;
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) else {
        return Err(version_fault(&version));
    };
    if (SERVER_VERSION_MIN..=SERVER_VERSION_MAX).contains(&(major, minor)) {
        return Ok(());
    }
    Err(version_fault(&version))
}

fn version_fault(version: &str) -> Fault {
    let ((from_major, from_minor), (to_major, to_minor)) = (SERVER_VERSION_MIN, SERVER_VERSION_MAX);
    // The server's own text goes into a message and a log: no control characters, bounded length.
    let shown: String = version.chars().take(32).filter(|one| !one.is_control()).collect();
    Fault::permanent(
        "qdrant_version",
        format!(
            "the server is Qdrant '{shown}'; this program speaks with {from_major}.{from_minor} to {to_major}.{to_minor}"
        ),
    )
}

/// Creates the collection if it is missing, refuses one of another shape, and creates missing
/// indexes. Safe to run in several processes at once. Returns whether vectors have an int8 copy.
pub(super) async fn ensure_collection(
    server: &QdrantServer,
    name: &str,
    dims: usize,
    options: CollectionOptions,
) -> Result<bool, Fault> {
    let info = match describe_collection(server, name).await {
        Ok(info) => info,
        Err(fault) if is_collection_missing(&fault) => {
            let creation = collection_creation_request(name, dims, options, server);
            let created = server.call(Box::pin(server.client.create_collection(creation))).await;
            // Another process may have created it first, so an error here is no failure yet. What
            // exists now is checked either way.
            match (created, self::describe_collection(server, name).await) {
                (_, Ok(info)) => info,
                (Err(fault), Err(_)) | (Ok(_), Err(fault)) => return Err(fault),
            }
        }
        Err(fault) => return Err(fault),
    };
    let int8 = check_shape(&info, name, dims)?;
    for (key, field_type) in PAYLOAD_INDEXES {
        if !info.payload_schema.contains_key(key) {
            create_payload_index(server, name, key, field_type).await?;
        }
    }
    Ok(int8)
}

async fn describe_collection(server: &QdrantServer, name: &str) -> Result<CollectionInfo, Fault> {
    let answer = server.call(server.client.collection_info(name)).await?;
    answer.result.ok_or_else(|| transient_fault("the server described no collection"))
}

/// Compares dimensions and distance; returns whether the vectors have an int8 copy.
fn check_shape(info: &CollectionInfo, name: &str, dims: usize) -> Result<bool, Fault> {
    let refuse = |what: String| Err(Fault::permanent(QDRANT_REFUSED, format!("collection '{name}' {what}")));
    let config = info.config.as_ref();
    let vectors = config.and_then(|config| config.params.as_ref()?.vectors_config.as_ref()?.config.as_ref());
    let Some(Config::Params(vectors)) = vectors else {
        return refuse("was made by another program: it has no unnamed vector".to_owned());
    };
    if vectors.size != dims as u64 {
        return Err(Fault::permanent(
            "wrong_dimensions",
            format!("collection '{name}' holds vectors of {} numbers; the model gives {dims}", vectors.size),
        ));
    }
    if vectors.distance() != Distance::Cosine {
        return refuse(format!("compares by {:?}, not by Cosine", vectors.distance()));
    }
    // Quantization is set for the vector or, failing that, for the whole collection.
    let quantised =
        vectors.quantization_config.as_ref().or(config.and_then(|it| it.quantization_config.as_ref()));
    Ok(quantised.is_some_and(|it| it.quantization.is_some()))
}

async fn create_payload_index(
    server: &QdrantServer,
    name: &str,
    key: &str,
    field_type: FieldType,
) -> Result<(), Fault> {
    let request = CreateFieldIndexCollection {
        collection_name: name.to_owned(),
        wait: Some(true),
        field_name: key.to_owned(),
        field_type: Some(field_type as i32),
        field_index_params: None,
        ordering: Some(write_ordering()),
        timeout: Some(server.timeout_seconds()),
    };
    check_completed(&server.call(server.client.create_field_index(request)).await?)
}

/// Write ordering with which concurrent writes of one point apply in the same order on every
/// replica.
pub(super) fn write_ordering() -> WriteOrdering {
    WriteOrdering { r#type: WriteOrderingType::Medium as i32 }
}

#[expect(deprecated, reason = "the messages still have fields that are left unset here")]
fn collection_creation_request(
    name: &str,
    dims: usize,
    options: CollectionOptions,
    server: &QdrantServer,
) -> CreateCollection {
    let int8 = ScalarQuantization {
        r#type: QuantizationType::Int8 as i32,
        quantile: Some(INT8_QUANTILE),
        always_ram: Some(true),
        memory: None,
    };
    let vectors = VectorParams {
        size: dims as u64,
        distance: Distance::Cosine as i32,
        hnsw_config: None,
        quantization_config: None,
        on_disk: None,
        datatype: None,
        multivector_config: None,
        memory: None,
    };
    CreateCollection {
        collection_name: name.to_owned(),
        hnsw_config: None,
        wal_config: None,
        optimizers_config: None,
        shard_number: options.shards,
        on_disk_payload: None,
        timeout: Some(server.timeout_seconds()),
        vectors_config: Some(VectorsConfig { config: Some(Config::Params(vectors)) }),
        replication_factor: options.replicas,
        // A majority of the replicas has a point before its upsert is answered.
        write_consistency_factor: options.replicas.map(|copies| copies / 2 + 1),
        quantization_config: options.int8.then_some(QuantizationConfig {
            quantization: Some(quantization_config::Quantization::Scalar(int8)),
        }),
        sharding_method: None,
        sparse_vectors_config: None,
        strict_mode_config: Some(disabled_strict_mode()),
        metadata: HashMap::new(),
        payload: None,
    }
}

/// Disables strict mode. It refuses ranges over keys without an index, but metadata keys are chosen
/// by producers. Requests are bounded by our own limits.
#[expect(deprecated, reason = "the message still has a field that is left unset here")]
fn disabled_strict_mode() -> StrictModeConfig {
    StrictModeConfig {
        enabled: Some(false),
        max_query_limit: None,
        max_timeout: None,
        unindexed_filtering_retrieve: None,
        unindexed_filtering_update: None,
        search_max_hnsw_ef: None,
        search_allow_exact: None,
        search_max_oversampling: None,
        upsert_max_batchsize: None,
        search_max_batchsize: None,
        max_collection_vector_size_bytes: None,
        read_rate_limit: None,
        write_rate_limit: None,
        max_collection_payload_size_bytes: None,
        filter_max_conditions: None,
        condition_max_size: None,
        multivector_config: None,
        sparse_config: None,
        max_points_count: None,
        max_payload_index_count: None,
        max_resident_memory_percent: None,
    }
}
