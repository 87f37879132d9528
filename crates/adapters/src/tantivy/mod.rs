//! The lexical index on Tantivy. It is the read model, and its commit is the commit point.
//!
//! One `commit` call is one Tantivy commit. For every document it deletes the old head and chunks
//! and adds the new ones. The commit's payload holds a counter and the position in the ledger's
//! log. The directory is fsynced after the commit, because Tantivy fsyncs it before it renames
//! `meta.json`. New snapshots appear only after that. A failed commit is rolled back and the
//! writer reopened; readers keep seeing the previous commit.

mod analyzer;
mod bm25_statistics;
mod fields;
mod filter;
mod indexed_documents;
mod passage_evidence;
mod question_clauses;
mod question_terms;
mod question_words;
mod reader;
mod relevance_feedback;
mod snapshot;
#[cfg(test)]
mod tests;
mod word_characters;
mod word_context;
mod word_cursor;
mod word_folding;
mod word_terms;
#[cfg(test)]
mod word_tests;

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

/// Memory of the writer before it spills a segment. It looks between batches, so a large document can exceed it.
const WRITER_HEAP_BYTES: usize = 64 * 1024 * 1024;
/// Threads that build segments. With a second one, every commit would make two segments, each with
/// its own dictionary, to be merged later: a third more work for the same documents.
const WRITER_THREADS: usize = 1;
/// Segments of similar size that are merged into one. Every commit makes a segment; the more of them
/// a merge takes, the fewer times a document is rewritten. Tantivy's default of 8 was measured to
/// be no faster for queries.
const SEGMENTS_MERGED_MIN: usize = 16;
/// Deletes and adds, at least, that the writer's thread receives at once, because every hand-over wakes it.
const WRITER_OPERATIONS: usize = 512;

/// The index of one generation, with its only writer.
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

/// The payload of a commit.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct CommitStamp {
    /// Commits so far.
    commits: u64,
    /// Position up to which the index has applied the ledger's log.
    position: u64,
}

impl TantivyIndex {
    /// Opens or creates an index in a directory.
    pub fn open(directory: &Path, analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        std::fs::create_dir_all(directory)
            .map_err(|error| Fault::transient_error("lexical index: making its directory", error))?;
        let existing = directory.join("meta.json").exists().then(|| Index::open_in_dir(directory));
        let index = match existing.transpose().map_err(index_fault)? {
            Some(index) if fields::is_older_schema(&index.schema()) => {
                // Its terms are not those of today's questions. It is a function of the ledger, and is built anew
                // from there: by whoever follows the log, or by a repair.
                tracing::warn!(directory = %directory.display(), "the index of an older program is built anew");
                drop(index);
                start_anew(directory)
                    .map_err(|error| Fault::transient_error("lexical index: removing an older one", error))?;
                Index::create_in_dir(directory, fields::build_schema()).map_err(index_fault)?
            }
            Some(index) => index,
            None => Index::create_in_dir(directory, fields::build_schema()).map_err(index_fault)?,
        };
        check_schema(&index, directory)?;
        Self::with_index(index, analysis)
    }

    /// Creates an index in memory.
    pub fn in_ram(analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        Self::with_index(Index::create_in_ram(fields::build_schema()), analysis)
    }

    fn with_index(index: Index, analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        analyzer::register_analyzer(&index, analysis)?;
        let fields = IndexSchemaFields::resolve(&index.schema()).map_err(index_fault)?;
        let stamp = read_commit_stamp(&index)?;
        let writer = ReopenableWriter { open: Some(open_writer(&index)?), stamp };
        // Manual: a snapshot appears when `commit` publishes it, not when files change.
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
            .map_err(|error| Fault::transient_error("lexical index: writing a batch", error))?
    }

    fn snapshot(&self) -> Arc<dyn LexicalSnapshot> {
        self.shared.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn remove(&self, documents: Vec<DocumentId>) -> Result<(), Fault> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || shared.commit(&[], &documents, 0))
            .await
            .map_err(|error| Fault::transient_error("lexical index: compacting", error))?
    }

    async fn erase_deleted(&self, entries_max: u32) -> Result<usize, Fault> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || shared.erase_deleted(entries_max))
            .await
            .map_err(|error| Fault::transient_error("lexical index: erasing", error))?
    }
}

impl SharedTantivyIndex {
    /// Merges each segment that has deleted entries with itself, one after the other. Commits go on meanwhile.
    fn erase_deleted(&self, entries_max: u32) -> Result<usize, Fault> {
        // The descriptions of the segments end here: while one lives, its files stay.
        let metas = self.index.searchable_segment_metas().map_err(index_fault)?.into_iter();
        let due = metas.filter(|segment| segment.has_deletes() && segment.max_doc() <= entries_max);
        let due: Vec<_> = due.map(|segment| segment.id()).collect();
        let mut rewritten = 0;
        for segment in due {
            let merging = {
                let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                let mut open = match writer.open.take() {
                    Some(open) => open,
                    None => open_writer(&self.index)?,
                };
                let merging = open.merge(&[segment]);
                writer.open = Some(open);
                merging
            };
            // One that a merge of the writer's own has taken meanwhile is rewritten by that.
            rewritten += usize::from(merging.wait().is_ok());
        }
        if rewritten == 0 {
            return Ok(0);
        }
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Readers move to the new files, and the old ones go when nobody reads them any more.
        self.reader.reload().map_err(index_fault)?;
        let newest = TantivySnapshot::new(&self.index, self.fields, self.reader.searcher(), writer.stamp)?;
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(newest);
        if let Some(open) = &writer.open {
            open.garbage_collect_files().wait().map_err(index_fault)?;
        }
        Ok(rewritten)
    }

    fn commit(
        &self,
        documents: &[DocumentWrite],
        removed: &[DocumentId],
        position: u64,
    ) -> Result<(), Fault> {
        // Held for the whole commit: commits are serialized. Readers use `newest`, not this lock.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a failure below leaves no writer and the next commit opens a new one.
        let open = match writer.open.take() {
            Some(open) => open,
            None => open_writer(&self.index)?,
        };
        // The maximum, because a removal has no position of its own and passes 0.
        let stamp =
            CommitStamp { commits: writer.stamp.commits + 1, position: writer.stamp.position.max(position) };
        match self.write_and_commit(open, documents, removed, stamp) {
            Ok(open) => {
                writer.open = Some(open);
                writer.stamp = stamp;
            }
            // The writer is dropped, and with it every operation that was not committed.
            Err(error) => return Err(index_fault(error)),
        }
        // Readers see a commit only now that it is durable.
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
            }
            // Only between documents: one batch goes into one segment, and passage_evidence relies on the chunks
            // of a document standing side by side.
            if operations.len() >= WRITER_OPERATIONS {
                open.run(std::mem::replace(&mut operations, Vec::with_capacity(WRITER_OPERATIONS)))?;
            }
        }
        open.run(operations)?;
        // Not a plain `commit`, which would erase the payload.
        let mut prepared = open.prepare_commit()?;
        prepared.set_payload(&serde_json::to_string(&stamp)?);
        prepared.commit()?;
        // Makes the rename of `meta.json` durable: Tantivy syncs the directory only before it.
        self.index.directory().sync_directory()?;
        Ok(open)
    }
}

fn check_schema(index: &Index, directory: &Path) -> Result<(), Fault> {
    if index.schema() == fields::build_schema() {
        return Ok(());
    }
    let what = if fields::is_older_schema(&index.schema()) {
        "is of an older program; 'contexture repair' builds it anew from the ledger"
    } else {
        "was built with another schema"
    };
    Err(Fault::permanent("index_schema_differs", format!("the index in {} {what}", directory.display())))
}

/// Empties the directory of an index. `meta.json` goes first: without it there is no index, whatever is left.
fn start_anew(directory: &Path) -> std::io::Result<()> {
    std::fs::remove_file(directory.join("meta.json"))?;
    std::fs::remove_dir_all(directory)?;
    std::fs::create_dir_all(directory)
}

fn read_commit_stamp(index: &Index) -> Result<CommitStamp, Fault> {
    // An index without a commit has no payload and starts at 0.
    let payload = index.load_metas().map_err(index_fault)?.payload;
    Ok(payload.and_then(|payload| serde_json::from_str(&payload).ok()).unwrap_or_default())
}

/// Opens a writer that continues after the last commit. It works around two gaps in Tantivy:
///
/// * The first operation of a new writer gets the opstamp of the last commit again. When segments
///   that this commit deleted from are merged, deletes up to this opstamp count as applied in them:
///   the first delete would be lost there, and the old version of a document stay visible. An empty
///   batch uses this opstamp up.
/// * Files that an interrupted commit left behind block the next commit with the same opstamp. They
///   are removed.
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

fn index_fault(error: tantivy::TantivyError) -> Fault {
    Fault::transient_error("lexical index", error)
}
