//! Tests of a reopened writer: it loses no delete, and files of an interrupted commit do not block it.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use tantivy::directory::{Directory, TerminatingWrite};
use tantivy::merge_policy::NoMergePolicy;

use super::{SEGMENTS_MERGED_MIN, TantivyIndex};
use contexture_core::domain::document::{DocumentAcl, DocumentHead};
use contexture_core::domain::ids::{ContentHash, DocumentId, Epoch, Version};
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex, LexicalSnapshot};

fn open_test_index(directory: &Path) -> TantivyIndex {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: false };
    TantivyIndex::open(directory, &analysis).unwrap()
}

fn head_write(id: &str, version: u64) -> DocumentWrite {
    let head = DocumentHead {
        document_id: DocumentId::new(id).unwrap(),
        version: Version::new(version).unwrap(),
        content_hash: ContentHash::from_bytes([0; 32]),
        epoch: Epoch::from_bytes([0; 32]),
        chunk_count: 0,
        acl: DocumentAcl::Groups(std::collections::BTreeSet::new()),
        deleted: false,
    };
    DocumentWrite { head, chunks: Vec::new() }
}

fn visible_version(snapshot: &dyn LexicalSnapshot, id: &str) -> Option<u64> {
    snapshot.head(&DocumentId::new(id).unwrap()).unwrap().map(|head| head.version.get())
}

/// Segments with one document each; with the others there are enough for a merge.
const SMALL_SEGMENTS: usize = SEGMENTS_MERGED_MIN - 2;

/// A large segment, one with `x`, `y` and `z`, small ones, and one with the second version of `y`, whose
/// commit deleted from the second and from no other.
async fn write_many_segments(directory: &Path) {
    let index = open_test_index(directory);
    if let Some(writer) = &index.shared.writer.lock().unwrap().open {
        writer.set_merge_policy(Box::new(NoMergePolicy));
    }
    index.commit((0..40).map(|number| head_write(&format!("large-{number}"), 1)).collect(), 1).await.unwrap();
    index.commit(vec![head_write("x", 1), head_write("y", 1), head_write("z", 1)], 2).await.unwrap();
    for number in 0..SMALL_SEGMENTS {
        index.commit(vec![head_write(&format!("small-{number}"), 1)], 3).await.unwrap();
    }
    index.commit(vec![head_write("y", 2)], 4).await.unwrap();
}

#[tokio::test]
async fn the_first_version_after_a_restart_replaces_the_one_before_whatever_is_merged() {
    let place = tempfile::tempdir().unwrap();
    write_many_segments(place.path()).await;

    // There are enough segments for a merge, which the first write begins.
    let index = open_test_index(place.path());
    index.commit(vec![head_write("x", 2)], 5).await.unwrap();
    let writer = index.shared.writer.lock().unwrap().open.take();
    writer.unwrap().wait_merging_threads().unwrap();
    drop(index);
    let index = open_test_index(place.path());
    let snapshot = index.snapshot();
    assert!(
        index.shared.index.searchable_segment_ids().unwrap().len() < SMALL_SEGMENTS,
        "nothing was merged"
    );
    assert_eq!((visible_version(&*snapshot, "x"), visible_version(&*snapshot, "y")), (Some(2), Some(2)));
    assert_eq!(snapshot.counts().unwrap().documents, 43 + SMALL_SEGMENTS as u64);
}

#[tokio::test]
async fn files_of_a_commit_that_was_cut_short_do_not_hold_up_the_next() {
    let place = tempfile::tempdir().unwrap();
    write_many_segments(place.path()).await;

    // A process died after it had written the delete files of segments, before it committed them.
    let index = open_test_index(place.path());
    let opstamp = index.shared.index.load_metas().unwrap().opstamp;
    for segment in index.shared.index.searchable_segment_ids().unwrap() {
        for later in 0..30 {
            let name = format!("{}.{}.del", segment.uuid_string(), opstamp + later);
            let path = Path::new(&name);
            if !place.path().join(path).exists() {
                index.shared.index.directory().open_write(path).unwrap().terminate().unwrap();
            }
        }
    }
    drop(index);
    let index = open_test_index(place.path());
    index.commit(vec![head_write("x", 2), head_write("y", 3)], 5).await.unwrap();
    let snapshot = index.snapshot();
    assert_eq!((visible_version(&*snapshot, "x"), visible_version(&*snapshot, "y")), (Some(2), Some(3)));
}
