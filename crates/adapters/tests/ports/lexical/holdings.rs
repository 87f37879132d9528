//! What a snapshot holds, document by document.

use std::collections::BTreeSet;

use contexture_core::domain::ids::{ChunkId, DocumentId};
use contexture_core::ports::lexical::{IndexCounts, IndexedDocument, LexicalSnapshot};

use super::{LexicalFixture, ids, plain, tombstone};
use crate::support::document;

fn held(snapshot: &dyn LexicalSnapshot, limit: usize) -> Vec<DocumentId> {
    let mut all: Vec<DocumentId> = Vec::new();
    loop {
        let page = snapshot.held(all.last(), limit).unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub(super) async fn holding_is_all_of_a_document(fixture: LexicalFixture) {
    let one = plain("one", 1, &["heron", "otter", "marten"]);
    fixture.commit(&[&plain("one", 2, &["badger"]), &plain("two", 1, &["heron"])]).await;
    fixture.commit(&[&one]).await;
    let holding = fixture.index.snapshot().holding(&document("one")).unwrap();
    assert_eq!(holding.head.as_ref(), Some(&one.head));
    assert_eq!(holding.chunks.len(), 3);
    assert_eq!(holding.chunks.into_iter().collect::<BTreeSet<_>>(), ids(&one));

    fixture.bury(&one, 3).await;
    let buried = fixture.index.snapshot().holding(&document("one")).unwrap();
    assert_eq!(buried, IndexedDocument { head: Some(tombstone(&one.head, 3)), chunks: Vec::new() });
    let nothing = fixture.index.snapshot().holding(&document("never was")).unwrap();
    assert_eq!(nothing, IndexedDocument::default());
}

pub(super) async fn held_documents_come_once_in_the_order_of_ids(fixture: LexicalFixture) {
    let names = ["b", "a", "a/b", "c", "ä", "a b", "Z"];
    for name in names {
        fixture.commit(&[&plain(name, 1, &["heron", "otter"])]).await;
        fixture.commit(&[&plain(name, 2, &["heron", "otter", "marten"])]).await;
    }
    fixture.bury(&plain("c", 2, &[]), 3).await;
    let mut expected: Vec<DocumentId> = names.iter().map(|name| document(name)).collect();
    expected.sort();
    for limit in [1, 2, 3, 100] {
        assert_eq!(held(&*fixture.index.snapshot(), limit), expected, "pages of {limit}");
    }
}

pub(super) async fn held_is_complete_over_many_commits(fixture: LexicalFixture) {
    let pinned = fixture.index.snapshot();
    let mut expected = BTreeSet::new();
    for commit in 0..12 {
        let batch: Vec<_> =
            (0..25).map(|number| plain(&format!("{} {commit}", number * 7 % 25), 1, &["heron"])).collect();
        fixture.commit(&batch.iter().collect::<Vec<_>>()).await;
        expected.extend(batch.iter().map(|one| one.head.document_id.clone()));
    }
    let all = held(&*fixture.index.snapshot(), 17);
    assert_eq!(all, expected.into_iter().collect::<Vec<_>>());
    assert_eq!(held(&*pinned, 17), [], "a snapshot never changes");
}

pub(super) async fn held_chunks_are_told_in_order(fixture: LexicalFixture) {
    let (old, new) = (plain("doc", 1, &["heron"]), plain("doc", 2, &["otter", "marten"]));
    fixture.commit(&[&old]).await;
    fixture.commit(&[&new]).await;
    let asked: Vec<ChunkId> = vec![new.chunks[1].id, old.chunks[0].id, new.chunks[0].id];
    assert_eq!(fixture.index.snapshot().holds(&asked).unwrap(), [true, false, true]);
    assert_eq!(fixture.index.snapshot().holds(&[]).unwrap(), Vec::<bool>::new());
}

pub(super) async fn removed_documents_leave_nothing(fixture: LexicalFixture) {
    let (one, two) = (plain("one", 1, &["heron", "otter"]), plain("two", 1, &["heron"]));
    let buried = plain("buried", 1, &["heron"]);
    fixture.commit(&[&one, &two, &buried]).await;
    fixture.bury(&buried, 2).await;
    let pinned = fixture.index.snapshot();
    let gone = vec![document("one"), document("buried"), document("never was")];
    fixture.index.remove(gone.clone()).await.unwrap();
    let snapshot = fixture.index.snapshot();
    assert_eq!(held(&*snapshot, 10), [document("two")]);
    assert_eq!(snapshot.counts().unwrap(), IndexCounts { documents: 1, tombstones: 0, chunks: 1 });
    assert_eq!(fixture.found("heron otter"), ids(&two));
    assert!(snapshot.id() > pinned.id());
    assert_eq!(held(&*pinned, 10).len(), 3);
    fixture.index.remove(gone).await.unwrap();
    fixture.commit(&[&one]).await;
    assert!(fixture.found("otter").contains(&one.chunks[1].id), "and may come back");
}
