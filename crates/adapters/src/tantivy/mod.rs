//! The lexical index on Tantivy: the read model and the commit point.
//!
//! One `commit` call is one Tantivy commit: for every document its old chunks and head are
//! deleted and the new ones added. The payload carries a counter and the position in the ledger's
//! log (a plain `commit` would erase it), and the directory is fsynced after the commit, because Tantivy fsyncs it before it
//! renames `meta.json`. Only then do new snapshots appear. A commit that fails is rolled back
//! and the writer reopened; the previous commit stays what readers see.

mod analyzer;
mod bm25_statistics;
mod fields;
mod filter;
mod indexed_documents;
mod question_terms;
mod reader;
mod relevance_feedback;
mod snapshot;
mod stop_words;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tantivy::directory::Directory;
use tantivy::indexer::UserOperation;
use tantivy::merge_policy::LogMergePolicy;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Term};

use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex, LexicalSnapshot};

use fields::IndexSchemaFields;
pub use reader::TantivyReader;
use snapshot::TantivySnapshot;

/// Memory of the writer before it spills a segment.
const WRITER_HEAP_BYTES: usize = 64 * 1024 * 1024;
/// Threads that build segments. A second one would make two of every commit, each with a dictionary
/// of its own, to be merged later: a third more work for the same documents.
const WRITER_THREADS: usize = 1;
/// Segments of about one size that are merged into one. Every commit makes a segment; with more of them to
/// a merge a document is written anew fewer times. The library's eight measured no quicker for queries.
const SEGMENTS_MERGED_MIN: usize = 16;
/// Deletes and adds that the writer's thread is given at once; each hand-over wakes it.
const WRITER_OPERATIONS_MAX: usize = 512;

/// One generation's index with its single writer.
pub struct TantivyIndex {
    shared: Arc<SharedTantivyIndex>,
}

struct SharedTantivyIndex {
    index: Index,
    fields: IndexSchemaFields,
    reader: IndexReader,
    writer: Mutex<ReopenableWriter>,
    newest: RwLock<Arc<TantivySnapshot>>,
}

struct ReopenableWriter {
    /// None after a failed commit, until the next one reopens it.
    open: Option<IndexWriter>,
    stamp: CommitStamp,
}

/// What the payload of a commit says.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct CommitStamp {
    /// Commits so far.
    commits: u64,
    /// How far the index holds the ledger's log.
    position: u64,
}

impl TantivyIndex {
    /// Opens or creates an index in a directory.
    pub fn open(directory: &Path, analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        std::fs::create_dir_all(directory).map_err(Fault::transient)?;
        let index = if directory.join("meta.json").exists() {
            Index::open_in_dir(directory)
        } else {
            Index::create_in_dir(directory, fields::build_schema())
        }
        .map_err(index_fault)?;
        check_schema(&index, directory)?;
        Self::with_index(index, analysis)
    }

    /// An index in memory.
    pub fn in_ram(analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        Self::with_index(Index::create_in_ram(fields::build_schema()), analysis)
    }

    fn with_index(index: Index, analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        analyzer::register_analyzer(&index, analysis)?;
        let fields = IndexSchemaFields::resolve(&index.schema()).map_err(index_fault)?;
        let stamp = read_commit_stamp(&index)?;
        let writer = ReopenableWriter { open: Some(open_writer(&index)?), stamp };
        let reader: IndexReader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(index_fault)?;
        let newest = TantivySnapshot::new(&index, fields, reader.searcher(), stamp)?;
        Ok(Self {
            shared: Arc::new(SharedTantivyIndex {
                index,
                fields,
                reader,
                writer: Mutex::new(writer),
                newest: RwLock::new(Arc::new(newest)),
            }),
        })
    }
}

#[async_trait]
impl LexicalIndex for TantivyIndex {
    async fn commit(&self, writes: Vec<DocumentWrite>, position: u64) -> Result<(), Fault> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || shared.commit(&writes, &[], position))
            .await
            .map_err(Fault::transient)?
    }

    fn snapshot(&self) -> Arc<dyn LexicalSnapshot> {
        self.shared.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn remove(&self, documents: Vec<DocumentId>) -> Result<(), Fault> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || shared.commit(&[], &documents, 0))
            .await
            .map_err(Fault::transient)?
    }
}

impl SharedTantivyIndex {
    fn commit(
        &self,
        documents: &[DocumentWrite],
        removed: &[DocumentId],
        position: u64,
    ) -> Result<(), Fault> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match writer.open.take() {
            Some(open) => open,
            None => open_writer(&self.index)?,
        };
        let stamp =
            CommitStamp { commits: writer.stamp.commits + 1, position: writer.stamp.position.max(position) };
        match self.write_and_commit(open, documents, removed, stamp) {
            Ok(open) => {
                writer.open = Some(open);
                writer.stamp = stamp;
            }
            // The writer is dropped, and with it everything that was not committed.
            Err(error) => return Err(index_fault(error)),
        }
        self.reader.reload().map_err(index_fault)?;
        let newest = TantivySnapshot::new(&self.index, self.fields, self.reader.searcher(), stamp)?;
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(newest);
        Ok(())
    }

    fn write_and_commit(
        &self,
        mut open: IndexWriter,
        writes: &[DocumentWrite],
        removed: &[DocumentId],
        stamp: CommitStamp,
    ) -> tantivy::Result<IndexWriter> {
        let all_of = |document_id: &DocumentId| {
            UserOperation::Delete(Term::from_field_text(self.fields.document, document_id.as_str()))
        };
        let mut operations: Vec<UserOperation> = removed.iter().map(all_of).collect();
        for write in writes {
            operations.push(all_of(&write.head.document_id));
            operations.push(UserOperation::Add(self.fields.head_document(&write.head)?));
            for chunk in &write.chunks {
                operations.push(UserOperation::Add(self.fields.chunk_document(chunk)?));
                if operations.len() >= WRITER_OPERATIONS_MAX {
                    open.run(std::mem::replace(&mut operations, Vec::with_capacity(WRITER_OPERATIONS_MAX)))?;
                }
            }
        }
        open.run(operations)?;
        let mut prepared = open.prepare_commit()?;
        prepared.set_payload(&serde_json::to_string(&stamp)?);
        prepared.commit()?;
        self.index.directory().sync_directory()?;
        Ok(open)
    }
}

fn check_schema(index: &Index, directory: &Path) -> Result<(), Fault> {
    if index.schema() == fields::build_schema() {
        return Ok(());
    }
    Err(Fault::permanent(
        "index_schema_differs",
        format!("the index in {} was built with another schema", directory.display()),
    ))
}

fn read_commit_stamp(index: &Index) -> Result<CommitStamp, Fault> {
    let payload = index.load_metas().map_err(index_fault)?.payload;
    Ok(payload.and_then(|payload| serde_json::from_str(&payload).ok()).unwrap_or_default())
}

/// A writer that goes on behind the last commit. Two things that Tantivy leaves to whoever opens one:
///
/// * Its first operation gets the number of the last commit again. A merge of what that commit wrote takes
///   operations up to this number for done in segments it deleted from, and passes over them in the others:
///   the delete of a document whose version stands in the former would be lost, and the version stay.
///   So a number is taken by nothing.
/// * Files that a commit left behind when it was cut short are in the way of the next with the same
///   number. They are removed.
fn open_writer(index: &Index) -> Result<IndexWriter, Fault> {
    let open = || -> tantivy::Result<IndexWriter> {
        let writer: IndexWriter = index.writer_with_num_threads(WRITER_THREADS, WRITER_HEAP_BYTES)?;
        let mut merging = LogMergePolicy::default();
        merging.set_min_num_segments(SEGMENTS_MERGED_MIN);
        writer.set_merge_policy(Box::new(merging));
        writer.run(Vec::new())?;
        writer.garbage_collect_files().wait()?;
        Ok(writer)
    };
    open().map_err(index_fault)
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn index_fault(error: tantivy::TantivyError) -> Fault {
    Fault::Transient(format!("lexical index: {error}"))
}
