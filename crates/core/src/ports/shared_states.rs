//! Small states that processes share: a provider's quota, a rotated token.
//!
//! Contract: a state is text under a name. `change` is atomic: of two changes one sees what the other
//! wrote, whatever process they come from. When it returns, the new text is as durable as the ledger. A
//! change is quick, has no side effects, and may run more than once when a store retries. Its time
//! comes from the store and is the same for every process. A state has at most [`STATE_BYTES_MAX`]
//! bytes. States may hold secrets: they are never logged.

use async_trait::async_trait;

use crate::fault::Fault;

/// Longest state, in bytes.
pub const STATE_BYTES_MAX: usize = 256 * 1024;
/// Longest name, in bytes.
pub const STATE_NAME_BYTES_MAX: usize = 512;

/// Computes a new state from the old one (none if there is none yet) and the time, in ms since the Unix
/// epoch. None leaves the state as it is.
pub type SharedStateChange = Box<dyn FnMut(Option<&str>, u64) -> Option<String> + Send>;

/// States by name.
#[async_trait]
pub trait SharedStateStore: Send + Sync {
    /// Changes a state atomically.
    async fn change(&self, name: &str, change: SharedStateChange) -> Result<(), Fault>;

    /// States whose name starts with `prefix`, by name.
    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault>;

    /// The store's time, as a change would get it now. Times in states are compared with this one.
    async fn now_ms(&self) -> Result<u64, Fault>;
}

/// Refuses a name or a state that is too long.
pub fn check_state_size(name: &str, state: &str) -> Result<(), Fault> {
    let refuse = |what: &str, bytes: usize, bytes_max: usize| {
        let detail = format!("the {what} has {bytes} bytes; at most {bytes_max}");
        Err(Fault::permanent("state_too_long", detail))
    };
    if name.len() > STATE_NAME_BYTES_MAX {
        return refuse("name of a shared state", name.len(), STATE_NAME_BYTES_MAX);
    }
    if state.len() > STATE_BYTES_MAX {
        return refuse("shared state", state.len(), STATE_BYTES_MAX);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_states_are_bounded_in_bytes() {
        let (name, state) = ("n".repeat(STATE_NAME_BYTES_MAX), "s".repeat(STATE_BYTES_MAX));
        assert!(check_state_size(&name, &state).is_ok());
        assert!(check_state_size(&format!("{name}n"), &state).is_err());
        assert!(check_state_size(&name, &format!("{state}s")).is_err());
    }
}
