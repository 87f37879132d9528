//! The query path: retrieve, fuse, rerank, assemble, render.
//!
//! One snapshot of the lexical index is pinned for the whole answer. A chunk that is not in the
//! snapshot, or that the caller may not read, is never in the answer. If the dense leg is late or
//! fails, the answer is lexical; if the reranker is late or fails, the fused order stays. The answer
//! lists both as degradations. The rendered text never exceeds the budget. A context either has
//! sections with their own questions, all read from one snapshot, or continues an earlier context.

pub mod answer;
pub mod assemble;
pub mod continuation;
pub mod fuse;
mod pack;
pub mod render;
pub mod request;
pub mod rerank;
pub mod retrieve;
mod tokenizers;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use crate::domain::chunk::Chunk;
use crate::domain::ids::CollectionKey;
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::catalog::{CollectionCatalog, OpenCollection};
use crate::ports::lexical::{LexicalSnapshot, QuestionTerms};

use answer::{CandidateTrace, ContextAnswer, QueryTimings, RankedChunk, SearchAnswer};
use assemble::{ContextCandidate, RERANKED_TERM_SHARE, TERM_SHARE};
use render::TemplateRegistry;
use request::{AssemblyRequest, ContextQuery, ContextSection};
use rerank::BoundedReranker;
use retrieve::RetrievedHits;
pub use tokenizers::{ModelEncoding, TokenizerFactory, TokenizerRegistry};

/// Answers queries from the open collections.
pub struct ContextEngine {
    catalog: Arc<dyn CollectionCatalog>,
    tokenizers: TokenizerRegistry,
    weights: fuse::FusionWeights,
    templates: TemplateRegistry,
    reranking: Option<BoundedReranker>,
}

impl ContextEngine {
    /// Creates an engine without a reranker and without templates.
    pub fn new(
        catalog: Arc<dyn CollectionCatalog>,
        tokenizers: TokenizerRegistry,
        weights: fuse::FusionWeights,
    ) -> Self {
        Self { catalog, tokenizers, weights, templates: TemplateRegistry::default(), reranking: None }
    }

    /// Sets the reranker, if there is one.
    #[must_use]
    pub fn with_reranking(self, reranking: Option<BoundedReranker>) -> Self {
        Self { reranking, ..self }
    }

    /// Sets the templates that a request can name.
    #[must_use]
    pub fn with_templates(self, templates: TemplateRegistry) -> Self {
        Self { templates, ..self }
    }

    /// Returns an engine that reads one open generation, whether it serves or not.
    #[must_use]
    pub fn on(&self, open: Arc<OpenCollection>) -> Self {
        Self {
            catalog: Arc::new(PinnedCatalog(open)),
            tokenizers: self.tokenizers.clone(),
            weights: self.weights,
            templates: self.templates.clone(),
            reranking: self.reranking.clone(),
        }
    }

    /// Assembles one block of context within the budget, with citations.
    pub async fn assemble(
        &self,
        query: ContextQuery,
        assembly: AssemblyRequest,
    ) -> Result<ContextAnswer, Refusal> {
        let tokenizer = self.tokenizers.get(&assembly.tokenizer)?;
        let reserved = assembly.reserved(&query.question, &*tokenizer)?;
        let style = match &assembly.template {
            Some(name) => self.templates.style(name)?,
            None => assembly.style.clone(),
        };
        let packing = AssemblyRequest {
            style,
            tokenizer: tokenizer.name().to_owned(),
            budget: assembly.budget - reserved,
            ..assembly.clone()
        };
        let (ranked, timings) = self.ranked(&query).await?;
        let began = Instant::now();
        let RankedShortlists { lists, source, degraded } = ranked;
        // Assembly computes and reads memory-mapped files: off the async threads. The deadline covers
        // retrieval and reranking only.
        let (tokenizer_name, snapshot) = (packing.tokenizer.clone(), source.id());
        let run = move || pack::pack_sections(lists, &source, &query, &packing, &*tokenizer);
        let packed =
            tokio::task::spawn_blocking(run).await.map_err(|_| internal_refusal("assembly panicked"))?;
        let pack::PackedContext { assembled, prefix, continuation } = packed?;
        Ok(ContextAnswer {
            context: assembled.context,
            tokens: assembled.tokens,
            budget: assembly.budget,
            tokenizer: tokenizer_name,
            snapshot,
            degraded,
            reserved,
            passages: assembled.passages,
            prefix,
            continuation,
            bound: assembled.bound,
            trace: if assembly.explain { assembled.trace } else { Vec::new() },
            timings: QueryTimings { assemble: began.elapsed(), ..timings },
        })
    }

    /// Ranks chunks without assembling a context.
    pub async fn search(&self, query: ContextQuery) -> Result<SearchAnswer, Refusal> {
        let (ranked, timings) = self.ranked(&query).await?;
        let candidates = ranked.lists.iter().flat_map(|list| &list.candidates);
        let results = candidates.take(query.top_k).map(ranked_chunk).collect();
        Ok(SearchAnswer { results, snapshot: ranked.source.id(), degraded: ranked.degraded, timings })
    }

    /// Returns the candidates that assembly would choose from, best first.
    pub async fn candidates(&self, query: ContextQuery) -> Result<Vec<ContextCandidate>, Refusal> {
        let (ranked, _) = self.ranked(&query).await?;
        Ok(ranked.lists.into_iter().flat_map(|list| list.candidates).collect())
    }

    async fn ranked(&self, query: &ContextQuery) -> Result<(RankedShortlists, QueryTimings), Refusal> {
        let deadline = Instant::now() + query.deadline;
        timeout_at(deadline, self.rank_until(query, deadline)).await.map_err(|_| {
            Refusal::new(
                RefusalKind::Deadline,
                "deadline_exceeded",
                "deadline",
                "the deadline passed before an answer",
            )
        })?
    }

    /// Ranks one list for the question, or one for each section, all from one snapshot.
    async fn rank_until(
        &self,
        query: &ContextQuery,
        deadline: Instant,
    ) -> Result<(RankedShortlists, QueryTimings), Refusal> {
        let began = Instant::now();
        let reranking = self.reranking_for(query)?;
        let open = self.open(query).await?;
        let source = retrieve::await_snapshot(&open, query, deadline).await?;
        let mut timings = QueryTimings { retrieve: began.elapsed(), ..QueryTimings::default() };
        let incomplete = open.is_incomplete().then_some(answer::AnswerDegradation::Index);
        let mut ranked = RankedShortlists {
            lists: Vec::new(),
            source: source.clone(),
            degraded: incomplete.into_iter().collect(),
        };
        for (section, asked) in query.by_section() {
            let began = Instant::now();
            let retrieved = retrieve::retrieve_hits(&open, source.clone(), &asked, deadline).await?;
            let retrieve = began.elapsed();
            let fused = fuse::fuse_hits(&retrieved.lexical, &retrieved.dense, asked.fusion, self.weights);
            let fused =
                if asked.support { fuse::add_neighbour_support(&fused, &retrieved.chunks) } else { fused };
            let fuse = began.elapsed().saturating_sub(retrieve);
            ranked.degraded.extend_from_slice(&retrieved.degraded);
            let mut list = build_shortlist(retrieved, &fused, section);
            if let Some(reranking) = reranking {
                let without =
                    rerank::rerank_candidates(reranking, &asked, &mut list.candidates, deadline).await;
                // A reranker has read the terms itself; they count less beside its scores.
                list.term_share = if without.is_none() { RERANKED_TERM_SHARE } else { TERM_SHARE };
                ranked.degraded.extend(without);
            }
            ranked.lists.push(list);
            timings.retrieve += retrieve;
            timings.fuse += fuse;
            timings.rerank += began.elapsed().saturating_sub(retrieve + fuse);
        }
        // Several sections may degrade the same way; the answer says each once.
        ranked.degraded.sort_unstable();
        ranked.degraded.dedup();
        Ok((ranked, timings))
    }

    /// Returns the reranker unless the caller declined it. Refuses if it is required but not configured.
    fn reranking_for(&self, query: &ContextQuery) -> Result<Option<&BoundedReranker>, Refusal> {
        match (query.rerank, &self.reranking) {
            (Some(false), _) | (None, None) => Ok(None),
            (_, Some(reranking)) => Ok(Some(reranking)),
            (Some(true), None) => Err(Refusal::invalid(
                "no_reranker",
                "rerank",
                "no reranker is configured here; leave rerank out, or set rerank.url",
            )),
        }
    }

    async fn open(&self, query: &ContextQuery) -> Result<Arc<OpenCollection>, Refusal> {
        self.catalog.open(&query.collection).await?.ok_or_else(|| {
            let message = format!("there is no collection '{}'", query.collection.collection);
            Refusal::new(RefusalKind::NotFound, "unknown_collection", "collection", message)
        })
    }
}

/// The ranked lists of one query and the snapshot they were read from.
struct RankedShortlists {
    lists: Vec<SectionShortlist>,
    source: Arc<dyn LexicalSnapshot>,
    degraded: Vec<answer::AnswerDegradation>,
}

/// The candidates of one section in rank order.
struct SectionShortlist {
    section: ContextSection,
    candidates: Vec<ContextCandidate>,
    terms: Option<Arc<dyn QuestionTerms>>,
    term_share: f64,
    dropped: Vec<CandidateTrace>,
}

/// A catalog of one open generation, whichever generation serves.
struct PinnedCatalog(Arc<OpenCollection>);

#[async_trait]
impl CollectionCatalog for PinnedCatalog {
    async fn open(&self, key: &CollectionKey) -> Result<Option<Arc<OpenCollection>>, Fault> {
        Ok((self.0.record.key == *key).then(|| self.0.clone()))
    }

    async fn opened(&self) -> Vec<Arc<OpenCollection>> {
        vec![self.0.clone()]
    }
}

fn build_shortlist(
    mut retrieved: RetrievedHits,
    fused: &[fuse::FusedHit],
    section: ContextSection,
) -> SectionShortlist {
    let candidates = fused
        .iter()
        .filter_map(|hit| {
            Some(ContextCandidate { chunk: retrieved.chunks.remove(&hit.id)?, score: hit.score })
        })
        .collect();
    let RetrievedHits { terms, dropped, .. } = retrieved;
    SectionShortlist { section, candidates, terms, term_share: TERM_SHARE, dropped }
}

fn ranked_chunk(candidate: &ContextCandidate) -> RankedChunk {
    let chunk: &Chunk = &candidate.chunk;
    RankedChunk {
        chunk_id: chunk.id,
        document_id: chunk.document_id.clone(),
        version: chunk.version,
        span: chunk.span,
        heading: assemble::chunk_heading(chunk),
        score: candidate.score,
        text: chunk.text.clone(),
    }
}

fn internal_refusal(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Internal, "internal", "", message)
}
