//! Metrics in the `OpenMetrics` text format. This file and `shared` define every name.
//!
//! Names are `contexture_<noun>_<unit>`. Labels come from closed lists (stages, methods, codes, states) or from the
//! operator's configuration (providers, models). They never name a tenant, a collection, a document or anything
//! that a caller sends. There are two kinds: counts of this process, to be summed over processes, and values that
//! all processes share ([`SharedMeasurements`]) and each reports alike.

mod shared;

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use contexture_core::domain::task::IngestStage;
use contexture_core::ports::meter::{EmbeddingCallCounts, IngestMeter, StageMessageOutcome};

pub use shared::{AuditMeasurements, ProviderMeasurements, SharedMeasurements};
use shared::{ConfiguredLabel, SharedMetricFamilies, StaticLabels};

/// Content type of [`ProcessMetrics::page`].
pub const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type HistogramFamily = Family<StaticLabels<1>, Histogram, fn() -> Histogram>;

/// Buckets from a millisecond to about half a minute, by a factor of two.
fn fast_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

/// Buckets from ten milliseconds to about two days, by a factor of four.
fn slow_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 4.0, 13))
}

/// All measurements of a process.
pub struct ProcessMetrics {
    registry: Registry,
    batch_seconds: HistogramFamily,
    messages: Family<StaticLabels<2>, Counter>,
    visible_seconds: Histogram,
    requests: Family<ConfiguredLabel, Counter>,
    texts: Family<ConfiguredLabel, Counter>,
    tokens: Family<ConfiguredLabel, Counter>,
    cached: Counter,
    committed: Counter,
    calls: Family<StaticLabels<2>, Counter>,
    call_seconds: HistogramFamily,
    http_calls: Family<StaticLabels<2>, Counter>,
    http_call_seconds: HistogramFamily,
    degraded: Family<StaticLabels<1>, Counter>,
    context_tokens: Counter,
    context_budget_tokens: Counter,
    shared: SharedMetricFamilies,
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("contexture");
        let metrics = Self {
            batch_seconds: HistogramFamily::new_with_constructor(slow_histogram),
            messages: Family::default(),
            visible_seconds: slow_histogram(),
            requests: Family::default(),
            texts: Family::default(),
            tokens: Family::default(),
            cached: Counter::default(),
            committed: Counter::default(),
            calls: Family::default(),
            call_seconds: HistogramFamily::new_with_constructor(fast_histogram),
            http_calls: Family::default(),
            http_call_seconds: HistogramFamily::new_with_constructor(fast_histogram),
            degraded: Family::default(),
            context_tokens: Counter::default(),
            context_budget_tokens: Counter::default(),
            shared: SharedMetricFamilies::new(&mut registry),
            // A placeholder: the registry in use is moved in below, after all metrics are registered.
            registry: Registry::default(),
        };
        registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register_with_unit(
            "stage_batch",
            "Time that a stage worked on a batch",
            Unit::Seconds,
            metrics.batch_seconds.clone(),
        );
        registry.register(
            "stage_messages",
            "Messages of a stage by what became of them",
            metrics.messages.clone(),
        );
        registry.register_with_unit(
            "document_visible",
            "Time from the acceptance of a version until it is visible",
            Unit::Seconds,
            metrics.visible_seconds.clone(),
        );
        registry.register(
            "embedding_requests",
            "Calls to a model, of this process's stages",
            metrics.requests.clone(),
        );
        registry.register(
            "embedding_texts",
            "Texts that a model embedded for this process's stages",
            metrics.texts.clone(),
        );
        registry.register(
            "embedding_tokens",
            "Tokens of the texts that a model embedded for this process's stages",
            metrics.tokens.clone(),
        );
        registry.register(
            "embedding_cached_chunks",
            "Chunks whose text needed no call to a model",
            metrics.cached.clone(),
        );
        registry.register("committed_chunks", "Chunks committed to an index", metrics.committed.clone());
        registry.register("grpc_calls", "Calls of the API by method and gRPC code", metrics.calls.clone());
        registry.register_with_unit(
            "grpc_call",
            "Time from a call's headers to the answer, or to the start of a stream",
            Unit::Seconds,
            metrics.call_seconds.clone(),
        );
        registry.register(
            "http_calls",
            "Calls over HTTP by operation and status",
            metrics.http_calls.clone(),
        );
        registry.register_with_unit(
            "http_call",
            "Time from a call's headers to the answer, or to the start of a stream",
            Unit::Seconds,
            metrics.http_call_seconds.clone(),
        );
        registry.register(
            "degraded_answers",
            "Answers to questions that went without something",
            metrics.degraded.clone(),
        );
        registry.register("context_tokens", "Tokens of assembled contexts", metrics.context_tokens.clone());
        registry.register(
            "context_budget_tokens",
            "Tokens that assembled contexts might have had",
            metrics.context_budget_tokens.clone(),
        );
        // Series that exist from the start show a zero; otherwise the first increment would look like no change.
        for stage in IngestStage::ALL {
            for fate in StageMessageOutcome::ALL {
                let _ = metrics.messages.get_or_create(&[("stage", stage.name()), ("fate", fate.name())]);
            }
        }
        Self { registry, ..metrics }
    }
}

impl ProcessMetrics {
    /// Counts a call of the API that was answered with a gRPC code.
    pub fn called(&self, method: &'static str, code: &'static str, took: Duration) {
        self.calls.get_or_create(&[("method", method), ("code", code)]).inc();
        self.call_seconds.get_or_create(&[("method", method)]).observe(took.as_secs_f64());
    }

    /// Counts a call over HTTP that was answered with a status.
    pub fn called_over_http(&self, operation: &'static str, status: u16, took: Duration) {
        let labels = [("operation", operation), ("status", status_label(status))];
        self.http_calls.get_or_create(&labels).inc();
        self.http_call_seconds.get_or_create(&[("operation", operation)]).observe(took.as_secs_f64());
    }

    /// Counts an answer that lacks something.
    pub fn degraded(&self, without: &'static str) {
        self.degraded.get_or_create(&[("without", without)]).inc();
    }

    /// Counts the tokens and the budget of an assembled context.
    pub fn assembled(&self, tokens: u64, budget: u64) {
        self.context_tokens.inc_by(tokens);
        self.context_budget_tokens.inc_by(budget);
    }

    /// Renders the page with the shared values; `None` when the ledger does not answer.
    pub fn page(&self, shared: Option<&SharedMeasurements>) -> String {
        match shared {
            Some(shared) => self.shared.set(shared),
            None => self.shared.set_ledger_down(),
        }
        let mut page = String::new();
        if encode(&mut page, &self.registry).is_err() {
            // Writing to a string does not fail.
            page.clear();
        }
        page
    }
}

/// A status as a label; the list is closed, as all lists of labels are.
fn status_label(status: u16) -> &'static str {
    const KNOWN: [(u16, &str); 22] = [
        (200, "200"),
        (201, "201"),
        (202, "202"),
        (204, "204"),
        (304, "304"),
        (400, "400"),
        (401, "401"),
        (403, "403"),
        (404, "404"),
        (405, "405"),
        (406, "406"),
        (408, "408"),
        (409, "409"),
        (412, "412"),
        (413, "413"),
        (415, "415"),
        (422, "422"),
        (429, "429"),
        (431, "431"),
        (500, "500"),
        (503, "503"),
        (504, "504"),
    ];
    KNOWN.iter().find(|(known, _)| *known == status).map_or("other", |(_, label)| label)
}

impl IngestMeter for ProcessMetrics {
    fn batch(&self, stage: IngestStage, took: Duration) {
        self.batch_seconds.get_or_create(&[("stage", stage.name())]).observe(took.as_secs_f64());
    }

    fn settled(&self, stage: IngestStage, fate: StageMessageOutcome) {
        self.messages.get_or_create(&[("stage", stage.name()), ("fate", fate.name())]).inc();
    }

    fn visible(&self, after: Duration) {
        self.visible_seconds.observe(after.as_secs_f64());
    }

    fn spent(&self, spent: EmbeddingCallCounts<'_>) {
        let labels = [("model", spent.model.to_owned())];
        self.requests.get_or_create(&labels).inc_by(spent.requests);
        self.texts.get_or_create(&labels).inc_by(spent.texts);
        self.tokens.get_or_create(&labels).inc_by(spent.tokens);
    }

    fn cached(&self, chunks: u64) {
        self.cached.inc_by(chunks);
    }

    fn committed(&self, chunks: u64) {
        self.committed.inc_by(chunks);
    }
}
