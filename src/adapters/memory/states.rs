//! Shared states of one process: for a provider that no other process calls, and for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::lock;
use crate::fault::Fault;
use crate::ports::clock::Clock;
use crate::ports::states::{Change, SharedStates, check};

/// States in memory.
pub struct MemoryStates {
    states: Mutex<BTreeMap<String, String>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStates {
    /// None yet; `clock` is their time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { states: Mutex::default(), clock }
    }
}

#[async_trait]
impl SharedStates for MemoryStates {
    async fn change(&self, name: &str, mut change: Change) -> Result<(), Fault> {
        let mut states = lock(&self.states);
        if let Some(state) = change(states.get(name).map(String::as_str), self.clock.now_ms()) {
            check(name, &state)?;
            states.insert(name.to_owned(), state);
        }
        Ok(())
    }

    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault> {
        let states = lock(&self.states);
        let known = states.iter().filter(|(name, _)| name.starts_with(prefix));
        Ok(known.map(|(name, state)| (name.clone(), state.clone())).collect())
    }

    async fn now_ms(&self) -> Result<u64, Fault> {
        Ok(self.clock.now_ms())
    }
}
