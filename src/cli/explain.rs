//! The trace of an answer as a table for a person.

use std::collections::HashMap;

use super::table::{self, Align, Table};
use crate::context::answer::{Answer, Verdict};
use crate::domain::ids::ChunkId;

/// Every candidate with its price, its worth and its fate, and how long each step took.
pub(crate) fn trace(answer: &Answer) -> String {
    let rows: HashMap<ChunkId, usize> =
        answer.trace.iter().enumerate().map(|(index, entry)| (entry.chunk_id, index + 1)).collect();
    let mut candidates = Table::new(&[
        ("#", Align::Right),
        ("score", Align::Right),
        ("gain", Align::Right),
        ("tokens", Align::Right),
        ("fate", Align::Left),
        ("document", Align::Left),
        ("version", Align::Right),
        ("bytes", Align::Left),
    ]);
    for (index, entry) in answer.trace.iter().enumerate() {
        let citation = &entry.citation;
        candidates.row([
            (index + 1).to_string(),
            format!("{:.3}", entry.score),
            format!("{:.3}", entry.gain),
            table::count(entry.tokens as u64),
            fate(entry.verdict, &rows),
            citation.document_id.to_string(),
            citation.version.to_string(),
            format!("{}..{}", citation.span.start, citation.span.end),
        ]);
    }
    format!(
        "\n{}\n{} considered; at least {:.1} % of the best possible gain\n\
         retrieve {}, fuse {}, assemble {}\n",
        candidates.render(),
        table::counted(answer.trace.len() as u64, "candidate"),
        answer.bound * 100.0,
        table::duration(answer.timings.retrieve),
        table::duration(answer.timings.fuse),
        table::duration(answer.timings.assemble)
    )
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
