//! Documents inside documents: attachments of a mail, messages of a mailbox.
//!
//! Each is a document of its own, `MAIL#attachment/NAME` or `MAILBOX#message/MESSAGE-ID`, with the readers and the
//! metadata of the one that holds it, and that one's id as `part_of`. It is submitted behind the commit of its holder,
//! and before the holder's version ends, with the same version number. So the version fence decides here, too: a
//! late or repeated run changes nothing, and what an earlier version held and this one does not is deleted at this
//! version. A holder's deletion deletes all. If a newer version of the holder is on its way by then, what that one holds
//! is submitted at once: it may have looked for what is left behind already.
//!
//! Limits: three levels; files of types that are not read are left out. Only documents of such an id are deleted here,
//! and only where their `part_of` says the same.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use contexture_formats::{EnclosedFile, EnclosedFileKind, EnclosedFiles, enclosed_files, file_format_of};
use futures::StreamExt;

use super::chunk::stage::fault_from_join_error;
use super::chunk::unread_type;
use super::submit::publish_first_messages;
use super::{StageResources, TaskOutcome};
use crate::domain::document::{DocumentDescription, Submission};
use crate::domain::ids::{
    CollectionId, CollectionKey, ContentHash, DOCUMENT_ID_BYTES_MAX, DocumentId, FieldHasher, VersionKey,
};
use crate::domain::metadata::{MetadataScalar, MetadataValue};
use crate::domain::principal::{AccessScope, Principal};
use crate::domain::task::IngestTask;
use crate::fault::{FailureReason, Fault, Refusal, reason};
use crate::ports::document_ledger::{DocumentPage, DocumentRecord};
use crate::ports::extractor::{DocumentExtractor, DocumentKind};
use crate::ports::ledger::{StoredBody, VersionRecord, VersionState};

/// The metadata key of the document that holds this one.
const PART_OF_KEY: &str = "part_of";
/// Between a mail's id and an attachment's name.
const ATTACHMENT_MARK: &str = "#attachment/";
/// Between a mailbox's id and a message's.
const MESSAGE_MARK: &str = "#message/";
/// Most documents inside one another.
const DEPTH_MAX: usize = 3;
/// Submissions of one transaction.
const SUBMISSIONS_MAX: usize = 256;
/// Documents of one page of the ledger.
const PAGE_DOCUMENTS_MAX: usize = 500;
/// Documents that are seen to at once.
const CONCURRENT_MAX: usize = 8;
/// Hexadecimal digits of the hash that stands for a name.
const HASH_NAME_DIGITS: usize = 16;

/// Submits what the documents of the tasks at these indices hold, and deletes what they held. Each comes with whether it
/// may hold something. Returns an outcome for each task whose document could not be seen to.
pub(super) async fn keep_in_step(
    stages: &StageResources,
    tasks: &[IngestTask],
    indices: Vec<(usize, bool)>,
) -> HashMap<usize, TaskOutcome> {
    let each = indices.into_iter().map(|(index, may_hold)| async move {
        let done = keep_holder_in_step(stages, &tasks[index], may_hold).await;
        done.err().map(|fault| (index, TaskOutcome::Failed(fault)))
    });
    let failed: Vec<_> = futures::stream::iter(each).buffer_unordered(CONCURRENT_MAX).collect().await;
    failed.into_iter().flatten().collect()
}

async fn keep_holder_in_step(
    stages: &StageResources,
    task: &IngestTask,
    may_hold: bool,
) -> Result<(), Fault> {
    let collection = task.key.collection_key();
    let (mut holder, mut holds) = (task.key.clone(), may_hold && !task.deletes);
    loop {
        let held = if holds { read_held(stages, &holder).await? } else { Vec::new() };
        let kept: HashSet<DocumentId> =
            held.iter().map(|submission| submission.document_id().clone()).collect();
        let submits = !held.is_empty();
        submit_all(stages, held).await?;
        delete_left_behind(stages, &collection, &holder, &kept).await?;
        if !submits {
            return Ok(());
        }
        // A newer version may have looked for what is left behind before these were submitted, and looks no more.
        let history = stages.ledger.history(&collection, &holder.document_id).await?;
        let lost =
            |record: &VersionRecord| matches!(record.state, VersionState::Dead | VersionState::Superseded);
        match history.into_iter().find(|record| !lost(record)) {
            Some(newest) if newest.key.version > holder.version => {
                (holder, holds) = (newest.key, !newest.deletes);
            }
            _ => return Ok(()),
        }
    }
}

/// What a version holds, as submissions of its number.
async fn read_held(stages: &StageResources, holder: &VersionKey) -> Result<Vec<Submission>, Fault> {
    let id = holder.document_id.as_str();
    let depth = id.matches(ATTACHMENT_MARK).count() + id.matches(MESSAGE_MARK).count();
    let stored = stages.ledger.bodies(std::slice::from_ref(holder)).await?;
    let Some(stored) = stored.into_iter().next().flatten() else { return Ok(Vec::new()) };
    if depth >= DEPTH_MAX {
        tracing::info!(document = id, "what is inside of it is left out: it is inside of three others");
        return Ok(Vec::new());
    }
    let holder = holder.clone();
    let extractor = stages.extractor.clone();
    let split = move || split_holder(&*extractor, &holder, &stored);
    tokio::task::spawn_blocking(split).await.map_err(fault_from_join_error)?
}

fn split_holder(
    extractor: &dyn DocumentExtractor,
    holder: &VersionKey,
    stored: &StoredBody,
) -> Result<Vec<Submission>, Fault> {
    let id = holder.document_id.as_str();
    let declared = stored.description.media_type.as_deref();
    let found = if extractor.may_enclose(&stored.body) {
        let files = match extractor.enclosed_files(&stored.body, id) {
            // The holder itself could be read, and is committed.
            Err(Fault::Permanent(reason)) => {
                tracing::warn!(document = id, %reason, "the files inside of it cannot be read");
                Vec::new()
            }
            read => read?,
        };
        EnclosedFiles { files, beyond_limits: 0 }
    } else if extractor.reads(&stored.body) {
        EnclosedFiles::default()
    } else {
        enclosed_files(&stored.body, file_format_of(&stored.body, declared, id))
    };
    if found.beyond_limits > 0 {
        tracing::warn!(
            document = id,
            files = found.beyond_limits,
            "files inside of it are left out: it has too many"
        );
    }
    let mut metadata = stored.description.metadata.clone();
    metadata.set(PART_OF_KEY, MetadataValue::One(MetadataScalar::Text(id.to_owned())));
    let mut held = Vec::with_capacity(found.files.len());
    for file in found.files {
        if !is_read(extractor, &file) {
            tracing::info!(
                document = id,
                file = file.name,
                "a file inside of it is of a type that is not read"
            );
            continue;
        }
        let description = DocumentDescription {
            media_type: file.media_type.clone(),
            title: None,
            metadata: metadata.clone(),
            acl: stored.description.acl.clone(),
        };
        match submission_of(holder, description, file) {
            Ok(submission) => held.push(submission),
            Err(refusal) => tracing::warn!(document = id, %refusal, "a file inside of it cannot be taken in"),
        }
    }
    Ok(held)
}

/// Whether a file is text, or of a type that is read here or by a converter.
fn is_read(extractor: &dyn DocumentExtractor, file: &EnclosedFile) -> bool {
    let Some(sniffed) = unread_type(&file.body) else { return true };
    let kind = DocumentKind {
        sniffed: Some(sniffed),
        declared: file.media_type.as_deref(),
        name: file.name.as_deref().unwrap_or_default(),
    };
    let unread = FailureReason::new(reason::UNSUPPORTED_TYPE, sniffed);
    extractor.reads(&file.body)
        || [None, Some(&unread)].into_iter().any(|refusal| extractor.converter(&kind, refusal).is_some())
}

fn submission_of(
    holder: &VersionKey,
    description: DocumentDescription,
    file: EnclosedFile,
) -> Result<Submission, Refusal> {
    let (principal, collection) = submitter(&holder.collection_key())?;
    let id = held_id(&holder.document_id, &file)?;
    let body = Bytes::from(file.body);
    let length = body.len();
    Submission::new(&principal, collection, id, Some(holder.version), description, body, length)
}

/// The id of a file inside a document. A name that is missing, or too long for an id, is a hash.
fn held_id(holder: &DocumentId, file: &EnclosedFile) -> Result<DocumentId, Refusal> {
    let mark = match file.kind {
        EnclosedFileKind::Attachment => ATTACHMENT_MARK,
        EnclosedFileKind::Message => MESSAGE_MARK,
    };
    let named = file.name.as_ref().map(|name| format!("{holder}{mark}{name}"));
    let fits = |id: &String| id.len() <= DOCUMENT_ID_BYTES_MAX && DocumentId::new(id).is_ok();
    if let Some(id) = named.filter(fits) {
        return DocumentId::new(&id);
    }
    let name = file.name.as_deref().map_or(file.body.as_slice(), str::as_bytes);
    let hash = FieldHasher::new("contexture enclosed file v1").field(name).finish();
    let digits = ContentHash::from_bytes(hash).to_string();
    DocumentId::new(&format!("{holder}{mark}{}", &digits[..HASH_NAME_DIGITS]))
}

/// Who submits: the service, in the name of the tenant whose document it is.
fn submitter(collection: &CollectionKey) -> Result<(Principal, CollectionId), Refusal> {
    let scopes = std::iter::once(AccessScope::Write).collect();
    let principal = Principal::new(collection.tenant.clone(), std::collections::BTreeSet::new(), scopes)?;
    Ok((principal, collection.collection.clone()))
}

async fn submit_all(stages: &StageResources, submissions: Vec<Submission>) -> Result<(), Fault> {
    let mut rest = submissions.into_iter();
    loop {
        let batch: Vec<Submission> = rest.by_ref().take(SUBMISSIONS_MAX).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let receipts = stages.ledger.accept(batch).await?;
        let tasks = receipts.into_iter().filter_map(|receipt| receipt.task).collect();
        publish_first_messages(&*stages.ledger, &*stages.broker, tasks).await;
    }
}

/// Deletes what an earlier version held, and this one does not.
async fn delete_left_behind(
    stages: &StageResources,
    collection: &CollectionKey,
    holder: &VersionKey,
    kept: &HashSet<DocumentId>,
) -> Result<(), Fault> {
    let prefix = Some(format!("{}#", holder.document_id));
    let mut after = None;
    loop {
        let page = DocumentPage { prefix: prefix.clone(), after, limit: PAGE_DOCUMENTS_MAX };
        let records = stages.ledger.documents(collection, &page).await?;
        let is_last = records.len() < PAGE_DOCUMENTS_MAX;
        after = records.last().map(|record| record.newest.key.document_id.clone());
        let mut deletions = Vec::new();
        for record in records {
            let id = record.newest.key.document_id.clone();
            if kept.contains(&id) || !is_left_behind(&record, holder) {
                continue;
            }
            let (principal, collection) = submitter(collection).map_err(|refusal| refused(&refusal))?;
            let deletion = Submission::deletion(&principal, collection, id, Some(holder.version));
            deletions.push(deletion.map_err(|refusal| refused(&refusal))?);
        }
        submit_all(stages, deletions).await?;
        if is_last {
            return Ok(());
        }
    }
}

fn is_left_behind(record: &DocumentRecord, holder: &VersionKey) -> bool {
    let part_of = record.description.as_ref().and_then(|description| description.metadata.get(PART_OF_KEY));
    let held_here = part_of.is_some_and(|value| {
        value.scalars() == [MetadataScalar::Text(holder.document_id.as_str().to_owned())]
    });
    let id = record.newest.key.document_id.as_str().strip_prefix(holder.document_id.as_str());
    let is_named_so =
        id.is_some_and(|rest| rest.starts_with(ATTACHMENT_MARK) || rest.starts_with(MESSAGE_MARK));
    held_here && is_named_so && !record.newest.deletes && record.newest.key.version < holder.version
}

/// A refusal of what was checked when the holder was accepted.
fn refused(refusal: &Refusal) -> Fault {
    Fault::transient(format!("a document inside of another cannot be deleted: {refusal}"))
}
