//! The embed stage: spans to vectors, staged in the vector store.
//!
//! A chunk of several windows of the model ([`super::chunk::windows`]) has the mean of their vectors.
//!
//! A text is embedded once. Texts are collected across documents ([`vectors`]); cached ones are not
//! computed again; texts that another worker computes are waited for, in this process ([`single_flight`])
//! and in others ([`ledger_claims`]). An unchanged chunk of a new version therefore costs no call. A fault
//! fails only the documents whose texts it hit. A document that failed [`ALONE_ATTEMPTS`] times shares no
//! call with others.
//!
//! Work proceeds in slices of [`SLICE_CHUNKS_MAX`] chunks, so a document of any length needs the memory of
//! one slice. A batch takes at most [`EMBED_BATCH_TIME_MAX`], so that messages are not held long and a
//! shutdown is not delayed. Then waiting calls are given up and the remaining tasks return to the queue
//! without a spent attempt; what was embedded is in the cache.

mod ledger_claims;
pub mod single_flight;
mod vectors;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::chunk::{context_line, embedded_text};
use crate::domain::filter_subject::FilterSubject;
use crate::domain::ids::{ChunkId, EmbeddingKey, derive_embedding_key};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::embedder::TurnDeadline;
use crate::ports::embedding_windows::split_into_windows;
use crate::ports::vectors::VectorPoint;

use super::chunked_document_cache::ChunkedDocument;
use super::usage::{self, ModelUsage};
use super::{IngestCounters, StageResources, TaskOutcome, document_reader};
use vectors::{KnownVectors, TextToEmbed, UncachedVectors};

/// Most chunks that are embedded and staged at once.
pub const SLICE_CHUNKS_MAX: usize = 4096;
/// Attempts after which the texts of a document are embedded in calls of their own. They may contain what
/// makes the model fail, and texts of other documents in the same call would fail with them.
pub const ALONE_ATTEMPTS: u32 = 2;
/// Longest time spent on a batch. A broker takes messages back that are held for half an hour.
const EMBED_BATCH_TIME_MAX: Duration = Duration::from_mins(5);

/// A document to embed.
pub(super) struct DocumentToEmbed {
    /// Index of its task.
    pub(super) index: usize,
    pub(super) document: Arc<ChunkedDocument>,
}

/// Embeds and stages the chunks of each task; one outcome each, in order. Once `stop` is true, no call
/// begins.
pub async fn embed_batch(
    stages: &StageResources,
    tasks: &[IngestTask],
    stop: &watch::Receiver<bool>,
) -> Vec<TaskOutcome> {
    stages
        .by_collection(tasks, |stages, open, tasks| embed_collection_batch(stages, open, tasks, stop).boxed())
        .await
}

async fn embed_collection_batch(
    stages: &StageResources,
    open: Arc<OpenCollection>,
    tasks: &[IngestTask],
    stop: &watch::Receiver<bool>,
) -> Result<Vec<TaskOutcome>, Fault> {
    if tasks.iter().any(|task| task.attempt > 0) {
        open.embedder.begin_retry().await?;
    }
    let (ready, mut outcomes) = find_documents_to_embed(stages, tasks).await?;
    for (index, fault) in stage_documents(stages, &open, tasks, &ready, &stages.counters, stop).await?.failed
    {
        outcomes[index] = Some(TaskOutcome::Failed(fault));
    }
    let embedded: Vec<_> = ready
        .iter()
        .filter(|ready| outcomes[ready.index].is_none())
        .map(|ready| tasks[ready.index].key.clone())
        .collect();
    stages.ledger.mark_embedded(&embedded).await?;
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(TaskOutcome::HandOn(IngestStage::Index)))
        .collect())
}

/// Result of staging documents.
#[derive(Debug, Default)]
pub(super) struct StagingResult {
    /// Tasks that lack a vector, and why. The points of all others are in the store.
    pub(super) failed: BTreeMap<usize, Fault>,
    /// Calls, texts and tokens of the model.
    pub(super) spent: ModelUsage,
}

/// Embeds documents and stages their vectors in `open`. It counts in `counters`. Once `stop` is true, no
/// call begins.
pub(super) async fn stage_documents(
    stages: &StageResources,
    open: &OpenCollection,
    tasks: &[IngestTask],
    ready: &[DocumentToEmbed],
    counters: &IngestCounters,
    stop: &watch::Receiver<bool>,
) -> Result<StagingResult, Fault> {
    let deadline = TurnDeadline::new(Instant::now() + EMBED_BATCH_TIME_MAX, stop.clone());
    let StagingResult { mut failed, mut spent } = StagingResult::default();
    let places: Vec<(usize, usize)> = ready
        .iter()
        .enumerate()
        .flat_map(|(document, ready)| (0..ready.document.spans.len()).map(move |ordinal| (document, ordinal)))
        .collect();
    for slice in places.chunks(SLICE_CHUNKS_MAX) {
        // A document that failed in an earlier slice is retried as a whole, so its other chunks can wait.
        let wanted: Vec<(usize, usize)> = slice
            .iter()
            .copied()
            .filter(|(document, _)| !failed.contains_key(&ready[*document].index))
            .collect();
        if deadline.has_passed() {
            failed.extend(wanted.into_iter().map(|(document, _)| (ready[document].index, deadline.fault())));
            continue;
        }
        let (without, asked) = embed_slice(stages, open, tasks, ready, &wanted, counters, &deadline).await?;
        spent = spent.plus(asked);
        failed.extend(without.into_iter().map(|(document, fault)| (ready[document].index, fault)));
    }
    Ok(StagingResult { failed, spent })
}

/// Finds the documents of tasks. A task whose document cannot be read gets an outcome instead.
async fn find_documents_to_embed(
    stages: &StageResources,
    tasks: &[IngestTask],
) -> Result<(Vec<DocumentToEmbed>, Vec<Option<TaskOutcome>>), Fault> {
    let all: Vec<usize> = (0..tasks.len()).collect();
    let mut found = document_reader::read_documents_in_flight(stages, tasks, &all).await?;
    let mut ready = Vec::with_capacity(tasks.len());
    let mut outcomes = vec![None; tasks.len()];
    for index in all {
        match found.remove(&index) {
            Some(Ok(document)) => ready.push(DocumentToEmbed { index, document }),
            Some(Err(outcome)) => outcomes[index] = Some(outcome),
            None => {}
        }
    }
    Ok((ready, outcomes))
}

/// Embeds and stages the chunks at `places`, pairs of document and ordinal. Returns the documents that lack
/// a vector, and why, and the usage of the model.
async fn embed_slice(
    stages: &StageResources,
    open: &OpenCollection,
    tasks: &[IngestTask],
    ready: &[DocumentToEmbed],
    places: &[(usize, usize)],
    counters: &IngestCounters,
    deadline: &TurnDeadline,
) -> Result<(Vec<(usize, Fault)>, ModelUsage), Fault> {
    let info = open.embedder.info();
    let (model, tokenizer) = (&info.model, open.embedder.tokenizer());
    let mut texts: BTreeMap<EmbeddingKey, TextToEmbed> = BTreeMap::new();
    let mut keys = Vec::with_capacity(places.len());
    for (place, ordinal) in places {
        let document = &ready[*place].document;
        let span = &document.spans[*ordinal];
        let slice = &document.text.text[span.span.start..span.span.end];
        let title = document.description.title.as_deref();
        let text = embedded_text(title, &span.heading, slice);
        let key = derive_embedding_key(model, &text);
        keys.push(key);
        let alone = (tasks[ready[*place].index].attempt >= ALONE_ATTEMPTS).then_some(*place);
        let entry = texts.entry(key);
        let tokens = span.embed_tokens as usize;
        let known = entry.or_insert_with(|| {
            let mut windows = Vec::new();
            if tokens > info.tokens_max {
                let (line, room) = (
                    context_line(title, &span.heading),
                    info.tokens_max.saturating_sub(info.tokens_reserved),
                );
                windows = split_into_windows(&line, slice, &*tokenizer, room);
            }
            TextToEmbed { embedded: text, windows, tokens, alone }
        });
        // A text that also stands in a healthy document is embedded with the others.
        known.alone = known.alone.and(alone);
    }
    let (KnownVectors { vectors, failed: without, spent }, fresh) =
        vectors::resolve_vectors(stages, open, texts, places.len(), counters, deadline).await?;
    let mut failed: Vec<(usize, Fault)> = Vec::new();
    let mut points = Vec::with_capacity(places.len());
    for ((document, ordinal), key) in places.iter().zip(&keys) {
        match (vectors.get(key), without.get(key)) {
            (Some(vector), _) => {
                let DocumentToEmbed { index, document } = &ready[*document];
                points.push(vector_point(&tasks[*index], document, *ordinal, vector));
            }
            (None, Some(fault)) => failed.push((*document, fault.clone())),
            (None, None) => return Err(Fault::transient("the embedder left out a text")),
        }
    }
    // The claim lives to the end of this function: until the cache holds the vectors, waiting workers must
    // not read it.
    let UncachedVectors { vectors: computed, _claim } = fresh;
    let cache = stages.ledger.cache_vectors(computed);
    let count = usage::add_usage(stages, &open.record.key.tenant, model, spent);
    tokio::try_join!(open.vectors.upsert(points), cache, count)?;
    Ok((failed, spent))
}

fn vector_point(
    task: &IngestTask,
    document: &ChunkedDocument,
    ordinal: usize,
    vector: &[f32],
) -> VectorPoint {
    let ChunkedDocument { text, description, spans } = document;
    let document_id = &task.key.document_id;
    let span = spans[ordinal].span;
    let slice = &text.text[span.start..span.end];
    let place = text.source_excerpt(span).place(slice, 0..slice.len());
    let subject = FilterSubject::at_place(document_id, description, place);
    VectorPoint {
        id: ChunkId::derive(
            &task.epoch,
            &task.key,
            &task.content_hash,
            // `chunks_per_document_max` bounds the ordinals.
            u32::try_from(ordinal).unwrap_or(u32::MAX),
        ),
        vector: vector.to_vec(),
        document_id: document_id.clone(),
        version: task.key.version,
        facets: subject.facets().into_iter().collect(),
        numbers: subject.numbers(),
        place: subject.place(),
        readers: description.acl.terms(),
    }
}
