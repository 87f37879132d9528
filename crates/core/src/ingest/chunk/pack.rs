//! Splits a text into chunks that fit the embedder's window.
//!
//! Guarantees for every text and all [`ChunkLimits`]:
//!
//! * the first span starts at 0, each next one where the last ended, and the last ends the text;
//! * every span contains something visible;
//! * the exact tokens of the embedded text plus the reserved ones are at most `tokens_max`, or as many windows as
//!   [`chunk_windows`] gives the text, and `embed_tokens` is that number. The plan works with estimates, so its chunks are counted here and divided in the rare
//!   case that one is too large;
//! * no cut is inside a grapheme cluster, unless the cluster exceeds the limit by itself;
//! * equal input gives equal chunks, and an edit changes only chunks near it.
//!
//! The levels and their order follow the text-splitter crate. `plan` chooses among the cuts.

use super::decode::NormalisedText;
use super::outline::build_outline;
use super::plan::plan_chunk_ends;
use super::refine::{CutCandidate, find_cut_candidates, split_further};
use super::size::{ChunkContextLine, ChunkLimits, ChunkSizer};
use super::windows::chunk_windows;
use crate::domain::chunk::{ChunkSpan, TextSpan};
use crate::fault::{FailureReason, reason};
use crate::ports::tokenizer::Tokenizer;

/// Version of the chunker; part of the epoch. Raise it when any text could be normalised or cut differently
/// than before: after a change of a rule, cost or constant in this folder, or with another version of a
/// grammar, parser or Unicode table.
pub const CHUNKER_VERSION: u32 = 3;

/// Splits a text into chunks. `title` is the title that is embedded with each chunk (see
/// [`embedded_text`](crate::domain::chunk::embedded_text)).
pub fn split_into_chunks(
    document: &NormalisedText,
    title: Option<&str>,
    tokenizer: &dyn Tokenizer,
    limits: &ChunkLimits,
) -> Result<Vec<ChunkSpan>, FailureReason> {
    let outline = build_outline(document);
    let sizer = ChunkSizer::new(&document.text, title, &outline, tokenizer, limits, chunk_windows);
    check_chunk_count(&sizer, limits)?;
    // A target above the window could not be reached. The inner `max` keeps the bounds of `clamp` in order.
    let tokens_target = limits.tokens_target.saturating_mul(sizer.windows).clamp(1, sizer.tokens_max.max(1));
    let candidates = find_cut_candidates(&sizer, tokens_target);
    let ends = plan_chunk_ends(&sizer, &candidates, tokens_target);
    let mut packer = ChunkPacker::new(&sizer, limits);
    let mut start = 0;
    for end in ends {
        // Neighbouring chunks share a candidate: the end of one is the start of the next.
        packer.pack(&candidates[start..=end])?;
        start = end;
    }
    Ok(packer.into_chunks())
}

/// Refuses a text that cannot fit into `chunks_max` chunks, before it is cut.
pub(super) fn check_chunk_count(sizer: &ChunkSizer<'_>, limits: &ChunkLimits) -> Result<(), FailureReason> {
    let tokens = sizer.tokens_before(sizer.text.len());
    if tokens > sizer.tokens_max.saturating_mul(limits.chunks_max) {
        return Err(too_many_chunks(limits));
    }
    Ok(())
}

fn too_many_chunks(limits: &ChunkLimits) -> FailureReason {
    let detail = format!("the document makes more than {} chunks; split it", limits.chunks_max);
    FailureReason::new(reason::TOO_MANY_CHUNKS, detail)
}

/// Makes chunks of spans: with their headings and exact sizes, and divided where they do not fit.
pub(super) struct ChunkPacker<'a> {
    sizer: &'a ChunkSizer<'a>,
    limits: &'a ChunkLimits,
    frame: ChunkContextLine,
    chunks: Vec<ChunkSpan>,
}

impl<'a> ChunkPacker<'a> {
    pub(super) fn new(sizer: &'a ChunkSizer<'a>, limits: &'a ChunkLimits) -> Self {
        Self { sizer, limits, frame: sizer.frame(sizer.section_at(0)), chunks: Vec::new() }
    }

    pub(super) fn into_chunks(self) -> Vec<ChunkSpan> {
        self.chunks
    }

    /// Adds the chunk from the first candidate to the last, or several chunks if it is too large.
    fn pack(&mut self, candidates: &[CutCandidate]) -> Result<(), FailureReason> {
        let [first, inner @ .., last] = candidates else { return Ok(()) };
        let span = TextSpan { start: first.at, end: last.at };
        let common =
            |section, candidate: &CutCandidate| self.sizer.outline.common(section, candidate.section);
        let section = inner.iter().fold(first.section, common);
        let cuts: Vec<usize> = inner.iter().map(|candidate| candidate.at).collect();
        self.pack_span(span, section, &cuts)
    }

    /// Adds a span as one chunk, or as several, cut at `cuts` first, if it is too large. All parts keep the
    /// section, because the plan meant them as one chunk.
    pub(super) fn pack_span(
        &mut self,
        span: TextSpan,
        section: usize,
        cuts: &[usize],
    ) -> Result<(), FailureReason> {
        self.sizer.reframe(&mut self.frame, section);
        match self.sizer.fits(&self.frame, span) {
            Some(embed_tokens) => self.add(span, embed_tokens),
            None => self.divide(span, cuts),
        }
    }

    fn add(&mut self, span: TextSpan, embed_tokens: u32) -> Result<(), FailureReason> {
        if self.chunks.len() == self.limits.chunks_max {
            return Err(too_many_chunks(self.limits));
        }
        let open_fence = self.sizer.outline.open_fence(span.start);
        self.chunks.push(ChunkSpan { span, heading: self.frame.heading.clone(), embed_tokens, open_fence });
        Ok(())
    }

    /// Adds a span as few chunks, cut at `cuts` and more finely between them where needed.
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
            // The finer cuts are strictly inside, so each round makes progress.
            ends.splice(done..done, finer.iter().map(|cut| cut.at));
        }
        Ok(())
    }

    /// Finds the longest chunk from `start`: how many of `ends` it covers, and its tokens. It searches by
    /// doubling, then by halving, because each exact count costs tokenizing.
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
