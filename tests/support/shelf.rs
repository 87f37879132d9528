//! A collection that tests put documents into and ask, on Tantivy in memory.

use std::sync::Arc;

use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_adapters::tantivy::TantivyIndex;
use contexture_core::context::answer::{ContextAnswer, SearchAnswer};
use contexture_core::context::fuse::RELATIVE_WEIGHTS;
use contexture_core::context::request::{AssemblyRequest, ContextQuery, RawContextQuery};
use contexture_core::context::{ContextEngine, TokenizerRegistry};
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::pipeline::ChunkerKind;
use contexture_core::fault::Refusal;
use contexture_core::ports::catalog::{CollectionParts, EmbedderChunkSizes, OpenCollection};
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex};
use contexture_tokenizers::bpe::BpeTokenizer;

use super::clock::ManualClock;
use super::one::SingleCollectionCatalog;
use super::tokenizers::RunTokenizer;
use super::{IndexedTestDocument, TENANT, collection, epoch, indexed, principal};

const DIMS: usize = 8;

/// Documents and an engine over them.
pub(crate) struct IndexedShelf {
    index: Arc<TantivyIndex>,
    engine: ContextEngine,
}

impl IndexedShelf {
    pub(crate) async fn new() -> Self {
        let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true };
        let index = Arc::new(TantivyIndex::in_ram(&analysis).unwrap());
        let ledger = MemoryLedger::new(Arc::new(ManualClock::new()));
        let record = ledger.ensure_collection(&collection(TENANT, "shelf"), "", epoch("one")).await.unwrap();
        let parts = CollectionParts {
            record,
            sizes: EmbedderChunkSizes {
                chunker: ChunkerKind::Structure,
                tokens_max: 64,
                tokens_target: 48,
                tokens_reserved: 0,
            },
            embedder: Arc::new(HashEmbedder::new(Arc::new(RunTokenizer), DIMS, 512).unwrap()),
            vectors: Arc::new(MemoryVectors::new(DIMS)),
            lexical: Some(index.clone()),
        };
        let catalog = Arc::new(SingleCollectionCatalog(Arc::new(OpenCollection::new(parts, true))));
        let mut tokenizers = TokenizerRegistry::default();
        tokenizers.add("cl100k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k())))).unwrap();
        Self { index, engine: ContextEngine::new(catalog, tokenizers, RELATIVE_WEIGHTS) }
    }

    /// Puts a version of a document, a chunk for each text.
    pub(crate) async fn put(&self, id: &str, version: u64, described: &DocumentDescription, texts: &[&str]) {
        let IndexedTestDocument { head, chunks } = indexed(id, version, described, texts);
        self.index.commit(vec![DocumentWrite { head, chunks }], 1).await.unwrap();
    }

    /// Leaves a tombstone.
    pub(crate) async fn delete(&self, id: &str, version: u64) {
        let IndexedTestDocument { mut head, .. } = indexed(id, version, &DocumentDescription::default(), &[]);
        head.deleted = true;
        self.index.commit(vec![DocumentWrite { head, chunks: Vec::new() }], 1).await.unwrap();
    }

    pub(crate) async fn ask(&self, raw: &RawContextQuery) -> Result<ContextAnswer, Refusal> {
        let raw = RawContextQuery { collection: "shelf".to_owned(), ..raw.clone() };
        let assembly = AssemblyRequest::new(&raw)?;
        self.engine.assemble(ContextQuery::new(principal(TENANT), &raw)?, assembly).await
    }

    /// Ranks chunks, with or without what they gain from their neighbours.
    pub(crate) async fn rank(&self, raw: &RawContextQuery, support: bool) -> Result<SearchAnswer, Refusal> {
        let raw = RawContextQuery { collection: "shelf".to_owned(), ..raw.clone() };
        let query = ContextQuery::new(principal(TENANT), &raw)?;
        self.engine.search(ContextQuery { support, ..query }).await
    }
}
