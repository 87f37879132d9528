//! Ports kept in memory: fakes for fast tests and simulation.
//!
//! They keep every word of the ports' contracts but durability: what they hold is gone with
//! them. Simple over fast; each passes the same behavioural suite as the real adapters.

pub mod broker;
mod collection;
mod collection_state;
mod embedding_cache;
mod generations;
pub(crate) mod leases;
pub mod ledger;
pub mod producers;
pub mod shared_states;
pub mod vectors;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; what a panicking test left behind is still readable.
fn lock_ignoring_poison<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
