//! Single flight within a process: no two workers embed the same text at the same time.
//!
//! The worker that claims a text embeds and caches it. A worker that finds it claimed waits until the
//! claim ends and reads the cache again. Nobody waits while holding a claim, so workers cannot deadlock.
//! A claim ends when its value is dropped, also after a panic or a cancellation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::watch;

use crate::domain::ids::EmbeddingKey;

/// All claims of a process, by text.
#[derive(Default)]
pub struct EmbeddingSingleFlight(Mutex<HashMap<EmbeddingKey, watch::Receiver<()>, RandomState>>);

/// Texts that the holder has to embed.
pub(super) struct SingleFlightClaim<'a> {
    claims: &'a EmbeddingSingleFlight,
    keys: Vec<EmbeddingKey>,
    /// Closes when the claim is dropped, which wakes the waiting workers.
    _ends: watch::Sender<()>,
}

/// Signals the end of another worker's claim.
pub(super) struct ClaimEndSignal(watch::Receiver<()>);

impl ClaimEndSignal {
    /// Returns when the claim has ended.
    pub(super) async fn ended(mut self) {
        // Nothing is ever sent. The error of the closed channel is the signal.
        let _ = self.0.changed().await;
    }
}

impl EmbeddingSingleFlight {
    /// Claims those of `keys` that nobody has claimed. Returns the end signal of each of the others.
    pub(super) fn claim(
        &self,
        keys: &[EmbeddingKey],
    ) -> (SingleFlightClaim<'_>, Vec<(EmbeddingKey, ClaimEndSignal)>) {
        let (ends, ended) = watch::channel(());
        let mut claims = self.lock();
        let (mut mine, mut others) = (Vec::with_capacity(keys.len()), Vec::new());
        for key in keys {
            if let Some(end) = claims.get(key) {
                others.push((*key, ClaimEndSignal(end.clone())));
            } else {
                claims.insert(*key, ended.clone());
                mine.push(*key);
            }
        }
        (SingleFlightClaim { claims: self, keys: mine, _ends: ends }, others)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EmbeddingKey, watch::Receiver<()>, RandomState>> {
        // The map is consistent after every single operation, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SingleFlightClaim<'_> {
    fn drop(&mut self) {
        let mut claims = self.claims.lock();
        for key in &self.keys {
            claims.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::ids::derive_embedding_key;

    #[tokio::test]
    async fn a_claimed_text_is_waited_for() {
        let claims = EmbeddingSingleFlight::default();
        let key = |text| derive_embedding_key("model", text);
        let (first, others) = claims.claim(&[key("a"), key("b")]);
        assert!(others.is_empty());
        let (second, mut others) = claims.claim(&[key("b"), key("c")]);
        assert_eq!(second.keys, [key("c")]);
        let (waited_for, signal) = others.remove(0);
        assert_eq!(waited_for, key("b"));
        let mut ended = Box::pin(signal.ended());
        assert!(ended.as_mut().now_or_never().is_none());
        drop(first);
        ended.await;
        let (third, others) = claims.claim(&[key("b")]);
        assert!(others.is_empty());
        drop((second, third));
        assert!(claims.lock().is_empty());
    }
}
