//! What is on its way explains what looks wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version, VersionKey};
use contexture_core::fault::Fault;
use contexture_core::ingest::restore::{self, VersionToRestore};
use contexture_core::jobs::audit::AuditReport;
use contexture_core::ports::clock::SystemClock;
use contexture_core::ports::embedder::{Embedder, EmbedderInfo, EmbeddingPurpose};
use contexture_core::ports::ledger::VersionOutcome;
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_core::ports::vectors::{DenseHit, StoredVectorPoint, VectorPoint, VectorStore};
use futures::future::BoxFuture;

use super::{audit, clean, repair, report};
use crate::support::site::{DIMS, SingleProcessSite, SiteEngines, empty_index, text};
use crate::support::tokenizers::RunTokenizer;
use crate::support::{document, version_key};

/// After everything.
const ALL_MS: u64 = u64::MAX >> 1;

/// A site at rest with one document, visible in its first version.
async fn with_one() -> SingleProcessSite {
    let mut site = SingleProcessSite::open(SiteEngines::memory(Arc::new(SystemClock)), false).await;
    site.work();
    site.put("doc", &text("doc", 1)).await;
    site.settled().await;
    site.rest().await;
    site
}

/// Accepts a second version; no stage takes it yet.
async fn second_version(site: &mut SingleProcessSite) -> VersionKey {
    site.put("doc", &text("doc", 2)).await;
    version_key(&site.home, "doc", 2)
}

/// Vectors that run something whenever points are looked up by id, or before they are stored.
struct HookedVectors {
    inner: Arc<dyn VectorStore>,
    looks: AtomicUsize,
    on_upsert: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
    /// Given the number of the look, from 1; true hides every point.
    on_look: Box<dyn Fn(usize) -> BoxFuture<'static, bool> + Send + Sync>,
}

#[async_trait]
impl VectorStore for HookedVectors {
    async fn upsert(&self, points: Vec<VectorPoint>) -> Result<(), Fault> {
        (self.on_upsert)().await;
        self.inner.upsert(points).await
    }

    async fn delete(&self, ids: Vec<ChunkId>) -> Result<(), Fault> {
        self.inner.delete(ids).await
    }

    async fn search(
        &self,
        vector: Vec<f32>,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<DenseHit>, Fault> {
        self.inner.search(vector, filter, readers, top_k).await
    }

    async fn ids_of(&self, document_id: &DocumentId) -> Result<Vec<(ChunkId, Version)>, Fault> {
        self.inner.ids_of(document_id).await
    }

    async fn count(&self) -> Result<u64, Fault> {
        self.inner.count().await
    }

    async fn page(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredVectorPoint>, Fault> {
        self.inner.page(after, limit).await
    }

    async fn stored(&self, ids: &[ChunkId]) -> Result<Vec<StoredVectorPoint>, Fault> {
        let look = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
        if (self.on_look)(look).await { Ok(Vec::new()) } else { self.inner.stored(ids).await }
    }
}

/// The same site with its vectors watched.
async fn watched(
    site: &SingleProcessSite,
    on_look: impl Fn(usize) -> BoxFuture<'static, bool> + Send + Sync + 'static,
) -> SingleProcessSite {
    let inner = site.engines.vectors.clone();
    let on_upsert = Box::new(|| -> BoxFuture<'static, ()> { Box::pin(std::future::ready(())) });
    let vectors =
        Arc::new(HookedVectors { inner, looks: AtomicUsize::new(0), on_upsert, on_look: Box::new(on_look) });
    SingleProcessSite::open(SiteEngines { vectors, ..site.engines.clone() }, false).await
}

/// Vectors of a version in flight are staged before its commit.
#[tokio::test]
async fn staged_points_of_a_version_in_flight_are_no_orphans() {
    let mut site = with_one().await;
    let before = site.points().await.len();
    let key = second_version(&mut site).await;
    let task = site.engines.ledger.stuck(ALL_MS, 1).await.unwrap().remove(0).1;
    contexture_core::ingest::chunk::stage::chunk_batch(&site.stages, std::slice::from_ref(&task)).await;
    contexture_core::ingest::embed::embed_batch(&site.stages, std::slice::from_ref(&task), &site.going_on())
        .await;
    assert!(site.points().await.len() > before);
    assert_eq!(report(&site).await, clean(1));

    // It loses: its points are allowed until they were swept.
    site.engines.ledger.finish(vec![(key.clone(), VersionOutcome::Superseded)]).await.unwrap();
    assert_eq!(report(&site).await, clean(1));
    let staged = site.points().await.len() - before;
    site.engines.ledger.mark_swept(&[key]).await.unwrap();
    assert_eq!(report(&site).await, AuditReport { orphan: staged as u64, ..clean(1) }, "a sweep that lied");
    assert_eq!(repair(&site).await.mended, staged as u64);
    assert_eq!(site.points().await.len(), before);
}

/// Killed between the commit and the ledger's word of it: the redelivery will say it again.
#[tokio::test]
async fn committed_version_that_the_ledger_does_not_know_visible_is_no_alarm() {
    let mut site = with_one().await;
    second_version(&mut site).await;
    let task = site.engines.ledger.stuck(ALL_MS, 1).await.unwrap().remove(0).1;
    let tasks = std::slice::from_ref(&task);
    contexture_core::ingest::chunk::stage::chunk_batch(&site.stages, tasks).await;
    contexture_core::ingest::embed::embed_batch(&site.stages, tasks, &site.going_on()).await;
    contexture_core::ingest::index::index_batch(&site.stages, tasks).await;
    let head = site.engines.lexical.snapshot().head(&document("doc")).unwrap().unwrap();
    assert_eq!(head.version.get(), 2);
    assert_eq!(report(&site).await, AuditReport { unsettled: 1, ..clean(1) });
    let repaired = repair(&site).await;
    assert_eq!((repaired.mended, repaired.failed), (0, 0));
    let kept = site.engines.lexical.snapshot().head(&document("doc")).unwrap().unwrap();
    assert_eq!(kept, head, "a repair does not take it back");

    site.work();
    site.settled().await;
    assert_eq!(report(&site).await, clean(1));
}

/// A first version that is committed, of which the ledger does not know yet that it is visible.
#[tokio::test]
async fn committed_first_version_is_no_orphan() {
    let site = SingleProcessSite::open(SiteEngines::memory(Arc::new(SystemClock)), false).await;
    site.put("doc", &text("doc", 1)).await;
    let task = site.engines.ledger.stuck(ALL_MS, 1).await.unwrap().remove(0).1;
    let tasks = std::slice::from_ref(&task);
    contexture_core::ingest::chunk::stage::chunk_batch(&site.stages, tasks).await;
    contexture_core::ingest::embed::embed_batch(&site.stages, tasks, &site.going_on()).await;
    contexture_core::ingest::index::index_batch(&site.stages, tasks).await;
    assert_eq!(report(&site).await, AuditReport { unsettled: 1, ..clean(0) });
    repair(&site).await;
    assert!(site.engines.lexical.snapshot().head(&document("doc")).unwrap().is_some());
}

/// What is wrong at one look only was on its way.
#[tokio::test]
async fn what_is_fine_at_the_second_look_does_not_count() {
    let site = with_one().await;
    let site = watched(&site, |look| Box::pin(std::future::ready(look == 1))).await;
    assert_eq!(report(&site).await, clean(1));
    let always = watched(&site, |_| Box::pin(std::future::ready(true))).await;
    assert_eq!(report(&always).await, AuditReport { missing: 1, ..clean(1) });
}

/// Wrong at two looks, but the document moved while the stores were read for the second: a new version
/// was committed, and the old one swept.
#[tokio::test]
async fn document_that_moved_between_looks_does_not_count() {
    let mut site = with_one().await;
    let key = second_version(&mut site).await;
    let task = site.engines.ledger.stuck(ALL_MS, 1).await.unwrap().remove(0).1;
    let tasks = std::slice::from_ref(&task);
    contexture_core::ingest::chunk::stage::chunk_batch(&site.stages, tasks).await;
    contexture_core::ingest::embed::embed_batch(&site.stages, tasks, &site.going_on()).await;
    let (stages, ledger, home) = (site.stages.clone(), site.engines.ledger.clone(), site.home.clone());
    let watched = watched(&site, move |look| {
        let (stages, ledger, home, key, task) =
            (stages.clone(), ledger.clone(), home.clone(), key.clone(), task.clone());
        Box::pin(async move {
            if look == 2 {
                contexture_core::ingest::index::index_batch(&stages, &[task]).await;
                ledger.finish(vec![(key, VersionOutcome::Visible(1))]).await.unwrap();
                let swept = std::collections::BTreeSet::from([(home, document("doc"))]);
                contexture_core::ingest::sweep::sweep_losers(&stages, &swept).await.unwrap();
            }
            look == 1
        })
    })
    .await;
    let audited = audit(&watched).await;
    assert_eq!(audited.report, clean(1), "{:?}", audited.findings);
}

/// A version loses and is swept while its lost vectors are staged once more: they are taken back.
#[tokio::test]
async fn vectors_restored_for_a_version_that_lost_are_taken_back() {
    let mut site = with_one().await;
    let lost: Vec<ChunkId> = site.points().await.iter().map(|point| point.id).collect();
    let key = second_version(&mut site).await;
    let task = site.engines.ledger.stuck(ALL_MS, 1).await.unwrap().remove(0).1;
    let tasks = std::slice::from_ref(&task);
    contexture_core::ingest::chunk::stage::chunk_batch(&site.stages, tasks).await;
    contexture_core::ingest::embed::embed_batch(&site.stages, tasks, &site.going_on()).await;
    site.engines.vectors.delete(lost).await.unwrap();
    let first = site.engines.ledger.changes(&site.home, 0, 1).await.unwrap().remove(0).task;
    let (stages, ledger, home) = (site.stages.clone(), site.engines.ledger.clone(), site.home.clone());
    let overtaken = Box::new(move || -> BoxFuture<'static, ()> {
        let (stages, ledger, home, key, task) =
            (stages.clone(), ledger.clone(), home.clone(), key.clone(), task.clone());
        Box::pin(async move {
            contexture_core::ingest::index::index_batch(&stages, &[task]).await;
            ledger.finish(vec![(key, VersionOutcome::Visible(1))]).await.unwrap();
            let swept = std::collections::BTreeSet::from([(home, document("doc"))]);
            contexture_core::ingest::sweep::sweep_losers(&stages, &swept).await.unwrap();
        })
    });
    let vectors = Arc::new(HookedVectors {
        inner: site.engines.vectors.clone(),
        looks: AtomicUsize::new(0),
        on_upsert: overtaken,
        on_look: Box::new(|_| Box::pin(std::future::ready(false))),
    });
    let during = SingleProcessSite::open(SiteEngines { vectors, ..site.engines.clone() }, false).await;
    let wanted = VersionToRestore { task: first, index: true, vectors: true };
    assert!(restore::restore_versions(&during.stages, &during.open, &[wanted]).await.unwrap().is_empty());
    let head = site.engines.lexical.snapshot().head(&document("doc")).unwrap().unwrap();
    assert_eq!(head.version.get(), 2, "nor is the head taken back");
    assert_eq!(report(&site).await, clean(1));
}

/// Where the index follows the ledger's log, being behind is no alarm.
#[tokio::test]
async fn replica_behind_the_log_is_brought_up_first() {
    let writer = with_one().await;
    let engines = SiteEngines { lexical: empty_index(), ..writer.engines.clone() };
    let replica = SingleProcessSite::open(engines, true).await;
    assert_eq!(report(&replica).await, clean(1));
    let head = replica.engines.lexical.snapshot().head(&document("doc")).unwrap();
    assert!(head.is_some(), "it has followed");
}

/// A model that takes nothing any more.
struct RefusingEmbedder(HashEmbedder);

#[async_trait]
impl Embedder for RefusingEmbedder {
    fn info(&self) -> &EmbedderInfo {
        self.0.info()
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        self.0.tokenizer()
    }

    async fn embed(&self, _: &[String], _: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault> {
        Err(Fault::permanent("refused", "the model is gone"))
    }
}

/// Vectors are lost, the cache knows nothing, and the model refuses.
#[tokio::test]
async fn what_cannot_be_mended_is_said() {
    let clock = Arc::new(SystemClock);
    let ledger = Arc::new(MemoryLedger::new(clock.clone()).with_cache_bytes_max(0));
    let mut site = SingleProcessSite::open(SiteEngines { ledger, ..SiteEngines::memory(clock) }, false).await;
    site.work();
    site.put("doc", &text("doc", 1)).await;
    site.put("whole", &text("whole", 1)).await;
    site.settled().await;
    site.rest().await;
    let lost =
        site.points().await.into_iter().filter(|point| {
            point.owner.as_ref().is_some_and(|(document_id, _)| *document_id == document("doc"))
        });
    site.engines.vectors.delete(lost.map(|point| point.id).collect()).await.unwrap();
    let refusing = RefusingEmbedder(HashEmbedder::new(Arc::new(RunTokenizer), DIMS, 512).unwrap());
    let site = SingleProcessSite::open_with(site.engines.clone(), false, Arc::new(refusing)).await;
    let repaired = repair(&site).await;
    assert_eq!((repaired.found.missing, repaired.mended, repaired.failed), (1, 0, 1));
    let (key, fault) = repaired.why.unwrap();
    assert_eq!(key.document_id, document("doc"));
    assert!(fault.to_string().contains("the model is gone"), "{fault}");
    assert!(site.open.is_incomplete());
}
