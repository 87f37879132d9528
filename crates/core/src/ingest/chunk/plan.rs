//! Chooses which candidates become cuts: the cheapest path through all of them.
//!
//! Like the line breaker of Knuth and Plass (1981) it optimises a whole document instead of filling one chunk
//! after another. Each chunk costs the square of its distance from the target size, the quality of the cut at
//! its end, and the headings it spans. Costs are whole numbers, so the plan is the same on every platform. The
//! time is the number of candidates times the candidates per chunk.
//!
//! Resynchronisation: the rest of a plan depends only on where it starts, so two versions of a document agree
//! from their first common cut on. Greedy filling keeps an offset as long as sizes allow it. Here some
//! positions, chosen by the text around them alone, are cheaper than others, as in content-defined chunking.
//! They draw both plans to the same cuts soon behind an edit. One edit in 500 KB of paragraphs changes 2 chunks
//! on average and seldom more than 8; in one endless paragraph, whose sentences look alike to the plan, 5 and
//! seldom more than 16.

use super::boundary::{BoundaryLevel, position_fingerprint};
use super::refine::CutCandidate;
use super::size::{ChunkSizer, ESTIMATE_SLACK};
use crate::domain::chunk::TextSpan;

/// Cost of an empty chunk; the cost of size falls to 0 at the target.
const SIZE_COST: i64 = 1000;
/// Extra cost of a chunk below an eighth of the target.
const LEFTOVER_COST: i64 = 600;
/// Divisor of the target: a chunk with that share of it does not extend into the next section.
const SECTION_SHARE: usize = 2;
/// Deviation from the target that costs nothing, in thousandths. It leaves room to meet old cuts.
const SIZE_TOLERANCE: i64 = 250;
/// Cost of a position whose fingerprint is odd.
const ANCHOR_COST_MAX: i64 = 160;
/// Discount for each trailing zero bit of the fingerprint.
const ANCHOR_COST_STEP: i64 = 40;

/// Returns the indices of the candidates that end chunks, ascending; the last ends the text.
pub(super) fn plan_chunk_ends(
    sizer: &ChunkSizer<'_>,
    candidates: &[CutCandidate],
    tokens_target: usize,
) -> Vec<usize> {
    // The cost of a chunk divides by the target.
    debug_assert!(tokens_target > 0, "the target is at least one token");
    let mut best: Vec<(i64, usize)> = Vec::with_capacity(candidates.len());
    // Dynamic programming: `best[end]` is the least cost up to a candidate, and the start of its last chunk.
    best.push((0, 0));
    for end in 1..candidates.len() {
        let torn = if end + 1 == candidates.len() { 0 } else { tear_cost(sizer.text, &candidates[end]) };
        // The window always offers the chunk of one candidate, so the maximum never stays.
        let mut cheapest = (i64::MAX, end - 1);
        let mut window = ChunkWindow::new(sizer, candidates, end);
        while let Some(start) = window.grow(tokens_target) {
            let cost = best[start].0 + torn + window.cost(start, tokens_target);
            if cost < cheapest.0 {
                cheapest = (cost, start);
            }
        }
        best.push(cheapest);
    }
    let mut ends = Vec::new();
    let mut end = candidates.len() - 1;
    while end > 0 {
        ends.push(end);
        end = best[end].1;
    }
    ends.reverse();
    ends
}

/// The chunks that end at one candidate, from the shortest on.
struct ChunkWindow<'a> {
    sizer: &'a ChunkSizer<'a>,
    candidates: &'a [CutCandidate],
    end: usize,
    start: usize,
    section: usize,
    /// Last heading inside the chunk, and the smallest depth of all of them.
    heading: Option<(usize, u8)>,
}

impl<'a> ChunkWindow<'a> {
    fn new(sizer: &'a ChunkSizer<'a>, candidates: &'a [CutCandidate], end: usize) -> Self {
        Self { sizer, candidates, end, start: end, section: candidates[end - 1].section, heading: None }
    }

    /// Returns the start of the next longer chunk. A chunk of one candidate is always allowed; longer ones
    /// must fit.
    fn grow(&mut self, tokens_target: usize) -> Option<usize> {
        loop {
            let single = self.start == self.end;
            if !single && let BoundaryLevel::Heading(depth) = self.candidates[self.start].level {
                let (last, outermost) = self.heading.unwrap_or((self.start, depth));
                self.heading = Some((last, outermost.min(depth)));
            }
            self.start = self.start.checked_sub(1)?;
            self.section = self.sizer.outline.common(self.section, self.candidates[self.start].section);
            if single {
                return Some(self.start);
            }
            let (first, last) = (&self.candidates[self.start], &self.candidates[self.end]);
            let tokens = last.before - first.before;
            if tokens > self.sizer.tokens_max + ESTIMATE_SLACK || last.at - first.at > self.sizer.bytes_max {
                return None;
            }
            // Growing further only adds text before the heading, so no longer chunk can pass this test.
            if let Some((heading, _)) = self.heading {
                let before_heading = self.candidates[heading].before - first.before;
                if before_heading * SECTION_SHARE >= tokens_target {
                    return None;
                }
            }
            // A chunk that begins among the rows of a table ends there, too: its heading is their header line.
            let parts_rows =
                self.sizer.outline.sections[first.section].is_table && self.section != first.section;
            if !parts_rows && self.fits(tokens, TextSpan { start: first.at, end: last.at }) {
                return Some(self.start);
            }
        }
    }

    fn fits(&self, tokens: usize, span: TextSpan) -> bool {
        let framed = tokens + self.sizer.line_tokens(self.section);
        if framed + ESTIMATE_SLACK <= self.sizer.tokens_max {
            return true;
        }
        // Only near the limit is the exact count worth its cost.
        framed <= self.sizer.tokens_max + ESTIMATE_SLACK
            && self.sizer.span_tokens(span) + self.sizer.line_tokens(self.section) <= self.sizer.tokens_max
    }

    /// Returns the cost of the chunk's size and of the headings in it.
    fn cost(&self, start: usize, tokens_target: usize) -> i64 {
        let tokens = signed_tokens(self.candidates[self.end].before - self.candidates[start].before);
        let target = signed_tokens(tokens_target);
        let deviation = ((tokens - target).abs() * SIZE_COST / target - SIZE_TOLERANCE).max(0);
        let leftover = if tokens * 8 < target { LEFTOVER_COST } else { 0 };
        let crossed = match self.heading {
            None => 0,
            Some((_, 1)) => 350,
            Some((_, 2)) => 250,
            Some(_) => 150,
        };
        deviation * deviation / SIZE_COST + leftover + crossed
    }
}

/// Returns the cost of a cut at a candidate.
fn tear_cost(text: &str, candidate: &CutCandidate) -> i64 {
    let level = match candidate.level {
        BoundaryLevel::Heading(_) | BoundaryLevel::Block => 0,
        BoundaryLevel::Item => 20,
        BoundaryLevel::Inner => 210,
        BoundaryLevel::Line => 225,
        BoundaryLevel::Sentence => 240,
        BoundaryLevel::Word => 1000,
        BoundaryLevel::Grapheme => 1500,
        BoundaryLevel::Character => 3000,
    };
    level + anchor_cost(position_fingerprint(text, candidate.at))
}

/// Returns the cost of a position for its fingerprint. Half of all positions cost the most; each further
/// factor of two is rarer and cheaper, so plans meet at the rare ones.
fn anchor_cost(fingerprint: u64) -> i64 {
    (ANCHOR_COST_MAX - ANCHOR_COST_STEP * i64::from(fingerprint.trailing_zeros())).max(0)
}

/// Converts a number of tokens for arithmetic that may go below zero.
fn signed_tokens(tokens: usize) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
