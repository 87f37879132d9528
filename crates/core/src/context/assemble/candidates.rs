//! Candidates as the steps of assembly see them, in the order that settles every tie.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{CANDIDATES_MAX, ContextCandidate};
use crate::context::answer::{CandidateVerdict, Citation};
use crate::domain::chunk::{Chunk, context_line};

/// A candidate; slices of them are in canonical order.
pub(super) struct RankedCandidate<'a> {
    pub(super) chunk: &'a Chunk,
    pub(super) score: f32,
    /// Its score as a share of the best one, within 0 and 1.
    pub(super) share: f64,
    /// Number of its document version.
    pub(super) group: usize,
    pub(super) heading: String,
    /// The atoms it covers; none while it takes no part.
    pub(super) atoms: Range<usize>,
    /// What became of it; none while it may be chosen.
    pub(super) verdict: Option<CandidateVerdict>,
}

impl RankedCandidate<'_> {
    pub(super) fn citation(&self) -> Citation {
        Citation {
            document_id: self.chunk.document_id.clone(),
            version: self.chunk.version,
            span: self.chunk.span,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.verdict.is_none()
    }
}

/// Candidates by score, document, version, offset: the order that settles every tie.
pub(super) fn rank_candidates(candidates: &[ContextCandidate]) -> Vec<RankedCandidate<'_>> {
    let place = |chunk: &Chunk| (chunk.span, chunk.ordinal, chunk.id);
    let by_rank = |left: &&ContextCandidate, right: &&ContextCandidate| {
        positive_score(right)
            .total_cmp(&positive_score(left))
            .then_with(|| compare_documents(&left.chunk, &right.chunk))
            .then_with(|| place(&left.chunk).cmp(&place(&right.chunk)))
            .then_with(|| left.chunk.text.cmp(&right.chunk.text))
    };
    let mut ranked: Vec<&ContextCandidate> = candidates.iter().collect();
    ranked.sort_by(by_rank);
    ranked.truncate(CANDIDATES_MAX);

    let best = ranked.first().map_or(0.0, |candidate| positive_score(candidate));
    let groups = number_documents(&ranked);
    let with_group = ranked.into_iter().zip(groups);
    with_group.map(|(candidate, group)| ranked_candidate(candidate, best, group)).collect()
}

/// A score that takes part in order and gain.
fn positive_score(candidate: &ContextCandidate) -> f32 {
    if candidate.score > 0.0 { candidate.score.min(f32::MAX) } else { 0.0 }
}

fn compare_documents(left: &Chunk, right: &Chunk) -> Ordering {
    left.document_id.cmp(&right.document_id).then(left.version.cmp(&right.version))
}

/// The number of each candidate's document version, counted in order of appearance.
fn number_documents(ranked: &[&ContextCandidate]) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    let mut all = Vec::with_capacity(ranked.len());
    for candidate in ranked {
        let next = numbers.len();
        all.push(*numbers.entry((&candidate.chunk.document_id, candidate.chunk.version)).or_insert(next));
    }
    all
}

fn ranked_candidate(candidate: &ContextCandidate, best: f32, group: usize) -> RankedCandidate<'_> {
    let chunk = candidate.chunk.as_ref();
    let share = if best > 0.0 { f64::from(positive_score(candidate)) / f64::from(best) } else { 0.0 };
    RankedCandidate {
        chunk,
        score: candidate.score,
        share,
        group,
        heading: chunk_heading(chunk),
        atoms: 0..0,
        verdict: chunk.text.trim().is_empty().then_some(CandidateVerdict::Blank),
    }
}

/// The heading line of a chunk: its headings, or the title where there are none; at most
/// [`crate::domain::chunk::CONTEXT_LINE_BYTES_MAX`] bytes.
pub fn chunk_heading(chunk: &Chunk) -> String {
    let title = chunk.description.title.as_deref().filter(|_| chunk.heading.is_empty());
    context_line(title, &chunk.heading)
}
