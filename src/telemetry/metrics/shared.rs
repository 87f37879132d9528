//! Metrics of values that all processes share; every process reports the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Labels with values from closed lists.
pub(super) type StaticLabels<const N: usize> = [(&'static str, &'static str); N];
/// A label with a value from the configuration.
pub(super) type ConfiguredLabel = [(&'static str, String); 1];
type FloatGauge = Gauge<f64, AtomicU64>;

/// Values that all processes share, read from the ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedMeasurements {
    /// Visible documents.
    pub documents: u64,
    /// Versions by name of their state.
    pub versions: Vec<(&'static str, u64)>,
    /// Providers of embeddings.
    pub providers: Vec<ProviderMeasurements>,
    /// Findings of the last audits.
    pub audit: AuditMeasurements,
}

/// A provider of embeddings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProviderMeasurements {
    /// Its name in the configuration.
    pub name: String,
    /// Calls so far.
    pub calls: u64,
    /// Calls that the provider throttled.
    pub throttled: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that wait.
    pub waiting: u64,
    /// Calls that are open.
    pub open: u64,
    /// Calls that may be open.
    pub window: u64,
    /// Time that calls wait from now on, if they do.
    pub wait: Duration,
    /// Each reason to hold calls back, and whether it applies now.
    pub held: Vec<(&'static str, bool)>,
}

/// The last audits of all collections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditMeasurements {
    /// Compared documents.
    pub documents: u64,
    /// Wrong documents by kind.
    pub wrong: Vec<(&'static str, u64)>,
    /// Suspects that changed at every look.
    pub unsettled: u64,
    /// Time since the oldest of these audits; `None` without any.
    pub age: Option<Duration>,
}

pub(super) struct SharedMetricFamilies {
    ledger_up: Gauge,
    documents: Gauge,
    versions: Family<StaticLabels<1>, Gauge>,
    provider_calls: Family<ConfiguredLabel, Counter>,
    provider_throttled: Family<ConfiguredLabel, Counter>,
    provider_failed: Family<ConfiguredLabel, Counter>,
    provider_waiting: Family<ConfiguredLabel, Gauge>,
    provider_open: Family<ConfiguredLabel, Gauge>,
    provider_window: Family<ConfiguredLabel, Gauge>,
    provider_wait_seconds: Family<ConfiguredLabel, FloatGauge>,
    provider_held: Family<[(&'static str, String); 2], Gauge>,
    audit_documents: Gauge,
    audit_wrong: Family<StaticLabels<1>, Gauge>,
    audit_unsettled: Gauge,
    audit_age_seconds: FloatGauge,
}

impl SharedMetricFamilies {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            ledger_up: Gauge::default(),
            documents: Gauge::default(),
            versions: Family::default(),
            provider_calls: Family::default(),
            provider_throttled: Family::default(),
            provider_failed: Family::default(),
            provider_waiting: Family::default(),
            provider_open: Family::default(),
            provider_window: Family::default(),
            provider_wait_seconds: Family::default(),
            provider_held: Family::default(),
            audit_documents: Gauge::default(),
            audit_wrong: Family::default(),
            audit_unsettled: Gauge::default(),
            audit_age_seconds: FloatGauge::default(),
        };
        registry.register(
            "ledger_up",
            "Whether the ledger answered; while it does not, what all processes share is as it was",
            metrics.ledger_up.clone(),
        );
        registry.register("documents", "Visible documents, shared", metrics.documents.clone());
        registry.register("versions", "Versions of documents by state, shared", metrics.versions.clone());
        registry.register("provider_calls", "Calls to a provider, shared", metrics.provider_calls.clone());
        registry.register(
            "provider_throttled_calls",
            "Calls that a provider told to wait, shared",
            metrics.provider_throttled.clone(),
        );
        registry.register(
            "provider_failed_calls",
            "Calls to a provider that failed, shared",
            metrics.provider_failed.clone(),
        );
        registry.register(
            "provider_waiting_calls",
            "Calls that wait for a provider, shared",
            metrics.provider_waiting.clone(),
        );
        registry.register(
            "provider_open_calls",
            "Calls open at a provider, shared",
            metrics.provider_open.clone(),
        );
        registry.register(
            "provider_window_calls",
            "Calls that may be open at a provider at once, shared",
            metrics.provider_window.clone(),
        );
        registry.register_with_unit(
            "provider_wait",
            "How long calls to a provider wait from now on, shared",
            Unit::Seconds,
            metrics.provider_wait_seconds.clone(),
        );
        registry.register(
            "provider_held",
            "1 for the reason for which calls to a provider are held back, shared",
            metrics.provider_held.clone(),
        );
        registry.register(
            "audit_documents",
            "Documents that the last audits compared with the stores, shared",
            metrics.audit_documents.clone(),
        );
        registry.register(
            "audit_wrong_documents",
            "What the last audits found wrong, shared",
            metrics.audit_wrong.clone(),
        );
        registry.register(
            "audit_unsettled_documents",
            "Suspects that were on the move at every look of the last audits, shared",
            metrics.audit_unsettled.clone(),
        );
        registry.register_with_unit(
            "audit_age",
            "Time since the oldest of the last audits; 0 where there was none, shared",
            Unit::Seconds,
            metrics.audit_age_seconds.clone(),
        );
        metrics
    }

    /// Records that the ledger does not answer; the other values stay.
    pub(super) fn set_ledger_down(&self) {
        self.ledger_up.set(0);
    }

    pub(super) fn set(&self, shared: &SharedMeasurements) {
        self.ledger_up.set(1);
        self.documents.set(gauge_value(shared.documents));
        for (state, count) in &shared.versions {
            self.versions.get_or_create(&[("state", *state)]).set(gauge_value(*count));
        }
        for provider in &shared.providers {
            let labels = [("provider", provider.name.clone())];
            for (family, value) in [
                (&self.provider_calls, provider.calls),
                (&self.provider_throttled, provider.throttled),
                (&self.provider_failed, provider.failed),
            ] {
                // The ledger's totals are absolute, so the counter is set and not incremented.
                family.get_or_create(&labels).inner().store(value, Ordering::Relaxed);
            }
            for (family, value) in [
                (&self.provider_waiting, provider.waiting),
                (&self.provider_open, provider.open),
                (&self.provider_window, provider.window),
            ] {
                family.get_or_create(&labels).set(gauge_value(value));
            }
            self.provider_wait_seconds.get_or_create(&labels).set(provider.wait.as_secs_f64());
            // Every reason is set, also to 0: one that has ended would stay at 1.
            for (reason, is_held) in &provider.held {
                let labels = [("provider", provider.name.clone()), ("reason", (*reason).to_owned())];
                self.provider_held.get_or_create(&labels).set(i64::from(*is_held));
            }
        }
        self.audit_documents.set(gauge_value(shared.audit.documents));
        for (kind, count) in &shared.audit.wrong {
            self.audit_wrong.get_or_create(&[("kind", *kind)]).set(gauge_value(*count));
        }
        self.audit_unsettled.set(gauge_value(shared.audit.unsettled));
        self.audit_age_seconds.set(shared.audit.age.unwrap_or_default().as_secs_f64());
    }
}

fn gauge_value(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
