//! Candidates for cuts: those of the outline, and finer ones where the text between them is too large.
//!
//! Sentence ends are added in any part that exceeds a quarter of the target. Words, grapheme clusters and
//! characters are added only in parts that would not fit a chunk. The last three are thinned out by a hash of
//! their surroundings, so that an edit does not move cuts farther away.
//!
//! The planner therefore has at least one candidate in the length of a chunk, and at most one in
//! [`WORD_GAPS`]th of it where words or less are cut.

use unicode_segmentation::UnicodeSegmentation;

use super::boundary::{BoundaryLevel, CutPosition, has_visible_text, position_fingerprint};
use super::size::{ChunkSizer, ESTIMATE_SLACK};
use crate::domain::chunk::TextSpan;
use crate::domain::sentences::sentence_ends;

/// Divisor of the token limit: the smallest gap in bytes between candidates at words or clusters.
const WORD_GAPS: usize = 32;
/// One word boundary in this many becomes a candidate, by its fingerprint.
const WORDS_ONE_IN: u64 = 4;
/// The same for grapheme clusters.
const CLUSTERS_ONE_IN: u64 = 16;

/// A position where the planner may cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutCandidate {
    pub(super) at: usize,
    pub(super) level: BoundaryLevel,
    /// Estimated tokens before this position.
    pub(super) before: usize,
    /// Section that applies from here on.
    pub(super) section: usize,
}

/// Finds all candidates of a document, including both ends of the text.
pub(super) fn find_cut_candidates(sizer: &ChunkSizer<'_>, tokens_target: usize) -> Vec<CutCandidate> {
    let mut refine =
        CandidateRefiner { sizer, tokens_target, found: Vec::with_capacity(sizer.outline.cuts.len() + 2) };
    refine.push(0, BoundaryLevel::Heading(1));
    for cut in &sizer.outline.cuts {
        refine.advance(cut.at, cut.level);
    }
    refine.advance(sizer.text.len(), BoundaryLevel::Heading(1));
    refine.found
}

/// Finds cuts inside a span that no candidate divides, of the coarsest kind that exists: words, then clusters,
/// then characters.
pub(super) fn split_further(text: &str, span: TextSpan, tokens_max: usize) -> Vec<CutPosition> {
    let slice = &text[span.start..span.end];
    let mut cuts = thinned_word_cuts(text, span, tokens_max);
    if cuts.is_empty() {
        cuts.extend(
            slice
                .grapheme_indices(true)
                .map(|(at, _)| CutPosition { at: span.start + at, level: BoundaryLevel::Grapheme }),
        );
        retain_visible(text, span, &mut cuts);
    }
    if cuts.is_empty() {
        cuts.extend(
            slice
                .char_indices()
                .map(|(at, _)| CutPosition { at: span.start + at, level: BoundaryLevel::Character }),
        );
        retain_visible(text, span, &mut cuts);
    }
    cuts
}

struct CandidateRefiner<'a> {
    sizer: &'a ChunkSizer<'a>,
    tokens_target: usize,
    found: Vec<CutCandidate>,
}

impl CandidateRefiner<'_> {
    fn push(&mut self, at: usize, level: BoundaryLevel) {
        let (before, section) = (self.sizer.tokens_before(at), self.sizer.section_at(at));
        self.found.push(CutCandidate { at, level, before, section });
    }

    /// Adds the candidates that are needed between the last one and the next of the outline.
    fn advance(&mut self, at: usize, level: BoundaryLevel) {
        let Some(&last) = self.found.last() else { return };
        let tokens = self.sizer.tokens_before(at) - last.before;
        // A row of a table stays whole, if it can.
        let is_row = self.sizer.outline.sections[last.section].is_table;
        if (tokens * 4 > self.tokens_target && !is_row) || at - last.at > self.sizer.bytes_max {
            let text = &self.sizer.text[last.at..at];
            for sentence_end in sentence_ends(text) {
                self.advance_sentence(last.at + sentence_end, BoundaryLevel::Sentence);
            }
        }
        self.advance_sentence(at, level);
    }

    fn advance_sentence(&mut self, at: usize, level: BoundaryLevel) {
        let Some(&last) = self.found.last() else { return };
        let window = self.sizer.tokens_max - self.sizer.line_tokens(last.section);
        let tokens = self.sizer.tokens_before(at) - last.before;
        if tokens + ESTIMATE_SLACK > window || at - last.at > self.sizer.bytes_max {
            let span = TextSpan { start: last.at, end: at };
            for cut in thinned_word_cuts(self.sizer.text, span, self.sizer.tokens_max) {
                self.push(cut.at, cut.level);
            }
        }
        self.push(at, level);
    }
}

/// Finds thinned word boundaries inside a span, and cluster boundaries where words are far apart.
fn thinned_word_cuts(text: &str, span: TextSpan, tokens_max: usize) -> Vec<CutPosition> {
    let slice = &text[span.start..span.end];
    let gap_min = (tokens_max / WORD_GAPS).max(1);
    let mut borders = slice.split_word_bound_indices().map(|(at, _)| at).peekable();
    let mut cuts = Vec::new();
    let mut last = 0;
    for (at, cluster) in slice.grapheme_indices(true) {
        while borders.next_if(|&border| border < at).is_some() {}
        let is_word = borders.peek() == Some(&at);
        let gap = at - last;
        // The hash picks few boundaries by their surroundings. A gap that grows too long takes any boundary,
        // which bounds the distance between candidates.
        let hash = position_fingerprint(text, span.start + at);
        let level = if is_word && gap >= gap_min && (hash.is_multiple_of(WORDS_ONE_IN) || gap >= 4 * gap_min)
        {
            Some(BoundaryLevel::Word)
        } else if (gap >= 4 * gap_min && hash.is_multiple_of(CLUSTERS_ONE_IN)) || gap >= 12 * gap_min {
            Some(BoundaryLevel::Grapheme)
        } else {
            None
        };
        let divides = || !cluster.starts_with(char::is_whitespace) && has_visible_text(&slice[last..at]);
        if let Some(level) = level.filter(|_| divides()) {
            cuts.push(CutPosition { at: span.start + at, level });
            last = at;
        }
    }
    cuts
}

/// Keeps only cuts with something visible before and behind them.
fn retain_visible(text: &str, span: TextSpan, cuts: &mut Vec<CutPosition>) {
    let mut last = span.start;
    cuts.retain(|cut| {
        let keep = !text[cut.at..].starts_with(char::is_whitespace) && has_visible_text(&text[last..cut.at]);
        if keep {
            last = cut.at;
        }
        keep
    });
}
