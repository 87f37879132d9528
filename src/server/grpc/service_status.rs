//! `StatusService`: how the service stands.

use std::sync::Arc;

use tonic::Request;

use super::call_frame::{CallResult, OpenedCall, answer};
use super::collections::{audit_message, counts_message};
use super::proto::{self, status_service_server::StatusService};
use crate::operations::StatusApi;
use crate::operations::messages::status::{
    CallerView, CollectionStatusView, ModelUsageView, NamedPipeline, UsageReport,
};
use contexture_core::fault::{Refusal, RefusalKind};

/// Days of usage where the caller does not say.
const USAGE_DAYS_DEFAULT: u64 = 30;

/// Serves callers who ask how the service stands.
pub struct StatusHandler {
    api: Arc<dyn StatusApi>,
}

impl StatusHandler {
    pub(super) fn new(api: Arc<dyn StatusApi>) -> Self {
        Self { api }
    }
}

#[tonic::async_trait]
impl StatusService for StatusHandler {
    async fn get_status(
        &self,
        request: Request<proto::GetStatusRequest>,
    ) -> CallResult<proto::GetStatusResponse> {
        answer(request, async |OpenedCall { principal, .. }| {
            let status = self.api.status(&principal).await?;
            let providers = status.providers.into_iter().map(provider_message).collect::<Result<_, _>>()?;
            Ok(proto::GetStatusResponse {
                collections: status.collections.into_iter().map(collection_status_message).collect(),
                providers,
                usage: status.usage.into_iter().map(usage_message).collect(),
            })
        })
        .await
    }

    async fn get_usage(
        &self,
        request: Request<proto::GetUsageRequest>,
    ) -> CallResult<proto::GetUsageResponse> {
        answer(request, async |OpenedCall { principal, message, .. }| {
            let days = message.days.unwrap_or(USAGE_DAYS_DEFAULT);
            let UsageReport { days, usage } = self.api.usage(&principal, days).await?;
            Ok(proto::GetUsageResponse { days, usage: usage.into_iter().map(usage_message).collect() })
        })
        .await
    }

    async fn list_pipelines(
        &self,
        request: Request<proto::ListPipelinesRequest>,
    ) -> CallResult<proto::ListPipelinesResponse> {
        answer(request, async |OpenedCall { principal, .. }| {
            let pipelines = self.api.pipelines(&principal).await?.pipelines;
            Ok(proto::ListPipelinesResponse {
                pipelines: pipelines.into_iter().map(pipeline_message).collect(),
            })
        })
        .await
    }

    async fn who_am_i(&self, request: Request<proto::WhoAmIRequest>) -> CallResult<proto::WhoAmIResponse> {
        answer(request, async |OpenedCall { principal, .. }| {
            let CallerView { tenant, groups, scopes } = CallerView::from(&principal);
            Ok(proto::WhoAmIResponse { tenant, groups, scopes })
        })
        .await
    }
}

fn collection_status_message(status: CollectionStatusView) -> proto::CollectionStatus {
    let CollectionStatusView { collection, counts, audit } = status;
    proto::CollectionStatus {
        collection,
        counts: Some(counts_message(counts)),
        audit: audit.map(audit_message),
    }
}

fn usage_message(usage: ModelUsageView) -> proto::ModelUsage {
    let ModelUsageView { model, requests, texts, tokens } = usage;
    proto::ModelUsage { model, requests, texts, tokens }
}

fn pipeline_message(named: NamedPipeline) -> proto::NamedPipeline {
    let NamedPipeline { name, pipeline, default: is_default } = named;
    proto::NamedPipeline { name, pipeline, is_default }
}

/// The fields of a provider's status, under their names in JSON.
#[derive(serde::Deserialize)]
struct ProviderFields {
    provider: String,
    why: Option<String>,
    wait_ms: u64,
    words: String,
    waiting: u32,
    open: u64,
    window: u64,
    calls: u64,
    throttled: u64,
    failed: u64,
}

fn provider_message(status: serde_json::Value) -> Result<proto::ProviderStatus, Refusal> {
    let fields: ProviderFields = serde_json::from_value(status)
        .map_err(|error| Refusal::new(RefusalKind::Internal, "status_unreadable", "", error.to_string()))?;
    let ProviderFields { provider, why, wait_ms, words, waiting, open, window, calls, throttled, failed } =
        fields;
    Ok(proto::ProviderStatus {
        provider,
        why,
        wait_ms,
        words,
        waiting,
        open,
        window,
        calls,
        throttled,
        failed,
    })
}
