//! How the service stands.

use async_trait::async_trait;

use super::{StoreOperations, require_any_scope};
use crate::operations::api::StatusApi;
use crate::operations::messages::status::{
    CollectionStatusView, ModelUsageView, PipelineList, ServiceStatus, UsageReport,
};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ingest::usage;
use contexture_core::jobs::audit::schedule;

/// Days of usage in the status.
const STATUS_USAGE_DAYS: u64 = 30;
/// Most days of usage.
const USAGE_DAYS_MAX: u64 = 3660;

#[async_trait]
impl StatusApi for StoreOperations {
    async fn status(&self, caller: &Principal) -> Result<ServiceStatus, Refusal> {
        require_any_scope(caller)?;
        let audits = schedule::tenant_audit_results(&*self.stages.states, caller.tenant().as_str()).await?;
        let mut collections = Vec::new();
        for record in self.caller_collections(caller).await? {
            let name = record.key.collection.to_string();
            collections.push(CollectionStatusView {
                counts: self.stages.ledger.counts(&record.key).await?.into(),
                audit: audits.iter().find(|(audited, _)| *audited == name).map(|(_, last)| (*last).into()),
                collection: name,
            });
        }
        // All tenants share the providers, so how busy they are is not for everyone.
        let administers = caller.require(AccessScope::Admin).is_ok();
        let quotas = if administers { self.models.provider_quotas().await? } else { Vec::new() };
        let mut providers = Vec::new();
        for (provider, quota) in quotas {
            let mut shown = serde_json::to_value(quota).map_err(|error| {
                Refusal::new(RefusalKind::Internal, "status_unreadable", "", error.to_string())
            })?;
            shown["provider"] = provider.into();
            providers.push(shown);
        }
        let usage = self.usage(caller, STATUS_USAGE_DAYS).await?.usage;
        Ok(ServiceStatus { collections, providers, usage })
    }

    async fn usage(&self, caller: &Principal, days: u64) -> Result<UsageReport, Refusal> {
        require_any_scope(caller)?;
        if !(1..=USAGE_DAYS_MAX).contains(&days) {
            let message = format!("days must be between 1 and {USAGE_DAYS_MAX}");
            return Err(Refusal::invalid("invalid_days", "days", message));
        }
        let now_ms = self.stages.clock.now_ms();
        let used = usage::usage_since(&*self.stages.states, caller.tenant(), days, now_ms).await?;
        let usage = used.into_iter().map(|(model, usage)| ModelUsageView::new(model, usage)).collect();
        Ok(UsageReport { days, usage })
    }

    async fn pipelines(&self, caller: &Principal) -> Result<PipelineList, Refusal> {
        require_any_scope(caller)?;
        Ok(PipelineList { pipelines: self.pipelines.clone() })
    }
}
