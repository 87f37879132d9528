//! Stores that lost something, or have too much.

use std::collections::BTreeSet;
use std::sync::Arc;

use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_core::domain::document::{DocumentDescription, DocumentHead};
use contexture_core::domain::ids::{ChunkId, DocumentId};
use contexture_core::jobs::audit::{AuditFindingKind, AuditReport, AuditedStore};
use contexture_core::ports::clock::SystemClock;
use contexture_core::ports::lexical::{DocumentWrite, LexicalSnapshot};
use contexture_core::ports::vectors::VectorPoint;

use super::{audit, clean, repair, report};
use crate::support::site::{DIMS, SingleProcessSite, SiteEngines, empty_index, text};
use crate::support::{content_hash, document, indexed, unit_vector, version};

const DOCUMENTS: usize = 200;
/// Every so many points are lost: 5 %.
const NTH_POINT: usize = 20;
/// So many documents are lost to the index: 1 %.
const LOST_DOCUMENTS: usize = DOCUMENTS / 100;

fn name(number: usize) -> String {
    format!("doc {number:03}")
}

/// A site at rest with documents in their first and second edition, and a few deleted.
async fn filled(engines: SiteEngines) -> SingleProcessSite {
    let mut site = SingleProcessSite::open(engines, false).await;
    site.work();
    for number in 0..DOCUMENTS {
        site.put(&name(number), &text(&name(number), 1)).await;
    }
    site.settled().await;
    for number in (0..DOCUMENTS).step_by(10) {
        site.put(&name(number), &text(&name(number), 2)).await;
    }
    for number in (5..DOCUMENTS).step_by(50) {
        site.delete(&name(number)).await;
    }
    site.settled().await;
    site.rest().await;
    site
}

/// Everything that readers could see, and every point.
async fn all(
    site: &SingleProcessSite,
) -> (Vec<(Option<DocumentHead>, Vec<String>)>, Vec<(ChunkId, DocumentId, u64)>) {
    let snapshot: Arc<dyn LexicalSnapshot> = site.engines.lexical.snapshot();
    let ids = snapshot.held(None, usize::MAX >> 1).unwrap();
    let held = ids.iter().map(|id| {
        let chunks = snapshot.chunk_range(id, 0, u32::MAX).unwrap();
        (snapshot.head(id).unwrap(), chunks.iter().map(|chunk| format!("{chunk:?}")).collect())
    });
    let points = site.points().await.into_iter().map(|point| {
        let (document_id, version) = point.owner.unwrap();
        (point.id, document_id, version.get())
    });
    (held.collect(), points.collect())
}

fn head(site: &SingleProcessSite, id: &str) -> DocumentHead {
    site.engines.lexical.snapshot().head(&document(id)).unwrap().unwrap()
}

async fn overwrite(site: &SingleProcessSite, head: DocumentHead) {
    let chunks = site.engines.lexical.snapshot().chunk_range(&head.document_id, 0, u32::MAX).unwrap();
    let chunks = chunks.iter().map(|chunk| (**chunk).clone()).collect();
    site.engines.lexical.commit(vec![DocumentWrite { head, chunks }], 0).await.unwrap();
}

fn stray(id: &str, number: u64, ordinal: usize) -> VectorPoint {
    let chunk = indexed(id, number, &DocumentDescription::default(), &["a", "b"]).chunks.swap_remove(ordinal);
    VectorPoint {
        id: chunk.id,
        vector: unit_vector(ordinal, DIMS),
        document_id: chunk.document_id,
        version: chunk.version,
        facets: Vec::new(),
        numbers: Vec::new(),
        place: None,
        readers: vec!["*".to_owned()],
    }
}

async fn exactly_what_was_lost_is_found_and_mended(engines: SiteEngines) {
    let site = filled(engines).await;
    let live = (DOCUMENTS - 4) as u64;
    assert_eq!(report(&site).await, clean(live), "nothing is wrong to begin with");
    let before = all(&site).await;

    let points = site.points().await;
    let lost: Vec<ChunkId> = points.iter().step_by(NTH_POINT).map(|point| point.id).collect();
    let mut missing: BTreeSet<DocumentId> =
        points.iter().step_by(NTH_POINT).filter_map(|point| Some(point.owner.as_ref()?.0.clone())).collect();
    site.engines.vectors.delete(lost).await.unwrap();
    // Those that nothing else is done to.
    let spared = |number: &usize| !number.is_multiple_of(10) && number % 50 != 5;
    let gone: Vec<DocumentId> =
        (100..DOCUMENTS).filter(spared).map(|number| document(&name(number))).collect();
    let gone: Vec<DocumentId> =
        gone.into_iter().filter(|id| !missing.contains(id)).take(LOST_DOCUMENTS).collect();
    site.engines.lexical.remove(gone.clone()).await.unwrap();
    missing.extend(gone);

    // The first edition again, a deleted document again, and heads that are not as accepted.
    let stale = [name(0), name(5)];
    overwrite(&site, DocumentHead { version: version(1), ..head(&site, &stale[0]) }).await;
    overwrite(&site, DocumentHead { version: version(1), deleted: false, ..head(&site, &stale[1]) }).await;
    let drifted = [name(1), name(2)];
    overwrite(&site, DocumentHead { content_hash: content_hash("another"), ..head(&site, &drifted[0]) })
        .await;
    overwrite(&site, DocumentHead { chunk_count: 99, ..head(&site, &drifted[1]) }).await;
    for id in stale.iter().chain(&drifted) {
        missing.remove(&document(id));
    }
    let stranger = indexed("stranger", 3, &DocumentDescription::default(), &["of nobody"]);
    let write = DocumentWrite { head: stranger.head, chunks: stranger.chunks };
    site.engines.lexical.commit(vec![write], 0).await.unwrap();
    // Of a document that never was, and of one that is there, in a version that never was.
    let strays = vec![stray("nobody", 1, 0), stray("nobody", 1, 1), stray(&name(7), 9, 0)];
    site.engines.vectors.upsert(strays).await.unwrap();

    let found = audit(&site).await;
    let missing_count = missing.len() as u64;
    let expected =
        AuditReport { documents: live, missing: missing_count, stale: 2, orphan: 4, drift: 2, unsettled: 0 };
    assert_eq!(found.report, expected);
    let named = |kind: AuditFindingKind| -> BTreeSet<DocumentId> {
        let of_kind = found.findings.iter().filter(|finding| finding.kind == kind);
        of_kind.filter_map(|finding| finding.document_id.clone()).collect()
    };
    assert_eq!(named(AuditFindingKind::Missing), missing);
    assert_eq!(named(AuditFindingKind::Stale), stale.iter().map(|id| document(id)).collect());
    assert_eq!(named(AuditFindingKind::Drift), drifted.iter().map(|id| document(id)).collect());
    let nobody = ["nobody", "stranger", &name(7)].map(document);
    assert_eq!(named(AuditFindingKind::Orphan), BTreeSet::from(nobody));
    assert!(found.findings.iter().any(|finding| finding.store == AuditedStore::Vectors));
    assert!(site.open.is_incomplete(), "answers say so");

    let repaired = repair(&site).await;
    assert_eq!((repaired.found, repaired.mended, repaired.failed), (expected, expected.wrong(), 0));
    assert!(!site.open.is_incomplete());
    assert_eq!(report(&site).await, clean(live), "nothing is wrong any more");
    assert_eq!(all(&site).await, before, "and everything is as it was");
    assert_eq!(repair(&site).await.mended, 0, "there is nothing left to mend");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_and_mended_in_memory() {
    exactly_what_was_lost_is_found_and_mended(SiteEngines::memory(Arc::new(SystemClock))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_and_mended_in_the_embedded_engines() {
    exactly_what_was_lost_is_found_and_mended(SiteEngines::embedded().await).await;
}

#[cfg(all(feature = "postgres", feature = "qdrant"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_and_mended_on_servers() {
    exactly_what_was_lost_is_found_and_mended(SiteEngines::servers().await).await;
}

/// A point under the right id that says it is of something else is none of the document's.
#[tokio::test]
async fn point_of_the_wrong_version_is_drift() {
    let mut site = SingleProcessSite::open(SiteEngines::memory(Arc::new(SystemClock)), false).await;
    site.work();
    site.put("doc", &text("doc", 1)).await;
    site.settled().await;
    site.rest().await;
    let right = site.points().await.remove(0);
    let wrong = VectorPoint { id: right.id, version: version(9), ..stray("doc", 1, 0) };
    site.engines.vectors.upsert(vec![wrong]).await.unwrap();
    assert_eq!(report(&site).await, AuditReport { drift: 1, ..clean(1) });
    assert_eq!(repair(&site).await.mended, 1);
    assert_eq!(report(&site).await, clean(1));
    assert_eq!(site.points().await[0], right);
}

/// The head stays, a chunk goes: the document is not whole.
#[tokio::test]
async fn head_without_all_its_chunks_is_missing_something() {
    let mut site = SingleProcessSite::open(SiteEngines::memory(Arc::new(SystemClock)), false).await;
    site.work();
    site.put("doc", &text("doc", 1)).await;
    site.settled().await;
    site.rest().await;
    let mut chunks = site.engines.lexical.snapshot().chunk_range(&document("doc"), 0, u32::MAX).unwrap();
    assert!(chunks.len() > 1);
    chunks.pop();
    let chunks = chunks.iter().map(|chunk| (**chunk).clone()).collect();
    let write = DocumentWrite { head: head(&site, "doc"), chunks };
    site.engines.lexical.commit(vec![write], 0).await.unwrap();
    assert_eq!(report(&site).await, AuditReport { missing: 1, ..clean(1) });
    assert_eq!(repair(&site).await.mended, 1);
    assert_eq!(report(&site).await, clean(1));
}

/// Index and vectors are gone: everything comes back from the ledger, and the model is not asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_rebuilt_from_the_ledger() {
    let engines = SiteEngines::memory(Arc::new(SystemClock));
    let site = filled(engines.clone()).await;
    let before = all(&site).await;
    let vectors = Arc::new(MemoryVectors::new(DIMS));
    let site =
        SingleProcessSite::open(SiteEngines { lexical: empty_index(), vectors, ..engines }, false).await;
    let repaired = repair(&site).await;
    assert_eq!((repaired.found.missing, repaired.failed), (DOCUMENTS as u64, 0), "tombstones included");
    assert_eq!(all(&site).await, before);
    assert_eq!(site.stages.counters.watch().borrow().embedded, 0, "the cache knows every text");
    assert_eq!(report(&site).await, clean((DOCUMENTS - 4) as u64));
}
