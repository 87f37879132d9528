//! Retrieval: both legs in parallel, in one snapshot, under one deadline.
//!
//! The filter and the readers are applied inside both legs and verified again on every hit. A
//! dense hit that is not in the snapshot (uncommitted, deleted, superseded, foreign) is dropped;
//! the dense leg over-fetches for that, and asks for more at most [`REFILLS_MAX`] times. It may
//! use [`DENSE_SHARE`] of what is left of the deadline; then the answer is lexical and says so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::domain::chunk::Chunk;
use crate::domain::document::reader_terms;
use crate::domain::ids::ChunkId;
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::catalog::OpenCollection;
use crate::ports::embedder::EmbeddingPurpose;
use crate::ports::lexical::{LexicalHit, LexicalSnapshot, QuestionTerms};
use crate::ports::vectors::DenseHit;

use super::answer::{AnswerDegradation, CandidateTrace, CandidateVerdict, Citation};
use super::request::ContextQuery;

/// Times the dense leg is asked for more.
pub const REFILLS_MAX: usize = 2;
/// Part of the deadline that the dense leg may use.
pub const DENSE_SHARE: f64 = 0.8;
/// Time between looks at a document that is awaited.
const AWAIT_POLL: Duration = Duration::from_millis(10);

/// What both legs found.
pub struct RetrievedHits {
    /// BM25 hits, best first.
    pub lexical: Vec<LexicalHit>,
    /// Cosine hits, best first, all of them in the snapshot.
    pub dense: Vec<DenseHit>,
    /// The chunks of all hits.
    pub chunks: HashMap<ChunkId, Arc<Chunk>>,
    /// Hits that may not be used, for the trace; nothing that is not the caller's to read.
    pub dropped: Vec<CandidateTrace>,
    /// The question's terms, as the index finds them.
    pub terms: Option<Arc<dyn QuestionTerms>>,
    /// What the answer has to do without.
    pub degraded: Vec<AnswerDegradation>,
}

/// The newest snapshot that has seen every version the query asks for.
pub async fn await_snapshot(
    open: &OpenCollection,
    query: &ContextQuery,
    deadline: Instant,
) -> Result<Arc<dyn LexicalSnapshot>, Refusal> {
    let lexical = open.lexical()?;
    if timeout_at(deadline, open.until_ready()).await.is_err() {
        return Err(Refusal::new(
            RefusalKind::Unavailable,
            "index_catching_up",
            "",
            "this replica has not read the whole collection yet; ask again",
        ));
    }
    loop {
        let snapshot = lexical.snapshot();
        let Some(missing) = first_missing_version(&*snapshot, query)? else {
            return Ok(snapshot);
        };
        if timeout_at(deadline, tokio::time::sleep(AWAIT_POLL)).await.is_err() || Instant::now() >= deadline {
            return Err(Refusal::new(
                RefusalKind::Precondition,
                "min_version_not_visible",
                "min_version",
                missing,
            ));
        }
        // A deadline of the whole query fires at the same instant; this answer says more.
        if deadline.saturating_duration_since(Instant::now()) <= AWAIT_POLL * 2 {
            return Err(Refusal::new(
                RefusalKind::Precondition,
                "min_version_not_visible",
                "min_version",
                missing,
            ));
        }
    }
}

fn first_missing_version(
    snapshot: &dyn LexicalSnapshot,
    query: &ContextQuery,
) -> Result<Option<String>, Fault> {
    for (document_id, version) in &query.min_versions {
        let seen = snapshot.head(document_id)?.map(|head| head.version);
        if seen.is_none_or(|seen| seen < *version) {
            return Ok(Some(format!("version {version} of '{document_id}' is not visible yet; ask again")));
        }
    }
    Ok(None)
}

/// Runs both legs.
pub async fn retrieve_hits(
    open: &OpenCollection,
    snapshot: Arc<dyn LexicalSnapshot>,
    query: &ContextQuery,
    deadline: Instant,
) -> Result<RetrievedHits, Refusal> {
    let readers = reader_terms(query.principal.groups());
    let dense_deadline =
        Instant::now() + deadline.saturating_duration_since(Instant::now()).mul_f64(DENSE_SHARE);
    let (lexical, dense) = tokio::join!(
        run_lexical_leg(snapshot.clone(), query, readers.clone()),
        timeout_at(dense_deadline, run_dense_leg(open, snapshot.clone(), query, &readers)),
    );
    let mut retrieved = lexical?;
    match dense {
        Ok(Ok(found)) => {
            retrieved.dense = found.hits;
            retrieved.dropped.extend(found.dropped);
            retrieved.chunks.extend(found.chunks);
            if found.short {
                retrieved.degraded.push(AnswerDegradation::Refill);
            }
        }
        Ok(Err(fault)) => {
            tracing::warn!(collection = %query.collection.collection, %fault, "the dense leg failed; the answer is lexical");
            retrieved.degraded.push(AnswerDegradation::Dense);
        }
        Err(_) => {
            tracing::warn!(collection = %query.collection.collection, "the dense leg was late; the answer is lexical");
            retrieved.degraded.push(AnswerDegradation::Dense);
        }
    }
    Ok(retrieved)
}

async fn run_lexical_leg(
    snapshot: Arc<dyn LexicalSnapshot>,
    query: &ContextQuery,
    readers: Vec<String>,
) -> Result<RetrievedHits, Refusal> {
    let query = query.clone();
    let search = move || -> Result<RetrievedHits, Fault> {
        let mut lexical = snapshot.search(&query.question, query.filter.as_ref(), &readers, query.top_k)?;
        let ids: Vec<ChunkId> = lexical.iter().map(|hit| hit.id).collect();
        let (chunks, _) = load_readable_chunks(&*snapshot, &query, &ids)?;
        lexical.retain(|hit| chunks.contains_key(&hit.id));
        let terms = snapshot.question_terms(&query.question)?;
        let (dense, dropped, degraded) = (Vec::new(), Vec::new(), Vec::new());
        Ok(RetrievedHits { lexical, dense, chunks, dropped, terms, degraded })
    };
    tokio::task::spawn_blocking(search)
        .await
        .map_err(|_| Refusal::new(RefusalKind::Internal, "internal", "", "the lexical leg panicked"))?
        .map_err(Refusal::from)
}

struct DenseLegResult {
    hits: Vec<DenseHit>,
    chunks: HashMap<ChunkId, Arc<Chunk>>,
    dropped: Vec<CandidateTrace>,
    /// Whether hits are missing although the store had more.
    short: bool,
}

async fn run_dense_leg(
    open: &OpenCollection,
    snapshot: Arc<dyn LexicalSnapshot>,
    query: &ContextQuery,
    readers: &[String],
) -> Result<DenseLegResult, Fault> {
    let question = vec![query.question.clone()];
    let vector = open
        .embedder
        .embed(&question, EmbeddingPurpose::Query)
        .await?
        .pop()
        .ok_or_else(|| Fault::Transient("the embedder answered no vector".to_owned()))?;
    let mut fetch = query.top_k + query.top_k / 4 + 16;
    for refill in 0.. {
        let hits = open.vectors.search(vector.clone(), query.filter.as_ref(), readers, fetch).await?;
        let exhausted = hits.len() < fetch;
        let found = verify_dense_hits(snapshot.clone(), query.clone(), hits).await?;
        let enough = found.hits.len() >= query.top_k;
        if enough || exhausted || refill >= REFILLS_MAX {
            return Ok(DenseLegResult { short: !enough && !exhausted, ..found });
        }
        fetch *= 4;
    }
    unreachable!("the loop above returns within REFILLS_MAX rounds")
}

/// Keeps the hits that the snapshot holds and the caller may read, `top_k` at most.
async fn verify_dense_hits(
    snapshot: Arc<dyn LexicalSnapshot>,
    query: ContextQuery,
    hits: Vec<DenseHit>,
) -> Result<DenseLegResult, Fault> {
    let check = move || -> Result<DenseLegResult, Fault> {
        let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.id).collect();
        let (chunks, unusable) = load_readable_chunks(&*snapshot, &query, &ids)?;
        let dropped = hits.iter().filter_map(|hit| {
            let (citation, verdict) = unusable.get(&hit.id)?.clone();
            Some(CandidateTrace::dropped(hit.id, citation, hit.score, verdict))
        });
        let dropped = dropped.collect();
        let mut hits: Vec<DenseHit> = hits.into_iter().filter(|hit| chunks.contains_key(&hit.id)).collect();
        // Equal scores come in the engine's order; ids make it ours.
        hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
        hits.truncate(query.top_k);
        Ok(DenseLegResult { hits, chunks, dropped, short: false })
    };
    tokio::task::spawn_blocking(check).await.map_err(Fault::transient)?
}

type UsableChunks = HashMap<ChunkId, Arc<Chunk>>;
type UnusableHits = HashMap<ChunkId, (Option<Citation>, CandidateVerdict)>;

/// The chunks of these ids that are in the snapshot and within readers and filter, and why others
/// are not; what is not the caller's to read is in neither.
fn load_readable_chunks(
    snapshot: &dyn LexicalSnapshot,
    query: &ContextQuery,
    ids: &[ChunkId],
) -> Result<(UsableChunks, UnusableHits), Fault> {
    let mut seen = HashSet::new();
    let ids: Vec<ChunkId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    let chunks = snapshot.chunks(&ids)?;
    let (mut usable, mut unusable) = (UsableChunks::new(), UnusableHits::new());
    for (id, chunk) in ids.into_iter().zip(chunks) {
        let Some(chunk) = chunk else {
            unusable.insert(id, (None, CandidateVerdict::Superseded));
            continue;
        };
        if !chunk.description.acl.admits(query.principal.groups()) {
            continue;
        }
        if query.filter.as_ref().is_none_or(|filter| filter.matches(&chunk.description.metadata)) {
            usable.insert(id, chunk);
        } else {
            let citation =
                Citation { document_id: chunk.document_id.clone(), version: chunk.version, span: chunk.span };
            unusable.insert(id, (Some(citation), CandidateVerdict::Filtered));
        }
    }
    Ok((usable, unusable))
}
