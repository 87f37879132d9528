//! Retrieval: both legs run in parallel, on one snapshot, under one deadline.
//!
//! Both legs apply the filter and the access control list, and every hit is verified again. A dense
//! hit that is not in the snapshot (uncommitted, deleted, superseded, foreign) is dropped. The dense
//! leg over-fetches for that, and fetches again at most [`REFILLS_MAX`] times. It may use
//! [`DENSE_SHARE`] of the remaining time; after that the answer is lexical and marked as degraded.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use crate::domain::chunk::Chunk;
use crate::domain::document::reader_terms;
use crate::domain::filter_subject::FilterSubject;
use crate::domain::ids::{ChunkId, DocumentId, Version};
use crate::fault::{Fault, Refusal, RefusalKind};
use crate::ports::catalog::OpenCollection;
use crate::ports::embedder::EmbeddingPurpose;
use crate::ports::embedding_windows::{mean_vector, split_into_windows};
use crate::ports::lexical::{LexicalHit, LexicalSnapshot, QuestionTerms};
use crate::ports::vectors::DenseHit;

use super::answer::{AnswerDegradation, CandidateTrace, CandidateVerdict, Citation};
use super::request::ContextQuery;

/// Most repeated fetches of the dense leg.
pub const REFILLS_MAX: usize = 2;
/// Share of the remaining time that the dense leg may use.
pub const DENSE_SHARE: f64 = 0.8;
/// Most windows of a question that are embedded; words behind them are searched all the same.
const QUESTION_WINDOWS_MAX: usize = 8;
/// Interval at which an awaited version is checked.
const AWAIT_POLL: Duration = Duration::from_millis(10);

/// The hits of both legs.
pub struct RetrievedHits {
    /// BM25 hits, best first.
    pub lexical: Vec<LexicalHit>,
    /// Cosine hits, best first; all are in the snapshot.
    pub dense: Vec<DenseHit>,
    /// The chunks of all hits.
    pub chunks: HashMap<ChunkId, Arc<Chunk>>,
    /// Hits that may not be used, for the trace; none that the caller may not read.
    pub dropped: Vec<CandidateTrace>,
    /// The question's terms as the index analyses them.
    pub terms: Option<Arc<dyn QuestionTerms>>,
    /// The parts that are missing from the answer.
    pub degraded: Vec<AnswerDegradation>,
}

/// Waits for a snapshot that contains all these versions, and returns it.
pub async fn await_snapshot(
    open: &OpenCollection,
    min_versions: &[(DocumentId, Version)],
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
    // Polled, since commits are not signalled here.
    loop {
        let snapshot = lexical.snapshot();
        let Some(missing) = first_missing_version(&*snapshot, min_versions)? else {
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
    min_versions: &[(DocumentId, Version)],
) -> Result<Option<String>, Fault> {
    for (document_id, version) in min_versions {
        let seen = snapshot.head(document_id)?.map(|head| head.version);
        if seen.is_none_or(|seen| seen < *version) {
            return Ok(Some(format!("version {version} of '{document_id}' is not visible yet; ask again")));
        }
    }
    Ok(None)
}

/// The vector of a question, computed by the first leg that needs it.
pub type QuestionVector = OnceCell<Vec<f32>>;

/// Runs both legs in one collection and merges their chunks. Collections of one model share the vector.
pub async fn retrieve_hits(
    open: &OpenCollection,
    snapshot: Arc<dyn LexicalSnapshot>,
    query: &ContextQuery,
    vector: &QuestionVector,
    deadline: Instant,
) -> Result<RetrievedHits, Refusal> {
    let readers = reader_terms(query.principal.groups());
    // The rest of the time is for what follows, should the dense leg use up its share.
    let dense_deadline =
        Instant::now() + deadline.saturating_duration_since(Instant::now()).mul_f64(DENSE_SHARE);
    // Only the dense leg has its own deadline: it calls an embedder. The lexical one reads local files.
    let (lexical, dense) = tokio::join!(
        run_lexical_leg(snapshot.clone(), query, readers.clone()),
        timeout_at(dense_deadline, run_dense_leg(open, snapshot.clone(), query, vector, &readers)),
    );
    // Without the lexical leg there is no answer: it is the authority on what is visible.
    let mut retrieved = lexical?;
    let collection = &open.record.key.collection;
    let is_news = open.dense_answered(matches!(dense, Ok(Ok(_))));
    match dense {
        Ok(Ok(found)) => {
            if is_news {
                tracing::info!(%collection, "the dense leg answers again");
            }
            retrieved.dense = found.hits;
            retrieved.dropped.extend(found.dropped);
            retrieved.chunks.extend(found.chunks);
            if found.short {
                retrieved.degraded.push(AnswerDegradation::Refill);
            }
        }
        Ok(Err(fault)) => {
            if is_news {
                tracing::warn!(%collection, %fault, "the dense leg fails; answers are lexical");
            }
            retrieved.degraded.push(AnswerDegradation::Dense);
        }
        Err(_) => {
            if is_news {
                tracing::warn!(%collection, "the dense leg is late; answers are lexical");
            }
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
    /// Whether hits are missing although the store may have more.
    short: bool,
}

async fn run_dense_leg(
    open: &OpenCollection,
    snapshot: Arc<dyn LexicalSnapshot>,
    query: &ContextQuery,
    vector: &QuestionVector,
    readers: &[String],
) -> Result<DenseLegResult, Fault> {
    let vector = vector.get_or_try_init(|| embed_question(open, &query.question)).await?;
    // Room for hits that will be dropped: a quarter more, and a few for a small `top_k`.
    let mut fetch = query.top_k + query.top_k / 4 + 16;
    for refill in 0.. {
        let hits = open.vectors.search(vector.clone(), query.filter.as_ref(), readers, fetch).await?;
        // Fewer than asked for: the store has no more, and asking again is useless.
        let exhausted = hits.len() < fetch;
        let above = if exhausted { Vec::new() } else { above_last_tie(&hits) };
        // Where a long tie would leave too few, some of its hits are better than none.
        let hits = if above.len() >= query.top_k { above } else { hits };
        let found = verify_dense_hits(snapshot.clone(), query.clone(), hits).await?;
        let enough = found.hits.len() >= query.top_k;
        if enough || exhausted || refill >= REFILLS_MAX {
            return Ok(DenseLegResult { short: !enough && !exhausted, ..found });
        }
        // Four times as many: after two repetitions sixteen times, and still a bounded number of calls.
        fetch *= 4;
    }
    unreachable!("the loop above returns within REFILLS_MAX rounds")
}

/// The hits of a full list without those of the lowest score: which of the equal ones an engine takes into a list
/// depends on its length and on the order of writes.
fn above_last_tie(hits: &[DenseHit]) -> Vec<DenseHit> {
    let lowest = hits.iter().map(|hit| hit.score).fold(f32::INFINITY, f32::min);
    hits.iter().filter(|hit| hit.score > lowest).copied().collect()
}

/// The vector of a question. One that is longer than the model's window has the mean of its parts' vectors, at most
/// [`QUESTION_WINDOWS_MAX`] of them: a model that makes a token of each letter of a script reads whole questions, too.
async fn embed_question(open: &OpenCollection, question: &str) -> Result<Vec<f32>, Fault> {
    let (info, tokenizer) = (open.embedder.info(), open.embedder.tokenizer());
    let room = info.tokens_max.saturating_sub(info.tokens_reserved);
    let mut windows = Vec::new();
    // A token has at least one byte, so a short question needs no tokenizer.
    if question.len() > room && tokenizer.count(question) > room {
        windows = split_into_windows("", question, &*tokenizer, room);
        windows.truncate(QUESTION_WINDOWS_MAX);
    }
    if windows.len() < 2 {
        let vectors = open.embedder.embed(&[question.to_owned()], EmbeddingPurpose::Query).await?;
        return vectors.into_iter().next().ok_or_else(|| Fault::transient("the embedder answered no vector"));
    }
    let mut weighted = Vec::with_capacity(windows.len());
    for windows in windows.chunks(info.batch_texts_max.max(1)) {
        let texts: Vec<String> = windows.iter().map(|window| window.text.clone()).collect();
        let vectors = open.embedder.embed(&texts, EmbeddingPurpose::Query).await?;
        weighted.extend(vectors.into_iter().zip(windows.iter().map(|window| window.tokens)));
    }
    Ok(mean_vector(&weighted))
}

/// Keeps the hits that are in the snapshot and that the caller may read; at most `top_k`.
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
        // The engine orders equal scores as it likes; ids make the order deterministic.
        hits.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.id.cmp(&right.id)));
        hits.truncate(query.top_k);
        Ok(DenseLegResult { hits, chunks, dropped, short: false })
    };
    tokio::task::spawn_blocking(check)
        .await
        .map_err(|error| Fault::transient_error("checking dense hits", error))?
}

type UsableChunks = HashMap<ChunkId, Arc<Chunk>>;
type UnusableHits = HashMap<ChunkId, (Option<Citation>, CandidateVerdict)>;

/// Returns the chunks of these ids that are in the snapshot and pass access control and filter, and the
/// verdicts on the others. A chunk that the caller may not read is in neither: not even its absence is told.
fn load_readable_chunks(
    snapshot: &dyn LexicalSnapshot,
    query: &ContextQuery,
    ids: &[ChunkId],
) -> Result<(UsableChunks, UnusableHits), Fault> {
    let mut seen = HashSet::new();
    // Each chunk is read once, however often it was hit.
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
        if query.filter.as_ref().is_none_or(|filter| filter.matches(&FilterSubject::of_chunk(&chunk))) {
            usable.insert(id, chunk);
        } else {
            let Chunk { document_id, version, span, .. } = &*chunk;
            let (document_id, version, span) = (document_id.clone(), *version, *span);
            let citation = Citation { collection: None, document_id, version, span };
            unusable.insert(id, (Some(citation), CandidateVerdict::Filtered));
        }
    }
    Ok((usable, unusable))
}
