//! How the service stands, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::collection::{AuditResultView, VersionCountsView};
use contexture_core::domain::principal::Principal;
use contexture_core::ingest::usage::ModelUsage;

/// Collections, providers and usage.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceStatus {
    /// The caller's collections, by name.
    pub collections: Vec<CollectionStatusView>,
    /// Providers that have been called; empty for a caller without the scope `admin`.
    #[schema(value_type = Vec<Object>)]
    pub providers: Vec<serde_json::Value>,
    /// What embedding cost in the last 30 days, by model.
    pub usage: Vec<ModelUsageView>,
}

/// How a collection stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CollectionStatusView {
    /// Its name.
    pub collection: String,
    /// Document versions by state.
    #[serde(flatten)]
    pub counts: VersionCountsView,
    /// The result of the last audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditResultView>,
}

/// What one model cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelUsageView {
    /// The model.
    pub model: String,
    /// Calls to it.
    pub requests: u64,
    /// Texts that got a vector.
    pub texts: u64,
    /// Their tokens.
    pub tokens: u64,
}

impl ModelUsageView {
    /// The use of a model.
    pub fn new(model: String, usage: ModelUsage) -> Self {
        let ModelUsage { requests, texts, tokens } = usage;
        Self { model, requests, texts, tokens }
    }
}

/// What embedding cost the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// Days that are counted, today included.
    pub days: u64,
    /// By model.
    pub usage: Vec<ModelUsageView>,
}

/// A pipeline with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamedPipeline {
    /// Its name.
    pub name: String,
    /// Its text, TOML.
    pub pipeline: String,
    /// Whether a collection gets it that is made without one.
    pub default: bool,
}

/// The pipelines that a collection can be made with by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelineList {
    /// The pipelines, the default one first.
    pub pipelines: Vec<NamedPipeline>,
}

/// Who a credential says its bearer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallerView {
    /// The tenant.
    pub tenant: String,
    /// The groups.
    pub groups: Vec<String>,
    /// The scopes: `read`, `write`, `admin`, `metrics`.
    pub scopes: Vec<String>,
}

impl From<&Principal> for CallerView {
    fn from(caller: &Principal) -> Self {
        Self {
            tenant: caller.tenant().to_string(),
            groups: caller.groups().iter().cloned().collect(),
            scopes: caller.scopes().iter().map(|scope| scope.name().to_owned()).collect(),
        }
    }
}
