//! Interval algebra: chosen atoms become disjoint passages.
//!
//! Atoms that touch are one passage. Blank lines at both ends are cut and the span with them, so
//! a passage's text is exactly its span's bytes. Candidates whose text contradicts their span,
//! or an overlapping candidate, are rejected first: joining could otherwise invent text.

use std::collections::HashMap;
use std::ops::Range;

use super::candidates::RankedCandidate;
use super::selection::AtomSelection;
use super::token_prices::TokenPriceTable;
use crate::context::answer::{CandidateVerdict, Citation, Passage};
use crate::context::request::PassageOrder;
use crate::domain::chunk::TextSpan;

/// Passages in the order of the context, and what became of the candidates in them.
pub(super) struct MergedPassages {
    pub(super) passages: Vec<Passage>,
    /// Ordinals of the first and last chunk of each.
    pub(super) chunks: Vec<(u32, u32)>,
    /// By candidate; none for those of which no passage has anything.
    pub(super) verdicts: Vec<Option<CandidateVerdict>>,
    /// By candidate: bytes of it that are in passages.
    pub(super) kept_bytes: Vec<usize>,
}

/// A passage in the making.
struct PassageDraft {
    passage: Passage,
    group: usize,
    /// Best candidate of it.
    best: usize,
    /// Candidates of which it holds something.
    members: Vec<usize>,
}

/// Marks candidates that cannot be joined with the rest of their document.
pub(super) fn reject_inconsistent(items: &mut [RankedCandidate]) {
    for item in items.iter_mut() {
        let TextSpan { start, end } = item.chunk.span;
        if end.checked_sub(start) != Some(item.chunk.text.len()) {
            item.verdict = Some(CandidateVerdict::Inconsistent);
        }
    }
    let mut furthest: Option<usize> = None;
    for index in in_document_order(items) {
        let item = &items[index];
        if let Some(before) = furthest.map(|at| &items[at]).filter(|before| spans_overlap(before, item)) {
            if !shared_bytes_agree(before, item) {
                items[index].verdict = Some(CandidateVerdict::Inconsistent);
                continue;
            }
            if item.chunk.span.end <= before.chunk.span.end {
                continue;
            }
        }
        furthest = Some(index);
    }
}

/// Whether two candidates share bytes of one document version.
pub(super) fn spans_overlap(left: &RankedCandidate, right: &RankedCandidate) -> bool {
    let (first, second) = (left.chunk.span, right.chunk.span);
    left.group == right.group && first.start < second.end && second.start < first.end
}

/// Whether the bytes they share are equal; `before` starts first.
fn shared_bytes_agree(before: &RankedCandidate, item: &RankedCandidate) -> bool {
    let skip = item.chunk.span.start - before.chunk.span.start;
    let tail = &before.chunk.text.as_bytes()[skip..];
    let shared = tail.len().min(item.chunk.text.len());
    tail[..shared] == item.chunk.text.as_bytes()[..shared]
}

/// Numbers of the live candidates by document and offset.
pub(super) fn in_document_order(items: &[RankedCandidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).filter(|index| items[*index].is_live()).collect();
    order.sort_by_key(|index| (items[*index].group, items[*index].chunk.span, *index));
    order
}

/// Joins the chosen atoms and puts the passages into their order; `before` stand in front.
pub(super) fn merge_into_passages(
    selection: &AtomSelection,
    prices: &TokenPriceTable,
    also: &[Vec<Citation>],
    order: PassageOrder,
    before: usize,
) -> MergedPassages {
    let mut runs: Vec<PassageDraft> = selection
        .runs(prices)
        .into_iter()
        .filter_map(|run| draft_passage(&run, selection, prices, also))
        .collect();
    order_passages(&mut runs, order);
    let mut verdicts: Vec<Option<CandidateVerdict>> = vec![None; prices.items.len()];
    let mut kept_bytes = vec![0; prices.items.len()];
    for (run, passage) in runs.iter().zip(before + 1..) {
        for member in &run.members {
            verdicts[*member].get_or_insert(CandidateVerdict::MergedInto { passage });
            kept_bytes[*member] += shared_bytes(prices.items[*member].chunk.span, run.passage.span);
        }
    }
    for (place, run) in runs.iter().enumerate().rev() {
        verdicts[run.best] = Some(CandidateVerdict::Kept { passage: before + place + 1 });
    }
    let ordinals = |run: &PassageDraft| {
        let own = run.members.iter().map(|member| prices.items[*member].chunk.ordinal);
        own.fold((u32::MAX, 0), |(first, last), ordinal| (first.min(ordinal), last.max(ordinal)))
    };
    let chunks = runs.iter().map(ordinals).collect();
    MergedPassages {
        passages: runs.into_iter().map(|run| run.passage).collect(),
        chunks,
        verdicts,
        kept_bytes,
    }
}

/// Bytes that two spans of one document share.
fn shared_bytes(left: TextSpan, right: TextSpan) -> usize {
    left.end.min(right.end).saturating_sub(left.start.max(right.start))
}

/// The passage of a run of atoms; none if it is blank.
fn draft_passage(
    range: &Range<usize>,
    selection: &AtomSelection,
    prices: &TokenPriceTable,
    also: &[Vec<Citation>],
) -> Option<PassageDraft> {
    let atoms = prices.atoms;
    let items = prices.items;
    let first = &atoms.atoms[range.start];
    let span = TextSpan { start: first.span.start, end: atoms.atoms[range.end - 1].span.end };
    let span = trim_span(atoms.slice(first.region, span), span)?;
    // What was trimmed off may have been all of an atom, and all that a candidate had.
    let mut visible = atoms.atoms[range.clone()].iter().filter(|atom| shared_bytes(atom.span, span) > 0);
    let first = visible.next()?;
    let best = visible.map(|atom| atom.item).fold(first.item, usize::min);
    let chunk = items[first.item].chunk;
    let mut members: Vec<usize> = Vec::new();
    let mut elsewhere: Vec<Citation> = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let is_in = item.atoms.start < range.end && range.start < item.atoms.end;
        if is_in && shared_bytes(item.chunk.span, span) > 0 {
            members.push(number);
            elsewhere.extend_from_slice(&also[number]);
        }
    }
    for (index, atom) in atoms.atoms.iter().enumerate() {
        let stands_here = atom.repeats.is_some_and(|original| range.contains(&original));
        if !stands_here || selection.is_chosen(index) {
            continue;
        }
        if let Some(span) = trim_span(atoms.text(index), atom.span) {
            let chunk = items[atom.item].chunk;
            elsewhere.push(Citation { document_id: chunk.document_id.clone(), version: chunk.version, span });
        }
    }
    elsewhere.sort();
    elsewhere.dedup();
    let passage = Passage {
        document_id: chunk.document_id.clone(),
        version: chunk.version,
        span,
        section: String::new(),
        heading: items[first.item].heading.clone(),
        score: items[best].score,
        text: atoms.slice(first.region, span).to_owned(),
        also: elsewhere,
    };
    Some(PassageDraft { passage, group: first.group, best, members })
}

/// Cuts blank lines before and white space after the text; the first line keeps its indent.
fn trim_span(text: &str, span: TextSpan) -> Option<TextSpan> {
    let blank = text.len() - text.trim_start().len();
    let cut = text[..blank].rfind('\n').map_or(0, |line_feed| line_feed + 1);
    let length = text.trim_end().len();
    (length > cut).then(|| TextSpan { start: span.start + cut, end: span.start + length })
}

/// Candidates are numbered by score, document and offset, so each order settles every tie.
fn order_passages(runs: &mut Vec<PassageDraft>, order: PassageOrder) {
    runs.sort_by_key(|run| (run.best, run.passage.span.start));
    match order {
        PassageOrder::Score => {}
        PassageOrder::Document => {
            let mut best_of_group: HashMap<usize, usize> = HashMap::new();
            for run in runs.iter() {
                best_of_group.entry(run.group).or_insert(run.best);
            }
            runs.sort_by_key(|run| (best_of_group[&run.group], run.passage.span.start));
        }
        PassageOrder::Edges => {
            // 1, 3, 5, … and back: the best at both ends (Liu et al., "Lost in the middle", 2023).
            let mut back = Vec::new();
            let mut front = Vec::new();
            for (place, run) in std::mem::take(runs).into_iter().enumerate() {
                if place % 2 == 0 { front.push(run) } else { back.push(run) }
            }
            front.extend(back.into_iter().rev());
            *runs = front;
        }
    }
}
