//! A lexical index that reads everything on every question: short enough to be right, it shows
//! that the suite of the port can be met, and what another implementation would have to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::support::terms::WordTerms;
use async_trait::async_trait;
use contexture_core::domain::chunk::Chunk;
use contexture_core::domain::document::DocumentHead;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::ids::{ChunkId, DocumentId};
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::{
    DocumentWrite, IndexCounts, IndexedDocument, LexicalHit, LexicalIndex, LexicalSnapshot, QuestionTerms,
};

#[derive(Default)]
pub(crate) struct ScanIndex(Mutex<Arc<ScanSnapshot>>);

#[derive(Default, Clone)]
struct ScanSnapshot {
    commits: u64,
    position: u64,
    documents: BTreeMap<DocumentId, (DocumentHead, Vec<Arc<Chunk>>)>,
}

#[async_trait]
impl LexicalIndex for ScanIndex {
    async fn commit(&self, writes: Vec<DocumentWrite>, position: u64) -> Result<(), Fault> {
        let mut newest = self.0.lock().unwrap();
        let mut next = ScanSnapshot::clone(&newest);
        next.commits += 1;
        next.position = next.position.max(position);
        for DocumentWrite { head, chunks } in writes {
            let chunks = chunks.into_iter().map(Arc::new).collect();
            next.documents.insert(head.document_id.clone(), (head, chunks));
        }
        *newest = Arc::new(next);
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn LexicalSnapshot> {
        self.0.lock().unwrap().clone()
    }

    async fn remove(&self, documents: Vec<DocumentId>) -> Result<(), Fault> {
        let mut newest = self.0.lock().unwrap();
        let mut next = ScanSnapshot::clone(&newest);
        next.commits += 1;
        next.documents.retain(|id, _| !documents.contains(id));
        *newest = Arc::new(next);
        Ok(())
    }
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

impl ScanSnapshot {
    fn all_chunks(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.documents.values().flat_map(|(_, chunks)| chunks)
    }
}

impl LexicalSnapshot for ScanSnapshot {
    fn id(&self) -> u64 {
        self.commits
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn search(
        &self,
        question: &str,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<LexicalHit>, Fault> {
        let asked = words(question);
        let mut hits: Vec<_> = self
            .all_chunks()
            .filter(|chunk| chunk.description.acl.terms().iter().any(|term| readers.contains(term)))
            .filter(|chunk| filter.is_none_or(|filter| filter.matches(&FilterSubject::of_chunk(chunk))))
            .map(|chunk| (words(&chunk.text).intersection(&asked).count(), chunk))
            .filter(|(shared, _)| *shared > 0)
            .map(|(shared, chunk)| LexicalHit {
                id: chunk.id,
                score: f32::from(u16::try_from(shared).unwrap()),
            })
            .collect();
        hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
        hits.truncate(top_k);
        Ok(hits)
    }

    fn has_metadata_key(&self, key: &str, readers: &[String]) -> Result<bool, Fault> {
        let sees = |chunk: &&Arc<Chunk>| {
            let description = &chunk.description;
            description.acl.terms().iter().any(|term| readers.contains(term))
                && description.metadata.get(key).is_some()
        };
        Ok(self.all_chunks().any(|chunk| sees(&chunk)))
    }

    fn question_terms(&self, question: &str) -> Result<Option<Arc<dyn QuestionTerms>>, Fault> {
        Ok(Some(Arc::new(WordTerms::of(question))))
    }

    fn chunks(&self, ids: &[ChunkId]) -> Result<Vec<Option<Arc<Chunk>>>, Fault> {
        Ok(ids.iter().map(|id| self.all_chunks().find(|chunk| chunk.id == *id).cloned()).collect())
    }

    fn chunk_range(&self, document_id: &DocumentId, first: u32, last: u32) -> Result<Vec<Arc<Chunk>>, Fault> {
        let chunks = self.documents.get(document_id).into_iter().flat_map(|(_, chunks)| chunks);
        Ok(chunks.filter(|chunk| (first..=last).contains(&chunk.ordinal)).cloned().collect())
    }

    fn head(&self, document_id: &DocumentId) -> Result<Option<DocumentHead>, Fault> {
        Ok(self.documents.get(document_id).map(|(head, _)| head.clone()))
    }

    fn holding(&self, document_id: &DocumentId) -> Result<IndexedDocument, Fault> {
        let held = self.documents.get(document_id);
        Ok(held.map_or_else(IndexedDocument::default, |(head, chunks)| IndexedDocument {
            head: Some(head.clone()),
            chunks: chunks.iter().map(|chunk| chunk.id).collect(),
        }))
    }

    fn held(&self, after: Option<&DocumentId>, limit: usize) -> Result<Vec<DocumentId>, Fault> {
        let ids = self.documents.keys().filter(|id| after.is_none_or(|after| *id > after));
        Ok(ids.take(limit).cloned().collect())
    }

    fn holds(&self, ids: &[ChunkId]) -> Result<Vec<bool>, Fault> {
        Ok(self.chunks(ids)?.iter().map(Option::is_some).collect())
    }

    fn counts(&self) -> Result<IndexCounts, Fault> {
        let tombstones = self.documents.values().filter(|(head, _)| head.deleted).count() as u64;
        Ok(IndexCounts {
            documents: self.documents.len() as u64 - tombstones,
            tombstones,
            chunks: self.all_chunks().count() as u64,
        })
    }
}
