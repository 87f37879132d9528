//! The trace of an answer as text: which candidates were kept or left out, and why.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::text_format::{self, ColumnAlignment, TextTable};
use contexture_core::context::answer::{CandidateTrace, CandidateVerdict, ContextAnswer, QueryTimings};
use contexture_core::domain::ids::ChunkId;

/// Maximum left-out candidates that are listed. The reasons of all are counted.
const LEFT_OUT_MAX: usize = 20;

/// Tables of kept and left-out candidates, the reasons with counts, and the time of each step.
pub(crate) fn trace_text(answer: &ContextAnswer) -> String {
    // Verdicts name other candidates by chunk id; the tables show row numbers of the whole trace.
    let rows: HashMap<ChunkId, usize> =
        answer.trace.iter().enumerate().map(|(index, entry)| (entry.chunk_id, index + 1)).collect();
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
    text.push_str(&timings_text(answer));
    text
}

fn timings_text(answer: &ContextAnswer) -> String {
    let QueryTimings { retrieve, fuse, rerank, assemble } = answer.timings;
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

fn candidate_table(entries: &[(&CandidateTrace, usize)], rows: &HashMap<ChunkId, usize>) -> String {
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
        let bytes = place.map_or(0, |place| place.span.len());
        listed.row([
            row.to_string(),
            format!("{:.3}", entry.score),
            format!("{:.2}", entry.gain),
            text_format::count(entry.tokens as u64),
            kept_share(entry.kept_bytes, bytes),
            verdict_text(entry.verdict, rows),
            place.map_or_else(|| "?".to_owned(), |place| place.document_id.to_string()),
            place.map_or_else(String::new, |place| place.version.to_string()),
            place.map_or_else(String::new, |place| format!("{}..{}", place.span.start, place.span.end)),
        ]);
    }
    listed.render()
}

fn kept_share(kept: usize, bytes: usize) -> String {
    if kept == 0 { "-".to_owned() } else { format!("{} %", kept * 100 / bytes.max(1)) }
}

/// Counts per reason, the most frequent first.
fn reason_counts(left_out: &[(&CandidateTrace, usize)]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, _) in left_out {
        *counts.entry(left_out_reason(entry.verdict)).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    // By count, then by text, so that equal counts have one order.
    counts.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    let counts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    counts.join(", ")
}

fn left_out_reason(verdict: CandidateVerdict) -> &'static str {
    match verdict {
        CandidateVerdict::Kept { .. } | CandidateVerdict::MergedInto { .. } => "kept",
        CandidateVerdict::DuplicateOf { .. } => "with the same text as another",
        CandidateVerdict::NearDuplicateOf { .. } => "with nearly the text of another",
        CandidateVerdict::CoveredBy { .. } => "said elsewhere",
        CandidateVerdict::InPrefix => "kept from the answer before",
        CandidateVerdict::OverBudget => "did not fit",
        CandidateVerdict::GivenBack => "given back",
        CandidateVerdict::BelowCutoff => "below the cut-off",
        CandidateVerdict::DocumentCap => "over the passages of a document",
        CandidateVerdict::Filtered => "filtered",
        CandidateVerdict::Superseded => "superseded",
        CandidateVerdict::Blank => "blank",
        CandidateVerdict::Inconsistent => "inconsistent",
    }
}

fn verdict_text(verdict: CandidateVerdict, rows: &HashMap<ChunkId, usize>) -> String {
    let row = |of: &ChunkId| rows.get(of).map_or_else(|| of.to_string(), |row| format!("#{row}"));
    match verdict {
        CandidateVerdict::Kept { passage } => format!("kept in passage {passage}"),
        CandidateVerdict::MergedInto { passage } => format!("merged into passage {passage}"),
        CandidateVerdict::DuplicateOf { of } => format!("same text as {}", row(&of)),
        CandidateVerdict::NearDuplicateOf { of } => format!("nearly the text of {}", row(&of)),
        CandidateVerdict::CoveredBy { of } => format!("said word by word in {}", row(&of)),
        CandidateVerdict::InPrefix => "kept from the answer before".to_owned(),
        CandidateVerdict::OverBudget => "did not fit".to_owned(),
        CandidateVerdict::BelowCutoff => "below the cut-off".to_owned(),
        CandidateVerdict::DocumentCap => "its document has enough passages".to_owned(),
        CandidateVerdict::Filtered => "excluded by the filter".to_owned(),
        CandidateVerdict::Superseded => "replaced or deleted since".to_owned(),
        CandidateVerdict::GivenBack => "given back at the final count".to_owned(),
        CandidateVerdict::Blank => "blank".to_owned(),
        CandidateVerdict::Inconsistent => "contradicts another chunk".to_owned(),
    }
}
