//! `contexture repair`: audits collections and repairs differences from the ledger.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::audit::LazyProgressMeter;
use super::command_target::{CommandTarget, list_all_collections};
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, collection_key};
use super::progress_meter::ProgressMeter;
use super::remote::RemoteServer;
use super::server_choice::server_side_caller;
use super::{drain, text_format};
use crate::config::{AuditConfig, ContextureConfig};
use crate::operations::messages::job::{AuditOutcomeView, AuditProgressView, AuditReportView};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::jobs::audit::AuditProgress;
use contexture_core::jobs::repair::RepairOutcome;

/// No rate limit. The limit is for scheduled audits beside traffic; this one was asked for by a person.
const UNBOUNDED_AUDIT: AuditConfig = AuditConfig { interval: None, entries_per_second_max: 0 };

/// What `repair` takes.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Say what would be mended, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// The result. The field names are a contract.
#[derive(Debug, Serialize)]
struct RepairSummary {
    #[serde(flatten)]
    found: AuditReportView,
    mended: u64,
    failed: u64,
    /// Versions in flight whose message was lost and has been sent again; none where a server does that by
    /// itself.
    requeued: Option<u64>,
    seconds: f64,
    /// Why the first of those that failed did.
    #[serde(skip)]
    why: Option<String>,
}

/// Repairs what it can, and fails with `not_mended` if something is left.
pub(crate) async fn run(
    arguments: RepairArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let role = if arguments.dry_run { ProcessRole::Ask { awaits: false } } else { ProcessRole::Mend };
    let began = Instant::now();
    let mut summary = match global.open_for(role, None).await? {
        CommandTarget::Server(server) => repair_on_server(&server, &arguments, console).await?,
        CommandTarget::Here(stack, config) => {
            let summary = repair_here(&stack, &config, &arguments, console).await;
            stack.shutdown().await;
            summary?
        }
    };
    summary.seconds = text_format::rounded_seconds(began.elapsed());
    console.result(&summary, |summary| repair_text(summary, arguments.dry_run))?;
    if summary.failed == 0 {
        return Ok(CommandExitCode::Done);
    }
    let first = summary.why.map_or_else(String::new, |why| format!("; {why}"));
    Err(CommandFailure::failed(
        "not_mended",
        format!("{} not mended{first}", text_format::count_with_noun(summary.failed, "document")),
    ))
}

async fn repair_here(
    stack: &ServiceStack,
    config: &ContextureConfig,
    arguments: &RepairArgs,
    console: ConsoleOutput,
) -> Result<RepairSummary, CommandFailure> {
    let collections = stack.operations(config)?.collections;
    let views =
        list_all_collections(&*collections, &stack.principal, arguments.collection.as_deref()).await?;
    let mut keys = Vec::new();
    for view in views {
        keys.push(collection_key(stack, &CollectionId::new(&view.name)?));
    }
    let mut requeued = 0;
    let mut repaired = RepairOutcome::default();
    if arguments.dry_run {
        for key in keys {
            let mut meter = LazyProgressMeter::new("audit", console);
            let show = |progress: AuditProgress| meter.show(progress.done, progress.total, "");
            repaired.found.add(&stack.audit(&key, UNBOUNDED_AUDIT, 0, show).await?.report);
        }
    } else {
        // Lost messages go first, so that their versions have ended when the stores are compared.
        requeued = stack.requeue().await? as u64;
        // With a shared ledger other processes do this work, in their own time.
        if requeued > 0 && !stack.is_shared() {
            wait_for_requeued(stack, &keys, console).await?;
        }
        for key in keys {
            let mut meter = LazyProgressMeter::new("repair", console);
            let show = |progress: AuditProgress, mended| {
                meter.show(progress.done, progress.total, &mended_text(mended));
            };
            repaired.add(stack.repair(&key, show).await?);
        }
    }
    let RepairOutcome { found, mended, failed, why } = repaired;
    let why = why.map(|(key, fault)| format!("'{}': {fault}", key.document_id));
    Ok(RepairSummary { found: found.into(), mended, failed, requeued: Some(requeued), seconds: 0.0, why })
}

async fn repair_on_server(
    server: &RemoteServer,
    arguments: &RepairArgs,
    console: ConsoleOutput,
) -> Result<RepairSummary, CommandFailure> {
    let caller = server_side_caller()?;
    let mut sum = AuditOutcomeView::default();
    for view in list_all_collections(server, &caller, arguments.collection.as_deref()).await? {
        let label = if arguments.dry_run { "audit" } else { "repair" };
        let mut meter = LazyProgressMeter::new(label, console);
        let show = |progress: AuditProgressView| {
            let detail = if arguments.dry_run { String::new() } else { mended_text(progress.mended) };
            meter.show(progress.done, progress.total, &detail);
        };
        let one = if arguments.dry_run {
            server.audit(&view.name, show).await?
        } else {
            server.repair(&view.name, show).await?
        };
        sum.report.add(&one.report);
        sum.mended += one.mended;
        sum.failed += one.failed;
    }
    let AuditOutcomeView { report, mended, failed } = sum;
    Ok(RepairSummary { found: report, mended, failed, requeued: None, seconds: 0.0, why: None })
}

fn mended_text(mended: u64) -> String {
    format!("; {} mended", text_format::count(mended))
}

/// Waits until the requeued versions have ended in this process.
async fn wait_for_requeued(
    stack: &ServiceStack,
    keys: &[CollectionKey],
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    for key in keys {
        let total = stack.ledger.counts(key).await?.in_flight;
        let mut meter = ProgressMeter::new("resume", "versions", total, console);
        let show = |_, counts: &contexture_core::ports::ledger::VersionCounts, waits: &str| {
            meter.update(total.saturating_sub(counts.in_flight), waits);
        };
        drain::wait_until_drained(stack, key, None, show).await?;
    }
    Ok(())
}

fn repair_text(summary: &RepairSummary, dry_run: bool) -> String {
    let RepairSummary { found, mended, failed, requeued, seconds, .. } = summary;
    let AuditReportView { documents, missing, stale, orphan, drift, .. } = *found;
    let mut text = format!(
        "{} compared: {} missing, {} stale, {} orphan, {} drift\n",
        text_format::count_with_noun(documents, "document"),
        text_format::count(missing),
        text_format::count(stale),
        text_format::count(orphan),
        text_format::count(drift)
    );
    if dry_run {
        text.push_str("nothing was changed\n");
    } else {
        let resent = requeued.map_or_else(String::new, |requeued| {
            format!("{} sent again; ", text_format::count_with_noun(requeued, "version"))
        });
        let took = text_format::duration(Duration::from_secs_f64(*seconds));
        let _ = writeln!(
            text,
            "{} mended, {} not; {resent}{took}",
            text_format::count(*mended),
            text_format::count(*failed)
        );
    }
    text
}
