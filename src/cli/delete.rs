//! `contexture delete`: documents out, and the wait until no query returns them.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::feed::Feed;
use super::global::{Global, existing_collection};
use super::{settle, table};
use crate::domain::document::Submission;
use crate::domain::ids::{CollectionId, DocumentId};
use crate::fault::Refusal;
use crate::ports::ledger::{State, VersionRecord};
use crate::wiring::{Roles, Stack};

/// What `delete` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The collection they are in
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// The documents
    #[arg(required = true, value_name = "DOCUMENT_ID")]
    document_ids: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Summary {
    deleted: u64,
    not_found: Vec<DocumentId>,
}

/// Deletes what exists, then says what did not.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let collection = CollectionId::new(&arguments.collection)?;
    let ids: BTreeSet<DocumentId> =
        arguments.document_ids.iter().map(|id| DocumentId::new(id)).collect::<Result<_, _>>()?;
    let (_, stack) = global.open_existing(Roles::Change).await?;
    let summary = delete(&stack, &collection, ids).await;
    stack.shutdown().await;
    let summary = summary?;
    console
        .result(&summary, |summary| format!("deleted {}\n", table::counted(summary.deleted, "document")))?;
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
    Ok(Exit::Done)
}

async fn delete(
    stack: &Stack,
    collection: &CollectionId,
    ids: BTreeSet<DocumentId>,
) -> Result<Summary, Failure> {
    let key = existing_collection(stack, collection).await?.key;
    let mut feed = Feed::new(stack);
    let mut not_found = Vec::new();
    for id in ids {
        if exists(&stack.ledger.history(&key, &id).await?) {
            feed.push(Submission::delete(&stack.principal, collection.clone(), id, None)?).await?;
        } else {
            not_found.push(id);
        }
    }
    feed.flush().await?;
    settle::wait(stack, &key, None, |_, _, _| {}).await?;
    Ok(Summary { deleted: feed.tally().accepted, not_found })
}

/// Whether the newest version that was not given up is content.
fn exists(history: &[VersionRecord]) -> bool {
    history.iter().find(|record| record.state != State::Dead).is_some_and(|record| !record.deletes)
}
