//! How often stores are compared with the ledger, and how fast.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sections::limit_as_u32;

/// `[audit]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    pub(super) interval_ms: u64,
    pub(super) entries_per_second_max: u64,
}

/// Audits by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditConfig {
    /// Time between two audits of a collection; none: only when asked for.
    pub interval: Option<Duration>,
    /// Documents, heads and points per second; 0 is no limit.
    pub entries_per_second_max: u32,
}

impl RawAudit {
    pub(super) fn trust(&self) -> AuditConfig {
        AuditConfig {
            interval: (self.interval_ms > 0).then(|| Duration::from_millis(self.interval_ms)),
            entries_per_second_max: limit_as_u32(self.entries_per_second_max),
        }
    }
}
