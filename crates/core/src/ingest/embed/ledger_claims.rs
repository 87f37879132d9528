//! Single flight across processes: the ledger records which process embeds a text, so that a paid call is
//! made only once.
//!
//! A claim is renewed three times per [`StageLimits::embed_claim_max`](crate::ingest::StageLimits) while
//! its work goes on, and released when the work has ended, with or without success. The claim of a crashed
//! process expires.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use crate::domain::ids::EmbeddingKey;
use crate::fault::Fault;
use crate::ingest::StageResources;
use crate::ports::ledger::Ledger;

/// Texts that this process has claimed.
pub(super) struct LedgerTextClaims<'a> {
    ledger: &'a dyn Ledger,
    keys: Vec<EmbeddingKey>,
    ttl: Duration,
}

impl<'a> LedgerTextClaims<'a> {
    /// Claims nothing.
    pub(super) fn nothing(stages: &'a StageResources) -> Self {
        Self { ledger: &*stages.ledger, keys: Vec::new(), ttl: stages.limits.embed_claim_max }
    }

    /// Claims texts. Removes those from `texts` that another process has claimed, and returns them.
    pub(super) async fn take<T>(
        stages: &'a StageResources,
        texts: &mut BTreeMap<EmbeddingKey, T>,
    ) -> Result<(Self, BTreeMap<EmbeddingKey, T>), Fault> {
        let wanted: Vec<EmbeddingKey> = texts.keys().copied().collect();
        let nothing = Self::nothing(stages);
        let claimed = stages.ledger.claim_texts(&wanted, nothing.ttl).await?;
        let others = wanted.iter().zip(claimed).filter(|(_, is_mine)| !is_mine);
        let others = others.filter_map(|(key, _)| texts.remove_entry(key)).collect();
        Ok((Self { keys: texts.keys().copied().collect(), ..nothing }, others))
    }

    /// Runs `work` and renews the claims meanwhile.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            // Finished work must win over a renewal that is due at the same time.
            biased;
            done = work => done,
            never = self.renew(), if !self.keys.is_empty() => match never {},
        }
    }

    async fn renew(&self) -> Infallible {
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            // The work goes on when a renewal fails: a lost claim costs a second call, not correctness.
            match self.ledger.claim_texts(&self.keys, self.ttl).await {
                Ok(kept) if kept.iter().all(|kept| *kept) => {}
                Ok(_) => tracing::warn!("another process took over texts; they may be paid for twice"),
                Err(fault) => tracing::warn!(%fault, "claims on texts were not renewed"),
            }
        }
    }

    /// Releases the claims. A failure is harmless: others find the vectors in the cache.
    pub(super) async fn release(self) {
        if self.keys.is_empty() {
            return;
        }
        if let Err(fault) = self.ledger.release_texts(&self.keys).await {
            tracing::debug!(%fault, "claims on texts were not given up; they end by themselves");
        }
    }
}
