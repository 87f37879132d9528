//! `contexture documents`: lists, shows and deletes stored documents.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::command_target::CommandOperations;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use super::status::{document_refusal, state_name};
use super::text_format::{self, ColumnAlignment, TextTable};
use crate::operations::messages::document::{
    DeleteMatchingRequest, DocumentDetails, DocumentView, ListDocumentsRequest, VersionStateName,
};
use crate::operations::messages::page::PAGE_ENTRIES_MAX;
use crate::wiring::ProcessRole;
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::fault::Refusal;

/// Documents listed when `--limit` does not say.
const LIST_DEFAULT: usize = 100;
/// Maximum documents of one command; all of them are held in memory.
const DOCUMENTS_MAX: usize = 1_000_000;
/// Maximum characters of a title in a table.
const TITLE_CHARS_MAX: usize = 60;
/// Maximum characters of metadata in a table; `--json` has all of it.
const METADATA_CHARS_MAX: usize = 80;

/// What `documents` takes.
#[derive(Debug, Args)]
pub(crate) struct DocumentsArgs {
    #[command(subcommand)]
    action: DocumentsCommand,
}

#[derive(Debug, Subcommand)]
enum DocumentsCommand {
    /// List them by id
    List {
        /// The collection they are in
        #[arg(long, value_name = "NAME")]
        collection: String,
        #[command(flatten)]
        matching: MatchingArgs,
        /// Only documents whose newest version is accepted, chunked, embedded, visible, superseded or dead
        #[arg(long, value_name = "STATE", value_parser = parse_state)]
        state: Option<VersionStateName>,
        /// Most documents to list
        #[arg(long, value_name = "N", default_value_t = LIST_DEFAULT)]
        limit: usize,
    },
    /// Show one: its description, its versions, and what queries see of it
    Show {
        /// The collection it is in
        #[arg(long, value_name = "NAME")]
        collection: String,
        /// The document
        #[arg(value_name = "DOCUMENT_ID")]
        document_id: String,
        /// Its chunks, too
        #[arg(long)]
        chunks: bool,
        /// Its normalised text, too
        #[arg(long)]
        text: bool,
    },
    /// Delete those that match, and wait until no query returns them
    Delete {
        /// The collection they are in
        #[arg(long, value_name = "NAME")]
        collection: String,
        #[command(flatten)]
        matching: MatchingArgs,
        /// Say how many there are, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
struct MatchingArgs {
    /// Only ids that start with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    #[arg(
        long,
        value_name = "EXPR",
        help = r#"Condition, such as 'lang = "en" and title starts_with "Setup"'"#
    )]
    filter: Option<String>,
}

/// What is listed. The field names are a contract.
#[derive(Debug, Serialize)]
struct DocumentListing {
    documents: Vec<DocumentView>,
    more: bool,
}

fn parse_state(name: &str) -> Result<VersionStateName, String> {
    serde_json::from_value(name.into())
        .map_err(|_| "expected accepted, chunked, embedded, visible, superseded or dead".to_owned())
}

/// Runs one command on documents.
pub(crate) async fn run(
    arguments: DocumentsArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let action = arguments.action;
    let role = match &action {
        DocumentsCommand::List { .. }
        | DocumentsCommand::Show { .. }
        | DocumentsCommand::Delete { dry_run: true, .. } => ProcessRole::Ask { awaits: false },
        DocumentsCommand::Delete { .. } => ProcessRole::Change,
    };
    let operations = global.operations(role).await?;
    let outcome = match action {
        DocumentsCommand::List { collection, matching, state, limit } => {
            list_documents(&operations, &collection, matching, state, limit, console).await
        }
        DocumentsCommand::Show { collection, document_id, chunks, text } => {
            let details = DocumentDetails { chunks, text, groups: true };
            show_document(&operations, &collection, &document_id, details, console).await
        }
        DocumentsCommand::Delete { collection, matching, dry_run } => {
            delete_matching(&operations, &collection, matching, dry_run, console).await
        }
    };
    operations.close().await;
    outcome.map(|()| CommandExitCode::Done)
}

async fn list_documents(
    operations: &CommandOperations,
    collection: &str,
    matching: MatchingArgs,
    state: Option<VersionStateName>,
    limit: usize,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let limit = limit.min(DOCUMENTS_MAX);
    let MatchingArgs { prefix, filter } = matching;
    let mut listing = DocumentListing { documents: Vec::new(), more: true };
    let mut cursor = None;
    while listing.more && listing.documents.len() < limit {
        let wanted = (limit - listing.documents.len()).min(PAGE_ENTRIES_MAX);
        let request = ListDocumentsRequest {
            prefix: prefix.clone(),
            filter: filter.clone(),
            state,
            limit: i64::try_from(wanted).ok(),
            cursor,
        };
        let page = operations.documents.list_documents(&operations.caller, collection, request).await?;
        listing.documents.extend(page.documents);
        listing.more = page.next_cursor.is_some();
        cursor = page.next_cursor;
    }
    console.result(&listing, |listing| documents_table(&listing.documents))?;
    if listing.more {
        console.note(&format!("there are more than {limit}; see --limit"));
    }
    Ok(())
}

async fn show_document(
    operations: &CommandOperations,
    collection: &str,
    document_id: &str,
    details: DocumentDetails,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let (collection, document_id) = (CollectionId::new(collection)?, DocumentId::new(document_id)?);
    let view = operations
        .documents
        .document_view(&operations.caller, collection.as_str(), document_id.as_str(), details)
        .await
        .map_err(|refusal| document_refusal(refusal, &collection, &document_id))?;
    console.result(&view, document_text)
}

async fn delete_matching(
    operations: &CommandOperations,
    collection: &str,
    matching: MatchingArgs,
    dry_run: bool,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let MatchingArgs { prefix, filter } = matching;
    if prefix.is_none() && filter.is_none() {
        let message = "which documents? give --prefix or --filter; 'contexture delete' takes ids";
        return Err(Refusal::invalid("no_condition", "filter", message).into());
    }
    let request = DeleteMatchingRequest { ids: None, prefix, filter, dry_run };
    let outcome = operations.documents.delete_matching(&operations.caller, collection, request).await?;
    if !dry_run && outcome.deleted > 0 {
        operations.wait_until_drained(collection).await?;
    }
    console.result(&outcome, |outcome| {
        let (verb, number) =
            if dry_run { ("would delete", outcome.matched) } else { ("deleted", outcome.deleted) };
        format!("{verb} {}\n", text_format::count_with_noun(number, "document"))
    })
}

fn documents_table(documents: &[DocumentView]) -> String {
    let mut lines = TextTable::new(&[
        ("document", ColumnAlignment::Left),
        ("version", ColumnAlignment::Right),
        ("state", ColumnAlignment::Left),
        ("bytes", ColumnAlignment::Right),
        ("updated", ColumnAlignment::Left),
        ("title", ColumnAlignment::Left),
        ("source", ColumnAlignment::Left),
        ("metadata", ColumnAlignment::Left),
    ]);
    for view in documents {
        lines.row([
            view.document_id.clone(),
            view.version.to_string(),
            view.state.map_or("", state_name).to_owned(),
            text_format::count(view.body_bytes),
            text_format::utc_time(view.updated_ms),
            text_format::snippet(view.title.as_deref().unwrap_or_default(), TITLE_CHARS_MAX),
            view.source.clone().unwrap_or_default(),
            text_format::snippet(&metadata_text(view), METADATA_CHARS_MAX),
        ]);
    }
    lines.render()
}

/// The metadata as JSON; empty if there is none.
fn metadata_text(view: &DocumentView) -> String {
    let is_empty = view.metadata.iter().next().is_none();
    if is_empty { String::new() } else { serde_json::to_string(&view.metadata).unwrap_or_default() }
}

fn document_text(view: &DocumentView) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<13}{}", text_format::snippet(value, usize::MAX));
    };
    line("document", &view.document_id);
    line("version", &view.version.to_string());
    line("state", view.state.map_or("", state_name));
    let described = [
        ("title", &view.title),
        ("address", &view.url),
        ("media type", &view.media_type),
        ("source", &view.source),
    ];
    for (name, value) in described {
        if let Some(value) = value {
            line(name, value);
        }
    }
    let metadata = metadata_text(view);
    if !metadata.is_empty() {
        line("metadata", &metadata);
    }
    if let Some(Some(groups)) = &view.groups {
        line("groups", &groups.join(", "));
    }
    line("bytes", &text_format::count(view.body_bytes));
    if let Some(chunks) = view.chunk_count {
        line("chunks", &text_format::count(chunks.into()));
    }
    if let Some(reason) = &view.reason {
        line("reason", &format!("{}: {}", reason.code, reason.detail));
    }
    line("versions", &view.versions.len().to_string());
    line("updated", &text_format::utc_time(view.updated_ms));
    for chunk in view.chunks.iter().flatten() {
        let _ = write!(
            text,
            "\nchunk {}, bytes {}..{}  {}\n{}\n",
            chunk.ordinal,
            chunk.start_byte,
            chunk.end_byte,
            chunk.heading.join(" > "),
            chunk.text.trim_end()
        );
    }
    if let Some(whole) = &view.text {
        let _ = write!(text, "\n{}\n", whole.trim_end());
    }
    text
}
