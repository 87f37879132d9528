//! The thread that applies all changes to a shard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use qdrant_edge::{EdgeShard, UpdateOperation};
use tokio::sync::oneshot;

use super::conversions::engine_fault;
use contexture_core::fault::Fault;

/// Queued changes beyond which callers wait.
const CHANGES_QUEUED_MAX: usize = 64;
/// Idle time after which the thread may build the HNSW index.
pub const OPTIMIZE_IDLE: Duration = Duration::from_secs(5);
/// New points that make building the index worthwhile. With fewer, exact search is as fast.
pub const OPTIMIZE_POINTS: usize = 20_000;

struct ShardChange {
    operation: UpdateOperation,
    points: usize,
    answer: oneshot::Sender<Result<(), Fault>>,
}

/// Handle of the thread. Dropping it ends the thread and joins it, so that the shard's directory can
/// be reopened immediately.
pub(super) struct ShardWriterThread {
    changes: Option<SyncSender<ShardChange>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ShardWriterThread {
    fn drop(&mut self) {
        // The sender goes first: the thread ends when its queue is closed, and joining would hang.
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has nobody left to tell; engine panics are caught before.
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
            .map_err(|error| Fault::transient_error("vectors: starting their thread", error))?;
        Ok(Self { changes: Some(changes), thread: Some(thread) })
    }

    /// Applies one operation; returns after the flush that covers it.
    pub(super) async fn apply(&self, operation: UpdateOperation, points: usize) -> Result<(), Fault> {
        let ended = || Fault::transient("vectors: their owner has ended");
        let (answer, answered) = oneshot::channel();
        let changes = self.changes.clone().ok_or_else(ended)?;
        let change = ShardChange { operation, points, answer };
        // A full queue blocks the sender, which must not happen on a thread of the runtime.
        tokio::task::spawn_blocking(move || changes.send(change).is_ok())
            .await
            .map_err(|error| Fault::transient_error("vectors: queueing a change", error))?
            .then_some(())
            .ok_or_else(ended)?;
        answered.await.map_err(|_| ended())?
    }
}

/// Applies changes in batches until the queue is closed; optimizes while it is idle.
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
                // Reset even if it fails: retrying every idle period would keep a core busy.
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
    // One flush covers the batch, and only then are callers answered: what is answered is durable.
    let flushed = catch_engine_panic(|| {
        shard.flush();
        Ok(())
    });
    for (answer, applied) in answers {
        // Fails when the caller no longer waits, which is fine.
        let _ = answer.send(applied.and(flushed.clone()));
    }
}

/// Turns a panic of the engine into a fault of this change. The engine panics where it cannot
/// continue, and the thread has to outlive that.
fn catch_engine_panic(work: impl FnOnce() -> Result<(), qdrant_edge::OperationError>) -> Result<(), Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(engine_fault),
        Err(_) => Err(Fault::transient("vectors: the engine panicked")),
    }
}
