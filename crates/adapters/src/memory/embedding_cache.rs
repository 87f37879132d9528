//! The embedding cache of the memory ledger: bounded in bytes, the least recently used go first.

use std::collections::HashMap;

use contexture_core::domain::ids::EmbeddingKey;
use contexture_core::ports::ledger::{EMBEDDING_CACHE_USE_PERIOD_MS, embedding_cache_cost};

/// Past the bound, this part of it is made free besides.
const EVICTION_SLACK_DIVISOR: u64 = 16;

/// Vectors, and the period each was used in last.
#[derive(Default)]
pub(super) struct MemoryEmbeddingCache {
    entries: HashMap<EmbeddingKey, (Vec<f32>, u64)>,
    bytes: u64,
}

impl MemoryEmbeddingCache {
    pub(super) fn get(&mut self, key: &EmbeddingKey, now_ms: u64) -> Option<Vec<f32>> {
        let (vector, used) = self.entries.get_mut(key)?;
        *used = now_ms / EMBEDDING_CACHE_USE_PERIOD_MS;
        Some(vector.clone())
    }

    pub(super) fn insert(&mut self, vectors: Vec<(EmbeddingKey, Vec<f32>)>, bytes_max: u64, now_ms: u64) {
        for (key, vector) in vectors {
            let cost = embedding_cache_cost(&vector);
            if cost <= bytes_max && !self.entries.contains_key(&key) {
                self.entries.insert(key, (vector, now_ms / EMBEDDING_CACHE_USE_PERIOD_MS));
                self.bytes += cost;
            }
        }
        if self.bytes > bytes_max {
            self.evict(bytes_max - bytes_max / EVICTION_SLACK_DIVISOR);
        }
    }

    fn evict(&mut self, bytes_max: u64) {
        let mut oldest: Vec<_> = self.entries.iter().map(|(key, (_, used))| (*used, *key)).collect();
        oldest.sort_unstable();
        for (_, key) in oldest {
            if self.bytes <= bytes_max {
                return;
            }
            if let Some((vector, _)) = self.entries.remove(&key) {
                self.bytes -= embedding_cache_cost(&vector);
            }
        }
    }
}
