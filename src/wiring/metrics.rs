//! Measurements that all processes share, gathered for the page of metrics.
//!
//! Counting the versions of a large collection scans it. So the result is cached for [`IDLE_FACTOR`] times
//! as long as the count took, and for at least [`CACHE_TTL_MIN`].

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

/// Shortest time that gathered measurements are served.
const CACHE_TTL_MIN: Duration = Duration::from_secs(2);
/// The same as a multiple of how long gathering took: at most 1/20 of the time goes into it.
const IDLE_FACTOR: u32 = 20;
/// How long a page waits for the ledger. Then it comes without the shared measurements.
const GATHER_MAX: Duration = Duration::from_secs(5);

/// Renders the page of metrics.
pub(super) struct MetricsPageSource {
    metrics: Arc<ProcessMetrics>,
    stages: Arc<StageResources>,
    embedders: Arc<EmbedderFactory>,
    known: Mutex<Option<GatheredMetrics>>,
}

/// The measurements gathered last.
#[derive(Clone)]
struct GatheredMetrics {
    shared: SharedMeasurements,
    stale_at: Instant,
}

#[async_trait]
impl MetricsPageApi for MetricsPageSource {
    async fn page(&self) -> String {
        // Two pages at once may both gather. That costs a count and does no harm, and no lock is held
        // across an await.
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
        // A failure is not cached: the next page asks again.
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
        embedders: Arc<EmbedderFactory>,
    ) -> Self {
        Self { metrics, stages, embedders, known: Mutex::default() }
    }

    /// Reads everything anew from the ledger and the shared states.
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
        shared.providers = self.embedders.quota_statuses().await?.into_iter().map(provider_metrics).collect();
        Ok(shared)
    }
}

fn audit_metrics(audits: &[LastAuditResult], now_ms: u64) -> AuditMeasurements {
    let mut report = AuditReport::default();
    for last in audits {
        report.add(&last.report);
    }
    // The age of the oldest result, because an alert is about the collection that was audited longest ago.
    let oldest_ms = audits.iter().map(|last| last.at_ms).min();
    let wrong = |kind: AuditFindingKind| (kind.name(), report.count_of(kind));
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

fn provider_metrics((name, status): (String, QuotaStatus)) -> ProviderMeasurements {
    ProviderMeasurements {
        name,
        calls: status.calls,
        throttled: status.throttled,
        failed: status.failed,
        waiting: u64::from(status.waiting),
        open: status.open as u64,
        window: status.window as u64,
        wait: Duration::from_millis(status.wait_ms),
        held: WaitReason::ALL.iter().map(|why| (why.name(), status.why == Some(*why))).collect(),
    }
}
