//! Messages and services of the API, generated from `schemas/contexture/v1`.

tonic::include_proto!("contexture.v1");

/// The schemas with their comments, as reflection serves them.
pub const DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("contexture_descriptor");
/// Names of the services, as health and reflection know them.
pub const SERVICE_NAMES: [&str; 6] = [
    "contexture.v1.IngestService",
    "contexture.v1.ContextService",
    "contexture.v1.AdminService",
    "contexture.v1.CollectionService",
    "contexture.v1.DeadLetterService",
    "contexture.v1.StatusService",
];
