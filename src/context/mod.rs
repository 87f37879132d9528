//! A query's way: retrieve, fuse, support, rerank, assemble, render.
//!
//! One snapshot of the lexical index is pinned for the whole answer; whatever is not in it, or
//! not the caller's to read, is not in the answer. A dense leg that is late or fails leaves a
//! lexical answer, a reranker that is late or fails leaves the fused order, and the answer says
//! so. The rendered text never exceeds the budget.

pub mod answer;
pub mod assemble;
pub mod baselines;
pub mod fuse;
pub mod render;
pub mod request;
pub mod rerank;
pub mod retrieve;
pub mod support;
mod tokenizers;

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::domain::chunk::Chunk;
use crate::fault::{Refusal, RefusalKind};
use crate::ports::catalog::{Catalog, OpenCollection};
use crate::ports::lexical::QuestionTerms;

use answer::{Answer, Ranked, Ranking, Timings};
use assemble::{AssemblyInput, Candidate, RERANKED_TERM_SHARE, TERM_SHARE};
use request::{Assembly, Query};
use rerank::Reranking;
use retrieve::Retrieved;
pub use tokenizers::{MakeTokenizer, Tokenizers};

/// Answers queries from the open collections.
pub struct ContextEngine {
    catalog: Arc<dyn Catalog>,
    tokenizers: Tokenizers,
    weights: fuse::Weights,
    reranking: Option<Reranking>,
}

impl ContextEngine {
    /// An engine over collections, counting with these tokenizers, fusing with these weights.
    pub fn new(catalog: Arc<dyn Catalog>, tokenizers: Tokenizers, weights: fuse::Weights) -> Self {
        Self { catalog, tokenizers, weights, reranking: None }
    }

    /// The same with a reranker, if there is one.
    #[must_use]
    pub fn with_reranking(self, reranking: Option<Reranking>) -> Self {
        Self { reranking, ..self }
    }

    /// One block of context within the budget, with citations.
    pub async fn assemble(&self, query: Query, assembly: Assembly) -> Result<Answer, Refusal> {
        let tokenizer = self.tokenizers.get(&assembly.tokenizer)?;
        let assembly = Assembly { tokenizer: tokenizer.name().to_owned(), ..assembly };
        let (ranked, timings) = self.ranked(&query).await?;
        let began = Instant::now();
        let Shortlist { candidates, terms, term_share, snapshot, degraded } = ranked;
        let input = AssemblyInput { candidates, terms, term_share, kept: Vec::new() };
        let (assembled, assembly) = tokio::task::spawn_blocking(move || {
            let assembled = assemble::assemble(&input, &assembly, &*tokenizer);
            (assembled, assembly)
        })
        .await
        .map_err(|_| internal("assembly panicked"))?;
        Ok(Answer {
            context: assembled.context,
            tokens: assembled.tokens,
            budget: assembly.budget,
            tokenizer: assembly.tokenizer,
            snapshot,
            degraded,
            passages: assembled.passages,
            bound: assembled.bound,
            trace: if assembly.explain { assembled.trace } else { Vec::new() },
            timings: Timings { assemble: began.elapsed(), ..timings },
        })
    }

    /// Ranked chunks, without assembly.
    pub async fn search(&self, query: Query) -> Result<Ranking, Refusal> {
        let (ranked, timings) = self.ranked(&query).await?;
        let results = ranked.candidates.iter().take(query.top_k).map(ranked_chunk).collect();
        Ok(Ranking { results, snapshot: ranked.snapshot, degraded: ranked.degraded, timings })
    }

    /// What assembly chooses from, best first.
    pub async fn candidates(&self, query: Query) -> Result<Vec<Candidate>, Refusal> {
        Ok(self.ranked(&query).await?.0.candidates)
    }

    async fn ranked(&self, query: &Query) -> Result<(Shortlist, Timings), Refusal> {
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

    async fn rank_until(&self, query: &Query, deadline: Instant) -> Result<(Shortlist, Timings), Refusal> {
        let began = Instant::now();
        let reranking = self.reranking_for(query)?;
        let open = self.open(query).await?;
        let snapshot = retrieve::awaited_snapshot(&open, query, deadline).await?;
        let retrieved = retrieve::run(&open, snapshot, query, deadline).await?;
        let retrieve = began.elapsed();
        let fused = fuse::fuse(&retrieved.lexical, &retrieved.dense, query.fusion, self.weights);
        let fused = support::support(&fused, &retrieved.chunks);
        let fuse = began.elapsed().saturating_sub(retrieve);
        let mut ranked = shortlist(retrieved, &fused);
        if let Some(reranking) = reranking {
            let without = rerank::run(reranking, query, &mut ranked.candidates, deadline).await;
            ranked.term_share = if without.is_none() { RERANKED_TERM_SHARE } else { TERM_SHARE };
            ranked.degraded.extend(without);
        }
        let rerank = began.elapsed().saturating_sub(retrieve + fuse);
        Ok((ranked, Timings { retrieve, fuse, rerank, ..Timings::default() }))
    }

    /// The reranker, unless the caller goes without; asked for and absent, it is refused.
    fn reranking_for(&self, query: &Query) -> Result<Option<&Reranking>, Refusal> {
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

    async fn open(&self, query: &Query) -> Result<Arc<OpenCollection>, Refusal> {
        self.catalog.open(&query.collection).await?.ok_or_else(|| {
            let message = format!("there is no collection '{}'", query.collection.collection);
            Refusal::new(RefusalKind::NotFound, "unknown_collection", "collection", message)
        })
    }
}

/// Candidates in rank order, and what they were read from.
struct Shortlist {
    candidates: Vec<Candidate>,
    terms: Option<Arc<dyn QuestionTerms>>,
    term_share: f64,
    snapshot: u64,
    degraded: Vec<answer::Degraded>,
}

fn shortlist(mut retrieved: Retrieved, fused: &[fuse::Fused]) -> Shortlist {
    let candidates = fused
        .iter()
        .filter_map(|hit| Some(Candidate { chunk: retrieved.chunks.remove(&hit.id)?, score: hit.score }))
        .collect();
    let Retrieved { terms, snapshot, degraded, .. } = retrieved;
    Shortlist { candidates, terms, term_share: TERM_SHARE, snapshot, degraded }
}

fn ranked_chunk(candidate: &Candidate) -> Ranked {
    let chunk: &Chunk = &candidate.chunk;
    Ranked {
        chunk_id: chunk.id,
        document_id: chunk.document_id.clone(),
        version: chunk.version,
        span: chunk.span,
        heading: assemble::heading(chunk),
        score: candidate.score,
        text: chunk.text.clone(),
    }
}

fn internal(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Internal, "internal", "", message)
}
