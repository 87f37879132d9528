//! Merges chosen atoms into disjoint passages.
//!
//! Atoms that touch form one passage. Blank lines at both ends are cut, and the span with them, so
//! the text of a passage is exactly the bytes of its span. Candidates whose text contradicts their
//! span, or an overlapping candidate, are rejected first: joining them would invent text.

use std::collections::HashMap;
use std::ops::Range;

use super::candidates::{RankedCandidate, in_document_order, spans_overlap};
use super::selection::AtomSelection;
use super::token_prices::TokenPriceTable;
use crate::context::answer::{CandidateVerdict, Citation, Passage};
use crate::context::request::PassageOrder;
use crate::domain::chunk::{SourcePlace, TextSpan};

/// Passages in the order of the context, and the verdicts on their candidates.
pub(super) struct MergedPassages {
    pub(super) passages: Vec<Passage>,
    /// Ordinals of the first and last chunk of each.
    pub(super) chunks: Vec<(u32, u32)>,
    /// A candidate of each.
    pub(super) best: Vec<usize>,
    /// By candidate; none for candidates of which nothing is in a passage.
    pub(super) verdicts: Vec<Option<CandidateVerdict>>,
    /// By candidate: bytes of it that are in passages.
    pub(super) kept_bytes: Vec<usize>,
}

/// A passage before it has its place in the context.
struct PassageDraft {
    passage: Passage,
    group: usize,
    /// Its best candidate.
    best: usize,
    /// Candidates that it contains a part of.
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
    // In document order it is enough to compare with the candidate that reaches furthest: whatever a later
    // one shares with an earlier one, it shares with that one, too.
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

/// Whether the bytes they share are equal; `before` starts first.
fn shared_bytes_agree(before: &RankedCandidate, item: &RankedCandidate) -> bool {
    let skip = item.chunk.span.start - before.chunk.span.start;
    let tail = &before.chunk.text.as_bytes()[skip..];
    let shared = tail.len().min(item.chunk.text.len());
    tail[..shared] == item.chunk.text.as_bytes()[..shared]
}

/// Joins the chosen atoms and orders the passages. They are numbered after the `before` passages in
/// front.
pub(super) fn merge_into_passages(
    selection: &AtomSelection,
    prices: &TokenPriceTable,
    also: &[Vec<Citation>],
    order: PassageOrder,
    before: usize,
) -> MergedPassages {
    let mut drafts: Vec<PassageDraft> = selection
        .runs(prices)
        .into_iter()
        .filter_map(|run| draft_passage(&run, selection, prices, also))
        .collect();
    order_passages(&mut drafts, order);
    let mut verdicts: Vec<Option<CandidateVerdict>> = vec![None; prices.items.len()];
    let mut kept_bytes = vec![0; prices.items.len()];
    for (draft, passage) in drafts.iter().zip(before + 1..) {
        for member in &draft.members {
            verdicts[*member].get_or_insert(CandidateVerdict::MergedInto { passage });
            kept_bytes[*member] += shared_bytes(prices.items[*member].chunk.span, draft.passage.span);
        }
    }
    // Backwards, so that a candidate that is the best of several passages is named at the first.
    for (place, draft) in drafts.iter().enumerate().rev() {
        verdicts[draft.best] = Some(CandidateVerdict::Kept { passage: before + place + 1 });
    }
    let ordinals = |draft: &PassageDraft| {
        let own = draft.members.iter().map(|member| prices.items[*member].chunk.ordinal);
        own.fold((u32::MAX, 0), |(first, last), ordinal| (first.min(ordinal), last.max(ordinal)))
    };
    let chunks = drafts.iter().map(ordinals).collect();
    let best = drafts.iter().map(|draft| draft.best).collect();
    MergedPassages {
        passages: drafts.into_iter().map(|draft| draft.passage).collect(),
        chunks,
        best,
        verdicts,
        kept_bytes,
    }
}

impl MergedPassages {
    /// Sets title, metadata and readers of the passages. Only the final ones have them: a selection is merged
    /// many times.
    pub(super) fn describe(&mut self, items: &[RankedCandidate]) {
        for (passage, best) in self.passages.iter_mut().zip(&self.best) {
            passage.describe(&items[*best].chunk.description);
        }
    }
}

/// Bytes that two spans of one document share.
fn shared_bytes(left: TextSpan, right: TextSpan) -> usize {
    left.end.min(right.end).saturating_sub(left.start.max(right.start))
}

/// The passage of a run of atoms; none if the run is blank.
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
    // Trimming may have removed a whole atom, and with it all that a candidate had here.
    let mut visible = range.clone().filter(|index| shared_bytes(atoms.atoms[*index].span, span) > 0);
    let first_index = visible.next()?;
    let first = &atoms.atoms[first_index];
    let best = visible.map(|index| atoms.atoms[index].item).fold(first.item, usize::min);
    // Chunks that overlap the atoms may still lie outside the trimmed span: they are no members.
    let chunk = items[first.item].chunk;
    let mut members: Vec<usize> = Vec::new();
    let mut source: Option<SourcePlace> = None;
    let mut elsewhere: Vec<Citation> = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let is_in = item.atoms.start < range.end && range.start < item.atoms.end;
        if is_in && shared_bytes(item.chunk.span, span) > 0 {
            members.push(number);
            let place = item.chunk.source_place(span);
            source = source.zip(place).map(|(known, place)| known.union(place)).or(source).or(place);
            elsewhere.extend_from_slice(&also[number]);
        }
    }
    // Atoms elsewhere that repeat one of these: cited with this passage, unless chosen themselves.
    for (index, atom) in atoms.atoms.iter().enumerate() {
        let repeats_here = atom.repeats.is_some_and(|original| range.contains(&original));
        if !repeats_here || selection.is_chosen(index) {
            continue;
        }
        if let Some(span) = trim_span(atoms.text(index), atom.span) {
            elsewhere.push(Citation { span, ..items[atom.item].citation() });
        }
    }
    // Duplicates of several members may name the same place.
    elsewhere.sort();
    elsewhere.dedup();
    let text = atoms.slice(first.region, span).to_owned();
    let passage = Passage {
        collection: items[first.item].collection().cloned(),
        heading: atoms.heading(items, first_index).to_owned(),
        score: items[best].score,
        source,
        also: elsewhere,
        ..Passage::new(chunk.document_id.clone(), chunk.version, span, text)
    };
    Some(PassageDraft { passage, group: first.group, best, members })
}

/// Cuts blank lines before the text and white space after it. The first line keeps its indent.
fn trim_span(text: &str, span: TextSpan) -> Option<TextSpan> {
    let blank = text.len() - text.trim_start().len();
    let cut = text[..blank].rfind('\n').map_or(0, |line_feed| line_feed + 1);
    let length = text.trim_end().len();
    (length > cut).then(|| TextSpan { start: span.start + cut, end: span.start + length })
}

/// Orders passages. Candidates are numbered by score, document and offset, so no ties remain.
fn order_passages(drafts: &mut Vec<PassageDraft>, order: PassageOrder) {
    drafts.sort_by_key(|draft| (draft.best, draft.passage.span.start));
    match order {
        PassageOrder::Score => {}
        PassageOrder::Document => {
            let mut best_of_group: HashMap<usize, usize> = HashMap::new();
            for draft in drafts.iter() {
                best_of_group.entry(draft.group).or_insert(draft.best);
            }
            drafts.sort_by_key(|draft| (best_of_group[&draft.group], draft.passage.span.start));
        }
        PassageOrder::Edges => {
            // 1, 3, 5, … 6, 4, 2: models read both ends best (Liu et al., "Lost in the middle", 2023).
            let mut back = Vec::new();
            let mut front = Vec::new();
            for (place, draft) in std::mem::take(drafts).into_iter().enumerate() {
                if place % 2 == 0 { front.push(draft) } else { back.push(draft) }
            }
            front.extend(back.into_iter().rev());
            *drafts = front;
        }
    }
}
