//! Leases of a ledger that lives in one process: they end with it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lock_ignoring_poison;

/// Who leads what, and until when. Roles are few and named in code, so the table is small.
#[derive(Default)]
pub(crate) struct LeaseTable {
    held: Mutex<HashMap<String, RoleLease>>,
    holders: AtomicU64,
}

struct RoleLease {
    holder: u64,
    ends_ms: u64,
}

impl LeaseTable {
    /// The number of a new handle on the ledger.
    pub(crate) fn new_holder(&self) -> u64 {
        self.holders.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes or renews; false while another holder has it.
    pub(crate) fn lead(&self, role: &str, holder: u64, now_ms: u64, ttl: Duration) -> bool {
        let mut held = lock_ignoring_poison(&self.held);
        if held.get(role).is_some_and(|lease| lease.holder != holder && lease.ends_ms > now_ms) {
            return false;
        }
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        held.insert(role.to_owned(), RoleLease { holder, ends_ms: now_ms.saturating_add(ttl_ms) });
        true
    }

    /// Gives up what this holder has.
    pub(crate) fn resign(&self, role: &str, holder: u64) {
        let mut held = lock_ignoring_poison(&self.held);
        if held.get(role).is_some_and(|lease| lease.holder == holder) {
            held.remove(role);
        }
    }
}
