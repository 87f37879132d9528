//! Baselines: the packers of other systems, to compare the assembler with.
//!
//! A baseline is an order of the candidates and a rule for filling. All baselines get what the
//! assembler gets: the same candidates, renderer and budget, with the framing counted in the
//! reader's tokenizer. None exceeds the budget. All leave out blank chunks and exact duplicates
//! (ASCII white space folded), cut white space at both ends of a chunk, put the chunks of a document
//! under one header in document order, and start with the document of the best chunk. None joins
//! touching chunks, finds near duplicates, or weighs gain against cost as a whole.
//!
//! [`budget_filler`] decides whether a chunk fits. MMR compares all pairs, so it takes time
//! quadratic in the number of candidates.

mod budget_filler;
mod mmr;

use std::collections::HashSet;

use budget_filler::BudgetFiller;
use contexture_core::context::answer::Passage;
use contexture_core::context::assemble::{ContextCandidate, chunk_heading};
use contexture_core::context::request::ContextFormat;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::Tokenizer;

/// Chunks of [`BaselinePacker::TopFive`].
const TOP_CHUNKS: usize = 5;

/// A packer of other systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaselinePacker {
    /// By rank, up to the first chunk that does not fit.
    RankPrefix,
    /// By rank; what does not fit is skipped.
    GreedySkip,
    /// By maximal marginal relevance (Carbonell and Goldstein, 1998, λ = 0.7); what does not fit
    /// is skipped.
    Mmr,
    /// The first five by rank; while they are over budget, the last is dropped.
    TopFive,
    /// By score per token of the chunk; what does not fit is skipped.
    ScorePerToken,
}

impl BaselinePacker {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::RankPrefix, Self::GreedySkip, Self::Mmr, Self::TopFive, Self::ScorePerToken];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::RankPrefix => "rank-prefix",
            Self::GreedySkip => "greedy-skip",
            Self::Mmr => "mmr",
            Self::TopFive => "top-5",
            Self::ScorePerToken => "score-per-token",
        }
    }
}

/// A filled context.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BaselineContext {
    /// The passages, as numbered in the text; overlapping chunks are both included.
    pub passages: Vec<Passage>,
    /// The rendered text; empty when nothing fits.
    pub context: String,
    /// Its tokens, counted; never more than the budget.
    pub tokens: usize,
}

/// Fills a token budget from candidates, which come best first.
pub fn pack_baseline(
    baseline: BaselinePacker,
    candidates: &[ContextCandidate],
    budget: usize,
    format: ContextFormat,
    tokenizer: &dyn Tokenizer,
) -> BaselineContext {
    let passages = distinct_passages(candidates);
    let by_rank = 0..passages.len();
    let mut fill = BudgetFiller::new(&passages, budget, format, tokenizer);
    match baseline {
        BaselinePacker::RankPrefix => fill.offer_until_refused(by_rank),
        BaselinePacker::GreedySkip => fill.offer_each(by_rank),
        BaselinePacker::Mmr => fill.offer_each(mmr::order(&passages)),
        BaselinePacker::TopFive => fill.admit_all(by_rank.take(TOP_CHUNKS)),
        BaselinePacker::ScorePerToken => {
            let order = order_by_score_per_token(&passages, &mut fill);
            fill.offer_each(order);
        }
    }
    fill.finish()
}

/// The candidates that are neither blank nor duplicates, as passages by rank.
fn distinct_passages(candidates: &[ContextCandidate]) -> Vec<Passage> {
    let mut seen: HashSet<Vec<&str>> = HashSet::new();
    let mut passages = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let words: Vec<&str> = candidate.chunk.text.split_ascii_whitespace().collect();
        if !candidate.chunk.text.trim().is_empty() && seen.insert(words) {
            passages.push(candidate_passage(candidate));
        }
    }
    passages
}

/// A chunk without leading blank lines and trailing white space. The first line keeps its indent.
fn candidate_passage(candidate: &ContextCandidate) -> Passage {
    let chunk = &candidate.chunk;
    let text = chunk.text.trim_end();
    let blank = text.len() - text.trim_start().len();
    let cut = text[..blank].rfind('\n').map_or(0, |line_feed| line_feed + 1);
    let start = chunk.span.start + cut;
    let text = text[cut..].to_owned();
    let span = TextSpan { start, end: start + text.len() };
    Passage {
        heading: chunk_heading(chunk),
        score: candidate.score,
        ..Passage::new(chunk.document_id.clone(), chunk.version, span, text)
    }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn order_by_score_per_token(passages: &[Passage], fill: &mut BudgetFiller) -> Vec<usize> {
    let mut priced: Vec<(usize, f64)> = passages
        .iter()
        .enumerate()
        .map(|(index, passage)| (index, passage_relevance(passage) / fill.text_tokens(index).max(1) as f64))
        .collect();
    // Stable: ties stay by rank.
    priced.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    priced.into_iter().map(|(index, _)| index).collect()
}

/// The score; 0 unless it is a positive number.
fn passage_relevance(passage: &Passage) -> f64 {
    if passage.score > 0.0 { f64::from(passage.score.min(f32::MAX)) } else { 0.0 }
}
