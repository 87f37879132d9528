//! The trace of an answer as text: which candidates were kept or left out, and why.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::text_format::{self, ColumnAlignment, TextTable};
use crate::operations::messages::answer::{ContextResponse, TraceEntryView};
use contexture_core::context::answer::QueryTimings;

/// Maximum left-out candidates that are listed. The reasons of all are counted.
const LEFT_OUT_MAX: usize = 20;

/// Tables of kept and left-out candidates, the reasons with counts, and the time of each step where it is known.
pub(crate) fn trace_text(answer: &ContextResponse, timings: Option<QueryTimings>) -> String {
    // Verdicts name other candidates by chunk id; the tables show row numbers of the whole trace.
    let rows: HashMap<&str, usize> =
        answer.trace.iter().enumerate().map(|(index, entry)| (&*entry.chunk_id, index + 1)).collect();
    let (kept, left_out): (Vec<_>, Vec<_>) =
        answer.trace.iter().zip(1..).partition(|(entry, _)| entry.kept_bytes > 0);
    let mut text =
        format!("\nIn the context, {}:\n{}", candidate_count(kept.len()), candidate_table(&kept, &rows));
    if !left_out.is_empty() {
        let shown = left_out.len().min(LEFT_OUT_MAX);
        let which = if shown < left_out.len() { format!(", the best {shown}") } else { String::new() };
        let _ = write!(
            text,
            "\nLeft out, {}{which}:\n{}\n{}\n",
            candidate_count(left_out.len()),
            candidate_table(&left_out[..shown], &rows),
            reason_counts(&left_out)
        );
    }
    let _ = write!(
        text,
        "\n{} considered; at least {:.1} % of the best possible gain\n",
        candidate_count(answer.trace.len()),
        answer.bound * 100.0
    );
    text.push_str(&timings.map(timings_text).unwrap_or_default());
    text
}

fn timings_text(timings: QueryTimings) -> String {
    let QueryTimings { retrieve, fuse, rerank, assemble } = timings;
    let rerank =
        if rerank.is_zero() { String::new() } else { format!(", rerank {}", text_format::duration(rerank)) };
    format!(
        "retrieve {}, fuse {}{rerank}, assemble {}\n",
        text_format::duration(retrieve),
        text_format::duration(fuse),
        text_format::duration(assemble)
    )
}

fn candidate_count(count: usize) -> String {
    text_format::count_with_noun(count as u64, "candidate")
}

fn candidate_table(entries: &[(&TraceEntryView, usize)], rows: &HashMap<&str, usize>) -> String {
    let mut listed = TextTable::new(&[
        ("#", ColumnAlignment::Right),
        ("score", ColumnAlignment::Right),
        ("gain", ColumnAlignment::Right),
        ("tokens", ColumnAlignment::Right),
        ("kept", ColumnAlignment::Right),
        ("fate", ColumnAlignment::Left),
        ("document", ColumnAlignment::Left),
        ("version", ColumnAlignment::Right),
        ("bytes", ColumnAlignment::Left),
    ]);
    for (entry, row) in entries {
        let place = entry.citation.as_ref();
        // A candidate without a citation has no span; the share is then computed with 1 byte.
        let bytes = place.map_or(0, |place| place.end_byte - place.start_byte);
        listed.row([
            row.to_string(),
            format!("{:.3}", entry.score),
            format!("{:.2}", entry.gain),
            text_format::count(entry.tokens),
            kept_share(entry.kept_bytes, bytes),
            verdict_text(entry, rows),
            place.map_or_else(|| "?".to_owned(), |place| place.document_id.clone()),
            place.map_or_else(String::new, |place| place.version.to_string()),
            place.map_or_else(String::new, |place| format!("{}..{}", place.start_byte, place.end_byte)),
        ]);
    }
    listed.render()
}

fn kept_share(kept: u64, bytes: u64) -> String {
    if kept == 0 { "-".to_owned() } else { format!("{} %", kept * 100 / bytes.max(1)) }
}

/// Counts per reason, the most frequent first.
fn reason_counts(left_out: &[(&TraceEntryView, usize)]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, _) in left_out {
        *counts.entry(left_out_reason(&entry.reason)).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    // By count, then by text, so that equal counts have one order.
    counts.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    let counts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    counts.join(", ")
}

fn left_out_reason(reason: &str) -> &str {
    match reason {
        "kept" | "merged_into" => "kept",
        "duplicate_of" => "with the same text as another",
        "near_duplicate_of" => "with nearly the text of another",
        "covered_by" => "said elsewhere",
        "in_prefix" => "kept from the answer before",
        "over_budget" => "did not fit",
        "given_back" => "given back",
        "below_cutoff" => "below the cut-off",
        "document_cap" => "over the passages of a document",
        // `filtered`, `superseded`, `blank`, `inconsistent`, and what a newer server may say.
        other => other,
    }
}

fn verdict_text(entry: &TraceEntryView, rows: &HashMap<&str, usize>) -> String {
    let of = entry.of.as_deref().unwrap_or_default();
    let row = || rows.get(of).map_or_else(|| of.to_owned(), |row| format!("#{row}"));
    let passage = entry.passage.unwrap_or_default();
    match &*entry.reason {
        "kept" => format!("kept in passage {passage}"),
        "merged_into" => format!("merged into passage {passage}"),
        "duplicate_of" => format!("same text as {}", row()),
        "near_duplicate_of" => format!("nearly the text of {}", row()),
        "covered_by" => format!("said word by word in {}", row()),
        "in_prefix" => "kept from the answer before".to_owned(),
        "over_budget" => "did not fit".to_owned(),
        "below_cutoff" => "below the cut-off".to_owned(),
        "document_cap" => "its document has enough passages".to_owned(),
        "filtered" => "excluded by the filter".to_owned(),
        "superseded" => "replaced or deleted since".to_owned(),
        "given_back" => "given back at the final count".to_owned(),
        "inconsistent" => "contradicts another chunk".to_owned(),
        other => other.to_owned(),
    }
}
