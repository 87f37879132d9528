//! The chunk stage: bodies to stored spans.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::watch;

use crate::domain::document::{DocumentDescription, hash_content};
use crate::domain::task::{IngestStage, IngestTask};
use crate::fault::{FailureReason, Fault, reason};
use crate::ingest::chunked_document_cache::ChunkedDocument;
use crate::ingest::{StageResources, TaskOutcome};
use crate::ports::catalog::OpenCollection;
use crate::ports::extractor::{ChosenConverter, DocumentExtractor, DocumentKind};
use crate::ports::ledger::{StoredBody, VersionOutcome};

use super::conversion::{self, UnreadCause, UnreadDocument};
use super::{ChunkLimits, NormalisedText, decode_converted, decode_document, split_document, unread_type};

/// Splits the body of each task and stores its spans; one outcome each, in order. A document that no reader here
/// reads is converted first, if a converter is configured for it; once `stop` is true, none is.
pub async fn chunk_batch_until_stopped(
    stages: &StageResources,
    tasks: &[IngestTask],
    stop: &watch::Receiver<bool>,
) -> Vec<TaskOutcome> {
    let work = |stages, open, tasks| chunk_collection_batch(stages, open, tasks, stop.clone()).boxed();
    stages.by_collection(tasks, work).await
}

/// The same where nothing stops it.
pub async fn chunk_batch(stages: &StageResources, tasks: &[IngestTask]) -> Vec<TaskOutcome> {
    let (_never, stop) = watch::channel(false);
    chunk_batch_until_stopped(stages, tasks, &stop).await
}

async fn chunk_collection_batch(
    stages: &StageResources,
    open: Arc<OpenCollection>,
    tasks: &[IngestTask],
    stop: watch::Receiver<bool>,
) -> Result<Vec<TaskOutcome>, Fault> {
    let generation = open.record.generation;
    let keys: Vec<_> = tasks.iter().map(|task| task.key.clone()).collect();
    let bodies = stages.ledger.bodies(&keys).await?;
    let checked = tasks.iter().zip(bodies).map(|(task, body)| (task.clone(), check_stored_body(task, body)));
    let mut cuts = Vec::with_capacity(keys.len());
    let mut unread = Vec::new();
    for (index, cut) in cut_bodies(stages, &open, checked.collect()).await?.into_iter().enumerate() {
        cuts.push(match cut {
            BodyCut::Cut(cut) => cut,
            BodyCut::Unread(stored, chosen) => {
                unread.push(UnreadDocument { index, task: tasks[index].clone(), stored, chosen });
                // Replaced below: every unread document comes back.
                Err(TaskOutcome::AlreadyEnded)
            }
        });
    }
    if !unread.is_empty() {
        let converted = conversion::convert_documents(stages, unread, &stop).await?;
        let (indices, bodies): (Vec<usize>, Vec<_>) =
            converted.into_iter().map(|(index, body)| (index, (tasks[index].clone(), body))).unzip();
        for (index, cut) in indices.into_iter().zip(cut_bodies(stages, &open, bodies).await?) {
            cuts[index] = match cut {
                BodyCut::Cut(cut) => cut,
                // What is converted is read.
                BodyCut::Unread(..) => Err(TaskOutcome::AlreadyEnded),
            };
        }
    }
    let mut outcomes = Vec::with_capacity(keys.len());
    let mut spans = Vec::with_capacity(keys.len());
    let mut documents = Vec::with_capacity(keys.len());
    for ((key, task), cut) in keys.into_iter().zip(tasks).zip(cuts) {
        outcomes.push(match cut {
            Ok(document) => {
                spans.push((key, document.spans.clone()));
                documents.push((task, document));
                TaskOutcome::HandOn(IngestStage::Embed)
            }
            Err(outcome) => outcome,
        });
    }
    if !spans.is_empty() {
        stages.ledger.store_spans(generation, spans).await?;
    }
    // Cached only now: a later stage must not find a document whose spans the ledger does not have.
    for (task, document) in documents {
        stages.chunked_documents.keep(task, document);
    }
    Ok(outcomes)
}

/// A checked body, or the outcome of its task.
pub(super) type CheckedBody = Result<StoredBody, TaskOutcome>;

/// What became of a body.
enum BodyCut {
    Cut(Result<ChunkedDocument, TaskOutcome>),
    /// A converter is to read it.
    Unread(StoredBody, ChosenConverter),
}

/// Cuts bodies, off the threads of the runtime: it takes milliseconds to seconds of CPU.
async fn cut_bodies(
    stages: &StageResources,
    open: &Arc<OpenCollection>,
    bodies: Vec<(IngestTask, CheckedBody)>,
) -> Result<Vec<BodyCut>, Fault> {
    let (open, extractor) = (open.clone(), stages.extractor.clone());
    let chunks_max = stages.limits.chunks_per_document_max;
    let cut_all = move || {
        let cut = |(task, stored): (IngestTask, CheckedBody)| match stored {
            Ok(stored) => cut_task_body(&open, &*extractor, chunks_max, &task, stored),
            Err(outcome) => BodyCut::Cut(Err(outcome)),
        };
        bodies.into_iter().map(cut).collect()
    };
    tokio::task::spawn_blocking(cut_all).await.map_err(fault_from_join_error)
}

fn cut_task_body(
    open: &OpenCollection,
    extractor: &dyn DocumentExtractor,
    chunks_max: usize,
    task: &IngestTask,
    stored: StoredBody,
) -> BodyCut {
    let cut = || chunk_stored_body(open, extractor, chunks_max, task, &stored);
    let made = if stored.converted.is_some() {
        // A conversion is made once: what is kept is the text.
        cut().map_err(UnreadCause::Refused)
    } else {
        let kind = DocumentKind {
            sniffed: unread_type(&stored.body),
            declared: stored.description.media_type.as_deref(),
            name: task.key.document_id.as_str(),
        };
        conversion::read_unless_converted(extractor, &kind, cut)
    };
    match made {
        Ok(document) => BodyCut::Cut(Ok(document)),
        Err(UnreadCause::ToConvert(chosen)) => BodyCut::Unread(stored, chosen),
        Err(UnreadCause::Refused(Fault::Permanent(reason))) => BodyCut::Cut(Err(dead_in_chunk_stage(reason))),
        Err(UnreadCause::Refused(other)) => BodyCut::Cut(Err(TaskOutcome::Failed(other))),
    }
}

/// The outcome of a document that cannot be cut.
pub(super) fn dead_in_chunk_stage(reason: FailureReason) -> TaskOutcome {
    TaskOutcome::Ended { ending: VersionOutcome::Dead(IngestStage::Chunk, reason), sweep: false }
}

/// Decodes a stored body and splits it with the chunk sizes of a generation.
pub(in crate::ingest) fn chunk_stored_body(
    open: &OpenCollection,
    extractor: &dyn DocumentExtractor,
    chunks_max: usize,
    task: &IngestTask,
    stored: &StoredBody,
) -> Result<ChunkedDocument, Fault> {
    let (text, description) = decode_stored_body(extractor, task, stored)?;
    let limits = ChunkLimits {
        tokens_max: open.sizes.tokens_max,
        tokens_target: open.sizes.tokens_target,
        tokens_reserved: open.sizes.tokens_reserved,
        chunks_max,
    };
    let tokenizer = open.embedder.tokenizer();
    let title = description.title.as_deref();
    let spans =
        split_document(open.sizes.chunker, &text, title, &*tokenizer, &limits).map_err(Fault::Permanent)?;
    Ok(ChunkedDocument { text, description, spans })
}

/// Decodes a checked body, or what a converter made of it. Returns its text and description, with the title found in
/// the text if the producer gave none.
pub(in crate::ingest) fn decode_stored_body(
    extractor: &dyn DocumentExtractor,
    task: &IngestTask,
    stored: &StoredBody,
) -> Result<(NormalisedText, DocumentDescription), Fault> {
    let id = task.key.document_id.as_str();
    let mut description = stored.description.clone();
    let text = match &stored.converted {
        Some(converted) => decode_converted(converted, id).map_err(Fault::Permanent)?,
        None => decode_document(&stored.body, description.media_type.as_deref(), id, extractor)?,
    };
    for note in &text.notes {
        tracing::info!(document = %task.key.document_id, version = task.key.version.get(), note, "a document was read with losses");
    }
    describe_from_text(&mut description, &text);
    Ok((text, description))
}

/// Adds what a document says about itself to what its producer said, which wins.
pub(in crate::ingest) fn describe_from_text(description: &mut DocumentDescription, text: &NormalisedText) {
    if description.title.is_none() {
        description.title.clone_from(&text.title);
    }
    for (name, value) in text.metadata() {
        description.metadata.insert_missing(name, value);
    }
}

/// Returns the body of a task, unless the version has ended, was overtaken, or is corrupt.
pub(in crate::ingest) fn check_stored_body(
    task: &IngestTask,
    body: Option<StoredBody>,
) -> Result<StoredBody, TaskOutcome> {
    let corrupt = |detail: &str| TaskOutcome::Failed(Fault::permanent(reason::BODY_CORRUPT, detail));
    let Some(stored) = body else {
        return Err(corrupt("the ledger holds no body for this version"));
    };
    if stored.state.is_terminal() {
        return Err(TaskOutcome::AlreadyEnded);
    }
    if stored.overtaken {
        return Err(TaskOutcome::Ended { ending: VersionOutcome::Superseded, sweep: true });
    }
    // The message is of a dropped collection, and this version of the one made again under its name.
    if stored.content_hash != task.content_hash {
        return Err(TaskOutcome::AlreadyEnded);
    }
    if !matches_accepted_hash(task, &stored) {
        return Err(corrupt("the stored body does not match the hash it was accepted with"));
    }
    Ok(stored)
}

/// Whether a stored body has the hash that was accepted.
pub(in crate::ingest) fn matches_accepted_hash(task: &IngestTask, stored: &StoredBody) -> bool {
    hash_content(&stored.description, &stored.body) == task.content_hash
}

/// Resumes the panic of a blocking task, so that the worker can find the task that caused it. A cancelled
/// task is a transient fault.
pub(in crate::ingest) fn fault_from_join_error(error: tokio::task::JoinError) -> Fault {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => Fault::transient_error("cutting documents", cancelled),
    }
}
