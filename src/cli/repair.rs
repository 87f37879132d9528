//! `contexture repair`: audits collections and repairs differences from the ledger.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::audit::LazyProgressMeter;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, list_collections};
use super::progress_meter::ProgressMeter;
use super::{drain, text_format};
use crate::config::AuditConfig;
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::jobs::audit::AuditReport;
use contexture_core::jobs::repair::RepairOutcome;
use contexture_core::ports::ledger::CollectionRecord;

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
    repaired: RepairOutcome,
    /// Versions in flight whose message was lost and has been sent again.
    requeued: u64,
    seconds: f64,
}

/// Repairs what it can, and fails with `not_mended` if something is left.
pub(crate) async fn run(
    arguments: RepairArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let roles = if arguments.dry_run { ProcessRole::Ask { awaits: false } } else { ProcessRole::Mend };
    let (_, stack) = global.open_existing(roles).await?;
    let summary = repair_collections(&stack, &arguments, console).await;
    stack.shutdown().await;
    let summary = summary?;
    console.result(&summary, |summary| repair_text(summary, arguments.dry_run))?;
    let RepairOutcome { failed, why, .. } = summary.repaired;
    if failed == 0 {
        return Ok(CommandExitCode::Done);
    }
    let first = why.map_or_else(String::new, |(key, fault)| format!("; '{}': {fault}", key.document_id));
    Err(CommandFailure::failed(
        "not_mended",
        format!("{} not mended{first}", text_format::count_with_noun(failed, "document")),
    ))
}

async fn repair_collections(
    stack: &ServiceStack,
    arguments: &RepairArgs,
    console: ConsoleOutput,
) -> Result<RepairSummary, CommandFailure> {
    let began = Instant::now();
    let records = list_collections(stack, arguments.collection.as_deref()).await?;
    let mut requeued = 0;
    let mut repaired = RepairOutcome::default();
    if arguments.dry_run {
        for record in records {
            let mut meter = LazyProgressMeter::new("audit", console);
            let show = |progress: contexture_core::jobs::audit::AuditProgress| {
                meter.show(progress.done, progress.total, "");
            };
            repaired.found.add(&stack.audit(&record.key, UNBOUNDED_AUDIT, 0, show).await?.report);
        }
    } else {
        // Lost messages go first, so that their versions have ended when the stores are compared.
        requeued = stack.requeue().await? as u64;
        // With a shared ledger other processes do this work, in their own time.
        if requeued > 0 && !stack.is_shared() {
            wait_for_requeued(stack, &records, console).await?;
        }
        for record in records {
            let mut meter = LazyProgressMeter::new("repair", console);
            let show = |progress: contexture_core::jobs::audit::AuditProgress, mended: u64| {
                meter.show(
                    progress.done,
                    progress.total,
                    &format!("; {} mended", text_format::count(mended)),
                );
            };
            repaired.add(stack.repair(&record.key, show).await?);
        }
    }
    Ok(RepairSummary { repaired, requeued, seconds: text_format::rounded_seconds(began.elapsed()) })
}

/// Waits until the requeued versions have ended in this process.
async fn wait_for_requeued(
    stack: &ServiceStack,
    records: &[CollectionRecord],
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    for record in records {
        let total = stack.ledger.counts(&record.key).await?.in_flight;
        let mut meter = ProgressMeter::new("resume", "versions", total, console);
        let show = |_, counts: &contexture_core::ports::ledger::VersionCounts, waits: &str| {
            meter.update(total.saturating_sub(counts.in_flight), waits);
        };
        drain::wait_until_drained(stack, &record.key, None, show).await?;
    }
    Ok(())
}

fn repair_text(summary: &RepairSummary, dry_run: bool) -> String {
    let RepairSummary { repaired: RepairOutcome { found, mended, failed, .. }, requeued, seconds } = summary;
    let AuditReport { documents, missing, stale, orphan, drift, .. } = *found;
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
        let took = text_format::duration(Duration::from_secs_f64(*seconds));
        let _ = writeln!(
            text,
            "{} mended, {} not; {} sent again; {took}",
            text_format::count(*mended),
            text_format::count(*failed),
            text_format::count_with_noun(*requeued, "version")
        );
    }
    text
}
