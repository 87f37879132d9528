//! The chunk stage: body to spans.

use std::sync::Arc;

use futures::FutureExt;

use crate::domain::document::{Description, hash_content};
use crate::domain::task::{Stage, Task};
use crate::fault::{Fault, Reason, reason};
use crate::ingest::handover::CutDocument;
use crate::ingest::{Outcome, Stages};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::{Ending, StoredBody};

use super::{ChunkLimits, NormalisedText, cut, decode};

/// Cuts each task's body and stores the spans; one outcome each, in order.
pub async fn run(stages: &Stages, tasks: &[Task]) -> Vec<Outcome> {
    stages.by_collection(tasks, |stages, open, tasks| chunk_run(stages, open, tasks).boxed()).await
}

async fn chunk_run(
    stages: &Stages,
    open: Arc<OpenCollection>,
    tasks: &[Task],
) -> Result<Vec<Outcome>, Fault> {
    let generation = open.record.generation;
    let keys: Vec<_> = tasks.iter().map(|task| task.key.clone()).collect();
    let bodies = stages.ledger.bodies(&keys).await?;
    let chunks_max = stages.limits.chunks_per_document_max;
    let owned: Vec<Task> = tasks.to_vec();
    let cut_all = move || -> Vec<Result<CutDocument, Outcome>> {
        owned.iter().zip(bodies).map(|(task, body)| cut_body(&open, chunks_max, task, body)).collect()
    };
    let cuts = tokio::task::spawn_blocking(cut_all).await.map_err(panicked)?;
    let mut outcomes = Vec::with_capacity(keys.len());
    let mut spans = Vec::with_capacity(keys.len());
    let mut documents = Vec::with_capacity(keys.len());
    for ((key, task), cut) in keys.into_iter().zip(tasks).zip(cuts) {
        outcomes.push(match cut {
            Ok(document) => {
                spans.push((key, document.spans.clone()));
                documents.push((task, document));
                Outcome::HandOn(Stage::Embed)
            }
            Err(outcome) => outcome,
        });
    }
    if !spans.is_empty() {
        stages.ledger.store_spans(generation, spans).await?;
    }
    for (task, document) in documents {
        stages.handover.keep(task, document);
    }
    Ok(outcomes)
}

fn cut_body(
    open: &OpenCollection,
    chunks_max: usize,
    task: &Task,
    body: Option<StoredBody>,
) -> Result<CutDocument, Outcome> {
    let stored = checked_body(task, body)?;
    let died = |reason| Outcome::Ended { ending: Ending::Dead(Stage::Chunk, reason), sweep: false };
    cut_stored(open, chunks_max, task, stored).map_err(died)
}

/// The text of a stored body, and its chunks as this generation has them.
pub(in crate::ingest) fn cut_stored(
    open: &OpenCollection,
    chunks_max: usize,
    task: &Task,
    stored: StoredBody,
) -> Result<CutDocument, Reason> {
    let (text, description) = decoded(task, stored)?;
    let limits = ChunkLimits {
        tokens_max: open.sizes.tokens_max,
        tokens_target: open.sizes.tokens_target,
        tokens_reserved: open.sizes.tokens_reserved,
        chunks_max,
    };
    let tokenizer = open.embedder.tokenizer();
    let spans = cut(&text, description.title.as_deref(), &*tokenizer, &limits)?;
    Ok(CutDocument { text, description, spans })
}

/// The text of a sound body, and what is known of it: with the title found in the text, if the
/// producer gave none.
pub(in crate::ingest) fn decoded(
    task: &Task,
    stored: StoredBody,
) -> Result<(NormalisedText, Description), Reason> {
    let StoredBody { body, mut description, .. } = stored;
    let text = decode(&body, description.media_type.as_deref(), task.key.document_id.as_str())?;
    if description.title.is_none() {
        description.title.clone_from(&text.title);
    }
    Ok((text, description))
}

/// The body a task is about, unless the version has ended, was overtaken, or is damaged.
pub(in crate::ingest) fn checked_body(task: &Task, body: Option<StoredBody>) -> Result<StoredBody, Outcome> {
    let corrupt = |detail: &str| Outcome::Failed(Fault::permanent(reason::BODY_CORRUPT, detail));
    let Some(stored) = body else {
        return Err(corrupt("the ledger holds no body for this version"));
    };
    if stored.state.is_terminal() {
        return Err(Outcome::AlreadyEnded);
    }
    if stored.overtaken {
        return Err(Outcome::Ended { ending: Ending::Superseded, sweep: true });
    }
    if !is_sound(task, &stored) {
        return Err(corrupt("the stored body does not match the hash it was accepted with"));
    }
    Ok(stored)
}

/// Whether a body is what was accepted.
pub(in crate::ingest) fn is_sound(task: &Task, stored: &StoredBody) -> bool {
    hash_content(&stored.description, &stored.body) == task.content_hash
}

/// A panic in a blocking task is the batch's; the worker finds out whose it was.
pub(in crate::ingest) fn panicked(error: tokio::task::JoinError) -> Fault {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => Fault::transient(cancelled),
    }
}
