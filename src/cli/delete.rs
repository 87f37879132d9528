//! `contexture delete`: deletes documents, and waits until no query returns them.
//!
//! Before it ends, the text is off the disk of this machine, too, where that takes no longer than a second.
//!
//! Unknown ids do not stop the others from being deleted; they are reported at the end.

use std::collections::BTreeSet;

use clap::Args;
use futures::stream::{self, StreamExt};
use serde::Serialize;

use super::batch_submitter::BatchSubmitter;
use super::command_target::CommandTarget;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, existing_collection};
use super::remote::{FollowedVersions, RemoteServer};
use super::server_choice::server_side_caller;
use super::{drain, text_format};
use crate::operations::messages::document::IntakeName;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::fault::Refusal;
use contexture_core::ports::ledger::{VersionRecord, VersionState};

/// Deletes that wait for a server at once.
const DELETES_AT_ONCE: usize = 16;

/// Entries of a file of the index that is rewritten before the command ends: about a second's work.
const ERASED_AT_ONCE_ENTRIES_MAX: u32 = 100_000;

/// What `delete` takes.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The collection they are in
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// The documents
    #[arg(required = true, value_name = "DOCUMENT_ID")]
    document_ids: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DeleteSummary {
    deleted: u64,
    not_found: Vec<DocumentId>,
}

/// Deletes the documents that exist. Fails with `document_not_found` if some did not.
pub(crate) async fn run(
    arguments: DeleteArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let collection = CollectionId::new(&arguments.collection)?;
    // A set, so that an id that is named twice is deleted and counted once.
    let ids: BTreeSet<DocumentId> =
        arguments.document_ids.iter().map(|id| DocumentId::new(id)).collect::<Result<_, _>>()?;
    let summary = match global.open_for(ProcessRole::Change, None).await? {
        CommandTarget::Server(server) => delete_on_server(&server, &collection, ids).await?,
        CommandTarget::Here(stack, _) => {
            let summary = delete_documents(&stack, &collection, ids).await;
            stack.shutdown().await;
            summary?
        }
    };
    console.result(&summary, |summary| {
        format!("deleted {}\n", text_format::count_with_noun(summary.deleted, "document"))
    })?;
    if let Some(first) = summary.not_found.first() {
        let more = match summary.not_found.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        return Err(Refusal::not_found(
            "document_not_found",
            format!("there is no document '{first}'{more} in '{collection}'; nothing was deleted for it"),
        )
        .into());
    }
    Ok(CommandExitCode::Done)
}

async fn delete_documents(
    stack: &ServiceStack,
    collection: &CollectionId,
    ids: BTreeSet<DocumentId>,
) -> Result<DeleteSummary, CommandFailure> {
    let key = existing_collection(stack, collection).await?.key;
    let mut submitter = BatchSubmitter::new(stack);
    let mut not_found = Vec::new();
    for id in ids {
        // Looked up first, because a delete of an unknown document is no error for intake.
        if document_exists(&stack.ledger.history(&key, &id).await?) {
            submitter.push(Submission::deletion(&stack.principal, collection.clone(), id, None)?).await?;
        } else {
            not_found.push(id);
        }
    }
    submitter.flush().await?;
    drain::wait_until_drained(stack, &key, None, |_, _, _| {}).await?;
    if let Err(fault) = stack.erase_deleted(&key, ERASED_AT_ONCE_ENTRIES_MAX).await {
        tracing::warn!(%fault, "the text is not off the disk yet; a server or a later deletion takes it off");
    }
    Ok(DeleteSummary { deleted: submitter.tally().accepted, not_found })
}

async fn delete_on_server(
    server: &RemoteServer,
    collection: &CollectionId,
    ids: BTreeSet<DocumentId>,
) -> Result<DeleteSummary, CommandFailure> {
    let caller = server_side_caller()?;
    let name = collection.as_str();
    let followed_ids = ids.iter().map(|id| id.as_str().to_owned());
    let mut followed = FollowedVersions::follow(server, &caller, name, followed_ids).await?;
    let deletes = stream::iter(ids).map(async |id| (server.delete_document(name, id.as_str()).await, id));
    let mut deletes = std::pin::pin!(deletes.buffered(DELETES_AT_ONCE));
    let mut summary = DeleteSummary { deleted: 0, not_found: Vec::new() };
    while let Some((deleted, id)) = deletes.next().await {
        match deleted {
            Ok(receipt) => {
                summary.deleted += u64::from(receipt.intake == IntakeName::Accepted);
                followed.expect(id.as_str(), receipt.version);
            }
            Err(refusal) if refusal.code == "unknown_document" => summary.not_found.push(id),
            Err(refusal) => return Err(refusal.into()),
        }
    }
    followed.wait(None, |_| {}).await?;
    Ok(summary)
}

/// Whether the newest version that is not dead is content rather than a delete.
fn document_exists(history: &[VersionRecord]) -> bool {
    // The history is sorted from the newest version. A dead one never changed what queries find.
    history.iter().find(|record| record.state != VersionState::Dead).is_some_and(|record| !record.deletes)
}
