//! The commit point, and what a snapshot holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use contexture_core::domain::document::{DocumentAcl, DocumentDescription};
use contexture_core::domain::ids::ChunkId;
use contexture_core::domain::metadata::DocumentMetadata;
use contexture_core::ports::lexical::IndexCounts;

use super::{LexicalFixture, ids, plain, tombstone};
use crate::support::scan::ScanIndex;
use crate::support::{IndexedTestDocument, anyone, document, groups, indexed};

pub(super) async fn write_replaces_all_of_its_document(fixture: LexicalFixture) {
    let old = plain("doc", 1, &["heron lake", "heron reed", "heron nest"]);
    let other = plain("doc/2", 1, &["heron"]);
    fixture.commit(&[&old, &other]).await;
    let new = plain("doc", 2, &["otter lake"]);
    fixture.commit(&[&new]).await;
    assert_eq!(fixture.found("heron"), ids(&other), "ids that share a prefix are strangers");
    assert_eq!(fixture.found("otter"), ids(&new));
    let snapshot = fixture.index.snapshot();
    let old_ids: Vec<ChunkId> = old.chunks.iter().map(|chunk| chunk.id).collect();
    assert!(snapshot.chunks(&old_ids).unwrap().iter().all(Option::is_none));
    assert_eq!(snapshot.chunk_range(&document("doc"), 0, u32::MAX).unwrap().len(), 1);
    assert_eq!(snapshot.head(&document("doc")).unwrap(), Some(new.head));
    fixture.commit(&[&old]).await;
    assert_eq!(fixture.found("otter"), BTreeSet::new(), "the fence is the stage's; the index obeys");
}

pub(super) async fn one_commit_publishes_all_its_writes(fixture: LexicalFixture) {
    let documents: Vec<IndexedTestDocument> =
        (0..20).map(|number| plain(&format!("doc {number}"), 1, &["heron", "otter"])).collect();
    fixture.commit(&documents.iter().collect::<Vec<_>>()).await;
    let all: BTreeSet<_> = documents.iter().flat_map(|one| one.chunks.iter().map(|chunk| chunk.id)).collect();
    assert_eq!(fixture.found("heron otter"), all);
    for one in &documents {
        let head = fixture.index.snapshot().head(&one.head.document_id).unwrap();
        assert_eq!(head.as_ref(), Some(&one.head));
    }
}

pub(super) async fn snapshot_never_changes(fixture: LexicalFixture) {
    let old = plain("doc", 1, &["heron lake"]);
    fixture.commit(&[&old]).await;
    let pinned = fixture.index.snapshot();
    let number = pinned.id();
    fixture.commit(&[&plain("doc", 2, &["otter lake"]), &plain("new", 1, &["heron"])]).await;
    fixture.bury(&old, 3).await;

    let hits = pinned.search("heron otter lake", None, &anyone(), 10).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.id).collect::<BTreeSet<_>>(), ids(&old));
    let chunks = pinned.chunks(&[old.chunks[0].id]).unwrap();
    assert_eq!(**chunks[0].as_ref().unwrap(), old.chunks[0]);
    assert_eq!(pinned.head(&document("doc")).unwrap(), Some(old.head));
    assert_eq!(pinned.head(&document("new")).unwrap(), None);
    assert_eq!(pinned.chunk_range(&document("doc"), 0, 9).unwrap().len(), 1);
    assert_eq!(pinned.counts().unwrap(), IndexCounts { documents: 1, tombstones: 0, chunks: 1 });
    assert_eq!(pinned.id(), number);
}

pub(super) async fn snapshot_numbers_grow(fixture: LexicalFixture) {
    let mut last = fixture.index.snapshot().id();
    assert_eq!(fixture.index.snapshot().id(), last, "nothing was committed in between");
    for number in 1..=3 {
        fixture.commit(&[&plain("doc", number, &["heron"])]).await;
        let next = fixture.index.snapshot().id();
        assert!(next > last);
        last = next;
    }
}

pub(super) async fn empty_commit_is_fine(fixture: LexicalFixture) {
    fixture.commit(&[]).await;
    assert_eq!(fixture.index.snapshot().counts().unwrap(), IndexCounts::default());
    fixture.commit(&[&plain("empty", 1, &[])]).await;
    let counts = fixture.index.snapshot().counts().unwrap();
    assert_eq!(counts, IndexCounts { documents: 1, tombstones: 0, chunks: 0 });
}

pub(super) async fn tombstone_keeps_its_head_and_no_chunk(fixture: LexicalFixture) {
    let gone = plain("gone", 1, &["heron lake", "heron reed"]);
    let here = plain("here", 1, &["heron"]);
    fixture.commit(&[&gone, &here]).await;
    fixture.bury(&gone, 2).await;
    assert_eq!(fixture.found("heron"), ids(&here));
    let snapshot = fixture.index.snapshot();
    assert_eq!(snapshot.head(&document("gone")).unwrap(), Some(tombstone(&gone.head, 2)));
    assert_eq!(snapshot.chunk_range(&document("gone"), 0, 9).unwrap(), []);
    assert!(snapshot.chunks(&[gone.chunks[0].id]).unwrap()[0].is_none());
}

pub(super) async fn deleted_document_comes_back_with_a_higher_version(fixture: LexicalFixture) {
    let first = plain("doc", 1, &["heron"]);
    fixture.commit(&[&first]).await;
    fixture.bury(&first, 2).await;
    let again = plain("doc", 3, &["heron"]);
    fixture.commit(&[&again]).await;
    assert_eq!(fixture.found("heron"), ids(&again));
    let counts = fixture.index.snapshot().counts().unwrap();
    assert_eq!(counts, IndexCounts { documents: 1, tombstones: 0, chunks: 1 });
}

pub(super) async fn chunks_come_back_as_they_were_written(fixture: LexicalFixture) {
    let json = serde_json::json!({"lang": "en", "year": [2019, 2024.5], "draft": false, "none": []});
    let description = DocumentDescription {
        title: Some("Títle\u{202e}".to_owned()),
        media_type: Some("text/markdown".to_owned()),
        metadata: DocumentMetadata::from_json(&json).unwrap(),
        acl: DocumentAcl::new(Some(groups(&["staff", "*"]))).unwrap(),
    };
    let texts = ["# heron\n\n`code`", " \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f}\0", "日本語"];
    let written = indexed("dir/ünï code.md", u64::MAX >> 1, &description, &texts);
    fixture.commit(&[&written]).await;
    let wanted: Vec<ChunkId> = written.chunks.iter().rev().map(|chunk| chunk.id).collect();
    let read = fixture.index.snapshot().chunks(&wanted).unwrap();
    let read: Vec<_> = read.into_iter().map(|chunk| (*chunk.unwrap()).clone()).collect();
    let reversed: Vec<_> = written.chunks.iter().rev().cloned().collect();
    assert_eq!(read, reversed, "in the order asked for, field by field");
}

pub(super) async fn unknown_ids_are_none_in_their_place(fixture: LexicalFixture) {
    let known = plain("doc", 1, &["heron", "otter"]);
    fixture.commit(&[&known]).await;
    let unknown = plain("never was", 1, &["heron"]).chunks[0].id;
    let asked = [unknown, known.chunks[1].id, unknown, known.chunks[0].id, known.chunks[1].id];
    let read = fixture.index.snapshot().chunks(&asked).unwrap();
    let ordinals: Vec<_> = read.iter().map(|chunk| chunk.as_ref().map(|chunk| chunk.ordinal)).collect();
    assert_eq!(ordinals, [None, Some(1), None, Some(0), Some(1)]);
    assert_eq!(fixture.index.snapshot().chunks(&[]).unwrap(), []);
}

pub(super) async fn chunk_range_is_ordered_and_inclusive(fixture: LexicalFixture) {
    let texts: Vec<String> = (0..300).map(|number| format!("heron {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    fixture.commit(&[&plain("doc", 1, &texts), &plain("other", 1, &texts)]).await;
    let snapshot = fixture.index.snapshot();
    let range = |first: u32, last: u32| -> Vec<u32> {
        let chunks = snapshot.chunk_range(&document("doc"), first, last).unwrap();
        assert!(chunks.iter().all(|chunk| chunk.document_id == document("doc")));
        chunks.iter().map(|chunk| chunk.ordinal).collect()
    };
    assert_eq!(range(0, 0), [0]);
    assert_eq!(range(98, 102), [98, 99, 100, 101, 102]);
    assert_eq!(range(298, u32::MAX), [298, 299]);
    assert_eq!(range(0, 299), (0..300).collect::<Vec<_>>());
    assert!(range(300, 400).is_empty());
    assert_eq!(snapshot.chunk_range(&document("never was"), 0, 9).unwrap(), []);
}

pub(super) async fn heads_come_back_as_they_were_written(fixture: LexicalFixture) {
    let documents = [
        plain("a", u64::MAX >> 1, &["heron"]),
        indexed("b", 7, &crate::support::readable_by(&["staff"]), &["heron", "otter"]),
        indexed("c", 1, &crate::support::readable_by(&[]), &["heron"]),
    ];
    fixture.commit(&documents.iter().collect::<Vec<_>>()).await;
    let snapshot = fixture.index.snapshot();
    for one in documents {
        assert_eq!(snapshot.head(&one.head.document_id).unwrap(), Some(one.head));
    }
    assert_eq!(snapshot.head(&document("never was")).unwrap(), None);
}

pub(super) async fn counts_follow_the_writes(fixture: LexicalFixture) {
    let counts = |documents: u64, tombstones: u64, chunks: u64| IndexCounts { documents, tombstones, chunks };
    assert_eq!(fixture.index.snapshot().counts().unwrap(), counts(0, 0, 0));
    let (one, two) = (plain("one", 1, &["heron", "otter"]), plain("two", 1, &["heron"]));
    fixture.commit(&[&one, &two]).await;
    assert_eq!(fixture.index.snapshot().counts().unwrap(), counts(2, 0, 3));
    fixture.commit(&[&plain("one", 2, &["heron", "otter", "reed", "lake"])]).await;
    assert_eq!(fixture.index.snapshot().counts().unwrap(), counts(2, 0, 5));
    fixture.bury(&one, 3).await;
    fixture.bury(&one, 4).await;
    assert_eq!(fixture.index.snapshot().counts().unwrap(), counts(1, 1, 1));
}

pub(super) async fn commits_survive_a_restart(mut fixture: LexicalFixture) {
    let kept = plain("kept", 1, &["heron lake"]);
    let gone = plain("gone", 1, &["heron reed"]);
    fixture.commit(&[&kept, &gone]).await;
    fixture.bury(&gone, 2).await;
    let before = fixture.index.snapshot().id();
    fixture.index = Arc::new(ScanIndex::default());
    fixture.index = fixture.reopen.as_ref().unwrap()().unwrap();
    assert_eq!(fixture.found("heron"), ids(&kept));
    let snapshot = fixture.index.snapshot();
    assert_eq!(snapshot.id(), before, "numbers go on where they were");
    assert_eq!(snapshot.counts().unwrap(), IndexCounts { documents: 1, tombstones: 1, chunks: 1 });
    assert_eq!(snapshot.head(&document("gone")).unwrap(), Some(tombstone(&gone.head, 2)));
    fixture.commit(&[&plain("more", 1, &["heron"])]).await;
    assert!(fixture.index.snapshot().id() > before);
}

pub(super) async fn second_writer_is_refused(fixture: LexicalFixture) {
    let reopen = fixture.reopen.as_ref().unwrap();
    assert!(reopen().is_err(), "there is one writer");
    fixture.commit(&[&plain("doc", 1, &["heron"])]).await;
    assert_eq!(fixture.found("heron").len(), 1, "and it goes on");
}

pub(super) async fn position_never_falls(fixture: LexicalFixture) {
    assert_eq!(fixture.index.snapshot().position(), 0);
    for (position, expected) in [(7, 7), (3, 7), (0, 7), (9, 9)] {
        fixture.index.commit(Vec::new(), position).await.unwrap();
        assert_eq!(fixture.index.snapshot().position(), expected);
    }
}

/// Opened beside its writer, in this process or another.
pub(super) async fn reader_sees_what_the_writer_commits(fixture: LexicalFixture) {
    let reader = fixture.open_reader.as_ref().unwrap();
    assert!(reader().is_err(), "an index that was never committed to is refused, not empty");
    fixture.commit(&[&plain("doc", 1, &["heron"])]).await;
    let reader = reader().unwrap();
    assert_eq!(reader.snapshot().counts().unwrap().chunks, 1);
    fixture.index.commit(Vec::new(), 5).await.unwrap();
    fixture.commit(&[&plain("doc", 2, &["heron", "otter"])]).await;
    let snapshot = reader.snapshot();
    assert_eq!((snapshot.counts().unwrap().chunks, snapshot.position()), (2, 5));
    assert!(reader.commit(Vec::new(), 6).await.is_err(), "it cannot write");
}
