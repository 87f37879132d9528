//! Lists of documents, and what was said about them.

use std::collections::BTreeSet;

use bytes::Bytes;
use contexture_core::domain::document::{DocumentDescription, Submission};
use contexture_core::ports::document_ledger::{DocumentPage, DocumentRecord};
use contexture_core::ports::ledger::{VersionOutcome, VersionState};

use super::LedgerFixture;
use crate::support::{BODY_BYTES_MAX, TENANT, document, principal, readable_by, spans, version};

impl LedgerFixture {
    async fn listed(&self, page: DocumentPage) -> Vec<DocumentRecord> {
        self.ledger.documents(&self.home, &page).await.unwrap()
    }

    async fn listed_ids(&self, prefix: Option<&str>, after: Option<&str>, limit: usize) -> Vec<String> {
        let page = DocumentPage { prefix: prefix.map(str::to_owned), after: after.map(document), limit };
        self.listed(page).await.into_iter().map(|found| found.newest.key.document_id.to_string()).collect()
    }

    async fn described(&self, id: &str, number: u64, title: &str) {
        let description = DocumentDescription {
            title: Some(title.to_owned()),
            media_type: Some("text/plain".to_owned()),
            ..readable_by(&["staff"])
        };
        let (caller, collection) = (principal(TENANT), self.home.collection.clone());
        let body = Bytes::copy_from_slice(title.as_bytes());
        let number = Some(version(number));
        let submitted =
            Submission::new(&caller, collection, document(id), number, description, body, BODY_BYTES_MAX);
        self.ledger.accept(vec![submitted.unwrap()]).await.unwrap();
    }
}

fn everything() -> DocumentPage {
    DocumentPage { limit: 100, ..DocumentPage::default() }
}

fn title(found: &DocumentRecord) -> Option<&str> {
    found.description.as_ref()?.title.as_deref()
}

pub(super) async fn documents_come_by_id_in_pages(fixture: LedgerFixture) {
    for id in ["é", "b/2", "a", "b", "b/10", "b0", "B"] {
        fixture.visible(id, 1, "text").await;
    }
    let all = ["B", "a", "b", "b/10", "b/2", "b0", "é"];
    assert_eq!(fixture.listed_ids(None, None, 100).await, all);
    assert_eq!(fixture.listed_ids(None, None, 2).await, all[..2]);
    assert_eq!(fixture.listed_ids(None, Some("a"), 2).await, all[2..4]);
    assert_eq!(fixture.listed_ids(None, Some("b/1"), 2).await, all[3..5], "after an id that is not there");
    assert_eq!(fixture.listed_ids(None, Some("é"), 2).await, [] as [&str; 0]);
    assert_eq!(fixture.listed_ids(None, None, 0).await, [] as [&str; 0]);
}

pub(super) async fn documents_are_listed_by_prefix(fixture: LedgerFixture) {
    for id in ["a", "b", "b/1", "b/2", "b0", "c%_", "c%x", "cx_"] {
        fixture.visible(id, 1, "text").await;
    }
    assert_eq!(fixture.listed_ids(Some("b/"), None, 100).await, ["b/1", "b/2"]);
    assert_eq!(fixture.listed_ids(Some("b"), None, 100).await, ["b", "b/1", "b/2", "b0"]);
    assert_eq!(fixture.listed_ids(Some("b/"), Some("b/1"), 100).await, ["b/2"]);
    assert_eq!(fixture.listed_ids(Some("b/"), Some("a"), 1).await, ["b/1"]);
    assert_eq!(fixture.listed_ids(Some("b/"), Some("c"), 100).await, [] as [&str; 0]);
    assert_eq!(fixture.listed_ids(Some("c%"), None, 100).await, ["c%_", "c%x"], "it is no pattern");
    assert_eq!(fixture.listed_ids(Some("\u{10ffff}"), None, 100).await, [] as [&str; 0]);
    assert_eq!(fixture.listed_ids(Some("a\0"), None, 100).await, [] as [&str; 0]);
    assert_eq!(fixture.listed_ids(Some(""), None, 3).await, ["a", "b", "b/1"]);
}

pub(super) async fn listed_document_has_its_newest_and_its_visible_version(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "one").await;
    let second = fixture.accepted("doc", 2, "two").await;
    fixture.ledger.store_spans(1, vec![(second.clone(), spans(3))]).await.unwrap();
    fixture.accepted("new", 5, "text").await;
    let listed = fixture.listed(everything()).await;
    assert_eq!(listed.len(), 2);
    let history = fixture.ledger.history(&fixture.home, &document("doc")).await.unwrap();
    assert_eq!((&listed[0].newest, listed[0].visible.as_ref()), (&history[0], Some(&history[1])));
    assert_eq!((listed[0].newest.chunk_count, listed[0].newest.state), (Some(3), VersionState::Chunked));
    assert_eq!((listed[1].newest.key.version.get(), &listed[1].visible), (5, &None));
    fixture.finish(&second, VersionOutcome::Visible(1)).await;
    let listed = fixture.listed(everything()).await;
    assert_eq!(listed[0].visible.as_ref(), Some(&listed[0].newest));
    assert_eq!(listed[0].newest.key, second);
}

pub(super) async fn listed_document_tells_why_it_died(fixture: LedgerFixture) {
    fixture.dead("doc", 1, "text").await;
    let listed = fixture.listed(everything()).await;
    assert_eq!(listed[0].newest.reason.as_ref().unwrap().code, "embedder_rejected");
    assert_eq!((listed[0].newest.state, &listed[0].visible), (VersionState::Dead, &None));
}

pub(super) async fn deleted_documents_are_listed_as_such(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "text").await;
    assert_eq!(fixture.delete("doc", Some(2)).await.1, 2);
    assert!(!fixture.listed(everything()).await[0].is_deleted(), "readers still see version 1");
    fixture.finish(&fixture.key("doc", 2), VersionOutcome::Visible(1)).await;
    let listed = fixture.listed(everything()).await;
    assert!(listed[0].is_deleted() && listed[0].newest.deletes);
    assert_eq!(listed[0].description, None);
    fixture.described("doc", 3, "Again").await;
    let listed = fixture.listed(everything()).await;
    assert!(!listed[0].is_deleted());
    assert_eq!(title(&listed[0]), Some("Again"));
    assert_eq!(fixture.delete("never", None).await.1, 1);
    assert_eq!(fixture.listed(everything()).await.len(), 1, "nothing is stored of it");
}

pub(super) async fn description_is_of_the_visible_version_if_there_is_one(fixture: LedgerFixture) {
    fixture.described("doc", 1, "First").await;
    assert_eq!(title(&fixture.listed(everything()).await[0]), Some("First"));
    fixture.finish(&fixture.key("doc", 1), VersionOutcome::Visible(1)).await;
    fixture.described("doc", 2, "Second").await;
    let listed = fixture.listed(everything()).await;
    assert_eq!(title(&listed[0]), Some("First"));
    let DocumentDescription { media_type, acl, .. } = listed[0].description.clone().unwrap();
    assert_eq!((media_type.as_deref(), acl), (Some("text/plain"), readable_by(&["staff"]).acl));
    fixture.finish(&fixture.key("doc", 2), VersionOutcome::Visible(1)).await;
    assert_eq!(title(&fixture.listed(everything()).await[0]), Some("Second"));
}

pub(super) async fn descriptions_follow_the_versions_asked_for(fixture: LedgerFixture) {
    fixture.described("doc", 1, "First").await;
    fixture.described("doc", 2, "Second").await;
    assert_eq!(fixture.delete("doc", Some(3)).await.1, 3);
    let asked = [("doc", 2), ("doc", 9), ("other", 1), ("doc", 3), ("doc", 1), ("doc", 2)];
    let asked: Vec<_> = asked.map(|(id, number)| fixture.key(id, number)).to_vec();
    let titles = async || {
        let found = fixture.ledger.descriptions(&asked).await.unwrap();
        found.into_iter().map(|found| found.and_then(|found| found.title)).collect::<Vec<_>>()
    };
    let some = |title: &str| Some(title.to_owned());
    assert_eq!(titles().await, [some("Second"), None, None, None, some("First"), some("Second")]);
    // The body of a superseded version goes with its sweep, and the description with it.
    fixture.finish(&fixture.key("doc", 2), VersionOutcome::Visible(1)).await;
    fixture.finish(&fixture.key("doc", 1), VersionOutcome::Superseded).await;
    fixture.ledger.mark_swept(&[fixture.key("doc", 1)]).await.unwrap();
    assert_eq!(titles().await, [some("Second"), None, None, None, None, some("Second")]);
    assert_eq!(fixture.ledger.descriptions(&[]).await.unwrap(), []);
}

pub(super) async fn collections_have_documents_of_their_own(fixture: LedgerFixture) {
    fixture.visible("doc", 1, "text").await;
    let elsewhere = crate::support::collection("globex", fixture.home.collection.as_str());
    assert_eq!(fixture.ledger.documents(&elsewhere, &everything()).await.unwrap(), []);
    let ids: BTreeSet<_> = fixture.listed(everything()).await.into_iter().map(|one| one.newest.key).collect();
    assert_eq!(ids, BTreeSet::from([fixture.key("doc", 1)]));
}
