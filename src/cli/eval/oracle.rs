//! Upper bounds of recall at a budget: one stage is replaced by an oracle that knows the answer.
//!
//! * Retrieval: all candidates are in the context, whatever they cost. What is missing was not found.
//! * Ranking: the same candidates within the budget, sorted by relevant bytes, per token or in total,
//!   whichever reaches more. What is missing is lost to chunk borders and framing. Chunks are not merged,
//!   so a packer that merges them can exceed this bound.
//! * Borders: the relevant spans themselves within the budget, longest first. The last one is cut where
//!   the budget ends. Framing is included, headings are not.
//!
//! Ranking and borders stay within the budget. The format is the default one.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::keyed_values::{TokenBudgets, ValueByBudget};
use contexture_core::context::answer::Passage;
use contexture_core::context::assemble::ContextCandidate;
use contexture_core::context::render::render_passages;
use contexture_core::context::request::ContextFormat;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::ids::{DocumentId, Version};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_lab::baselines::{BaselinePacker, pack_baseline};
use contexture_lab::measure::retrieval_metrics::{ByteCoverage, CoverageOverlap, mean};

/// The normalised texts of a set's documents.
pub(crate) type DocumentTexts = HashMap<DocumentId, String>;

/// The recall that each oracle reaches.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OracleCeilings {
    pub(crate) retrieval: f64,
    pub(crate) ranking: ValueByBudget<f64>,
    pub(crate) borders: ValueByBudget<f64>,
}

impl OracleCeilings {
    /// The bounds for one question.
    pub(crate) fn for_question(
        relevant: &ByteCoverage,
        candidates: &[ContextCandidate],
        texts: &DocumentTexts,
        budgets: &TokenBudgets,
        tokenizer: &dyn Tokenizer,
    ) -> Self {
        let found = candidates.iter().map(document_span);
        let judged = judge_candidates(relevant, candidates);
        let excerpts = relevant_excerpts(relevant, texts);
        Self {
            retrieval: CoverageOverlap::between(relevant, &ByteCoverage::new(found)).recall,
            ranking: budgets
                .iter()
                .map(|budget| (budget, ranking_recall(relevant, &judged, budget, tokenizer)))
                .collect(),
            borders: budgets
                .iter()
                .map(|budget| (budget, borders_recall(relevant, &excerpts, budget, tokenizer)))
                .collect(),
        }
    }

    /// The means over all questions.
    pub(crate) fn mean<'a>(all: impl Iterator<Item = &'a Self> + Clone, budgets: &TokenBudgets) -> Self {
        Self {
            retrieval: mean(all.clone().map(|ceilings| ceilings.retrieval)),
            ranking: budgets.means(&all.clone().map(|ceilings| &ceilings.ranking)),
            borders: budgets.means(&all.map(|ceilings| &ceilings.borders)),
        }
    }
}

fn document_span(candidate: &ContextCandidate) -> (DocumentId, TextSpan) {
    (candidate.chunk.document_id.clone(), candidate.chunk.span)
}

/// Candidates with relevant bytes. The score is the number of these bytes; the best comes first.
fn judge_candidates(relevant: &ByteCoverage, candidates: &[ContextCandidate]) -> Vec<ContextCandidate> {
    #[expect(clippy::cast_precision_loss, reason = "chunks are far below 2^24 bytes")]
    let judge = |candidate: &ContextCandidate| {
        let score = relevant.common_bytes(&ByteCoverage::new([document_span(candidate)])) as f32;
        ContextCandidate { chunk: Arc::clone(&candidate.chunk), score, source: None }
    };
    let mut judged: Vec<ContextCandidate> =
        candidates.iter().map(judge).filter(|candidate| candidate.score > 0.0).collect();
    judged.sort_by(|left, right| right.score.total_cmp(&left.score));
    judged
}

fn ranking_recall(
    relevant: &ByteCoverage,
    judged: &[ContextCandidate],
    budget: usize,
    tokenizer: &dyn Tokenizer,
) -> f64 {
    let reached = |baseline| {
        let packed = pack_baseline(baseline, judged, budget, ContextFormat::default(), tokenizer);
        passage_recall(relevant, &packed.passages)
    };
    // Neither greedy order is optimal, so the better result of both is taken.
    reached(BaselinePacker::ScorePerToken).max(reached(BaselinePacker::GreedySkip))
}

/// The relevant spans as passages, longest first.
fn relevant_excerpts(relevant: &ByteCoverage, texts: &DocumentTexts) -> Vec<Passage> {
    let excerpt = |(document_id, span): (&DocumentId, TextSpan)| {
        let text = texts.get(document_id)?.get(span.start..span.end)?;
        let passage = Passage::new(document_id.clone(), Version::FIRST, span, text.to_owned());
        Some(Passage { score: 1.0, ..passage })
    };
    let mut excerpts: Vec<Passage> = relevant.spans().filter_map(excerpt).collect();
    excerpts.sort_by_key(|excerpt| (std::cmp::Reverse(excerpt.span.len()), excerpt.span));
    excerpts
}

fn borders_recall(
    relevant: &ByteCoverage,
    excerpts: &[Passage],
    budget: usize,
    tokenizer: &dyn Tokenizer,
) -> f64 {
    let mut chosen: Vec<Passage> = Vec::new();
    for excerpt in excerpts {
        chosen.push(excerpt.clone());
        if rendered_tokens(&chosen, tokenizer) > budget {
            // Only the first excerpt that does not fit is cut; then the budget is spent.
            chosen.pop();
            chosen.extend(longest_start(excerpt, &chosen, budget, tokenizer));
            break;
        }
    }
    passage_recall(relevant, &chosen)
}

/// The longest prefix of an excerpt that fits beside the chosen ones, found by binary search.
fn longest_start(
    excerpt: &Passage,
    chosen: &[Passage],
    budget: usize,
    tokenizer: &dyn Tokenizer,
) -> Option<Passage> {
    // Without offset 0, because an empty excerpt is none.
    let borders: Vec<usize> = excerpt.text.char_indices().map(|(offset, _)| offset).skip(1).collect();
    let cut = |bytes: usize| Passage {
        span: TextSpan { start: excerpt.span.start, end: excerpt.span.start + bytes },
        text: excerpt.text[..bytes].to_owned(),
        ..excerpt.clone()
    };
    let fits = |bytes: &usize| {
        let with: Vec<Passage> = chosen.iter().cloned().chain([cut(*bytes)]).collect();
        rendered_tokens(&with, tokenizer) <= budget
    };
    let fitting = borders.partition_point(fits);
    // The token count need not grow with the text, so the result of the search is checked once more.
    borders[..fitting].last().filter(|bytes| fits(bytes)).map(|bytes| cut(*bytes))
}

fn rendered_tokens(passages: &[Passage], tokenizer: &dyn Tokenizer) -> usize {
    let mut ordered = passages.to_vec();
    ordered.sort_by(|left, right| (&left.document_id, left.span).cmp(&(&right.document_id, right.span)));
    tokenizer.count(&render_passages(&ordered, ContextFormat::default()))
}

fn passage_recall(relevant: &ByteCoverage, passages: &[Passage]) -> f64 {
    CoverageOverlap::between(relevant, &ByteCoverage::from_passages(passages)).recall
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{DocumentTexts, OracleCeilings, TokenBudgets};
    use contexture_core::context::assemble::ContextCandidate;
    use contexture_core::domain::chunk::{Chunk, TextSpan};
    use contexture_core::domain::document::DocumentDescription;
    use contexture_core::domain::ids::{ChunkId, DocumentId, Version};
    use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};
    use contexture_lab::measure::retrieval_metrics::ByteCoverage;

    /// A byte is a token.
    struct ByteTokenizer;

    impl Tokenizer for ByteTokenizer {
        fn name(&self) -> &'static str {
            "bytes"
        }

        fn count(&self, text: &str) -> usize {
            text.len()
        }

        fn table<'a>(&'a self, _text: &'a str) -> Box<dyn TokenCountTable + 'a> {
            unreachable!("packing only counts")
        }
    }

    fn id() -> DocumentId {
        DocumentId::new("a.md").expect("an id")
    }

    fn candidate(text: &str, start: usize, end: usize) -> ContextCandidate {
        let chunk = Chunk {
            id: ChunkId::from_uuid(uuid::Uuid::from_u128(start as u128)),
            document_id: id(),
            version: Version::FIRST,
            ordinal: 0,
            chunk_count: 1,
            span: TextSpan { start, end },
            heading: Vec::new(),
            embed_tokens: 1,
            open_fence: None,
            source: None,
            text: text[start..end].to_owned(),
            description: DocumentDescription::default(),
        };
        ContextCandidate { chunk: Arc::new(chunk), score: 0.5, source: None }
    }

    #[test]
    fn each_oracle_lifts_one_limit() {
        // 1,000 bytes without white space; 300..500 are relevant, 700..800, too.
        let text: String = ('a'..='j').flat_map(|letter| std::iter::repeat_n(letter, 100)).collect();
        let spans = [(300, 500), (700, 800)].map(|(start, end)| (id(), TextSpan { start, end }));
        let relevant = ByteCoverage::new(spans);
        let candidates = [candidate(&text, 0, 200), candidate(&text, 200, 400), candidate(&text, 400, 600)];
        let texts = DocumentTexts::from([(id(), text)]);
        let budgets = TokenBudgets::new(&[10, 280, 1000]).expect("budgets");
        let ceilings = OracleCeilings::for_question(&relevant, &candidates, &texts, &budgets, &ByteTokenizer);
        let at = |figures: &super::ValueByBudget<f64>| figures.values().copied().collect::<Vec<_>>();
        // 700..800 is in no candidate.
        assert!((ceilings.retrieval - 2.0 / 3.0).abs() < 1e-12);
        // One chunk of 200 bytes fits into 280, and half of each is relevant.
        assert_eq!(at(&ceilings.ranking), [0.0, 1.0 / 3.0, 2.0 / 3.0]);
        let borders = at(&ceilings.borders);
        assert!((borders[0], borders[2]) == (0.0, 1.0), "{borders:?}");
        // Both spans and the framing need more than 280; the second is cut.
        assert!(borders[1] > 2.0 / 3.0 && borders[1] < 1.0, "{borders:?}");
    }
}
