//! A read-only view of an index that another process writes.
//!
//! It takes no lock and writes nothing. Each [`LexicalIndex::snapshot`] shows the newest commit. If
//! the files cannot be read at that moment, it shows the last snapshot again.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use tantivy::{Index, IndexReader, ReloadPolicy};

use super::fields::IndexSchemaFields;
use super::snapshot::TantivySnapshot;
use super::{analyzer, check_schema, index_fault, read_commit_stamp};
use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex, LexicalSnapshot};

/// The index of one generation, read-only.
pub struct TantivyReader {
    index: Index,
    fields: IndexSchemaFields,
    reader: IndexReader,
    newest: RwLock<Arc<TantivySnapshot>>,
}

impl TantivyReader {
    /// Whether there is an index in a directory, with at least one commit.
    pub fn has_commits(directory: &Path) -> Result<bool, Fault> {
        if !directory.join("meta.json").exists() {
            return Ok(false);
        }
        let index = Index::open_in_dir(directory).map_err(index_fault)?;
        Ok(read_commit_stamp(&index)?.commits > 0)
    }

    /// Opens an index with at least one commit.
    pub fn open(directory: &Path, analysis: &AnalyzerSettings) -> Result<Self, Fault> {
        let index = Index::open_in_dir(directory).map_err(index_fault)?;
        check_schema(&index, directory)?;
        let stamp = read_commit_stamp(&index)?;
        if stamp.commits == 0 {
            return Err(Fault::transient("lexical index: nothing was committed yet"));
        }
        analyzer::register_analyzer(&index, analysis)?;
        let fields = IndexSchemaFields::resolve(&index.schema()).map_err(index_fault)?;
        let reader: IndexReader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(index_fault)?;
        let newest = TantivySnapshot::new(&index, fields, reader.searcher(), stamp)?;
        Ok(Self { index, fields, reader, newest: RwLock::new(Arc::new(newest)) })
    }

    /// Loads the newest commit.
    fn reload(&self) -> Result<Arc<TantivySnapshot>, Fault> {
        // The stamp first: a commit in between makes it too old, never newer than the files.
        let stamp = read_commit_stamp(&self.index)?;
        self.reader.reload().map_err(index_fault)?;
        TantivySnapshot::new(&self.index, self.fields, self.reader.searcher(), stamp).map(Arc::new)
    }
}

#[async_trait]
impl LexicalIndex for TantivyReader {
    async fn commit(&self, _writes: Vec<DocumentWrite>, _position: u64) -> Result<(), Fault> {
        Err(read_only_fault())
    }

    async fn remove(&self, _documents: Vec<DocumentId>) -> Result<(), Fault> {
        Err(read_only_fault())
    }

    fn snapshot(&self) -> Arc<dyn LexicalSnapshot> {
        // The writer may be replacing files at this moment; the next call sees its commit.
        match self.reload() {
            Ok(newest) => {
                *self.newest.write().unwrap_or_else(PoisonError::into_inner) = newest.clone();
                newest
            }
            Err(fault) => {
                tracing::warn!(%fault, "the index could not be reloaded; showing the last snapshot");
                self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
            }
        }
    }
}

fn read_only_fault() -> Fault {
    Fault::permanent("index_read_only", "this process reads the index that another one writes")
}
