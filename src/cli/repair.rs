//! `contexture repair`: what an audit would find, mended from the ledger.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::audit::Progressing;
use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::{Global, collections};
use super::meter::Meter;
use super::{settle, table};
use crate::config::AuditConfig;
use crate::jobs::audit::Report;
use crate::jobs::repair::Repaired;
use crate::ports::ledger::CollectionRecord;
use crate::wiring::{Roles, Stack};

/// As fast as it goes: nothing is compared beside traffic to find a reason for alarm.
const UNBOUNDED: AuditConfig = AuditConfig { interval: None, entries_per_second_max: 0 };

/// What `repair` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Say what would be mended, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Summary {
    #[serde(flatten)]
    repaired: Repaired,
    /// Versions in flight that had lost their message.
    requeued: u64,
    seconds: f64,
}

/// Mends what can be mended, and says what could not.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let roles = if arguments.dry_run { Roles::Ask { awaits: false } } else { Roles::Mend };
    let (_, stack) = global.open_existing(roles).await?;
    let summary = work(&stack, &arguments, console).await;
    stack.shutdown().await;
    let summary = summary?;
    console.result(&summary, |summary| text(summary, arguments.dry_run))?;
    let Repaired { failed, why, .. } = summary.repaired;
    if failed == 0 {
        return Ok(Exit::Done);
    }
    let first = why.map_or_else(String::new, |(key, fault)| format!("; '{}': {fault}", key.document_id));
    Err(Failure::failed("not_mended", format!("{} not mended{first}", table::counted(failed, "document"))))
}

async fn work(stack: &Stack, arguments: &Arguments, console: Console) -> Result<Summary, Failure> {
    let began = Instant::now();
    let records = collections(stack, arguments.collection.as_deref()).await?;
    let mut requeued = 0;
    let mut repaired = Repaired::default();
    if arguments.dry_run {
        for record in records {
            let mut meter = Progressing::new("audit", console);
            let show = |progress: crate::jobs::audit::Progress| meter.show(progress.done, progress.total, "");
            repaired.found.add(&stack.audit(&record.key, UNBOUNDED, 0, show).await?.report);
        }
    } else {
        requeued = stack.requeue().await? as u64;
        if requeued > 0 && !stack.is_shared() {
            wait(stack, &records, console).await?;
        }
        for record in records {
            let mut meter = Progressing::new("repair", console);
            let show = |progress: crate::jobs::audit::Progress, mended: u64| {
                meter.show(progress.done, progress.total, &format!("; {} mended", table::count(mended)));
            };
            repaired.add(stack.repair(&record.key, show).await?);
        }
    }
    Ok(Summary { repaired, requeued, seconds: table::seconds(began.elapsed()) })
}

/// Lets what was sent again come to its end, in this process.
async fn wait(stack: &Stack, records: &[CollectionRecord], console: Console) -> Result<(), Failure> {
    for record in records {
        let total = stack.ledger.counts(&record.key).await?.in_flight;
        let mut meter = Meter::new("resume", "versions", total, console);
        let show = |_, counts: &crate::ports::ledger::Counts, waits: &str| {
            meter.update(total.saturating_sub(counts.in_flight), waits);
        };
        settle::wait(stack, &record.key, None, show).await?;
    }
    Ok(())
}

fn text(summary: &Summary, dry_run: bool) -> String {
    let Summary { repaired: Repaired { found, mended, failed, .. }, requeued, seconds } = summary;
    let Report { documents, missing, stale, orphan, drift, .. } = *found;
    let mut text = format!(
        "{} compared: {} missing, {} stale, {} orphan, {} drift\n",
        table::counted(documents, "document"),
        table::count(missing),
        table::count(stale),
        table::count(orphan),
        table::count(drift)
    );
    if dry_run {
        text.push_str("nothing was changed\n");
    } else {
        let took = table::duration(Duration::from_secs_f64(*seconds));
        let _ = writeln!(
            text,
            "{} mended, {} not; {} sent again; {took}",
            table::count(*mended),
            table::count(*failed),
            table::counted(*requeued, "version")
        );
    }
    text
}
