//! The index stage: everything of many documents to one commit.
//!
//! The fence is decided here for good, by the single writer, against committed heads and
//! against other versions in the same batch. The commit is durable before anything is
//! answered; the acknowledgement and the sweep of losers' vectors come after it.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;

use crate::domain::chunk::Chunk;
use crate::domain::document::{Acl, Head};
use crate::domain::fence::{Verdict, decide};
use crate::domain::ids::{ChunkId, ContentHash, DocumentId, Version};
use crate::domain::task::{Stage, Task};
use crate::fault::{Fault, Reason, reason};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::Ending;
use crate::ports::lexical::{DocumentWrite, Snapshot};

use super::chunk::stage::panicked;
use super::handover::CutDocument;
use super::read::{self, Found};
use super::{Outcome, Stages, follow};

/// Commits each task's document; one outcome each, in order.
pub async fn run(stages: &Stages, tasks: &[Task]) -> Vec<Outcome> {
    stages.by_collection(tasks, |stages, open, tasks| index_run(stages, open, tasks).boxed()).await
}

async fn index_run(
    stages: &Stages,
    open: Arc<OpenCollection>,
    tasks: &[Task],
) -> Result<Vec<Outcome>, Fault> {
    let lexical = open.lexical()?;
    let _writing = open.writing.lock().await;
    if stages.replicas {
        follow::catch_up(stages, &open).await?;
    }
    let verdicts = fence(&*lexical.snapshot(), tasks)?;
    let applied: Vec<usize> = (0..tasks.len()).filter(|index| verdicts[*index].0 == Verdict::Apply).collect();
    let found = read::in_flight(stages, tasks, &with_document(tasks, &applied)).await?;
    let (writes, mut refused) = build_writes(tasks, &applied, found).await?;
    if !writes.is_empty() {
        let chunks: usize = writes.iter().map(|write| write.chunks.len()).sum();
        lexical.commit(writes, open.followed()).await?;
        stages.tally.committed(chunks as u64);
        stages.meter.committed(chunks as u64);
    }
    let generation = open.record.generation;
    let outcomes = verdicts.into_iter().enumerate().map(|(index, (verdict, replaces))| {
        refused.remove(&index).unwrap_or_else(|| match verdict {
            Verdict::Apply => Outcome::Ended { ending: Ending::Visible(generation), sweep: replaces },
            Verdict::Duplicate => Outcome::Ended { ending: Ending::Visible(generation), sweep: true },
            Verdict::Superseded => Outcome::Ended { ending: Ending::Superseded, sweep: true },
            Verdict::Conflict => {
                let reason =
                    Reason::new(reason::CONFLICT, "the same version was committed with other content");
                Outcome::Ended { ending: Ending::Dead(Stage::Index, reason), sweep: true }
            }
        })
    });
    Ok(outcomes.collect())
}

/// One verdict per task, and whether it replaces a committed version.
fn fence(snapshot: &dyn Snapshot, tasks: &[Task]) -> Result<Vec<(Verdict, bool)>, Fault> {
    let mut best: HashMap<&DocumentId, (Version, ContentHash)> = HashMap::new();
    let mut committed: HashMap<&DocumentId, Option<(Version, ContentHash)>> = HashMap::new();
    for task in tasks {
        let document_id = &task.key.document_id;
        if !committed.contains_key(document_id) {
            let head = snapshot.head(document_id)?.map(|head| (head.version, head.content_hash));
            committed.insert(document_id, head);
        }
        let candidate = (task.key.version, task.content_hash);
        best.entry(document_id)
            .and_modify(|best| {
                if candidate.0 > best.0 {
                    *best = candidate;
                }
            })
            .or_insert(candidate);
    }
    let mut taken: HashMap<&DocumentId, bool> = HashMap::new();
    let verdicts = tasks.iter().map(|task| {
        let document_id = &task.key.document_id;
        let (version, content) = (task.key.version, task.content_hash);
        let head = committed[document_id];
        let verdict = match decide(head, version, content) {
            Verdict::Apply => match decide(Some(best[document_id]), version, content) {
                // The highest of this batch applies, once; its copies are duplicates of it.
                Verdict::Duplicate if taken.insert(document_id, true).is_none() => Verdict::Apply,
                other => other,
            },
            other => other,
        };
        (verdict, head.is_some())
    });
    Ok(verdicts.collect())
}

/// The writes of the tasks at `applied`, with the documents `found` for them; an outcome instead
/// for a task that cannot be written.
pub(super) async fn build_writes(
    tasks: &[Task],
    applied: &[usize],
    found: Found,
) -> Result<(Vec<DocumentWrite>, HashMap<usize, Outcome>), Fault> {
    let mut refused = HashMap::new();
    let mut jobs = Vec::with_capacity(found.len());
    for (index, document) in found {
        match document {
            Ok(document) => jobs.push((index, tasks[index].clone(), document)),
            Err(outcome) => drop(refused.insert(index, outcome)),
        }
    }
    jobs.sort_unstable_by_key(|(index, ..)| *index);
    let build = move || jobs.iter().map(|(_, task, document)| write(task, document)).collect();
    let mut writes: Vec<_> = tokio::task::spawn_blocking(build).await.map_err(panicked)?;
    let deletes = applied.iter().map(|index| &tasks[*index]).filter(|task| task.deletes);
    writes.extend(deletes.map(|task| without_text(task, true)));
    Ok((writes, refused))
}

/// Those of the tasks at `applied` that have a document.
pub(super) fn with_document(tasks: &[Task], applied: &[usize]) -> Vec<usize> {
    applied.iter().copied().filter(|index| !tasks[*index].deletes).collect()
}

fn write(task: &Task, document: &CutDocument) -> DocumentWrite {
    let CutDocument { text, description, spans } = document;
    let chunk_count = u32::try_from(spans.len()).unwrap_or(u32::MAX);
    let head = Head {
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        content_hash: task.content_hash,
        epoch: task.epoch,
        chunk_count,
        acl: description.acl.clone(),
        deleted: false,
    };
    let chunks = (0_u32..).zip(spans).map(|(ordinal, span)| Chunk {
        id: ChunkId::derive(&task.epoch, &task.key, &task.content_hash, ordinal),
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        ordinal,
        chunk_count,
        span: span.span,
        heading: span.heading.clone(),
        embed_tokens: span.embed_tokens,
        text: text.text[span.span.start..span.span.end].to_owned(),
        description: description.clone(),
    });
    DocumentWrite { head, chunks: chunks.collect() }
}

/// The head of a version without chunks: a tombstone, or one that its generation cannot have.
pub(super) fn without_text(task: &Task, deleted: bool) -> DocumentWrite {
    let head = Head {
        document_id: task.key.document_id.clone(),
        version: task.key.version,
        content_hash: task.content_hash,
        epoch: task.epoch,
        chunk_count: 0,
        acl: Acl::Groups(std::collections::BTreeSet::new()),
        deleted,
    };
    DocumentWrite { head, chunks: Vec::new() }
}
