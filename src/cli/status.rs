//! `contexture status`: counts of collections, the history of a document, providers and usage.

use std::fmt::Write as _;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::command_target::CommandOperations;
use super::console::ConsoleOutput;
use super::drain;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use super::text_format::{self, ColumnAlignment, TextTable};
use crate::operations::messages::collection::AuditResultView;
use crate::operations::messages::document::{DocumentDetails, ReasonView, VersionStateName, VersionView};
use crate::operations::messages::job::AuditReportView;
use crate::operations::messages::status::{CollectionStatusView, ModelUsageView, ServiceStatus};
use crate::wiring::ProcessRole;
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::fault::Refusal;
use contexture_core::resilience::quota_protocol::QuotaStatus;

/// What `status` takes.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// The history of this document
    #[arg(requires = "collection", value_name = "DOCUMENT_ID")]
    document_id: Option<String>,
}

/// A provider, as the status has it.
#[derive(Debug, Deserialize)]
struct ProviderStatus {
    provider: String,
    #[serde(flatten)]
    standing: QuotaStatus,
}

/// The history of a document. The field names of this and the next type are a contract.
#[derive(Debug, Serialize)]
struct DocumentVersions {
    collection: CollectionId,
    document_id: DocumentId,
    versions: Vec<VersionStatus>,
}

#[derive(Debug, Serialize)]
struct VersionStatus {
    version: u64,
    state: VersionStateName,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonView>,
    deletes: bool,
    content_hash: String,
    body_bytes: u64,
    chunks: Option<u32>,
    accepted_ms: u64,
    updated_ms: u64,
}

impl From<VersionView> for VersionStatus {
    fn from(view: VersionView) -> Self {
        let VersionView {
            version,
            state,
            reason,
            deletes,
            content_hash,
            body_bytes,
            chunk_count,
            accepted_ms,
            updated_ms,
        } = view;
        Self {
            version,
            state,
            reason,
            deletes,
            content_hash,
            body_bytes,
            chunks: chunk_count,
            accepted_ms,
            updated_ms,
        }
    }
}

/// Prints counts, or the versions of a document, the newest first.
pub(crate) async fn run(
    arguments: StatusArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let collection = arguments.collection.as_deref().map(CollectionId::new).transpose()?;
    let document_id = arguments.document_id.as_deref().map(DocumentId::new).transpose()?;
    let operations = global.operations(ProcessRole::Look).await?;
    let shown = match (collection, document_id) {
        // The parser refuses a document id without a collection.
        (None, _) => show_all(&operations, console).await,
        (Some(collection), None) => show_counts(&operations, &collection, console).await,
        (Some(collection), Some(document_id)) => {
            show_history(&operations, collection, document_id, console).await
        }
    };
    operations.close().await;
    shown.map(|()| CommandExitCode::Done)
}

async fn show_all(operations: &CommandOperations, console: ConsoleOutput) -> Result<(), CommandFailure> {
    let status = operations.status.status(&operations.caller).await?;
    console.result(&status, overview_text)
}

async fn show_counts(
    operations: &CommandOperations,
    collection: &CollectionId,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let view = operations.collections.collection(&operations.caller, collection.as_str()).await?;
    let status = CollectionStatusView { collection: view.name, counts: view.counts, audit: view.audit };
    // The same table as for all collections, with one row.
    console.result(&status, |one| counts_text(std::slice::from_ref(one)))
}

async fn show_history(
    operations: &CommandOperations,
    collection: CollectionId,
    document_id: DocumentId,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let documents = &operations.documents;
    let details = DocumentDetails::default();
    let view = documents
        .document_view(&operations.caller, collection.as_str(), document_id.as_str(), details)
        .await
        .map_err(|refusal| document_refusal(refusal, &collection, &document_id))?;
    let versions = view.versions.into_iter().map(VersionStatus::from).collect();
    console.result(&DocumentVersions { collection, document_id, versions }, history_table)
}

/// The refusal of an unknown document as commands have it, which also name the collection.
pub(super) fn document_refusal(
    refusal: Refusal,
    collection: &CollectionId,
    document_id: &DocumentId,
) -> Refusal {
    if refusal.code != "unknown_document" {
        return refusal;
    }
    Refusal::not_found(
        "document_not_found",
        format!("there is no document '{document_id}' in '{collection}'"),
    )
}

fn overview_text(all: &ServiceStatus) -> String {
    let mut text = counts_text(&all.collections);
    // What cannot be read, a newer server has in another shape.
    let providers = all.providers.iter().filter_map(|one| ProviderStatus::deserialize(one).ok());
    for ProviderStatus { provider, standing } in providers {
        let stands = match standing.waiting_for(provider.clone()) {
            Some(waiting) => drain::waiting_text(&waiting),
            None => format!("{provider}: open"),
        };
        let _ = write!(
            text,
            "\n{stands}; {} of {} calls open, {} so far, {} throttled, {} failed\n",
            standing.open,
            standing.window,
            text_format::count(standing.calls),
            text_format::count(standing.throttled),
            text_format::count(standing.failed),
        );
    }
    if !all.usage.is_empty() {
        let numbers = ["requests", "texts", "tokens"].map(|name| (name, ColumnAlignment::Right));
        // The status has the usage of so many days.
        let mut columns = vec![("embedded in 30 days with", ColumnAlignment::Left)];
        columns.extend(numbers);
        let mut lines = TextTable::new(&columns);
        for ModelUsageView { model, requests, texts, tokens } in &all.usage {
            lines.row(
                std::iter::once(model.clone()).chain([*requests, *texts, *tokens].map(text_format::count)),
            );
        }
        text.push('\n');
        text.push_str(&lines.render());
    }
    text
}

fn counts_text(collections: &[CollectionStatusView]) -> String {
    let numbers = ["accepted", "in flight", "visible", "superseded", "dead", "documents"];
    let mut columns = vec![("collection", ColumnAlignment::Left)];
    columns.extend(numbers.map(|name| (name, ColumnAlignment::Right)));
    let mut lines = TextTable::new(&columns);
    for CollectionStatusView { collection, counts, .. } in collections {
        let cells = [
            counts.accepted,
            counts.in_flight,
            counts.visible,
            counts.superseded,
            counts.dead,
            counts.documents,
        ];
        lines.row(std::iter::once(collection.clone()).chain(cells.map(text_format::count)));
    }
    let mut text = lines.render();
    for CollectionStatusView { collection, audit, .. } in collections {
        if let Some(AuditResultView { at_ms, report }) = audit {
            let AuditReportView { missing, stale, orphan, drift, .. } = *report;
            let found = match missing + stale + orphan + drift {
                0 => "nothing wrong".to_owned(),
                _ => format!("{missing} missing, {stale} stale, {orphan} orphan, {drift} drift"),
            };
            let _ = write!(text, "\n{collection} audited at {}: {found}\n", text_format::utc_time(*at_ms));
        }
    }
    text
}

fn history_table(history: &DocumentVersions) -> String {
    let mut lines = TextTable::new(&[
        ("version", ColumnAlignment::Right),
        ("state", ColumnAlignment::Left),
        ("bytes", ColumnAlignment::Right),
        ("chunks", ColumnAlignment::Right),
        ("accepted", ColumnAlignment::Left),
        ("updated", ColumnAlignment::Left),
        ("note", ColumnAlignment::Left),
    ]);
    for version in &history.versions {
        let note = match &version.reason {
            Some(reason) => format!("{}: {}", reason.code, reason.detail),
            None if version.deletes => "deletes the document".to_owned(),
            None => String::new(),
        };
        lines.row([
            version.version.to_string(),
            state_name(version.state).to_owned(),
            text_format::count(version.body_bytes),
            version.chunks.map_or_else(|| "-".to_owned(), |chunks| text_format::count(chunks.into())),
            text_format::utc_time(version.accepted_ms),
            text_format::utc_time(version.updated_ms),
            note,
        ]);
    }
    format!("{} in {}\n{}", history.document_id, history.collection, lines.render())
}

/// The state as it is in JSON.
pub(super) fn state_name(state: VersionStateName) -> &'static str {
    match state {
        VersionStateName::Accepted => "accepted",
        VersionStateName::Chunked => "chunked",
        VersionStateName::Embedded => "embedded",
        VersionStateName::Visible => "visible",
        VersionStateName::Superseded => "superseded",
        VersionStateName::Dead => "dead",
    }
}
