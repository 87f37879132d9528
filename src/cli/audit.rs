//! `contexture audit`: do index and vectors hold what the ledger says?

use clap::Args;
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::global::{Global, collections};
use super::meter::Meter;
use super::table::{self, Align, Table};
use crate::domain::ids::CollectionId;
use crate::jobs::audit::{Audited, Report, SHOWN_DEFAULT, Shown};
use crate::wiring::{Roles, Stack};

/// What `audit` takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Most findings to list of a collection
    #[arg(long, value_name = "N", default_value_t = SHOWN_DEFAULT)]
    limit: usize,
}

/// One collection, compared.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    pub(crate) collection: CollectionId,
    #[serde(flatten)]
    pub(crate) report: Report,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Sum {
    #[serde(flatten)]
    report: Report,
    collections: Vec<Compared>,
}

/// Compares, prints, and fails where something is wrong.
pub(crate) async fn run(arguments: Arguments, global: &Global, console: Console) -> Result<Exit, Failure> {
    let (config, stack) = global.open_existing(Roles::Ask { awaits: false }).await?;
    let name = arguments.collection.as_deref();
    let compared = compare(&stack, config.audit, name, arguments.limit, console).await;
    stack.shutdown().await;
    let sum = sum(compared?);
    console.result(&sum, |sum| text(&sum.collections))?;
    if sum.report.wrong() == 0 {
        return Ok(Exit::Done);
    }
    let of = name.map_or_else(String::new, |name| format!(" --collection {name}"));
    let wrong = table::counted(sum.report.wrong(), "difference");
    Err(Failure::failed(
        "stores_differ",
        format!("{wrong} between the ledger and its stores; 'contexture repair{of}' mends them"),
    ))
}

async fn compare(
    stack: &Stack,
    config: crate::config::AuditConfig,
    name: Option<&str>,
    limit: usize,
    console: Console,
) -> Result<Vec<Compared>, Failure> {
    let mut compared = Vec::new();
    for record in collections(stack, name).await? {
        let mut meter = Progressing::new("audit", console);
        let audited = stack.audit(&record.key, config, limit, |progress| {
            meter.show(progress.done, progress.total, "");
        });
        let Audited { report, findings } = audited.await?;
        compared.push(Compared { collection: record.key.collection, report, findings });
    }
    Ok(compared)
}

fn sum(collections: Vec<Compared>) -> Sum {
    let mut report = Report::default();
    for one in &collections {
        report.add(&one.report);
    }
    Sum { report, collections }
}

/// A meter whose total is known once work has begun.
pub(crate) struct Progressing {
    label: &'static str,
    console: Console,
    meter: Option<Meter>,
}

impl Progressing {
    pub(crate) fn new(label: &'static str, console: Console) -> Self {
        Self { label, console, meter: None }
    }

    pub(crate) fn show(&mut self, done: u64, total: u64, detail: &str) {
        let (label, console) = (self.label, self.console);
        self.meter
            .get_or_insert_with(|| Meter::new(label, "documents, heads and points", total, console))
            .update(done, detail);
    }
}

/// Counts by collection, and what was found.
pub(crate) fn text(collections: &[Compared]) -> String {
    let mut columns = vec![("collection", Align::Left)];
    columns.extend(
        ["documents", "missing", "stale", "orphan", "drift", "unsettled"].map(|name| (name, Align::Right)),
    );
    let mut lines = Table::new(&columns);
    for Compared { collection, report, .. } in collections {
        let Report { documents, missing, stale, orphan, drift, unsettled } = *report;
        let cells = [documents, missing, stale, orphan, drift, unsettled].map(table::count);
        lines.row(std::iter::once(collection.to_string()).chain(cells));
    }
    let mut text = lines.render();
    let mut found = Table::new(&[
        ("kind", Align::Left),
        ("store", Align::Left),
        ("collection", Align::Left),
        ("document", Align::Left),
        ("version", Align::Right),
        ("point", Align::Left),
    ]);
    let mut any = false;
    for Compared { collection, findings, .. } in collections {
        for finding in findings {
            any = true;
            let dash = || "-".to_owned();
            found.row([
                finding.kind.name().to_owned(),
                finding.store.name().to_owned(),
                collection.to_string(),
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
