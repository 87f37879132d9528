//! Candidates: the outline's cuts, and finer ones where what lies between them is too large.
//!
//! Sentences are looked for in whatever exceeds a quarter of the target; words, grapheme
//! clusters and characters only in what would not fit a chunk. The last three are thinned out
//! by a number that depends on their surroundings, so that an edit moves no cut farther away.
//!
//! So the planner has at least one candidate in any chunk's worth of text, and at most one in
//! [`WORD_GAPS`]th of it where words or less are cut.

use unicode_segmentation::UnicodeSegmentation;

use super::boundary::{BoundaryLevel, CutPosition, has_visible_text, position_fingerprint};
use super::size::{ChunkSizer, ESTIMATE_SLACK};
use crate::domain::chunk::TextSpan;
use crate::domain::sentences::sentence_ends;

/// Parts of a chunk that are at least between candidates inside of words or between them.
const WORD_GAPS: usize = 32;
/// One word border in this many is taken, by its fingerprint, and one cluster in that many.
const WORDS_ONE_IN: u64 = 4;
const CLUSTERS_ONE_IN: u64 = 16;

/// A place where the planner may cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutCandidate {
    pub(super) at: usize,
    pub(super) level: BoundaryLevel,
    /// Estimated tokens up to here.
    pub(super) before: usize,
    /// Section in force from here on.
    pub(super) section: usize,
}

/// All candidates of a document, with both of its ends.
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

/// Cuts inside a span that no other candidate divides, the coarsest kind that there is.
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

    /// Adds what is needed between the last candidate and the outline's next.
    fn advance(&mut self, at: usize, level: BoundaryLevel) {
        let Some(&last) = self.found.last() else { return };
        let tokens = self.sizer.tokens_before(at) - last.before;
        if tokens * 4 > self.tokens_target || at - last.at > self.sizer.bytes_max {
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

/// Thinned word borders inside a span, and cluster borders where there are none for long.
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

/// Leaves only cuts with something visible before and behind them.
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
