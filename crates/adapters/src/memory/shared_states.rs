//! Shared states of one process: for providers that no other process calls, and for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::lock_ignoring_poison;
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::shared_states::{SharedStateChange, SharedStateStore, check_state_size};

/// Shared states in memory.
pub struct MemorySharedStates {
    states: Mutex<BTreeMap<String, String>>,
    clock: Arc<dyn WallClock>,
}

impl MemorySharedStates {
    /// No states yet; `clock` provides their time.
    pub fn new(clock: Arc<dyn WallClock>) -> Self {
        Self { states: Mutex::default(), clock }
    }
}

#[async_trait]
impl SharedStateStore for MemorySharedStates {
    async fn change(&self, name: &str, mut change: SharedStateChange) -> Result<(), Fault> {
        let mut states = lock_ignoring_poison(&self.states);
        if let Some(state) = change(states.get(name).map(String::as_str), self.clock.now_ms()) {
            check_state_size(name, &state)?;
            states.insert(name.to_owned(), state);
        }
        Ok(())
    }

    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault> {
        let states = lock_ignoring_poison(&self.states);
        let known = states.iter().filter(|(name, _)| name.starts_with(prefix));
        Ok(known.map(|(name, state)| (name.clone(), state.clone())).collect())
    }

    async fn now_ms(&self) -> Result<u64, Fault> {
        Ok(self.clock.now_ms())
    }
}
