//! Several collections that tests put documents into and ask together, on Tantivy in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_adapters::tantivy::TantivyIndex;
use contexture_core::context::answer::{ContextAnswer, SearchAnswer};
use contexture_core::context::fuse::RELATIVE_WEIGHTS;
use contexture_core::context::request::{
    AssemblyRequest, ContextQuery, RawCollectionWeight, RawContextQuery,
};
use contexture_core::context::rerank::BoundedReranker;
use contexture_core::context::{ContextEngine, TokenizerRegistry};
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::ids::CollectionKey;
use contexture_core::domain::pipeline::ChunkerKind;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::catalog::{
    CollectionCatalog, CollectionParts, EmbedderChunkSizes, OpenCollection,
};
use contexture_core::ports::embedder::{Embedder, EmbedderInfo, EmbeddingPurpose};
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::lexical::{AnalyzerSettings, DocumentWrite, LexicalIndex};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_core::ports::vectors::VectorStore;
use contexture_tokenizers::bpe::BpeTokenizer;

use super::clock::ManualClock;
use super::tokenizers::RunTokenizer;
use super::{IndexedTestDocument, TENANT, collection, epoch, indexed, principal, staged_point};

/// A hash embedder that counts the questions it embeds.
pub(crate) struct CountingEmbedder {
    inner: HashEmbedder,
    pub(crate) questions: AtomicUsize,
}

impl CountingEmbedder {
    pub(crate) fn new(dims: usize) -> Arc<Self> {
        let inner = HashEmbedder::new(Arc::new(RunTokenizer), dims, 512).unwrap();
        Arc::new(Self { inner, questions: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Embedder for CountingEmbedder {
    fn info(&self) -> &EmbedderInfo {
        self.inner.info()
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        self.inner.tokenizer()
    }

    async fn embed(&self, texts: &[String], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault> {
        if purpose == EmbeddingPurpose::Query {
            self.questions.fetch_add(texts.len(), Ordering::SeqCst);
        }
        self.inner.embed(texts, purpose).await
    }
}

/// The open collections by key.
struct ListedCatalog(Vec<Arc<OpenCollection>>);

#[async_trait]
impl CollectionCatalog for ListedCatalog {
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        Ok(self.0.iter().find(|open| open.record.key == *key).cloned())
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        self.0.clone()
    }
}

/// Collections and an engine over them.
pub(crate) struct IndexedLibrary {
    open: Vec<Arc<OpenCollection>>,
    engine: ContextEngine,
}

impl IndexedLibrary {
    /// Collections of these names, each with its model.
    pub(crate) async fn new(collections: &[(&str, &Arc<CountingEmbedder>)]) -> Self {
        let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true };
        let ledger = MemoryLedger::new(Arc::new(ManualClock::new()));
        let mut open = Vec::new();
        for (name, embedder) in collections {
            let record = ledger.ensure_collection(&collection(TENANT, name), "", epoch("one")).await.unwrap();
            let embedder: Arc<dyn Embedder> = Arc::clone(*embedder) as Arc<dyn Embedder>;
            let parts = CollectionParts {
                record,
                sizes: EmbedderChunkSizes {
                    chunker: ChunkerKind::Structure,
                    tokens_max: 64,
                    tokens_target: 48,
                    tokens_reserved: 0,
                },
                vectors: Arc::new(MemoryVectors::new(embedder.info().dims)),
                embedder,
                lexical: Some(Arc::new(TantivyIndex::in_ram(&analysis).unwrap())),
            };
            open.push(Arc::new(OpenCollection::new(parts, true)));
        }
        let mut tokenizers = TokenizerRegistry::default();
        tokenizers.add("cl100k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k())))).unwrap();
        let catalog = Arc::new(ListedCatalog(open.clone()));
        Self { open, engine: ContextEngine::new(catalog, tokenizers, RELATIVE_WEIGHTS) }
    }

    /// The same library with a reranker.
    pub(crate) fn with_reranking(self, reranking: BoundedReranker) -> Self {
        Self { engine: self.engine.with_reranking(Some(reranking)), ..self }
    }

    fn collection(&self, name: &str) -> &Arc<OpenCollection> {
        self.open.iter().find(|open| open.record.key.collection.as_str() == name).unwrap()
    }

    /// Puts a version of a document with its vectors, a chunk for each text. Documents of the same id, version
    /// and texts have the same chunk ids in all collections.
    pub(crate) async fn put(
        &self,
        name: &str,
        id: &str,
        version: u64,
        described: &DocumentDescription,
        texts: &[&str],
    ) {
        let open = self.collection(name);
        let IndexedTestDocument { head, chunks } = indexed(id, version, described, texts);
        let embedded: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let vectors = open.embedder.embed(&embedded, EmbeddingPurpose::Passage).await.unwrap();
        let points = chunks.iter().zip(vectors).map(|(chunk, vector)| staged_point(chunk, vector));
        open.vectors.upsert(points.collect()).await.unwrap();
        open.lexical().unwrap().commit(vec![DocumentWrite { head, chunks }], 1).await.unwrap();
    }

    pub(crate) async fn ask(&self, raw: &RawContextQuery) -> Result<ContextAnswer, Refusal> {
        self.ask_as(principal(TENANT), raw).await
    }

    pub(crate) async fn ask_as(
        &self,
        caller: Principal,
        raw: &RawContextQuery,
    ) -> Result<ContextAnswer, Refusal> {
        let assembly = AssemblyRequest::new(raw)?;
        self.engine.assemble(ContextQuery::new(caller, raw)?, assembly).await
    }

    pub(crate) async fn search(&self, raw: &RawContextQuery) -> Result<SearchAnswer, Refusal> {
        self.engine.search(ContextQuery::new(principal(TENANT), raw)?).await
    }
}

/// Collections as a request lists them.
pub(crate) fn listed(collections: &[(&str, f64)]) -> Vec<RawCollectionWeight> {
    let one = |(name, weight): &(&str, f64)| RawCollectionWeight {
        name: (*name).to_owned(),
        weight: Some(*weight),
    };
    collections.iter().map(one).collect()
}
