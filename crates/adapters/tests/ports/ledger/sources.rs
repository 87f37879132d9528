//! Sources, and the items that their runs saw.

use contexture_core::domain::source::{SourceFingerprint, SourceName};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{VersionOutcome, VersionState};
use contexture_core::ports::source_ledger::{SettledSource, SourceDocument, SourceSighting};

use super::{LedgerFixture, gave_up};
use crate::support::{TENANT, collection, document, epoch, version};

fn name(text: &str) -> SourceName {
    SourceName::new(text).unwrap()
}

fn fingerprint(text: &str) -> SourceFingerprint {
    SourceFingerprint::new(text).unwrap()
}

fn sighting(id: &str, known: Option<(&str, u64)>) -> SourceSighting {
    SourceSighting {
        document_id: document(id),
        fingerprint: known.map(|(text, _)| fingerprint(text)),
        version: known.map(|(_, number)| version(number)),
    }
}

impl LedgerFixture {
    async fn begin_run(&self, source: &str) -> u64 {
        self.ledger.begin_source_run(&self.home, &name(source)).await.unwrap()
    }

    async fn saw(&self, source: &str, run: u64, sightings: Vec<SourceSighting>) {
        self.ledger.report_sightings(&self.home, &name(source), run, sightings).await.unwrap();
    }

    async fn items(&self, source: &str) -> Vec<SourceDocument> {
        self.ledger.source_documents(&self.home, &name(source), None, 100).await.unwrap()
    }

    async fn item_runs(&self, source: &str) -> Vec<(String, u64)> {
        let items = self.items(source).await.into_iter();
        items.map(|item| (item.sighting.document_id.to_string(), item.run)).collect()
    }
}

pub(super) async fn runs_are_numbered_for_each_source(fixture: LedgerFixture) {
    assert_eq!(fixture.begin_run("/a").await, 1);
    assert_eq!(fixture.begin_run("/b").await, 1);
    fixture.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(fixture.begin_run("/a").await, 2);
    fixture.saw("/a", 2, vec![sighting("doc", None), sighting("other", None)]).await;
    fixture.ledger.finish_source_run(&fixture.home, &name("/a"), 2, None).await.unwrap();
    fixture.ledger.finish_source_run(&fixture.home, &name("/a"), 1, None).await.unwrap();
    let sources = fixture.ledger.sources(&fixture.home).await.unwrap();
    let seen: Vec<_> = sources
        .iter()
        .map(|one| (one.name.as_str(), one.run, one.finished_run, one.documents, one.finished_ms.is_some()))
        .collect();
    assert_eq!(seen, [("/a", 2, 2, 2, true), ("/b", 1, 0, 0, false)]);
    assert_eq!(sources[0].begun_ms, sources[1].begun_ms + 1000, "the last run's beginning");
}

pub(super) async fn sightings_are_listed_with_what_became_of_them(fixture: LedgerFixture) {
    let run = fixture.begin_run("/a").await;
    fixture.saw("/a", run, vec![sighting("new", None), sighting("seen", Some(("7-1", 1)))]).await;
    fixture
        .saw("/a", run, vec![sighting("dead", Some(("7-2", 1))), sighting("gone", Some(("7-3", 1)))])
        .await;
    fixture.visible("seen", 1, "text").await;
    fixture.dead("dead", 1, "text").await;
    fixture.visible("gone", 1, "text").await;
    fixture.delete("gone", None).await;
    let items = fixture.items("/a").await;
    let newest = |index: usize| items[index].newest.as_ref();
    assert_eq!(items[0].sighting, sighting("dead", Some(("7-2", 1))));
    assert_eq!(newest(0).unwrap().state, VersionState::Dead);
    let VersionOutcome::Dead(_, reason) = gave_up() else { unreachable!("it is dead") };
    assert_eq!(newest(0).unwrap().reason.as_ref(), Some(&reason));
    assert!(newest(1).unwrap().deletes && newest(1).unwrap().version.get() == 2);
    assert!(!items[1].is_in_step(&fingerprint("7-3")), "somebody deleted it");
    assert_eq!(newest(2), None, "reported, and not submitted yet");
    assert!(items[3].is_in_step(&fingerprint("7-1")) && !items[3].is_in_step(&fingerprint("7-2")));
    fixture.visible("seen", 2, "another text").await;
    assert!(!fixture.items("/a").await[3].is_in_step(&fingerprint("7-1")), "somebody else changed it");
}

pub(super) async fn items_come_by_id_in_pages(fixture: LedgerFixture) {
    let run = fixture.begin_run("/a").await;
    fixture.saw("/a", run, ["é", "b/2", "a", "B"].map(|id| sighting(id, None)).to_vec()).await;
    let mut ids = Vec::new();
    while ids.len() < 4 {
        let after = ids.last().cloned();
        let page =
            fixture.ledger.source_documents(&fixture.home, &name("/a"), after.as_ref(), 3).await.unwrap();
        assert!(page.len() <= 3 && !page.is_empty());
        ids.extend(page.into_iter().map(|item| item.sighting.document_id));
    }
    assert_eq!(ids, ["B", "a", "b/2", "é"].map(document));
}

pub(super) async fn later_run_decides_what_is_gone(fixture: LedgerFixture) {
    let first = fixture.begin_run("/a").await;
    fixture.saw("/a", first, ["kept", "gone", "late"].map(|id| sighting(id, None)).to_vec()).await;
    let (second, third) = (fixture.begin_run("/a").await, fixture.begin_run("/a").await);
    fixture.saw("/a", third, vec![sighting("late", None)]).await;
    fixture.saw("/a", second, vec![sighting("kept", None), sighting("late", Some(("1-1", 1)))]).await;
    let runs = [("gone".to_owned(), 1), ("kept".to_owned(), 2), ("late".to_owned(), 3)];
    assert_eq!(fixture.item_runs("/a").await, runs, "an earlier run takes nothing back");
    let all = ["kept", "gone", "late", "never"].map(document).to_vec();
    fixture.ledger.forget_source_documents(&fixture.home, &name("/a"), second, all).await.unwrap();
    assert_eq!(fixture.item_runs("/a").await, runs[1..], "only what this run did not see");
}

pub(super) async fn unseen_items_come_by_id_in_pages(fixture: LedgerFixture) {
    let first = fixture.begin_run("/a").await;
    fixture.saw("/a", first, ["c", "a", "b", "d"].map(|id| sighting(id, None)).to_vec()).await;
    let second = fixture.begin_run("/a").await;
    fixture.saw("/a", second, vec![sighting("b", None)]).await;
    let unseen = async |run, after: Option<&str>, limit| {
        let (source, after) = (name("/a"), after.map(document));
        let found =
            fixture.ledger.unseen_source_documents(&fixture.home, &source, run, after.as_ref(), limit);
        let ids = found.await.unwrap().into_iter().map(|item| item.sighting.document_id.to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(unseen(second, None, 9).await, ["a", "c", "d"]);
    assert_eq!(unseen(second, None, 2).await, ["a", "c"]);
    assert_eq!(unseen(second, Some("a"), 9).await, ["c", "d"]);
    assert!(unseen(first, None, 9).await.is_empty(), "no run was before the first");
}

pub(super) async fn a_source_is_settled_while_each_item_is_visible_as_submitted(fixture: LedgerFixture) {
    let run = fixture.begin_run("/a").await;
    let unsettled =
        async |source: &str| fixture.ledger.count_unsettled(&fixture.home, &name(source)).await.unwrap();
    let whole = SettledSource { fingerprint: fingerprint("all"), accepted: 7 };
    let finish = async |settled: Option<&SettledSource>| {
        let finished =
            fixture.ledger.finish_source_run(&fixture.home, &name("/a"), run, settled.cloned()).await;
        finished.unwrap();
        fixture.ledger.sources(&fixture.home).await.unwrap()[0].settled.clone()
    };
    let ids = ["deleted", "flying", "kept", "letter", "newer", "unknown", "unsubmitted"];
    let known = |id: &str| (!id.starts_with("un")).then_some(("7-1", 1));
    fixture.saw("/a", run, ids.map(|id| sighting(id, known(id))).to_vec()).await;
    assert_eq!(unsettled("/a").await, 7);
    for id in ["deleted", "kept", "newer", "unknown"] {
        fixture.visible(id, 1, "text").await;
    }
    fixture.submit("flying", Some(1), "text").await;
    fixture.dead("letter", 1, "text").await;
    assert_eq!(unsettled("/a").await, 4, "two have no fingerprint, one is on its way, one is dead");
    fixture.delete("deleted", None).await;
    fixture.visible("newer", 2, "another text").await;
    assert_eq!(unsettled("/a").await, 6, "somebody deleted one and changed one");
    assert_eq!(unsettled("/b").await, 0, "of a source that never was");
    assert_eq!(finish(Some(&whole)).await.as_ref(), Some(&whole));
    assert_eq!(finish(None).await, None, "the last run decides");
}

pub(super) async fn unchanged_items_keep_their_fingerprint(fixture: LedgerFixture) {
    let first = fixture.begin_run("/a").await;
    fixture.saw("/a", first, vec![sighting("doc", Some(("7-1", 1))), sighting("other", None)]).await;
    let second = fixture.begin_run("/a").await;
    let seen = vec![document("doc"), document("never")];
    fixture.ledger.report_unchanged(&fixture.home, &name("/a"), second, seen).await.unwrap();
    let items = fixture.items("/a").await;
    assert_eq!((items.len(), items[0].run, items[1].run), (2, second, first));
    assert_eq!(items[0].sighting, sighting("doc", Some(("7-1", 1))));
    fixture.saw("/a", second, vec![sighting("doc", None)]).await;
    assert_eq!(fixture.items("/a").await[0].sighting, sighting("doc", None), "a report says all anew");
}

pub(super) async fn sources_of_documents_are_found(fixture: LedgerFixture) {
    for source in ["/b", "/a"] {
        let run = fixture.begin_run(source).await;
        fixture.saw(source, run, vec![sighting("both", None), sighting(&source[1..], None)]).await;
    }
    let ids = ["none", "b", "both", "a", "b"].map(document);
    let found = fixture.ledger.sources_of(&fixture.home, &ids).await.unwrap();
    assert_eq!(found, [None, Some(name("/b")), Some(name("/a")), Some(name("/a")), Some(name("/b"))]);
}

pub(super) async fn unknown_source_and_collection(fixture: LedgerFixture) {
    let (never, source) = (collection(TENANT, "never"), name("/a"));
    let refused = fixture.ledger.begin_source_run(&never, &source).await;
    assert!(matches!(refused, Err(Fault::Permanent(reason)) if reason.code == "unknown_collection"));
    for key in [&never, &fixture.home] {
        fixture.ledger.report_sightings(key, &source, 1, vec![sighting("doc", None)]).await.unwrap();
        fixture.ledger.report_unchanged(key, &source, 1, vec![document("doc")]).await.unwrap();
        fixture.ledger.finish_source_run(key, &source, 1, None).await.unwrap();
        assert_eq!(fixture.ledger.unseen_source_documents(key, &source, 9, None, 9).await.unwrap(), []);
        assert_eq!(fixture.ledger.count_unsettled(key, &source).await.unwrap(), 0);
        assert_eq!(fixture.ledger.source_documents(key, &source, None, 9).await.unwrap(), []);
        assert_eq!(fixture.ledger.sources(key).await.unwrap(), []);
        assert_eq!(fixture.ledger.sources_of(key, &[document("doc")]).await.unwrap(), [None]);
        assert!(!fixture.ledger.forget_source(key, &source).await.unwrap());
    }
}

pub(super) async fn forgotten_source_leaves_its_documents(fixture: LedgerFixture) {
    let run = fixture.begin_run("/a").await;
    fixture.saw("/a", run, vec![sighting("doc", Some(("7-1", 1)))]).await;
    fixture.visible("doc", 1, "text").await;
    assert!(fixture.ledger.forget_source(&fixture.home, &name("/a")).await.unwrap());
    assert_eq!(fixture.ledger.sources(&fixture.home).await.unwrap(), []);
    assert_eq!(fixture.states("doc").await, [(1, VersionState::Visible)]);
    assert_eq!(fixture.begin_run("/a").await, 1, "it is new");
    assert_eq!(fixture.items("/a").await, []);
}

pub(super) async fn sources_go_with_their_collection(fixture: LedgerFixture) {
    let run = fixture.begin_run("/a").await;
    fixture.saw("/a", run, (0..5).map(|number| sighting(&number.to_string(), None)).collect()).await;
    fixture.ledger.drop_collection(&fixture.home).await.unwrap();
    assert_eq!(fixture.ledger.sources(&fixture.home).await.unwrap(), []);
    fixture.ledger.ensure_collection(&fixture.home, "", epoch("one")).await.unwrap();
    assert_eq!(fixture.begin_run("/a").await, 1);
    assert_eq!(fixture.items("/a").await, []);
}
