//! Builders, and doubles for what tests must control: those that this binary shares with others.

#[cfg(feature = "rabbitmq")]
#[path = "../../../../tests/support/amqp_proxy.rs"]
pub(crate) mod amqp_proxy;
#[path = "../../../../tests/support/builders.rs"]
mod builders;
#[path = "../../../../tests/support/clock.rs"]
pub(crate) mod clock;
#[cfg(feature = "qdrant")]
#[path = "../../../../tests/support/edge_behind_qdrant_grpc/mod.rs"]
pub(crate) mod edge_behind_qdrant_grpc;
#[path = "../../../../tests/support/one.rs"]
pub(crate) mod one;
#[path = "../../../../tests/support/plant.rs"]
pub(crate) mod plant;
#[cfg(feature = "postgres")]
#[path = "../../../../tests/support/postgres.rs"]
pub(crate) mod postgres;
#[path = "../../../../tests/support/providers.rs"]
pub(crate) mod providers;
#[cfg(feature = "qdrant")]
#[path = "../../../../tests/support/qdrant.rs"]
pub(crate) mod qdrant;
#[cfg(feature = "rabbitmq")]
#[path = "../../../../tests/support/rabbit.rs"]
pub(crate) mod rabbit;
#[path = "../../../../tests/support/rerankers.rs"]
pub(crate) mod rerankers;
#[path = "../../../../tests/support/scan.rs"]
pub(crate) mod scan;
#[path = "../../../../tests/support/scripted_http.rs"]
pub(crate) mod scripted_http;
#[path = "../../../../tests/support/strategies.rs"]
pub(crate) mod strategies;
#[path = "../../../../tests/support/terms.rs"]
pub(crate) mod terms;
#[path = "../../../../tests/support/tokenizer_files.rs"]
pub(crate) mod tokenizer_files;
#[path = "../../../../tests/support/tokenizers.rs"]
pub(crate) mod tokenizers;
#[path = "../../../../tests/support/workspace.rs"]
pub(crate) mod workspace;

pub(crate) use builders::*;
