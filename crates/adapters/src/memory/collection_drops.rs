//! Dropped collections. Everything of one goes at once.

use async_trait::async_trait;

use super::ledger::MemoryLedger;
use super::ledger_state::MemoryLedgerState;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::Fault;
use contexture_core::ports::collection_drops::{CollectionDropLedger, DroppedGeneration};
use contexture_core::ports::ledger::CollectionRecord;

impl MemoryLedgerState {
    fn drop_collection(&mut self, key: &CollectionKey, now_ms: u64) {
        let Some(found) = self.collections.remove(key) else { return };
        self.outbox.retain(|_, version| version.collection_key() != *key);
        self.dead_letters.retain(|_, letter| letter.key.collection_key() != *key);
        for (generation, record) in found.generations.records {
            let highest = self.used_generations.entry(key.clone()).or_default();
            *highest = generation.max(*highest);
            self.dropped.insert(
                (key.clone(), generation),
                DroppedGeneration { home: record.home, dropped_ms: now_ms },
            );
        }
    }
}

#[async_trait]
impl CollectionDropLedger for MemoryLedger {
    async fn hide_collection(&self, key: &CollectionKey) -> Result<Option<Vec<CollectionRecord>>, Fault> {
        let left: Vec<_> = self.with_state(|state, now_ms| {
            state.drop_collection(key, now_ms);
            let of_key = state.dropped.values().filter(|dropped| dropped.home.key == *key);
            of_key.map(|dropped| dropped.home.clone()).collect()
        });
        Ok((!left.is_empty()).then_some(left))
    }

    async fn purge_hidden(&self, _limit: usize) -> Result<bool, Fault> {
        Ok(false)
    }

    async fn dropped_generations(&self) -> Result<Vec<DroppedGeneration>, Fault> {
        Ok(self.with_state(|state, _| state.dropped.values().cloned().collect()))
    }

    async fn forget_dropped(&self, homes: &[CollectionRecord]) -> Result<(), Fault> {
        self.with_state(|state, _| {
            for home in homes {
                state.dropped.remove(&(home.key.clone(), home.generation));
            }
        });
        Ok(())
    }
}
