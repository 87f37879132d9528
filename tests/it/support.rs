//! Builders, and doubles for what tests must control: those that this binary shares with others.

#[cfg(feature = "rabbitmq")]
#[path = "../support/amqp_proxy.rs"]
pub(crate) mod amqp_proxy;
#[path = "../support/builders.rs"]
mod builders;
#[path = "../support/clock.rs"]
pub(crate) mod clock;
#[path = "../support/document_set/mod.rs"]
pub(crate) mod document_set;
#[cfg(feature = "qdrant")]
#[path = "../support/edge_behind_qdrant_grpc/mod.rs"]
pub(crate) mod edge_behind_qdrant_grpc;
#[path = "../support/office_files.rs"]
pub(crate) mod office_files;
#[path = "../support/one.rs"]
pub(crate) mod one;
#[path = "../support/plant.rs"]
pub(crate) mod plant;
#[path = "../support/providers.rs"]
pub(crate) mod providers;
#[cfg(feature = "rabbitmq")]
#[path = "../support/rabbit.rs"]
pub(crate) mod rabbit;
#[path = "../support/scan.rs"]
pub(crate) mod scan;
#[path = "../support/schemas.rs"]
pub(crate) mod schemas;
#[path = "../support/scripted_http.rs"]
pub(crate) mod scripted_http;
#[path = "../support/terms.rs"]
pub(crate) mod terms;
#[path = "../support/tokenizer_files.rs"]
pub(crate) mod tokenizer_files;
#[path = "../support/tokenizers.rs"]
pub(crate) mod tokenizers;
#[path = "../support/workspace.rs"]
pub(crate) mod workspace;

pub(crate) use builders::*;
