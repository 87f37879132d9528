//! Texts that are being embedded in this process, so that none is embedded twice at once.
//!
//! Whoever claims a text embeds and caches it; whoever finds it claimed waits until the claim is
//! gone and looks into the cache again. Nobody waits while holding a claim, so nobody waits
//! for each other. A claim ends with its value, however the work ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::sync::watch;

use crate::domain::ids::EmbeddingKey;

/// The claims of a process.
#[derive(Default)]
pub struct EmbeddingSingleFlight(Mutex<HashMap<EmbeddingKey, watch::Receiver<()>, RandomState>>);

/// Texts that are the holder's to embed.
pub(super) struct SingleFlightClaim<'a> {
    flights: &'a EmbeddingSingleFlight,
    keys: Vec<EmbeddingKey>,
    /// Closes with the claim, which wakes who waits.
    _ends: watch::Sender<()>,
}

/// The end of somebody else's claim.
pub(super) struct ClaimEndSignal(watch::Receiver<()>);

impl ClaimEndSignal {
    /// Returns once the claim is gone.
    pub(super) async fn landed(mut self) {
        // Nothing is ever sent: it changes by being closed.
        let _ = self.0.changed().await;
    }
}

impl EmbeddingSingleFlight {
    /// Claims those of `keys` that nobody has; for each of the others when its claim ends.
    pub(super) fn claim(
        &self,
        keys: &[EmbeddingKey],
    ) -> (SingleFlightClaim<'_>, Vec<(EmbeddingKey, ClaimEndSignal)>) {
        let (ends, ended) = watch::channel(());
        let mut flights = self.lock();
        let (mut mine, mut others) = (Vec::with_capacity(keys.len()), Vec::new());
        for key in keys {
            if let Some(flight) = flights.get(key) {
                others.push((*key, ClaimEndSignal(flight.clone())));
            } else {
                flights.insert(*key, ended.clone());
                mine.push(*key);
            }
        }
        (SingleFlightClaim { flights: self, keys: mine, _ends: ends }, others)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EmbeddingKey, watch::Receiver<()>, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SingleFlightClaim<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        for key in &self.keys {
            flights.remove(key);
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
        let flights = EmbeddingSingleFlight::default();
        let key = |text| derive_embedding_key("model", text);
        let (first, others) = flights.claim(&[key("a"), key("b")]);
        assert!(others.is_empty());
        let (second, mut others) = flights.claim(&[key("b"), key("c")]);
        assert_eq!(second.keys, [key("c")]);
        let (waited_for, landing) = others.remove(0);
        assert_eq!(waited_for, key("b"));
        let mut landed = Box::pin(landing.landed());
        assert!(landed.as_mut().now_or_never().is_none());
        drop(first);
        landed.await;
        let (third, others) = flights.claim(&[key("b")]);
        assert!(others.is_empty());
        drop((second, third));
        assert!(flights.lock().is_empty());
    }
}
