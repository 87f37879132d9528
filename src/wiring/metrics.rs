//! What all processes share, gathered for the page of metrics.
//!
//! Counting the versions of a large collection walks it, so the ledger is asked again only after
//! twenty times as long as it took ([`IDLE_FACTOR`]), and not more often than every [`CACHE_TTL_MIN`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::embedding::EmbedderFactory;
use crate::server::metrics_http::MetricsPageApi;
use crate::telemetry::metrics::{
    AuditMeasurements, ProcessMetrics, ProviderMeasurements, SharedMeasurements,
};
use contexture_core::fault::Fault;
use contexture_core::ingest::StageResources;
use contexture_core::jobs::audit::schedule::{self, LastAuditResult};
use contexture_core::jobs::audit::{AuditFindingKind, AuditReport};
use contexture_core::resilience::quota_protocol::{QuotaStatus, WaitReason};

/// How long what was gathered is good enough, at least.
const CACHE_TTL_MIN: Duration = Duration::from_secs(2);
/// The same in times of what gathering it took.
const IDLE_FACTOR: u32 = 20;
/// How long the page waits for the ledger.
const GATHER_MAX: Duration = Duration::from_secs(5);

/// The page's source.
pub(super) struct MetricsPageSource {
    metrics: Arc<ProcessMetrics>,
    stages: Arc<StageResources>,
    models: Arc<EmbedderFactory>,
    known: Mutex<Option<GatheredMetrics>>,
}

/// What was gathered last.
#[derive(Clone)]
struct GatheredMetrics {
    shared: SharedMeasurements,
    stale_at: Instant,
}

#[async_trait]
impl MetricsPageApi for MetricsPageSource {
    async fn page(&self) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| Instant::now() < known.stale_at) {
            return self.metrics.page(Some(&known.shared));
        }
        let began = Instant::now();
        let gathered = match tokio::time::timeout(GATHER_MAX, self.gather()).await {
            Ok(gathered) => gathered,
            Err(_) => Err(Fault::transient("the ledger takes too long")),
        };
        let shared = gathered
            .inspect_err(|fault| tracing::warn!(%fault, "the ledger cannot be asked for the metrics"))
            .ok();
        if let Some(shared) = shared.clone() {
            let stale_at = Instant::now() + CACHE_TTL_MIN.max(began.elapsed() * IDLE_FACTOR);
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(GatheredMetrics { shared, stale_at });
        }
        self.metrics.page(shared.as_ref())
    }
}

impl MetricsPageSource {
    pub(super) fn new(
        metrics: Arc<ProcessMetrics>,
        stages: Arc<StageResources>,
        models: Arc<EmbedderFactory>,
    ) -> Self {
        Self { metrics, stages, models, known: Mutex::default() }
    }

    async fn gather(&self) -> Result<SharedMeasurements, Fault> {
        let mut shared = SharedMeasurements::default();
        let (mut in_flight, mut visible, mut superseded, mut dead) = (0, 0, 0, 0);
        for record in self.stages.ledger.collections().await? {
            let counts = self.stages.ledger.counts(&record.key).await?;
            shared.documents += counts.documents;
            in_flight += counts.in_flight;
            visible += counts.visible;
            superseded += counts.superseded;
            dead += counts.dead;
        }
        shared.versions =
            vec![("in_flight", in_flight), ("visible", visible), ("superseded", superseded), ("dead", dead)];
        let states = &*self.stages.states;
        shared.audit = audit_metrics(&schedule::all_audit_results(states).await?, states.now_ms().await?);
        shared.providers = self.models.standings().await?.into_iter().map(provider_metrics).collect();
        Ok(shared)
    }
}

fn audit_metrics(audits: &[LastAuditResult], now_ms: u64) -> AuditMeasurements {
    let mut report = AuditReport::default();
    for last in audits {
        report.add(&last.report);
    }
    let oldest_ms = audits.iter().map(|last| last.at_ms).min();
    let wrong = |kind: AuditFindingKind| (kind.name(), report.of(kind));
    AuditMeasurements {
        documents: report.documents,
        wrong: [
            AuditFindingKind::Missing,
            AuditFindingKind::Stale,
            AuditFindingKind::Orphan,
            AuditFindingKind::Drift,
        ]
        .map(wrong)
        .to_vec(),
        unsettled: report.unsettled,
        age: oldest_ms.map(|at_ms| Duration::from_millis(now_ms.saturating_sub(at_ms))),
    }
}

fn provider_metrics((name, standing): (String, QuotaStatus)) -> ProviderMeasurements {
    ProviderMeasurements {
        name,
        calls: standing.calls,
        throttled: standing.throttled,
        failed: standing.failed,
        waiting: u64::from(standing.waiting),
        open: standing.open as u64,
        window: standing.window as u64,
        wait: Duration::from_millis(standing.wait_ms),
        held: WaitReason::ALL.iter().map(|why| (why.name(), standing.why == Some(*why))).collect(),
    }
}
