//! Small states that processes share: what a provider's limiter knows, a rotated token.
//!
//! Contract: a state is text under a name; `change` is atomic, so of two changes one sees what the
//! other wrote, whatever process they come from; once it returns, the new text is as durable
//! as the ledger. A change is quick, touches nothing else, and may run more than once when a
//! store has to begin again. The time it gets is the store's own, the same for every process. A
//! state has at most [`STATE_BYTES_MAX`] bytes. States may hold secrets: they are never logged.

use async_trait::async_trait;

use crate::fault::Fault;

/// Longest state, in bytes.
pub const STATE_BYTES_MAX: usize = 256 * 1024;
/// Longest name, in bytes.
pub const STATE_NAME_BYTES_MAX: usize = 512;

/// Makes of a state, none where there is none yet, and the time in ms since the Unix epoch, what
/// it is to be; none leaves it as it is.
pub type SharedStateChange = Box<dyn FnMut(Option<&str>, u64) -> Option<String> + Send>;

/// States by name.
#[async_trait]
pub trait SharedStateStore: Send + Sync {
    /// Changes a state while nobody else does.
    async fn change(&self, name: &str, change: SharedStateChange) -> Result<(), Fault>;

    /// States whose name begins with `prefix`, by name.
    async fn named(&self, prefix: &str) -> Result<Vec<(String, String)>, Fault>;

    /// The time that a change would get now: what states say of times is to be compared with it.
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
