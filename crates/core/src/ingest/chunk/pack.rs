//! Text to chunks: spans that tile it, each within the embedder's window.
//!
//! Promises, for every text and every limit that [`ChunkLimits`] allows:
//!
//! * the first span starts at 0, each next one where the last ended, the last ends the text;
//! * every span holds something visible;
//! * tokens of the embedded text, counted exactly, plus those reserved are at most
//!   `tokens_max`; `embed_tokens` is that number. The plan works with estimates, so what it
//!   proposes is counted here, and divided further in the rare case that it is too large;
//! * no cut is inside a grapheme cluster, unless the cluster alone exceeds the limit;
//! * equal input gives equal chunks, and an edit changes those near it.
//!
//! The levels and their order follow the text-splitter crate; how cuts are chosen among them
//! is told in `plan`.

use super::boundary::build_outline;
use super::decode::NormalisedText;
use super::plan::plan_chunk_ends;
use super::refine::{CutCandidate, find_cut_candidates, split_further};
use super::size::{ChunkContextLine, ChunkSizer};
use crate::domain::chunk::{ChunkSpan, TextSpan};
use crate::fault::{FailureReason, reason};
use crate::ports::tokenizer::Tokenizer;

/// Part of the epoch. Raise it when any text could be normalised or cut differently than
/// before: a changed rule, cost or constant in this folder, or a grammar, parser or Unicode
/// table of another version.
pub const CHUNKER_VERSION: u32 = 1;

/// Sizes in tokens of the embedder's tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Most tokens of an embedded text, special tokens included: the embedder's window.
    pub tokens_max: usize,
    /// Size that chunks should have, without context line and special tokens.
    pub tokens_target: usize,
    /// Special tokens that the embedder adds to every text.
    pub tokens_reserved: usize,
    /// Most chunks of one document.
    pub chunks_max: usize,
}

impl ChunkLimits {
    /// Tokens that are left for context line and text.
    pub(super) fn window(&self) -> usize {
        self.tokens_max.saturating_sub(self.tokens_reserved)
    }
}

/// Cuts a text. `title` is the one that will be embedded with it (see
/// [`embedded_text`](crate::domain::chunk::embedded_text)).
pub fn split_into_chunks(
    document: &NormalisedText,
    title: Option<&str>,
    tokenizer: &dyn Tokenizer,
    limits: &ChunkLimits,
) -> Result<Vec<ChunkSpan>, FailureReason> {
    let outline = build_outline(document);
    let sizer = ChunkSizer::new(&document.text, title, &outline, tokenizer, limits);
    let tokens = sizer.tokens_before(document.text.len());
    if tokens > limits.window().saturating_mul(limits.chunks_max) {
        return Err(too_many_chunks(limits));
    }
    let tokens_target = limits.tokens_target.clamp(1, limits.window().max(1));
    let candidates = find_cut_candidates(&sizer, tokens_target);
    let ends = plan_chunk_ends(&sizer, &candidates, tokens_target);
    let mut packer =
        ChunkPacker { sizer: &sizer, limits, frame: sizer.frame(candidates[0].section), chunks: Vec::new() };
    let mut start = 0;
    for end in ends {
        packer.pack(&candidates[start..=end])?;
        start = end;
    }
    Ok(packer.chunks)
}

fn too_many_chunks(limits: &ChunkLimits) -> FailureReason {
    let detail = format!("the document makes more than {} chunks; split it", limits.chunks_max);
    FailureReason::new(reason::TOO_MANY_CHUNKS, detail)
}

struct ChunkPacker<'a> {
    sizer: &'a ChunkSizer<'a>,
    limits: &'a ChunkLimits,
    frame: ChunkContextLine,
    chunks: Vec<ChunkSpan>,
}

impl ChunkPacker<'_> {
    /// Adds the chunk from the first candidate to the last, or several if it is too large.
    fn pack(&mut self, candidates: &[CutCandidate]) -> Result<(), FailureReason> {
        let [first, inner @ .., last] = candidates else { return Ok(()) };
        let span = TextSpan { start: first.at, end: last.at };
        let common =
            |section, candidate: &CutCandidate| self.sizer.outline.common(section, candidate.section);
        let section = inner.iter().fold(first.section, common);
        self.sizer.reframe(&mut self.frame, section);
        if let Some(embed_tokens) = self.sizer.fits(&self.frame, span) {
            return self.add(span, embed_tokens);
        }
        // What is divided keeps the common section: the parts are parts of one place.
        let cuts: Vec<usize> = inner.iter().map(|candidate| candidate.at).collect();
        self.divide(span, &cuts)
    }

    fn add(&mut self, span: TextSpan, embed_tokens: u32) -> Result<(), FailureReason> {
        if self.chunks.len() == self.limits.chunks_max {
            return Err(too_many_chunks(self.limits));
        }
        self.chunks.push(ChunkSpan { span, heading: self.frame.heading.clone(), embed_tokens });
        Ok(())
    }

    /// Adds a span in as few chunks as fit, cut at `cuts` or, between these, more finely.
    fn divide(&mut self, span: TextSpan, cuts: &[usize]) -> Result<(), FailureReason> {
        let mut ends: Vec<usize> = cuts.to_vec();
        ends.push(span.end);
        let mut start = span.start;
        let mut done = 0;
        while done < ends.len() {
            if let Some((count, embed_tokens)) = self.longest(start, &ends[done..]) {
                done += count;
                self.add(TextSpan { start, end: ends[done - 1] }, embed_tokens)?;
                start = ends[done - 1];
                continue;
            }
            let whole = TextSpan { start, end: ends[done] };
            let finer = split_further(self.sizer.text, whole, self.sizer.tokens_max);
            if finer.is_empty() {
                return Err(self.no_room());
            }
            ends.splice(done..done, finer.iter().map(|cut| cut.at));
        }
        Ok(())
    }

    /// How many of `ends` the longest chunk from `start` covers, and its tokens: by doubling,
    /// then by halving.
    fn longest(&self, start: usize, ends: &[usize]) -> Option<(usize, u32)> {
        let fits = |count: usize| self.sizer.fits(&self.frame, TextSpan { start, end: ends[count - 1] });
        let mut found = (1, fits(1)?);
        let mut too_large = ends.len() + 1;
        let mut doubling = true;
        while found.0 + 1 < too_large {
            let middle = found.0.midpoint(too_large);
            let next = if doubling { middle.min(found.0 * 2) } else { middle };
            if let Some(embed_tokens) = fits(next) {
                found = (next, embed_tokens);
            } else {
                (too_large, doubling) = (next, false);
            }
        }
        Some(found)
    }

    fn no_room(&self) -> FailureReason {
        let detail = format!(
            "a window of {} tokens, {} of them reserved, holds no character beside the title",
            self.limits.tokens_max, self.limits.tokens_reserved
        );
        FailureReason::new(reason::EMBEDDER_REJECTED, detail)
    }
}
