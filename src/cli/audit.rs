//! `contexture audit`: compares the index and the vectors with the ledger.
//!
//! It changes nothing. It fails with `stores_differ` when it finds a difference.

use clap::Args;
use serde::Serialize;

use super::command_target::{CommandTarget, list_all_collections};
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, collection_key};
use super::progress_meter::ProgressMeter;
use super::remote::RemoteServer;
use super::server_choice::server_side_caller;
use super::text_format::{self, ColumnAlignment, TextTable};
use crate::config::ContextureConfig;
use crate::operations::messages::job::{AuditProgressView, AuditReportView};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::CollectionId;
use contexture_core::jobs::audit::{AuditOutcome, FINDINGS_SHOWN_DEFAULT, FindingSummary};

/// What `audit` takes.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Most findings to list of a collection
    #[arg(long, value_name = "N", default_value_t = FINDINGS_SHOWN_DEFAULT)]
    limit: usize,
}

/// The result of one collection.
#[derive(Debug, Serialize)]
pub(crate) struct AuditedCollection {
    collection: String,
    #[serde(flatten)]
    report: AuditReportView,
    /// A server lists none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingSummary>,
}

/// What the command prints for a program.
#[derive(Debug, Serialize)]
struct AuditSummary {
    #[serde(flatten)]
    report: AuditReportView,
    collections: Vec<AuditedCollection>,
}

/// Audits the collections and prints the result. Fails if any difference was found.
pub(crate) async fn run(
    arguments: AuditArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let name = arguments.collection.as_deref();
    let compared = match global.open_for(ProcessRole::Ask { awaits: false }, None).await? {
        CommandTarget::Server(server) => audit_on_server(&server, name, console).await?,
        CommandTarget::Here(stack, config) => {
            let compared = audit_here(&stack, &config, name, arguments.limit, console).await;
            // Shut down before `?`, so that the stores are closed in order after an error, too.
            stack.shutdown().await;
            compared?
        }
    };
    let sum = sum_reports(compared);
    let differences = sum.report.wrong();
    console.result(&sum, |sum| audit_text(&sum.collections))?;
    if differences == 0 {
        return Ok(CommandExitCode::Done);
    }
    // The hint repeats the option, so that the suggested command covers the same collections.
    let of = name.map_or_else(String::new, |name| format!(" --collection {name}"));
    let wrong = text_format::count_with_noun(differences, "difference");
    Err(CommandFailure::failed(
        "stores_differ",
        format!("{wrong} between the ledger and its stores; 'contexture repair{of}' mends them"),
    ))
}

async fn audit_here(
    stack: &ServiceStack,
    config: &ContextureConfig,
    name: Option<&str>,
    limit: usize,
    console: ConsoleOutput,
) -> Result<Vec<AuditedCollection>, CommandFailure> {
    let collections = stack.operations(config)?.collections;
    let mut compared = Vec::new();
    for collection in list_all_collections(&*collections, &stack.principal, name).await? {
        let mut meter = LazyProgressMeter::new("audit", console);
        let key = collection_key(stack, &CollectionId::new(&collection.name)?);
        let audited = stack.audit(&key, config.audit, limit, |progress| {
            meter.show(progress.done, progress.total, "");
        });
        let AuditOutcome { report, findings } = audited.await?;
        compared.push(AuditedCollection { collection: collection.name, report: report.into(), findings });
    }
    Ok(compared)
}

async fn audit_on_server(
    server: &RemoteServer,
    name: Option<&str>,
    console: ConsoleOutput,
) -> Result<Vec<AuditedCollection>, CommandFailure> {
    let caller = server_side_caller()?;
    let mut compared = Vec::new();
    for collection in list_all_collections(server, &caller, name).await? {
        let mut meter = LazyProgressMeter::new("audit", console);
        let show = |progress: AuditProgressView| meter.show(progress.done, progress.total, "");
        let report = server.audit(&collection.name, show).await?.report;
        compared.push(AuditedCollection { collection: collection.name, report, findings: Vec::new() });
    }
    Ok(compared)
}

fn sum_reports(collections: Vec<AuditedCollection>) -> AuditSummary {
    let mut report = AuditReportView::default();
    for one in &collections {
        report.add(&one.report);
    }
    AuditSummary { report, collections }
}

/// A progress meter that is created on the first update, because only then the total is known.
pub(crate) struct LazyProgressMeter {
    label: &'static str,
    console: ConsoleOutput,
    meter: Option<ProgressMeter>,
}

impl LazyProgressMeter {
    pub(crate) fn new(label: &'static str, console: ConsoleOutput) -> Self {
        Self { label, console, meter: None }
    }

    pub(crate) fn show(&mut self, done: u64, total: u64, detail: &str) {
        let (label, console) = (self.label, self.console);
        self.meter
            .get_or_insert_with(|| ProgressMeter::new(label, "documents, heads and points", total, console))
            .update(done, detail);
    }
}

/// A table of counts per collection. A table of findings follows if there are any.
pub(crate) fn audit_text(collections: &[AuditedCollection]) -> String {
    let mut columns = vec![("collection", ColumnAlignment::Left)];
    columns.extend(
        ["documents", "missing", "stale", "orphan", "drift", "unsettled"]
            .map(|name| (name, ColumnAlignment::Right)),
    );
    let mut lines = TextTable::new(&columns);
    for AuditedCollection { collection, report, .. } in collections {
        let AuditReportView { documents, missing, stale, orphan, drift, unsettled } = *report;
        let cells = [documents, missing, stale, orphan, drift, unsettled].map(text_format::count);
        lines.row(std::iter::once(collection.clone()).chain(cells));
    }
    let mut text = lines.render();
    let mut found = TextTable::new(&[
        ("kind", ColumnAlignment::Left),
        ("store", ColumnAlignment::Left),
        ("collection", ColumnAlignment::Left),
        ("document", ColumnAlignment::Left),
        ("version", ColumnAlignment::Right),
        ("point", ColumnAlignment::Left),
    ]);
    let mut any = false;
    for AuditedCollection { collection, findings, .. } in collections {
        for finding in findings {
            any = true;
            let dash = || "-".to_owned();
            found.row([
                finding.kind.name().to_owned(),
                finding.store.name().to_owned(),
                collection.clone(),
                finding.document_id.as_ref().map_or_else(dash, ToString::to_string),
                finding.version.map_or_else(dash, |version| version.to_string()),
                finding.point.clone().unwrap_or_else(dash),
            ]);
        }
    }
    if any {
        text.push('\n');
        text.push_str(&found.render());
    }
    text
}
