//! What everything at the broker is called.

use std::time::Duration;

use contexture_core::domain::task::IngestStage;

/// The routing key of what nobody can help.
pub(super) const DEAD_ROUTING_KEY: &str = "dead";
/// The routing key of what waits for a person.
pub(super) const PARKED_ROUTING_KEY: &str = "parked";

/// Names under one prefix.
#[derive(Debug, Clone)]
pub struct TopologyNames {
    prefix: String,
    tiers: Vec<Duration>,
}

impl TopologyNames {
    /// The names of a prefix and its delays.
    pub fn new(prefix: &str, tiers: &[Duration]) -> Self {
        Self { prefix: prefix.to_owned(), tiers: tiers.to_vec() }
    }

    fn under(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Whether a queue is one of these.
    pub(super) fn is_own(&self, queue: &str) -> bool {
        queue.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The direct exchange of stage messages; routing keys are the queues' names without prefix.
    pub fn tasks(&self) -> String {
        self.under("tasks")
    }

    /// The topic exchange of `CloudEvents`.
    pub fn events(&self) -> String {
        self.under("events")
    }

    /// The topic exchange producers publish to, and the queue behind it.
    pub fn submit(&self) -> String {
        self.under("submit")
    }

    /// A stage's queue.
    pub fn stage(&self, stage: IngestStage) -> String {
        self.under(stage.name())
    }

    /// A stage's queue for work that can wait.
    pub fn bulk(&self, stage: IngestStage) -> String {
        self.under(&bulk_routing_key(stage))
    }

    /// Where a stage's messages are tried alone.
    pub fn suspect(&self, stage: IngestStage) -> String {
        self.under(&suspect_routing_key(stage))
    }

    /// What waits for a person to say go on.
    pub fn parked(&self) -> String {
        self.under(PARKED_ROUTING_KEY)
    }

    /// What nobody can help.
    pub fn dead(&self) -> String {
        self.under(DEAD_ROUTING_KEY)
    }

    /// The fanout exchange and the queue of a delay.
    pub fn retry(&self, tier: Duration) -> String {
        self.under(&format!("retry.{}", delay_label(tier)))
    }

    /// The shortest tier that is not shorter than `delay`, or the longest there is.
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

/// A delay as people write it: `40ms`, `5s`, `2m`, `1h`.
fn delay_label(tier: Duration) -> String {
    let (seconds, milliseconds) = (tier.as_secs(), tier.subsec_millis());
    match seconds {
        _ if milliseconds > 0 => format!("{}ms", tier.as_millis()),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}
