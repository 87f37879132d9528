//! The embed stage: spans to vectors, staged in the vector store.
//!
//! A text of a batch is embedded once: texts are collected across documents, and what the cache
//! knows is not computed again, so an unchanged chunk of a new version costs no call. A text
//! the model refuses is found by halving the batch; its document dies, its neighbours do not.
//! Work proceeds in slices of [`SLICE_CHUNKS_MAX`], so a document of any length needs the
//! memory of one slice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::chunk::embedded_text;
use crate::domain::document::Description;
use crate::domain::ids::{ChunkId, EmbeddingKey, embedding_key};
use crate::domain::metadata::Metadata;
use crate::domain::task::{Stage, Task};
use crate::fault::Fault;
use crate::ports::catalog::OpenCollection;
use crate::ports::embedder::Purpose;
use crate::ports::vectors::Point;

use super::handover::CutDocument;
use super::{Outcome, Stages, read};

/// Chunks that are embedded and staged at once.
pub const SLICE_CHUNKS_MAX: usize = 4096;

/// A document that is ready to be embedded.
struct Ready {
    index: usize,
    document: Arc<CutDocument>,
}

/// Embeds and stages each task's chunks; one outcome each, in order.
pub async fn run(stages: &Stages, tasks: &[Task]) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(tasks.len());
    for run in super::runs_by_collection(tasks) {
        let run = &tasks[run];
        match embed_run(stages, run).await {
            Ok(done) => outcomes.extend(done),
            Err(fault) => outcomes.extend(run.iter().map(|_| Outcome::Failed(fault.clone()))),
        }
    }
    outcomes
}

async fn embed_run(stages: &Stages, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
    let open = stages.open(&tasks[0]).await?;
    let (ready, mut outcomes) = prepare(stages, tasks).await?;
    let places: Vec<(usize, usize)> = ready
        .iter()
        .enumerate()
        .flat_map(|(document, ready)| (0..ready.document.spans.len()).map(move |ordinal| (document, ordinal)))
        .collect();
    for slice in places.chunks(SLICE_CHUNKS_MAX) {
        let wanted: Vec<(usize, usize)> = slice
            .iter()
            .copied()
            .filter(|(document, _)| outcomes[ready[*document].index].is_none())
            .collect();
        let failed = embed_slice(stages, &open, tasks, &ready, &wanted).await?;
        for (document, fault) in failed {
            outcomes[ready[document].index] = Some(Outcome::Failed(fault));
        }
    }
    let embedded: Vec<_> = ready
        .iter()
        .filter(|ready| outcomes[ready.index].is_none())
        .map(|ready| tasks[ready.index].key.clone())
        .collect();
    stages.ledger.mark_embedded(&embedded).await?;
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::HandOn(Stage::Index))).collect())
}

/// Finds the documents; an outcome stands where a task ends or goes back here already.
async fn prepare(stages: &Stages, tasks: &[Task]) -> Result<(Vec<Ready>, Vec<Option<Outcome>>), Fault> {
    let all: Vec<usize> = (0..tasks.len()).collect();
    let mut found = read::in_flight(stages, tasks, &all).await?;
    let mut ready = Vec::with_capacity(tasks.len());
    let mut outcomes = vec![None; tasks.len()];
    for index in all {
        match found.remove(&index) {
            Some(Ok(document)) => ready.push(Ready { index, document }),
            Some(Err(outcome)) => outcomes[index] = Some(outcome),
            None => {}
        }
    }
    Ok((ready, outcomes))
}

/// Embeds and stages the chunks at `places`; returns the documents whose text was refused.
async fn embed_slice(
    stages: &Stages,
    open: &OpenCollection,
    tasks: &[Task],
    ready: &[Ready],
    places: &[(usize, usize)],
) -> Result<Vec<(usize, Fault)>, Fault> {
    let model = &open.embedder.info().model;
    let mut texts: BTreeMap<EmbeddingKey, Text> = BTreeMap::new();
    let mut keys = Vec::with_capacity(places.len());
    for (document, ordinal) in places {
        let document = &ready[*document].document;
        let span = &document.spans[*ordinal];
        let slice = &document.text.text[span.span.start..span.span.end];
        let text = embedded_text(document.description.title.as_deref(), &span.heading, slice);
        let key = embedding_key(model, &text);
        keys.push(key);
        texts.insert(key, Text { text, tokens: span.embed_tokens as usize });
    }
    let Known { vectors, computed, refused } = vectors_of(stages, open, texts, places.len()).await?;
    let mut failed: Vec<(usize, Fault)> = Vec::new();
    let mut points = Vec::with_capacity(places.len());
    for ((document, ordinal), key) in places.iter().zip(&keys) {
        match (vectors.get(key), refused.get(key)) {
            (Some(vector), _) => {
                let Ready { index, document } = &ready[*document];
                points.push(point(&tasks[*index], &document.description, *ordinal, vector));
            }
            (None, Some(fault)) => failed.push((*document, fault.clone())),
            (None, None) => return Err(Fault::Transient("the embedder left out a text".to_owned())),
        }
    }
    tokio::try_join!(open.vectors.upsert(points), stages.ledger.cache_vectors(computed))?;
    Ok(failed)
}

/// A text to embed, and its tokens.
struct Text {
    text: String,
    tokens: usize,
}

/// What is known of the texts of a slice.
struct Known {
    vectors: HashMap<EmbeddingKey, Vec<f32>>,
    /// Those of them that the cache does not have yet.
    computed: Vec<(EmbeddingKey, Vec<f32>)>,
    refused: HashMap<EmbeddingKey, Fault>,
}

/// Vectors from the cache or the model, and the texts the model refused for good.
async fn vectors_of(
    stages: &Stages,
    open: &OpenCollection,
    texts: BTreeMap<EmbeddingKey, Text>,
    chunks: usize,
) -> Result<Known, Fault> {
    let keys: Vec<EmbeddingKey> = texts.keys().copied().collect();
    let cached = stages.ledger.cached_vectors(&keys).await?;
    let mut vectors = HashMap::with_capacity(keys.len());
    let mut missing = Vec::new();
    for ((key, text), cached) in texts.into_iter().zip(cached) {
        match cached {
            Some(vector) if vector.len() == open.embedder.info().dims => {
                vectors.insert(key, vector);
            }
            _ => missing.push((key, text)),
        }
    }
    let mut refused = HashMap::new();
    let mut computed = Vec::with_capacity(missing.len());
    let texts_max = open.embedder.info().batch_texts_max.min(stages.limits.embed_batch_texts_max);
    let mut pending = batches(&missing, texts_max, stages.limits.embed_batch_tokens_max);
    pending.reverse();
    while let Some(batch) = pending.pop() {
        let batch_texts: Vec<String> = batch.iter().map(|(_, text)| text.text.clone()).collect();
        match open.embedder.embed(&batch_texts, Purpose::Passage).await {
            Ok(embedded) => {
                check_vectors(&embedded, batch.len(), open.embedder.info().dims)?;
                computed.extend(batch.iter().map(|(key, _)| *key).zip(embedded));
            }
            Err(fault @ Fault::Permanent(_)) if batch.len() == 1 => {
                refused.insert(batch[0].0, fault);
            }
            Err(Fault::Permanent(_)) => {
                let (left, right) = batch.split_at(batch.len() / 2);
                pending.push(right);
                pending.push(left);
            }
            Err(fault) => return Err(fault),
        }
    }
    stages.tally.embedded(computed.len() as u64, chunks.saturating_sub(missing.len()) as u64);
    vectors.extend(computed.iter().cloned());
    Ok(Known { vectors, computed, refused })
}

/// Cuts texts into calls of bounded texts and tokens.
fn batches(
    mut texts: &[(EmbeddingKey, Text)],
    texts_max: usize,
    tokens_max: usize,
) -> Vec<&[(EmbeddingKey, Text)]> {
    let mut batches = Vec::new();
    while !texts.is_empty() {
        let mut tokens = 0;
        let within = texts.iter().take(texts_max.max(1)).take_while(|(_, text)| {
            tokens += text.tokens;
            tokens <= tokens_max
        });
        let (batch, rest) = texts.split_at(within.count().max(1));
        batches.push(batch);
        texts = rest;
    }
    batches
}

/// A model that answers nonsense is not stored.
fn check_vectors(vectors: &[Vec<f32>], count: usize, dims: usize) -> Result<(), Fault> {
    let sound = |vector: &Vec<f32>| {
        vector.len() == dims
            && vector.iter().all(|number| number.is_finite())
            && vector.iter().any(|number| *number != 0.0)
    };
    if vectors.len() == count && vectors.iter().all(sound) {
        return Ok(());
    }
    Err(Fault::Transient(format!(
        "the embedder answered {} vectors for {count} texts, or unsound ones",
        vectors.len()
    )))
}

fn point(task: &Task, description: &Description, ordinal: usize, vector: &[f32]) -> Point {
    let metadata = &description.metadata;
    Point {
        id: ChunkId::derive(
            &task.epoch,
            &task.key,
            &task.content_hash,
            u32::try_from(ordinal).unwrap_or(u32::MAX),
        ),
        vector: vector.to_vec(),
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        facets: metadata.facets().into_iter().collect(),
        numbers: numbers(metadata),
        readers: description.acl.terms(),
    }
}

fn numbers(metadata: &Metadata) -> Vec<(String, Vec<f64>)> {
    metadata
        .iter()
        .filter_map(|(key, value)| {
            let numbers: Vec<f64> =
                value.scalars().iter().filter_map(crate::domain::metadata::Scalar::as_number).collect();
            (!numbers.is_empty()).then(|| (key.clone(), numbers))
        })
        .collect()
}
