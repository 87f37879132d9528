//! The query path: retrieve, fuse, rerank, assemble, render.
//!
//! One snapshot of the lexical index is pinned for the whole answer. A chunk that is not in the
//! snapshot, or that the caller may not read, is never in the answer. If the dense leg is late or
//! fails, the answer is lexical; if the reranker is late or fails, the fused order stays. The answer
//! lists both as degradations. The rendered text never exceeds the budget. A context either has
//! sections with their own questions, all read from one snapshot, or continues an earlier context. A
//! question may ask several collections; then each has its snapshot, and `federate` merges their lists.

pub mod answer;
pub mod assemble;
pub mod continuation;
mod federate;
pub mod fuse;
mod pack;
mod ranking;
pub mod render;
pub mod request;
pub mod rerank;
pub mod retrieve;
mod tokenizers;
mod unknown_keys;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use tokio::time::{Instant, timeout_at};

use crate::domain::ids::{CollectionKey, DocumentId, Version};
use crate::domain::script::{is_mostly_of_other_scripts, is_spelled_out};
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::catalog::{CollectionCatalog, OpenCollection};
use crate::ports::lexical::QuestionTerms;

use answer::{CandidateTrace, ContextAnswer, QueryTimings, SearchAnswer};
use assemble::{ContextCandidate, RERANKED_TERM_SHARE, TERM_SHARE};
use federate::{PinnedCollection, RankedCollection};
use render::TemplateRegistry;
use request::{AssemblyRequest, ContextQuery, ContextSection};
use rerank::BoundedReranker;
use retrieve::{QuestionVector, RetrievedHits};
pub use tokenizers::{ModelEncoding, TokenizerFactory, TokenizerRegistry};

/// Chunks that each leg ranks: the first of these depths that is enough. What a deeper one adds stands below, so that the
/// order depends on nothing that is asked for.
const RANKED_DEPTHS: [usize; 3] = [request::TOP_K_DEFAULT, 300, request::TOP_K_MAX];

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
        let (mut ranked, timings) = self.ranked(&query).await?;
        let began = Instant::now();
        ranked.cut(query.top_k);
        let RankedShortlists { lists, pinned, degraded } = ranked;
        // Assembly computes and reads memory-mapped files: off the async threads. The deadline covers
        // retrieval and reranking only.
        let tokenizer_name = packing.tokenizer.clone();
        let (snapshot, snapshots) = federate::snapshot_numbers(&pinned);
        let only = query.only_listed().cloned();
        let run = move || pack::pack_sections(lists, &pinned, &query, &packing, &*tokenizer);
        let packed =
            tokio::task::spawn_blocking(run).await.map_err(|_| internal_refusal("assembly panicked"))?;
        let pack::PackedContext { mut assembled, prefix, continuation } = packed?;
        if let Some(collection) = only {
            federate::name_passages(&mut assembled.passages, &collection);
            federate::name_traces(&mut assembled.trace, &collection);
        }
        Ok(ContextAnswer {
            context: assembled.context,
            tokens: assembled.tokens,
            budget: assembly.budget,
            tokenizer: tokenizer_name,
            snapshot,
            snapshots,
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
        let mut results = ranking::ranked_chunks(candidates, query.top_k);
        if let Some(collection) = query.only_listed() {
            for result in &mut results {
                result.collection = Some(collection.clone());
            }
        }
        let (snapshot, snapshots) = federate::snapshot_numbers(&ranked.pinned);
        Ok(SearchAnswer { results, snapshot, snapshots, degraded: ranked.degraded, timings })
    }

    /// Returns the candidates that assembly would choose from, best first.
    pub async fn candidates(&self, query: ContextQuery) -> Result<Vec<ContextCandidate>, Refusal> {
        let (mut ranked, _) = self.ranked(&query).await?;
        ranked.cut(query.top_k);
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

    /// Ranks one list for the question, or one for each section, all from the same snapshots.
    async fn rank_until(
        &self,
        query: &ContextQuery,
        deadline: Instant,
    ) -> Result<(RankedShortlists, QueryTimings), Refusal> {
        let began = Instant::now();
        let reranking = self.reranking_for(query)?;
        let pinned = self.pin_collections(query, deadline).await?;
        let mut timings = QueryTimings { retrieve: began.elapsed(), ..QueryTimings::default() };
        let incomplete = pinned.iter().any(|one| one.open.is_incomplete());
        let incomplete = incomplete.then_some(answer::AnswerDegradation::Index);
        let mut ranked =
            RankedShortlists { lists: Vec::new(), pinned, degraded: incomplete.into_iter().collect() };
        for (section, asked) in query.by_section() {
            let began = Instant::now();
            let found = self.rank_collections(&ranked.pinned, &asked, deadline).await?;
            let retrieve = began.elapsed().saturating_sub(found.fuse);
            let fuse = found.fuse;
            ranked.degraded.extend_from_slice(&found.degraded);
            let first = found.first;
            let mut list = build_shortlist(found, section);
            if let Some(reranking) = reranking {
                // What a deeper ranking added stays below, so that the order does not depend on it.
                let candidates_max = reranking.candidates_max.min(first);
                let reranking = BoundedReranker { candidates_max, ..reranking.clone() };
                let without =
                    rerank::rerank_candidates(&reranking, &asked, &mut list.candidates, deadline).await;
                // A reranker has read the terms itself; they count less beside its scores.
                list.term_share = if without.is_none() { RERANKED_TERM_SHARE } else { TERM_SHARE };
                ranked.degraded.extend(without);
            }
            ranked.lists.push(list);
            timings.retrieve += retrieve;
            timings.fuse += fuse;
            timings.rerank += began.elapsed().saturating_sub(retrieve + fuse);
        }
        if ranked.lists.iter().all(|list| list.candidates.is_empty()) {
            unknown_keys::refuse_unknown_keys(query, &ranked.pinned)?;
        }
        // Several sections may degrade the same way; the answer says each once.
        ranked.degraded.sort_unstable();
        ranked.degraded.dedup();
        Ok((ranked, timings))
    }

    /// Opens the collections of a query and pins a snapshot of each.
    async fn pin_collections(
        &self,
        query: &ContextQuery,
        deadline: Instant,
    ) -> Result<Vec<PinnedCollection>, Refusal> {
        let listed = !query.collections.is_empty();
        let mut open = Vec::new();
        for (index, key) in query.searched().enumerate() {
            let field = if listed { format!("collections[{index}].name") } else { "collection".to_owned() };
            open.push(self.open(key, &field).await?);
        }
        let awaited: Vec<&[(DocumentId, Version)]> = match query.collections.as_slice() {
            [] | [_] => vec![query.min_versions.as_slice()],
            several => several.iter().map(|one| one.min_versions.as_slice()).collect(),
        };
        let waiting = open.iter().zip(awaited);
        let waiting: Vec<_> =
            waiting.map(|(open, versions)| retrieve::await_snapshot(open, versions, deadline)).collect();
        let snapshots = try_join_all(waiting).await?;
        let models = federate::number_models(&open);
        let sources = federate::candidate_sources(&query.collections);
        let pinned = open.into_iter().zip(snapshots).zip(models).zip(sources);
        Ok(pinned
            .map(|(((open, snapshot), model), source)| PinnedCollection { open, snapshot, source, model })
            .collect())
    }

    /// Ranks the chunks of each collection, and merges the lists.
    ///
    /// The order does not depend on how many chunks are asked for: questions are ranked at fixed depths
    /// ([`RANKED_DEPTHS`]), and who asks for more gets what a deeper ranking adds, below.
    async fn rank_collections(
        &self,
        pinned: &[PinnedCollection],
        asked: &ContextQuery,
        deadline: Instant,
    ) -> Result<RankedCollection, Refusal> {
        let vectors: Vec<QuestionVector> = pinned.iter().map(|_| QuestionVector::new()).collect();
        let rank = async |depth: usize| {
            let at_depth = ContextQuery { top_k: depth, ..asked.clone() };
            let ranking: Vec<_> = pinned
                .iter()
                .map(|one| self.rank_collection(one, &vectors[one.model], &at_depth, deadline))
                .collect();
            let lists = try_join_all(ranking).await?;
            Ok::<_, Refusal>(federate::merge_collections(lists, pinned, depth))
        };
        let [first, deeper @ ..] = RANKED_DEPTHS;
        let mut ranked = rank(first).await?;
        let mut depth = first;
        for deeper in deeper {
            if asked.top_k > depth {
                federate::append_below(&mut ranked, rank(deeper).await?);
                depth = deeper;
            }
        }
        Ok(ranked)
    }

    async fn rank_collection(
        &self,
        pinned: &PinnedCollection,
        vector: &QuestionVector,
        asked: &ContextQuery,
        deadline: Instant,
    ) -> Result<RankedCollection, Refusal> {
        let snapshot = pinned.snapshot.clone();
        let mut retrieved = retrieve::retrieve_hits(&pinned.open, snapshot, asked, vector, deadline).await?;
        let began = Instant::now();
        if asked.support {
            retrieved.dense = fuse::mix_window_cosines(&retrieved.dense, &retrieved.chunks);
        }
        let tokens = pinned.open.embedder.tokenizer().count(&asked.question);
        let is_unknown =
            is_mostly_of_other_scripts(&asked.question) && is_spelled_out(&asked.question, tokens);
        let weights = if is_unknown { self.weights.with_dense_lowered() } else { self.weights };
        let fused = fuse::fuse_hits(&retrieved.lexical, &retrieved.dense, asked.fusion, weights);
        let fused =
            if asked.support { fuse::add_neighbour_support(&fused, &retrieved.chunks) } else { fused };
        let fuse = began.elapsed();
        let candidate = |hit: &fuse::FusedHit| {
            let chunk = retrieved.chunks.remove(&hit.id)?;
            Some(ContextCandidate { chunk, score: hit.score, source: None })
        };
        let candidates: Vec<ContextCandidate> = fused.iter().filter_map(candidate).collect();
        let RetrievedHits { terms, dropped, degraded, .. } = retrieved;
        Ok(RankedCollection { first: candidates.len(), candidates, terms, dropped, degraded, fuse })
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

    async fn open(&self, key: &CollectionKey, field: &str) -> Result<Arc<OpenCollection>, Refusal> {
        self.catalog.open(key).await?.ok_or_else(|| {
            let message = format!("there is no collection '{}'", key.collection);
            Refusal::new(RefusalKind::NotFound, "unknown_collection", field, message)
        })
    }
}

/// The ranked lists of one query and the collections they were read from.
struct RankedShortlists {
    lists: Vec<SectionShortlist>,
    pinned: Vec<PinnedCollection>,
    degraded: Vec<answer::AnswerDegradation>,
}

impl RankedShortlists {
    /// Leaves as many candidates in each list as both legs yield for `top_k`. Cut after ranking and reranking: what
    /// they read does not depend on how many are asked for.
    fn cut(&mut self, top_k: usize) {
        for list in &mut self.lists {
            list.candidates.truncate(federate::LEGS * top_k);
        }
    }
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

fn build_shortlist(ranked: RankedCollection, section: ContextSection) -> SectionShortlist {
    let RankedCollection { candidates, terms, dropped, .. } = ranked;
    SectionShortlist { section, candidates, terms, term_share: TERM_SHARE, dropped }
}

fn internal_refusal(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Internal, "internal", "", message)
}
