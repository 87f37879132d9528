//! Engines that go away: what waits, what it costs, and what goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
use contexture_core::fault::{Fault, reason};
use contexture_core::ingest::engine_watch::StageEngine;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};

use crate::support::clock::TokioClock;
use crate::support::plant::{ProcessStages, SharedBackends, documents};
use crate::support::tokenizers::RunTokenizer;

const DIMS: usize = 8;
/// Longer than eight attempts take.
const OUTAGE: Duration = Duration::from_hours(6);

/// Vectors in memory that can be away, or refuse what is stored.
struct FailingVectors {
    inner: MemoryVectors,
    away: AtomicBool,
    hangs: AtomicBool,
    refuses: AtomicBool,
    upserts: AtomicU32,
}

impl FailingVectors {
    async fn answer(&self) -> Result<(), Fault> {
        if self.hangs.load(Ordering::SeqCst) {
            // The deadline of a call.
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(Fault::transient("vectors: connection refused"));
        }
        Ok(())
    }
}

#[async_trait]
impl VectorStore for FailingVectors {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        self.upserts.fetch_add(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Fault::transient("vectors: a change was not completed"));
        }
        self.answer().await?;
        self.inner.upsert(points).await
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        self.answer().await?;
        self.inner.delete(ids).await
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        self.answer().await?;
        self.inner.search(vector, filter, readers, top_k).await
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        self.answer().await?;
        self.inner.ids_of(document_id).await
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.answer().await?;
        self.inner.count().await
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.answer().await?;
        self.inner.page(after, limit).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.answer().await?;
        self.inner.stored(ids).await
    }
}

async fn process() -> (ProcessStages, Arc<FailingVectors>) {
    let clock = TokioClock::new();
    let vectors = Arc::new(FailingVectors {
        inner: MemoryVectors::new(DIMS),
        away: AtomicBool::default(),
        hangs: AtomicBool::default(),
        refuses: AtomicBool::default(),
        upserts: AtomicU32::default(),
    });
    let states = Arc::new(MemorySharedStates::new(clock.clone()));
    let mut site = SharedBackends::new(states, clock.clone(), DIMS);
    site.vectors = vectors.clone();
    let embedder = HashEmbedder::new(Arc::new(RunTokenizer), DIMS, 512).unwrap();
    let ledger = Arc::new(MemoryLedger::new(clock));
    (ProcessStages::at(&site, ledger, Arc::new(embedder), 2).await, vectors)
}

#[tokio::test(start_paused = true)]
async fn vectors_that_are_away_cost_no_document_an_attempt() {
    for hangs in [false, true] {
        let (process, vectors) = process().await;
        process.put(&documents(50), 1).await;
        assert_eq!(process.drained(Duration::from_mins(1)).await.visible, 50);
        vectors.away.store(true, Ordering::SeqCst);
        vectors.hangs.store(hangs, Ordering::SeqCst);
        let late: Vec<_> = documents(250).split_off(50);
        process.put(&late, 1).await;
        tokio::time::sleep(OUTAGE).await;
        let outage = process.stages.engines.outage().expect("it is known");
        assert_eq!(outage.engine, StageEngine::Vectors);
        let counts = process.counts().await;
        assert_eq!((counts.visible, counts.in_flight, counts.dead), (50, 200, 0));
        let tried = vectors.upserts.load(Ordering::SeqCst);
        assert!(tried < 200, "the stage does not consume: {tried} tries in {OUTAGE:?}");
        vectors.hangs.store(false, Ordering::SeqCst);
        vectors.away.store(false, Ordering::SeqCst);
        // The call that hung while it came back ends first.
        tokio::time::sleep(Duration::from_secs(if hangs { 30 } else { 0 })).await;
        // The delays of what was in hand, and the time between two probes.
        let counts = process.drained(Duration::from_secs(30)).await;
        assert_eq!((counts.visible, counts.dead), (250, 0));
        assert_eq!(process.stages.engines.outage(), None);
        process.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_engine_refuses_while_it_answers_costs_attempts() {
    let (process, vectors) = process().await;
    vectors.refuses.store(true, Ordering::SeqCst);
    process.put(&documents(1), 1).await;
    assert_eq!(process.drained(OUTAGE).await.dead, 1);
    assert_eq!(process.dead().await[0].reason.code, reason::ATTEMPTS_EXHAUSTED);
    assert_eq!(process.stages.engines.outage(), None);
    process.stop().await;
}
