//! Embedding usage: requests, texts and tokens by tenant, model and day, kept as long as the ledger.
//!
//! The pipeline counts its own calls, in tokens of the model's tokenizer. Questions are not counted.
//! Each day has a state named `usage/TENANT/DAY/MODEL`, with days since the Unix epoch.

use serde::{Deserialize, Serialize};

use super::StageResources;
use crate::domain::ids::TenantId;
use crate::fault::Fault;
use crate::ports::meter::EmbeddingCallCounts;
use crate::ports::shared_states::{STATE_NAME_BYTES_MAX, SharedStateStore};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Use of one model by one tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsage {
    /// Calls to the model.
    pub requests: u64,
    /// Texts that received a vector.
    pub texts: u64,
    /// Their tokens.
    pub tokens: u64,
}

impl ModelUsage {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            texts: self.texts + other.texts,
            tokens: self.tokens + other.tokens,
        }
    }
}

/// Adds to the usage of a model today.
pub(super) async fn add_usage(
    stages: &StageResources,
    tenant: &TenantId,
    model: &str,
    more: ModelUsage,
) -> Result<(), Fault> {
    if more.requests == 0 {
        return Ok(());
    }
    let ModelUsage { requests, texts, tokens } = more;
    stages.meter.spent(EmbeddingCallCounts { model, requests, texts, tokens });
    let day = stages.clock.now_ms() / DAY_MS;
    let change = move |known: Option<&str>, _| {
        let known: ModelUsage = known.and_then(|known| serde_json::from_str(known).ok()).unwrap_or_default();
        serde_json::to_string(&known.plus(more)).ok()
    };
    let name = format!("{}{day}/{model}", usage_name_prefix(tenant));
    // A long model name is truncated, because names of states are bounded.
    stages.states.change(&name[..name.floor_char_boundary(STATE_NAME_BYTES_MAX)], Box::new(change)).await
}

/// Returns the usage of a tenant by model name, from `days` days before today up to and including today.
pub async fn usage_since(
    states: &dyn SharedStateStore,
    tenant: &TenantId,
    days: u64,
    now_ms: u64,
) -> Result<Vec<(String, ModelUsage)>, Fault> {
    let first = (now_ms / DAY_MS).saturating_sub(days);
    let prefix = usage_name_prefix(tenant);
    let mut models: std::collections::BTreeMap<String, ModelUsage> = std::collections::BTreeMap::new();
    for (name, state) in states.named(&prefix).await? {
        let Some((day, model)) = name[prefix.len()..].split_once('/') else { continue };
        let (Ok(day), Ok(usage)) = (day.parse::<u64>(), serde_json::from_str::<ModelUsage>(&state)) else {
            continue;
        };
        if day >= first {
            let known = models.entry(model.to_owned()).or_default();
            *known = known.plus(usage);
        }
    }
    Ok(models.into_iter().collect())
}

fn usage_name_prefix(tenant: &TenantId) -> String {
    format!("usage/{tenant}/")
}
