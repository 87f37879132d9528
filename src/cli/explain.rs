//! The trace of an answer as a table for a person.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::table::{self, Align, Table};
use crate::context::answer::{Answer, Timings, TraceEntry, Verdict};
use crate::domain::ids::ChunkId;

/// Candidates left out that are listed; of the others only the reasons are counted.
const LEFT_OUT_MAX: usize = 20;

/// What is in the context, what was left out and why, and how long each step took.
pub(crate) fn trace(answer: &Answer) -> String {
    let rows: HashMap<ChunkId, usize> =
        answer.trace.iter().enumerate().map(|(index, entry)| (entry.chunk_id, index + 1)).collect();
    let (kept, left_out): (Vec<_>, Vec<_>) =
        answer.trace.iter().zip(1..).partition(|(entry, _)| entry.kept_bytes > 0);
    let mut text = format!("\nIn the context, {}:\n{}", candidates(kept.len()), listed(&kept, &rows));
    if !left_out.is_empty() {
        let shown = left_out.len().min(LEFT_OUT_MAX);
        let which = if shown < left_out.len() { format!(", the best {shown}") } else { String::new() };
        let _ = write!(
            text,
            "\nLeft out, {}{which}:\n{}\n{}\n",
            candidates(left_out.len()),
            listed(&left_out[..shown], &rows),
            reasons(&left_out)
        );
    }
    let _ = write!(
        text,
        "\n{} considered; at least {:.1} % of the best possible gain\n",
        candidates(answer.trace.len()),
        answer.bound * 100.0
    );
    text.push_str(&times(answer));
    text
}

fn times(answer: &Answer) -> String {
    let Timings { retrieve, fuse, rerank, assemble } = answer.timings;
    let rerank =
        if rerank.is_zero() { String::new() } else { format!(", rerank {}", table::duration(rerank)) };
    format!(
        "retrieve {}, fuse {}{rerank}, assemble {}\n",
        table::duration(retrieve),
        table::duration(fuse),
        table::duration(assemble)
    )
}

fn candidates(count: usize) -> String {
    table::counted(count as u64, "candidate")
}

fn listed(entries: &[(&TraceEntry, usize)], rows: &HashMap<ChunkId, usize>) -> String {
    let mut listed = Table::new(&[
        ("#", Align::Right),
        ("score", Align::Right),
        ("gain", Align::Right),
        ("tokens", Align::Right),
        ("kept", Align::Right),
        ("fate", Align::Left),
        ("document", Align::Left),
        ("version", Align::Right),
        ("bytes", Align::Left),
    ]);
    for (entry, row) in entries {
        let place = entry.citation.as_ref();
        let bytes = place.map_or(0, |place| place.span.len());
        listed.row([
            row.to_string(),
            format!("{:.3}", entry.score),
            format!("{:.2}", entry.gain),
            table::count(entry.tokens as u64),
            share(entry.kept_bytes, bytes),
            fate(entry.verdict, rows),
            place.map_or_else(|| "?".to_owned(), |place| place.document_id.to_string()),
            place.map_or_else(String::new, |place| place.version.to_string()),
            place.map_or_else(String::new, |place| format!("{}..{}", place.span.start, place.span.end)),
        ]);
    }
    listed.render()
}

fn share(kept: usize, bytes: usize) -> String {
    if kept == 0 { "-".to_owned() } else { format!("{} %", kept * 100 / bytes.max(1)) }
}

/// How many were left out for each reason.
fn reasons(left_out: &[(&TraceEntry, usize)]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, _) in left_out {
        *counts.entry(reason(entry.verdict)).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    let counts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    counts.join(", ")
}

fn reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Kept { .. } | Verdict::MergedInto { .. } => "kept",
        Verdict::DuplicateOf { .. } => "with the same text as another",
        Verdict::NearDuplicateOf { .. } => "with nearly the text of another",
        Verdict::CoveredBy { .. } => "said elsewhere",
        Verdict::InPrefix => "kept from the answer before",
        Verdict::OverBudget => "did not fit",
        Verdict::GivenBack => "given back",
        Verdict::BelowCutoff => "below the cut-off",
        Verdict::DocumentCap => "over the passages of a document",
        Verdict::Filtered => "filtered",
        Verdict::Superseded => "superseded",
        Verdict::Blank => "blank",
        Verdict::Inconsistent => "inconsistent",
    }
}

fn fate(verdict: Verdict, rows: &HashMap<ChunkId, usize>) -> String {
    let row = |of: &ChunkId| rows.get(of).map_or_else(|| of.to_string(), |row| format!("#{row}"));
    match verdict {
        Verdict::Kept { passage } => format!("kept in passage {passage}"),
        Verdict::MergedInto { passage } => format!("merged into passage {passage}"),
        Verdict::DuplicateOf { of } => format!("same text as {}", row(&of)),
        Verdict::NearDuplicateOf { of } => format!("nearly the text of {}", row(&of)),
        Verdict::CoveredBy { of } => format!("said word by word in {}", row(&of)),
        Verdict::InPrefix => "kept from the answer before".to_owned(),
        Verdict::OverBudget => "did not fit".to_owned(),
        Verdict::BelowCutoff => "below the cut-off".to_owned(),
        Verdict::DocumentCap => "its document has enough passages".to_owned(),
        Verdict::Filtered => "excluded by the filter".to_owned(),
        Verdict::Superseded => "replaced or deleted since".to_owned(),
        Verdict::GivenBack => "given back at the final count".to_owned(),
        Verdict::Blank => "blank".to_owned(),
        Verdict::Inconsistent => "contradicts another chunk".to_owned(),
    }
}
