//! Documents of a batch that converters read, before they are cut.
//!
//! Converters take seconds to minutes for a document, so a batch begins no further conversion
//! [`CONVERSIONS_BEGIN_WITHIN`] after its start: what is left goes back to the queue and costs no attempt, and other
//! documents come first meanwhile. What comes back is checked, kept in the ledger, and cut from there: a batch that
//! is repeated, a repair and a re-index convert nothing again. Once the process stops, running conversions end.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use super::decode_converted;
use super::stage::{CheckedBody, dead_in_chunk_stage, fault_from_join_error};
use crate::domain::task::IngestTask;
use crate::fault::{FailureReason, Fault};
use crate::ingest::{StageResources, TaskOutcome};
use crate::ports::converter::{ConvertedText, DocumentToConvert};
use crate::ports::extractor::{ChosenConverter, DocumentExtractor, DocumentKind};
use crate::ports::ledger::StoredBody;

/// How long after its start a batch begins further conversions.
const CONVERSIONS_BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// Delay of a document whose conversion did not begin.
const POSTPONED: Duration = Duration::from_secs(1);

/// Why the readers here made nothing of a document.
pub(in crate::ingest) enum UnreadCause {
    /// A converter is to read it.
    ToConvert(ChosenConverter),
    /// It cannot be read.
    Refused(Fault),
}

/// Reads a document, unless a converter replaces the readers here, or takes what they refuse.
pub(in crate::ingest) fn read_unless_converted<T>(
    extractor: &dyn DocumentExtractor,
    document: &DocumentKind<'_>,
    read: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, UnreadCause> {
    if let Some(chosen) = extractor.converter(document, None) {
        return Err(UnreadCause::ToConvert(chosen));
    }
    read().map_err(|fault| match &fault {
        Fault::Permanent(reason) => match extractor.converter(document, Some(reason)) {
            Some(chosen) => UnreadCause::ToConvert(chosen),
            None => UnreadCause::Refused(fault),
        },
        _ => UnreadCause::Refused(fault),
    })
}

/// A document for a converter.
pub(super) struct UnreadDocument {
    /// Its place in the batch.
    pub(super) index: usize,
    pub(super) task: IngestTask,
    pub(super) stored: StoredBody,
    pub(super) chosen: ChosenConverter,
}

/// Converts documents; each comes back by its place in the batch, with what the ledger keeps of its conversion.
pub(super) async fn convert_documents(
    stages: &StageResources,
    unread: Vec<UnreadDocument>,
    stop: &watch::Receiver<bool>,
) -> Result<Vec<(usize, CheckedBody)>, Fault> {
    let deadline = Instant::now() + CONVERSIONS_BEGIN_WITHIN;
    let mut by_converter: BTreeMap<String, Vec<UnreadDocument>> = BTreeMap::new();
    for document in unread {
        by_converter.entry(document.chosen.converter.name().to_owned()).or_default().push(document);
    }
    let runs = by_converter.into_values().map(|group| convert_group(group, deadline, stop));
    let converted = join_all(runs).await.into_iter().flatten();
    let mut done = Vec::new();
    let mut wanted = Vec::new();
    for (document, converted) in check_conversions(converted.collect()).await? {
        match converted {
            Ok(converted) => wanted.push((document, converted)),
            Err(Fault::Permanent(reason)) => done.push((document.index, Err(dead_in_chunk_stage(reason)))),
            Err(other) => done.push((document.index, Err(TaskOutcome::Failed(other)))),
        }
    }
    let keys = wanted.iter().map(|(document, converted)| (document.task.key.clone(), converted.clone()));
    let kept =
        if wanted.is_empty() { Vec::new() } else { stages.ledger.keep_conversions(keys.collect()).await? };
    for ((document, _), kept) in wanted.into_iter().zip(kept) {
        let UnreadDocument { index, stored, .. } = document;
        done.push((
            index,
            match kept {
                // Not what came back now: the conversion of an earlier delivery is the version's text.
                Some(kept) => Ok(StoredBody { converted: Some(kept), ..stored }),
                None => Err(TaskOutcome::AlreadyEnded),
            },
        ));
    }
    Ok(done)
}

type Converted = (UnreadDocument, Result<ConvertedText, Fault>);

/// Converts the documents of one converter, as many at once as it takes.
async fn convert_group(
    group: Vec<UnreadDocument>,
    deadline: Instant,
    stop: &watch::Receiver<bool>,
) -> Vec<Converted> {
    let at_once = group.first().map_or(1, |first| first.chosen.converter.documents_at_once().max(1));
    let convert = |(place, document): (usize, UnreadDocument)| {
        let stop = stop.clone();
        async move {
            // The first ones always begin, so that a batch makes progress.
            if place >= at_once && Instant::now() >= deadline {
                return (document, Err(postponed("other documents are being converted")));
            }
            let converted = convert_until_stopped(&document, stop).await;
            (document, converted)
        }
    };
    futures::stream::iter(group.into_iter().enumerate().map(convert))
        .buffer_unordered(at_once)
        .collect()
        .await
}

async fn convert_until_stopped(
    document: &UnreadDocument,
    mut stop: watch::Receiver<bool>,
) -> Result<ConvertedText, Fault> {
    let UnreadDocument { task, stored, chosen, .. } = document;
    let to_convert = DocumentToConvert {
        body: stored.body.clone(),
        media_type: chosen.media_type.clone(),
        name: task.key.document_id.to_string(),
    };
    let stopped = async {
        // An error means that nobody can stop it any more.
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => Err(postponed("this process stops")),
        converted = chosen.converter.convert(to_convert) => converted,
    }
}

fn postponed(what: &str) -> Fault {
    Fault::Throttled { retry_after: POSTPONED, what: what.to_owned() }
}

/// Refuses what is no text, before it is kept: a version that is tried again is converted again.
async fn check_conversions(converted: Vec<Converted>) -> Result<Vec<Converted>, Fault> {
    let check = |(document, converted): Converted| {
        let name = document.chosen.converter.name();
        let named = |refused: FailureReason| {
            let detail = format!("converter {name}: {}", refused.detail);
            Fault::Permanent(FailureReason::new(refused.code, detail))
        };
        let id = document.task.key.document_id.as_str();
        let checked = converted.and_then(|text| decode_converted(&text, id).map(|_| text).map_err(named));
        (document, checked)
    };
    let check_all = move || converted.into_iter().map(check).collect();
    tokio::task::spawn_blocking(check_all).await.map_err(fault_from_join_error)
}
