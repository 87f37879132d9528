//! Candidates in canonical order: by score, document, collection, version and offset.
//!
//! The order has no ties, so the result of assembly does not depend on the order of the input.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{CANDIDATES_MAX, CandidateSource, ContextCandidate};
use crate::context::answer::{CandidateVerdict, Citation};
use crate::domain::chunk::{Chunk, context_line, is_table_header, table_header_above};
use crate::domain::ids::CollectionId;

/// A candidate. Slices of them are in canonical order, so a lower index is a better candidate.
pub(super) struct RankedCandidate<'a> {
    pub(super) chunk: &'a Chunk,
    /// Its collection, if there are several.
    source: Option<&'a CandidateSource>,
    pub(super) score: f32,
    /// Its score as a share of the best one, within 0 and 1.
    pub(super) share: f64,
    /// Number of its document version.
    pub(super) group: usize,
    pub(super) heading: String,
    /// The atoms it covers; empty until the text is cut, and if it takes no part.
    pub(super) atoms: Range<usize>,
    /// Why it takes no part; none while it may be chosen.
    pub(super) verdict: Option<CandidateVerdict>,
}

impl RankedCandidate<'_> {
    pub(super) fn collection(&self) -> Option<&CollectionId> {
        self.source.map(|source| &source.collection)
    }

    /// The weight of its collection; 1 if there is only one.
    pub(super) fn weight(&self) -> f64 {
        self.source.map_or(1.0, |source| source.weight)
    }

    pub(super) fn citation(&self) -> Citation {
        Citation {
            collection: self.collection().cloned(),
            document_id: self.chunk.document_id.clone(),
            version: self.chunk.version,
            span: self.chunk.span,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.verdict.is_none()
    }
}

/// Sorts candidates by score, document, version and offset, and keeps the first [`CANDIDATES_MAX`].
pub(super) fn rank_candidates(candidates: &[ContextCandidate]) -> Vec<RankedCandidate<'_>> {
    let place = |chunk: &Chunk| (chunk.span, chunk.ordinal, chunk.id);
    let by_rank = |left: &&ContextCandidate, right: &&ContextCandidate| {
        positive_score(right)
            .total_cmp(&positive_score(left))
            .then_with(|| compare_documents(left, right))
            .then_with(|| place(&left.chunk).cmp(&place(&right.chunk)))
            // Only damaged input differs in nothing but the text; even then the order is fixed.
            .then_with(|| left.chunk.text.cmp(&right.chunk.text))
    };
    let mut ranked: Vec<&ContextCandidate> = candidates.iter().collect();
    ranked.sort_by(by_rank);
    // After sorting: the best remain, in whatever order they arrived.
    ranked.truncate(CANDIDATES_MAX);

    let best = ranked.first().map_or(0.0, |candidate| positive_score(candidate));
    let groups = number_documents(&ranked);
    let with_group = ranked.into_iter().zip(groups);
    with_group.map(|(candidate, group)| ranked_candidate(candidate, best, group)).collect()
}

/// Indices of the live candidates, ordered by document and offset.
pub(super) fn in_document_order(items: &[RankedCandidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).filter(|index| items[*index].is_live()).collect();
    order.sort_by_key(|index| (items[*index].group, items[*index].chunk.span, *index));
    order
}

/// Whether two candidates share bytes of one document version.
pub(super) fn spans_overlap(left: &RankedCandidate, right: &RankedCandidate) -> bool {
    let (first, second) = (left.chunk.span, right.chunk.span);
    left.group == right.group && first.start < second.end && second.start < first.end
}

/// The score as order and gain see it: NaN and negative scores are 0, infinity is finite.
fn positive_score(candidate: &ContextCandidate) -> f32 {
    if candidate.score > 0.0 { candidate.score.min(f32::MAX) } else { 0.0 }
}

fn compare_documents(left: &ContextCandidate, right: &ContextCandidate) -> Ordering {
    let version = |candidate: &ContextCandidate| candidate.chunk.version;
    let by_id = left.chunk.document_id.cmp(&right.chunk.document_id);
    by_id.then_with(|| left.collection().cmp(&right.collection())).then(version(left).cmp(&version(right)))
}

/// The number of each candidate's document version, in order of appearance.
fn number_documents(ranked: &[&ContextCandidate]) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    let mut all = Vec::with_capacity(ranked.len());
    for candidate in ranked {
        let next = numbers.len();
        let chunk = &candidate.chunk;
        // Two collections may hold documents of the same id.
        let document = (&chunk.document_id, chunk.version, candidate.collection());
        all.push(*numbers.entry(document).or_insert(next));
    }
    all
}

fn ranked_candidate(candidate: &ContextCandidate, best: f32, group: usize) -> RankedCandidate<'_> {
    let chunk = candidate.chunk.as_ref();
    let share = if best > 0.0 { f64::from(positive_score(candidate)) / f64::from(best) } else { 0.0 };
    RankedCandidate {
        chunk,
        source: candidate.source.as_deref(),
        score: candidate.score,
        share,
        group,
        heading: chunk_heading(chunk),
        atoms: 0..0,
        verdict: chunk.text.trim().is_empty().then_some(CandidateVerdict::Blank),
    }
}

/// The heading line of a text that begins at a byte of the document: that of the chunk, and of a row of a table the
/// table's header as well.
pub fn heading_at(chunk: &Chunk, at: usize) -> String {
    let line_start = at.saturating_sub(chunk.span.start);
    let known = chunk.heading.last().is_some_and(|last| is_table_header(last));
    match table_header_above(&chunk.text, line_start).filter(|_| !known) {
        None => chunk_heading(chunk),
        Some(header) => {
            let title = chunk.description.title.as_deref().filter(|_| chunk.heading.is_empty());
            let heading: Vec<String> = chunk.heading.iter().cloned().chain([header]).collect();
            context_line(title, &heading)
        }
    }
}

/// The heading line of a chunk: its headings, or the title if there are none. At most
/// [`crate::domain::chunk::CONTEXT_LINE_BYTES_MAX`] bytes.
pub fn chunk_heading(chunk: &Chunk) -> String {
    let title = chunk.description.title.as_deref().filter(|_| chunk.heading.is_empty());
    context_line(title, &chunk.heading)
}
