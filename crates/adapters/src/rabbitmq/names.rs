//! Names of the exchanges, queues and routing keys at the broker. All share one prefix.

use std::time::Duration;

use contexture_core::domain::task::IngestStage;

/// Routing key of messages that failed for good.
pub(super) const DEAD_ROUTING_KEY: &str = "dead";
/// Routing key of messages that wait for an operator.
pub(super) const PARKED_ROUTING_KEY: &str = "parked";

/// Names under one prefix, with one retry queue per tier.
#[derive(Debug, Clone)]
pub struct TopologyNames {
    prefix: String,
    tiers: Vec<Duration>,
}

impl TopologyNames {
    /// The names under `prefix`, with retry queues for `tiers`.
    pub fn new(prefix: &str, tiers: &[Duration]) -> Self {
        Self { prefix: prefix.to_owned(), tiers: tiers.to_vec() }
    }

    fn under(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Whether a queue's name has this prefix.
    pub(super) fn is_own(&self, queue: &str) -> bool {
        queue.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The direct exchange of stage messages. Routing keys are queue names without the prefix.
    pub fn tasks(&self) -> String {
        self.under("tasks")
    }

    /// The topic exchange of `CloudEvents`.
    pub fn events(&self) -> String {
        self.under("events")
    }

    /// The topic exchange that producers publish to, and the queue bound to it.
    pub fn submit(&self) -> String {
        self.under("submit")
    }

    /// A stage's queue.
    pub fn stage(&self, stage: IngestStage) -> String {
        self.under(stage.name())
    }

    /// A stage's queue for bulk work, which may wait.
    pub fn bulk(&self, stage: IngestStage) -> String {
        self.under(&bulk_routing_key(stage))
    }

    /// A stage's queue of suspects, which are handed out one by one.
    pub fn suspect(&self, stage: IngestStage) -> String {
        self.under(&suspect_routing_key(stage))
    }

    /// The queue of messages that wait for an operator.
    pub fn parked(&self) -> String {
        self.under(PARKED_ROUTING_KEY)
    }

    /// The queue of dead letters.
    pub fn dead(&self) -> String {
        self.under(DEAD_ROUTING_KEY)
    }

    /// The fanout exchange of a delay, and the queue bound to it.
    pub fn retry(&self, tier: Duration) -> String {
        self.under(&format!("retry.{}", delay_label(tier)))
    }

    /// The shortest tier of at least `delay`, or the longest tier.
    pub(super) fn tier_for(&self, delay: Duration) -> Duration {
        let longest = self.tiers.last().copied().unwrap_or(delay);
        self.tiers.iter().copied().find(|tier| *tier >= delay).unwrap_or(longest)
    }

    pub(super) fn tiers(&self) -> &[Duration] {
        &self.tiers
    }

    /// Every exchange.
    pub fn exchanges(&self) -> Vec<String> {
        let delays = self.tiers.iter().map(|tier| self.retry(*tier));
        [self.tasks(), self.events(), self.submit()].into_iter().chain(delays).collect()
    }

    /// Every queue.
    pub fn queues(&self) -> Vec<String> {
        let stages = IngestStage::ALL
            .into_iter()
            .flat_map(|stage| [self.stage(stage), self.bulk(stage), self.suspect(stage)]);
        let delays = self.tiers.iter().map(|tier| self.retry(*tier));
        [self.submit(), self.parked(), self.dead()].into_iter().chain(stages).chain(delays).collect()
    }
}

pub(super) fn bulk_routing_key(stage: IngestStage) -> String {
    format!("{}.bulk", stage.name())
}

pub(super) fn suspect_routing_key(stage: IngestStage) -> String {
    format!("suspect.{}", stage.name())
}

/// Formats a delay in its largest whole unit: `40ms`, `5s`, `2m`, `1h`.
fn delay_label(tier: Duration) -> String {
    let (seconds, milliseconds) = (tier.as_secs(), tier.subsec_millis());
    match seconds {
        _ if milliseconds > 0 => format!("{}ms", tier.as_millis()),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}
