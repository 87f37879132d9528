//! `contexture status`: counts of collections, the history of a document, providers and usage.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::console::ConsoleOutput;
use super::drain;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, existing_collection};
use super::text_format::{self, ColumnAlignment, TextTable};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::{CollectionId, CollectionKey, ContentHash, DocumentId, Version};
use contexture_core::fault::{FailureReason, Refusal};
use contexture_core::ingest::usage::ModelUsage;
use contexture_core::jobs::audit::AuditReport;
use contexture_core::jobs::audit::schedule::LastAuditResult;
use contexture_core::ports::ledger::{VersionCounts, VersionRecord, VersionState};
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

/// One collection. The field names of this and the next types are a contract.
#[derive(Debug, Serialize)]
struct CollectionStatus {
    collection: CollectionId,
    #[serde(flatten)]
    counts: VersionCounts,
    /// The result of the last audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<LastAuditResult>,
}

#[derive(Debug, Serialize)]
struct StatusOverview {
    collections: Vec<CollectionStatus>,
    /// Providers that have been called.
    providers: Vec<ProviderStatus>,
    /// Usage of embedding models in the last [`USAGE_DAYS`] days.
    usage: Vec<ModelUsageStatus>,
}

/// Days of usage that are shown.
const USAGE_DAYS: u64 = 30;

#[derive(Debug, Serialize)]
struct ProviderStatus {
    provider: String,
    #[serde(flatten)]
    standing: QuotaStatus,
}

#[derive(Debug, Serialize)]
struct ModelUsageStatus {
    model: String,
    #[serde(flatten)]
    usage: ModelUsage,
}

#[derive(Debug, Serialize)]
struct DocumentVersions {
    collection: CollectionId,
    document_id: DocumentId,
    versions: Vec<VersionStatus>,
}

#[derive(Debug, Serialize)]
struct VersionStatus {
    version: Version,
    state: VersionState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonStatus>,
    deletes: bool,
    content_hash: ContentHash,
    body_bytes: u64,
    chunks: Option<u32>,
    accepted_ms: u64,
    updated_ms: u64,
}

/// The reason of a dead version, for JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ReasonStatus {
    code: String,
    detail: String,
}

impl ReasonStatus {
    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The text for a person.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<FailureReason> for ReasonStatus {
    fn from(reason: FailureReason) -> Self {
        Self { code: reason.code, detail: reason.detail }
    }
}

impl From<VersionRecord> for VersionStatus {
    fn from(record: VersionRecord) -> Self {
        Self {
            version: record.key.version,
            state: record.state,
            reason: record.reason.map(ReasonStatus::from),
            deletes: record.deletes,
            content_hash: record.content_hash,
            body_bytes: record.body_bytes,
            chunks: record.chunk_count,
            accepted_ms: record.accepted_ms,
            updated_ms: record.updated_ms,
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
    let (_, stack) = global.open_existing(ProcessRole::Look).await?;
    let shown = match (collection, document_id) {
        // The parser refuses a document id without a collection.
        (None, _) => show_all(&stack, console).await,
        (Some(collection), None) => show_counts(&stack, collection, console).await,
        (Some(collection), Some(document_id)) => show_history(&stack, collection, document_id, console).await,
    };
    stack.shutdown().await;
    shown.map(|()| CommandExitCode::Done)
}

async fn show_all(stack: &ServiceStack, console: ConsoleOutput) -> Result<(), CommandFailure> {
    let records = stack.ledger.collections().await?;
    // A shared ledger has the collections of other tenants, too.
    let own = records.into_iter().filter(|record| record.key.tenant == *stack.principal.tenant());
    let mut audits: BTreeMap<String, LastAuditResult> = stack.last_audits().await?.into_iter().collect();
    let mut collections = Vec::new();
    for CollectionKey { tenant, collection } in own.map(|record| record.key) {
        let key = CollectionKey { tenant, collection };
        let counts = stack.ledger.counts(&key).await?;
        let audit = audits.remove(key.collection.as_str());
        collections.push(CollectionStatus { collection: key.collection, counts, audit });
    }
    collections.sort_by(|first, second| first.collection.cmp(&second.collection));
    let providers = stack.providers().await?;
    let providers =
        providers.into_iter().map(|(provider, standing)| ProviderStatus { provider, standing }).collect();
    let usage = stack.usage(USAGE_DAYS).await?;
    let usage = usage.into_iter().map(|(model, usage)| ModelUsageStatus { model, usage }).collect();
    console.result(&StatusOverview { collections, providers, usage }, overview_text)
}

async fn show_counts(
    stack: &ServiceStack,
    collection: CollectionId,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let record = existing_collection(stack, &collection).await?;
    let counts = stack.ledger.counts(&record.key).await?;
    let audits = stack.last_audits().await?;
    let audit = audits.into_iter().find(|(name, _)| name == collection.as_str()).map(|(_, last)| last);
    let status = CollectionStatus { collection, counts, audit };
    // The same table as for all collections, with one row.
    console.result(&status, |one| counts_text(std::slice::from_ref(one)))
}

async fn show_history(
    stack: &ServiceStack,
    collection: CollectionId,
    document_id: DocumentId,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let record = existing_collection(stack, &collection).await?;
    let versions = stack.ledger.history(&record.key, &document_id).await?;
    if versions.is_empty() {
        return Err(Refusal::not_found(
            "document_not_found",
            format!("there is no document '{document_id}' in '{collection}'"),
        )
        .into());
    }
    let versions = versions.into_iter().map(VersionStatus::from).collect();
    console.result(&DocumentVersions { collection, document_id, versions }, history_table)
}

fn overview_text(all: &StatusOverview) -> String {
    let mut text = counts_text(&all.collections);
    for ProviderStatus { provider, standing } in &all.providers {
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
        // The number in this header has to follow `USAGE_DAYS`.
        let mut columns = vec![("embedded in 30 days with", ColumnAlignment::Left)];
        columns.extend(numbers);
        let mut lines = TextTable::new(&columns);
        for ModelUsageStatus { model, usage: ModelUsage { requests, texts, tokens } } in &all.usage {
            lines.row(
                std::iter::once(model.clone()).chain([*requests, *texts, *tokens].map(text_format::count)),
            );
        }
        text.push('\n');
        text.push_str(&lines.render());
    }
    text
}

fn counts_text(collections: &[CollectionStatus]) -> String {
    let numbers = ["accepted", "in flight", "visible", "superseded", "dead", "documents"];
    let mut columns = vec![("collection", ColumnAlignment::Left)];
    columns.extend(numbers.map(|name| (name, ColumnAlignment::Right)));
    let mut lines = TextTable::new(&columns);
    for CollectionStatus { collection, counts, .. } in collections {
        let cells = [
            counts.accepted,
            counts.in_flight,
            counts.visible,
            counts.superseded,
            counts.dead,
            counts.documents,
        ];
        lines.row(std::iter::once(collection.to_string()).chain(cells.map(text_format::count)));
    }
    let mut text = lines.render();
    for CollectionStatus { collection, audit, .. } in collections {
        if let Some(LastAuditResult { at_ms, report }) = audit {
            let AuditReport { missing, stale, orphan, drift, .. } = *report;
            let found = match report.wrong() {
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
            version.state.name().to_owned(),
            text_format::count(version.body_bytes),
            version.chunks.map_or_else(|| "-".to_owned(), |chunks| text_format::count(chunks.into())),
            text_format::utc_time(version.accepted_ms),
            text_format::utc_time(version.updated_ms),
            note,
        ]);
    }
    format!("{} in {}\n{}", history.document_id, history.collection, lines.render())
}
