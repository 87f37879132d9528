//! Ports kept in memory: fakes for fast tests and simulation.
//!
//! They honour the ports' contracts except for durability: their contents end with them. They prefer
//! simple to fast. Each passes the same behavioural suite as the real adapters.
//!
//! The lease table here also serves the SQLite ledger, whose file belongs to one process.

pub mod broker;
mod collection;
mod collection_drops;
mod document_ledger;
mod generation_ledger;
mod generations;
pub mod ledger;
mod ledger_state;
pub mod producers;
pub mod shared_states;
mod source_ledger;
pub mod vectors;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Locks a mutex. Data that a panicking test left behind stays readable.
fn lock_ignoring_poison<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leases of roles in one process. Roles are few and named in code, so the table is small.
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
    /// Returns the number of a new handle on the ledger.
    pub(crate) fn new_holder(&self) -> u64 {
        self.holders.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes or renews a lease; false while another holder has it.
    pub(crate) fn acquire_lease(&self, role: &str, holder: u64, now_ms: u64, ttl: Duration) -> bool {
        let mut held = lock_ignoring_poison(&self.held);
        if held.get(role).is_some_and(|lease| lease.holder != holder && lease.ends_ms > now_ms) {
            return false;
        }
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        held.insert(role.to_owned(), RoleLease { holder, ends_ms: now_ms.saturating_add(ttl_ms) });
        true
    }

    /// Releases a lease that this holder has.
    pub(crate) fn release_lease(&self, role: &str, holder: u64) {
        let mut held = lock_ignoring_poison(&self.held);
        if held.get(role).is_some_and(|lease| lease.holder == holder) {
            held.remove(role);
        }
    }
}
