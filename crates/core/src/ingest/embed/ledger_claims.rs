//! Texts that are claimed from other processes, so that a call that is paid for is made by one.
//!
//! A claim is renewed three times in [`StageLimits::embed_claim_max`](crate::ingest::StageLimits) for as
//! long as the work under it goes on, and given up when it has ended, whatever came of it. One whose
//! process is gone ends by itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use super::vectors::TextToEmbed;
use crate::domain::ids::EmbeddingKey;
use crate::fault::Fault;
use crate::ingest::StageResources;
use crate::ports::ledger::Ledger;

/// Texts that are this process's to embed.
pub(super) struct LedgerTextClaims<'a> {
    ledger: &'a dyn Ledger,
    keys: Vec<EmbeddingKey>,
    ttl: Duration,
}

impl<'a> LedgerTextClaims<'a> {
    /// Claims nothing: calls cost nothing, so nobody is asked.
    pub(super) fn nothing(stages: &'a StageResources) -> Self {
        Self { ledger: &*stages.ledger, keys: Vec::new(), ttl: stages.limits.embed_claim_max }
    }

    /// Claims the texts; takes those out, and returns them, that another process has.
    pub(super) async fn take(
        stages: &'a StageResources,
        texts: &mut BTreeMap<EmbeddingKey, TextToEmbed>,
    ) -> Result<(Self, BTreeMap<EmbeddingKey, TextToEmbed>), Fault> {
        let wanted: Vec<EmbeddingKey> = texts.keys().copied().collect();
        let nothing = Self::nothing(stages);
        let claimed = stages.ledger.claim_texts(&wanted, nothing.ttl).await?;
        let others = wanted.iter().zip(claimed).filter(|(_, is_mine)| !is_mine);
        let others = others.filter_map(|(key, _)| texts.remove_entry(key)).collect();
        Ok((Self { keys: texts.keys().copied().collect(), ..nothing }, others))
    }

    /// Does `work` while the claims are renewed.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.renew(), if !self.keys.is_empty() => match never {},
        }
    }

    async fn renew(&self) -> Infallible {
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            match self.ledger.claim_texts(&self.keys, self.ttl).await {
                Ok(kept) if kept.iter().all(|kept| *kept) => {}
                Ok(_) => tracing::warn!("another process took over texts; they may be paid for twice"),
                Err(fault) => tracing::warn!(%fault, "claims on texts were not renewed"),
            }
        }
    }

    /// Gives them up. What fails here costs nothing: others find the vectors in the cache.
    pub(super) async fn release(self) {
        if self.keys.is_empty() {
            return;
        }
        if let Err(fault) = self.ledger.release_texts(&self.keys).await {
            tracing::debug!(%fault, "claims on texts were not given up; they end by themselves");
        }
    }
}
