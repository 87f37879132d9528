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
