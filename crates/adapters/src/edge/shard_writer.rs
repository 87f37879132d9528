//! The one thread that changes a shard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use qdrant_edge::{EdgeShard, UpdateOperation};
use tokio::sync::oneshot;

use super::engine_fault;
use contexture_core::fault::Fault;

/// Changes waiting for the owner before callers have to wait for a place.
const CHANGES_QUEUED_MAX: usize = 64;
/// Idle time after which the owner may build the HNSW index.
pub const OPTIMIZE_IDLE: Duration = Duration::from_secs(5);
/// New points that make building it worthwhile; below, exact search is as fast.
pub const OPTIMIZE_POINTS: usize = 20_000;

struct ShardChange {
    operation: UpdateOperation,
    points: usize,
    answer: oneshot::Sender<Result<(), Fault>>,
}

/// The sending side; dropping it ends the thread and waits for it, so that the shard can be
/// opened again at once.
pub(super) struct ShardWriterThread {
    changes: Option<SyncSender<ShardChange>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ShardWriterThread {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl ShardWriterThread {
    pub(super) fn start(shard: Arc<EdgeShard>) -> Result<Self, Fault> {
        let (changes, queued) = sync_channel(CHANGES_QUEUED_MAX);
        let thread = std::thread::Builder::new()
            .name("vectors-owner".to_owned())
            .spawn(move || run_shard_writer(&shard, &queued))
            .map_err(Fault::transient)?;
        Ok(Self { changes: Some(changes), thread: Some(thread) })
    }

    /// Applies one operation; returns after the flush that covers it.
    pub(super) async fn apply(&self, operation: UpdateOperation, points: usize) -> Result<(), Fault> {
        let ended = || Fault::Transient("vectors: their owner has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let changes = self.changes.clone().ok_or_else(ended)?;
        let change = ShardChange { operation, points, answer };
        tokio::task::spawn_blocking(move || changes.send(change).is_ok())
            .await
            .map_err(Fault::transient)?
            .then_some(())
            .ok_or_else(ended)?;
        answered.await.map_err(|_| ended())?
    }
}

fn run_shard_writer(shard: &EdgeShard, queued: &Receiver<ShardChange>) {
    let mut unindexed = 0_usize;
    loop {
        match queued.recv_timeout(OPTIMIZE_IDLE) {
            Ok(first) => {
                let batch: Vec<ShardChange> =
                    std::iter::once(first).chain(queued.try_iter().take(CHANGES_QUEUED_MAX)).collect();
                unindexed += batch.iter().map(|change| change.points).sum::<usize>();
                apply_and_flush(shard, batch);
            }
            Err(RecvTimeoutError::Timeout) if unindexed >= OPTIMIZE_POINTS => {
                unindexed = 0;
                if let Err(fault) = catch_engine_panic(|| shard.optimize().map(drop)) {
                    tracing::warn!(%fault, "building the vector index failed; searches stay exact and slower");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn apply_and_flush(shard: &EdgeShard, batch: Vec<ShardChange>) {
    let mut answers = Vec::with_capacity(batch.len());
    for change in batch {
        answers.push((change.answer, catch_engine_panic(|| shard.update(change.operation))));
    }
    let flushed = catch_engine_panic(|| {
        shard.flush();
        Ok(())
    });
    for (answer, applied) in answers {
        let _ = answer.send(applied.and(flushed.clone()));
    }
}

/// The engine panics where it cannot go on; here that is one failed change.
fn catch_engine_panic(work: impl FnOnce() -> Result<(), qdrant_edge::OperationError>) -> Result<(), Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(engine_fault),
        Err(_) => Err(Fault::Transient("vectors: the engine panicked".to_owned())),
    }
}
