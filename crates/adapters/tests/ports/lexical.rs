//! The suite of the lexical port.

mod commit;
mod holdings;
mod search;
mod terms;

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use contexture_adapters::tantivy::{TantivyIndex, TantivyReader};
use contexture_core::domain::document::{DocumentDescription, DocumentHead};
use contexture_core::domain::ids::ChunkId;
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex};

use crate::support::scan::ScanIndex;
use crate::support::{IndexedTestDocument, anyone, indexed};

/// Opens what was committed to the same place; none where nothing outlives the process.
type LexicalReopener = Box<dyn Fn() -> Result<Arc<dyn LexicalIndex>, Fault> + Send + Sync>;

/// An empty index.
pub(crate) struct LexicalFixture {
    index: Arc<dyn LexicalIndex>,
    reopen: Option<LexicalReopener>,
    /// Opens the same place beside its writer; none where only the writer can.
    open_reader: Option<LexicalReopener>,
    /// What must outlive it, such as its directory.
    _keep: Box<dyn Any + Send + Sync>,
}

impl LexicalFixture {
    /// Commits documents and returns them as they were written.
    async fn commit(&self, documents: &[&IndexedTestDocument]) {
        let writes =
            documents.iter().map(|one| DocumentWrite { head: one.head.clone(), chunks: one.chunks.clone() });
        self.index.commit(writes.collect(), 0).await.unwrap();
    }

    async fn bury(&self, document: &IndexedTestDocument, version: u64) {
        let head = tombstone(&document.head, version);
        self.index.commit(vec![DocumentWrite { head, chunks: Vec::new() }], 0).await.unwrap();
    }

    fn found(&self, question: &str) -> BTreeSet<ChunkId> {
        let hits = self.index.snapshot().search(question, None, &anyone(), 100).unwrap();
        hits.into_iter().map(|hit| hit.id).collect()
    }
}

fn plain(id: &str, version: u64, texts: &[&str]) -> IndexedTestDocument {
    indexed(id, version, &DocumentDescription::default(), texts)
}

fn tombstone(head: &DocumentHead, version: u64) -> DocumentHead {
    DocumentHead { version: crate::support::version(version), chunk_count: 0, deleted: true, ..head.clone() }
}

fn ids(document: &IndexedTestDocument) -> BTreeSet<ChunkId> {
    document.chunks.iter().map(|chunk| chunk.id).collect()
}

macro_rules! lexical_suite {
    ($adapter:ident, $open:ident $(, $law:ident)*) => {
        laws!($adapter, $open, {
            commit: [
                write_replaces_all_of_its_document,
                one_commit_publishes_all_its_writes,
                snapshot_never_changes,
                snapshot_numbers_grow,
                empty_commit_is_fine,
                tombstone_keeps_its_head_and_no_chunk,
                deleted_document_comes_back_with_a_higher_version,
                chunks_come_back_as_they_were_written,
                unknown_ids_are_none_in_their_place,
                chunk_range_is_ordered_and_inclusive,
                heads_come_back_as_they_were_written,
                counts_follow_the_writes,
                position_never_falls,
                $($law,)*
            ],
            holdings: [
                holding_is_all_of_a_document,
                held_documents_come_once_in_the_order_of_ids,
                held_is_complete_over_many_commits,
                held_chunks_are_told_in_order,
                removed_documents_leave_nothing,
            ],
            search: [
                words_find_their_chunks,
                better_matches_come_first,
                top_k_bounds_the_hits,
                readers_must_share_a_term,
                readers_follow_a_rewritten_document,
                filter_and_readers_both_hold,
                starts_of_texts_select,
                places_select_chunks_and_not_their_neighbours,
                questions_without_words_find_nothing,
                query_syntax_is_only_text,
                huge_questions_are_harmless,
                random_filters_are_exact,
            ],
        });
    };
}

async fn open_scan() -> LexicalFixture {
    LexicalFixture {
        index: Arc::new(ScanIndex::default()),
        reopen: None,
        open_reader: None,
        _keep: Box::new(()),
    }
}

lexical_suite!(scan, open_scan);

fn analysis() -> AnalyzerSettings {
    AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true }
}

async fn open_tantivy_in_ram() -> LexicalFixture {
    let index = Arc::new(TantivyIndex::in_ram(&analysis()).unwrap());
    LexicalFixture { index, reopen: None, open_reader: None, _keep: Box::new(()) }
}

lexical_suite!(tantivy_in_ram, open_tantivy_in_ram);

async fn open_tantivy() -> LexicalFixture {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let place = directory.clone();
    let reopen: LexicalReopener =
        Box::new(move || TantivyIndex::open(place.path(), &analysis()).map(|index| Arc::new(index) as _));
    let place = directory.clone();
    let open_reader: LexicalReopener =
        Box::new(move || TantivyReader::open(place.path(), &analysis()).map(|index| Arc::new(index) as _));
    LexicalFixture {
        index: reopen().unwrap(),
        reopen: Some(reopen),
        open_reader: Some(open_reader),
        _keep: Box::new(directory),
    }
}

lexical_suite!(
    tantivy,
    open_tantivy,
    commits_survive_a_restart,
    second_writer_is_refused,
    reader_sees_what_the_writer_commits
);

/// The ids of documents in the order of their best chunks.
fn order_of(fixture: &LexicalFixture, documents: &[&IndexedTestDocument], question: &str) -> Vec<String> {
    let hits = fixture.index.snapshot().search(question, None, &anyone(), 100).unwrap();
    let mut order: Vec<String> = Vec::new();
    for hit in hits {
        let of = documents.iter().find(|one| one.chunks.iter().any(|chunk| chunk.id == hit.id)).unwrap();
        let id = of.head.document_id.to_string();
        if !order.contains(&id) {
            order.push(id);
        }
    }
    order
}

/// People ask for a document by its name, and mean what stands in it.
#[tokio::test]
async fn a_named_document_comes_first_with_all_its_chunks() {
    let fixture = open_tantivy_in_ram().await;
    let steps = ["Stop the writer.", "Move the address.", "Start the copy and look at the failover lamp."];
    let named = plain("ops/failover-runbook.md", 1, &steps);
    let other =
        plain("ops/notes.md", 1, &["A runbook for the failover of the failover of a runbook.", "Other."]);
    let more: Vec<_> = (0..8).map(|n| plain(&format!("ops/{n}.md"), 1, &["Writers and copies."])).collect();
    let all: Vec<_> = [&named, &other].into_iter().chain(&more).collect();
    fixture.commit(&all).await;
    assert_eq!(order_of(&fixture, &all, "failover runbook")[0], "ops/failover-runbook.md");
    let found = fixture.found("what does the failover runbook say?");
    assert!(ids(&named).is_subset(&found), "each chunk has the name");
}

/// A name in capitals is that of a file in lower case, and not the stop word of other texts.
#[tokio::test]
async fn a_name_in_capitals_finds_its_file() {
    let fixture = open_tantivy_in_ram().await;
    let asked = plain("who.md", 1, &["Hands are to be clean."]);
    let other = plain("laundry.md", 1, &["For those who wash."]);
    let all = [&asked, &other];
    fixture.commit(&all).await;
    assert_eq!(order_of(&fixture, &all, "What does WHO say about it?"), ["who.md"]);
}

/// What is asked for is named in one chunk and answered in the next.
#[tokio::test]
async fn chunks_around_the_words_are_found_too() {
    let fixture = open_tantivy_in_ram().await;
    let answer = plain(
        "d1",
        1,
        &["The boiler of hall three has one valve.", "It opens at nine bar.", "Ask the warden.", "Far away."],
    );
    let alone = plain("d2", 1, &["boiler", "Nothing else."]);
    fixture.commit(&[&answer, &alone]).await;
    let hits = fixture.index.snapshot().search("boiler valve of hall three", None, &anyone(), 10).unwrap();
    let rank = |index: usize| hits.iter().position(|hit| hit.id == answer.chunks[index].id);
    assert_eq!(rank(0), Some(0));
    assert!(rank(1).is_some() && rank(2).is_some(), "neighbours are candidates");
    assert_eq!(rank(3), None, "three chunks away");
    assert!(hits.is_sorted_by(|left, right| left.score >= right.score));
}

/// A document of more chunks than the writer takes at once stands in one piece, beside its neighbours.
#[tokio::test]
async fn windows_do_not_reach_into_other_documents() {
    let fixture = open_tantivy_in_ram().await;
    let long: Vec<String> = (0..1200).map(|number| format!("Entry {number} of the ledger.")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let (first, long, last) =
        (plain("a", 1, &["heron"]), plain("b", 1, &long), plain("c", 1, &["otter", "otter"]));
    fixture.commit(&[&first, &long, &last]).await;
    assert_eq!(fixture.found("heron"), ids(&first));
    assert_eq!(fixture.found("otter"), ids(&last));
    let around: BTreeSet<ChunkId> = (598..=602).map(|index| long.chunks[index].id).collect();
    assert_eq!(fixture.found("600"), around);
}

/// An index of an older program is emptied by whoever may write, and refused by whoever may not.
#[tokio::test]
async fn an_older_index_is_started_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut schema = ::tantivy::schema::Schema::builder();
    schema.add_text_field("kind", ::tantivy::schema::STRING);
    schema.add_text_field("document", ::tantivy::schema::STRING);
    drop(::tantivy::Index::create_in_dir(directory.path(), schema.build()).unwrap());
    let refused = TantivyReader::open(directory.path(), &analysis()).err().unwrap();
    assert!(refused.to_string().contains("contexture repair"), "{refused}");
    let index = TantivyIndex::open(directory.path(), &analysis()).unwrap();
    let written = plain("doc", 1, &["heron"]);
    let write = DocumentWrite { head: written.head.clone(), chunks: written.chunks.clone() };
    index.commit(vec![write], 1).await.unwrap();
    assert_eq!(index.snapshot().search("heron", None, &anyone(), 1).unwrap()[0].id, written.chunks[0].id);

    // Another's index is not ours to empty.
    let foreign = tempfile::tempdir().unwrap();
    let mut schema = ::tantivy::schema::Schema::builder();
    schema.add_text_field("title", ::tantivy::schema::STRING);
    drop(::tantivy::Index::create_in_dir(foreign.path(), schema.build()).unwrap());
    assert!(TantivyIndex::open(foreign.path(), &analysis()).is_err());
    assert!(foreign.path().join("meta.json").exists());
}

/// What a crash or a busy hour changes is where commits are cut; what readers see stays the same.
#[tokio::test]
async fn scores_do_not_depend_on_how_commits_were_cut() {
    const DOCUMENTS: usize = 120;
    const WORDS: [&str; 8] = ["heron", "otter", "badger", "marten", "willow", "marsh", "river", "reed"];
    let mut state = 7_u64;
    let mut words = |count: usize| -> String {
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            WORDS[usize::try_from(state >> 61).unwrap()]
        };
        (0..count).map(|_| word()).collect::<Vec<_>>().join(" ")
    };
    let documents: Vec<IndexedTestDocument> = (0..DOCUMENTS)
        .map(|number| plain(&format!("doc {number}"), 1, &[&words(40), &words(40), &words(40)]))
        .collect();
    let questions: Vec<String> = (0..40).map(|_| words(4)).collect();
    let mut answers = Vec::new();
    for documents_per_commit in [DOCUMENTS, 17, 1] {
        let fixture = open_tantivy_in_ram().await;
        for batch in documents.chunks(documents_per_commit) {
            fixture.commit(&batch.iter().collect::<Vec<_>>()).await;
        }
        let snapshot = fixture.index.snapshot();
        let answer = |question: &String| snapshot.search(question, None, &anyone(), 50).unwrap();
        answers.push(questions.iter().map(answer).collect::<Vec<_>>());
    }
    assert_eq!(answers[0], answers[1], "seed 7");
    assert_eq!(answers[0], answers[2], "seed 7");
}

/// What is gone leaves no trace in the scores of what is there.
#[tokio::test]
async fn scores_do_not_depend_on_what_was_there_before() {
    let texts = ["heron otter marsh", "heron reed", "willow river heron marsh reed", "badger"];
    let (fresh, used) = (open_tantivy_in_ram().await, open_tantivy_in_ram().await);
    for number in 0..texts.len() {
        used.commit(&[&plain(&format!("doc {number}"), 1, &["heron heron river", "otter marsh heron"])])
            .await;
        used.commit(&[&plain(&format!("gone {number}"), 1, &["heron and more of the marsh"])]).await;
    }
    for (number, text) in texts.into_iter().enumerate() {
        used.bury(&plain(&format!("gone {number}"), 1, &[]), 2).await;
        for index in [&fresh, &used] {
            index.commit(&[&plain(&format!("doc {number}"), 2, &[text])]).await;
        }
    }
    for number in 0..texts.len() {
        fresh.bury(&plain(&format!("gone {number}"), 1, &[]), 2).await;
    }
    for question in ["heron", "marsh heron", "reed heron otter river"] {
        let answer = |fixture: &LexicalFixture| {
            fixture.index.snapshot().search(question, None, &anyone(), 10).unwrap()
        };
        assert_eq!(answer(&fresh), answer(&used), "{question}");
    }
}
