//! The baselines: the budget holds for all of them, and each does what its name says.

use std::sync::Arc;

use contexture_core::context::answer::Passage;
use contexture_core::context::assemble::ContextCandidate;
use contexture_core::context::render::render_passages;
use contexture_core::context::request::ContextFormat;
use contexture_lab::baselines::{BaselineContext, BaselinePacker, pack_baseline};
use proptest::prelude::*;

use crate::support::corpora::{chunk, corpus};
use crate::support::tokenizers::{Cl100kTokenizer, RunTokenizer, all};

fn candidate(document: &str, start: usize, text: &str, score: f32) -> ContextCandidate {
    ContextCandidate { chunk: Arc::new(chunk(document, start, text)), score, source: None }
}

fn words(word: &str, number: usize) -> String {
    vec![word; number].join(" ")
}

fn texts(packed: &BaselineContext) -> Vec<&str> {
    packed.passages.iter().map(|passage| passage.text.as_str()).collect()
}

fn packed(baseline: BaselinePacker, candidates: &[ContextCandidate], budget: usize) -> BaselineContext {
    pack_baseline(baseline, candidates, budget, ContextFormat::Markdown, &Cl100kTokenizer)
}

/// Tokens of a context of exactly these candidates.
fn room_for(candidates: &[&ContextCandidate]) -> usize {
    let alone: Vec<ContextCandidate> = candidates.iter().map(|candidate| (*candidate).clone()).collect();
    let whole = packed(BaselinePacker::GreedySkip, &alone, 100_000);
    assert_eq!(whole.passages.len(), alone.len());
    whole.tokens
}

fn any_baseline() -> impl Strategy<Value = BaselinePacker> {
    prop::sample::select(BaselinePacker::ALL.to_vec())
}

fn any_format() -> impl Strategy<Value = ContextFormat> {
    prop::sample::select(ContextFormat::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn the_budget_is_never_exceeded(
        corpus in corpus(5, 8),
        baseline in any_baseline(),
        budget in prop_oneof![0..80_usize, 80..600_usize, 600..5000_usize],
        format in any_format(),
        which in 0..all().len(),
    ) {
        let tokenizer = all()[which];
        let packed = pack_baseline(baseline, &corpus.input.candidates, budget, format, tokenizer);
        prop_assert!(packed.tokens <= budget);
        prop_assert_eq!(packed.tokens, tokenizer.count(&packed.context));
        prop_assert_eq!(&packed.context, &render_passages(&packed.passages, format));
        for passage in &packed.passages {
            let (_, text) = corpus.documents.iter().find(|(id, _)| *id == passage.document_id).unwrap();
            prop_assert_eq!(&text[passage.span.start..passage.span.end], passage.text.as_str());
        }
        let mut seen: Vec<&Passage> = Vec::new();
        for passage in &packed.passages {
            let before = seen.iter().rposition(|other| other.document_id == passage.document_id);
            prop_assert!(before.is_none_or(|at| at + 1 == seen.len()), "a document comes in one block");
            prop_assert!(before.is_none_or(|at| seen[at].span <= passage.span), "in document order");
            seen.push(passage);
        }
    }
}

/// Chunks of plain words, by rank.
fn plain_candidates() -> impl Strategy<Value = Vec<ContextCandidate>> {
    let piece = (0..4_usize, 1..40_usize);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| {
        let one = |(rank, (document, number)): (usize, &(usize, usize))| {
            let text = format!("Chunk {rank} says {}.", words("retrieval", *number));
            let score = 1.0 / f32::from(u16::try_from(rank + 1).unwrap());
            candidate(&format!("guide-{document}.md"), rank * 1000, &text, score)
        };
        pieces.iter().enumerate().map(one).collect()
    })
}

/// The rules as they are told, counting the whole context for every chunk.
fn counted_each_time(
    candidates: &[ContextCandidate],
    budget: usize,
    format: ContextFormat,
    stops: bool,
) -> Vec<ContextCandidate> {
    let mut chosen: Vec<ContextCandidate> = Vec::new();
    for candidate in candidates {
        chosen.push(candidate.clone());
        if pack_baseline(BaselinePacker::GreedySkip, &chosen, 1_000_000, format, &Cl100kTokenizer).tokens
            > budget
        {
            chosen.pop();
            if stops {
                break;
            }
        }
    }
    chosen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sums_of_pieces_choose_what_counting_everything_would(
        candidates in plain_candidates(),
        budget in 0..1500_usize,
        format in any_format(),
    ) {
        for (baseline, stops) in [(BaselinePacker::RankPrefix, true), (BaselinePacker::GreedySkip, false)] {
            let chosen = counted_each_time(&candidates, budget, format, stops);
            let expected = pack_baseline(BaselinePacker::GreedySkip, &chosen, 1_000_000, format, &Cl100kTokenizer);
            prop_assert_eq!(pack_baseline(baseline, &candidates, budget, format, &Cl100kTokenizer), expected);
        }
    }
}

#[test]
fn a_prefix_stops_where_a_skipping_fill_goes_on() {
    let small = candidate("a.md", 0, "The anchor is made of iron.", 1.0);
    let large = candidate("b.md", 0, &words("rope", 500), 0.9);
    let last = candidate("c.md", 0, "The sail is made of hemp.", 0.8);
    let candidates = [small.clone(), large, last.clone()];
    let budget = room_for(&[&small, &last]);
    let prefix = packed(BaselinePacker::RankPrefix, &candidates, budget);
    assert_eq!(texts(&prefix), ["The anchor is made of iron."]);
    let skipping = packed(BaselinePacker::GreedySkip, &candidates, budget);
    assert_eq!(texts(&skipping), ["The anchor is made of iron.", "The sail is made of hemp."]);
    assert_eq!(skipping.tokens, budget, "the last token is used");
    assert_eq!(texts(&packed(BaselinePacker::GreedySkip, &candidates, budget - 1)).len(), 1);
}

#[test]
fn mmr_prefers_what_was_not_said_yet() {
    let first = candidate("a.md", 0, "The anchor of the ship is made of iron, says the captain.", 1.0);
    let echo = candidate("b.md", 0, "The anchor of the ship is made of IRON, says the cook.", 0.95);
    let other = candidate("c.md", 0, "Sails need hemp; ropes are twisted from its fibres.", 0.8);
    let candidates = [first.clone(), echo.clone(), other.clone()];
    let budget = room_for(&[&first, &echo]).max(room_for(&[&first, &other]));
    assert_eq!(
        texts(&packed(BaselinePacker::Mmr, &candidates, budget)),
        [&first.chunk.text, &other.chunk.text]
    );
    assert_eq!(
        texts(&packed(BaselinePacker::GreedySkip, &candidates, budget)),
        [&first.chunk.text, &echo.chunk.text]
    );
    assert_eq!(packed(BaselinePacker::Mmr, &candidates, 10_000).passages.len(), 3, "novelty only orders");
}

#[test]
fn top_five_drops_from_the_end_only() {
    let name = |rank: usize| format!("{rank}.md");
    let mut candidates: Vec<ContextCandidate> =
        (0..7).map(|rank| candidate(&name(rank), 0, &words("mast", rank + 5), 0.9)).collect();
    assert_eq!(packed(BaselinePacker::TopFive, &candidates, 10_000).passages.len(), 5);
    let four: Vec<&ContextCandidate> = candidates.iter().take(4).collect();
    assert_eq!(packed(BaselinePacker::TopFive, &candidates, room_for(&four)).passages.len(), 4);
    candidates[2] = candidate("2.md", 0, &words("rope", 5000), 0.9);
    assert_eq!(packed(BaselinePacker::TopFive, &candidates, 1000).passages.len(), 2, "none is skipped");
}

#[test]
fn score_per_token_prefers_the_short() {
    let long = candidate("a.md", 0, &words("rope", 200), 1.0);
    let short = candidate("b.md", 0, "The sail is made of hemp.", 0.4);
    let shorter = candidate("c.md", 0, "Hemp it is.", 0.3);
    let candidates = [long.clone(), short.clone(), shorter.clone()];
    let budget = room_for(&[&long, &shorter]) - 1;
    let by_density = packed(BaselinePacker::ScorePerToken, &candidates, budget);
    assert_eq!(texts(&by_density), [&short.chunk.text, &shorter.chunk.text]);
    assert!(
        texts(&packed(BaselinePacker::GreedySkip, &candidates, budget)).contains(&long.chunk.text.as_str())
    );
}

#[test]
fn duplicates_count_once_and_documents_come_in_one_block() {
    let candidates = [
        candidate("b.md", 100, "Second of b.", 1.0),
        candidate("a.md", 0, "Only of a.", 0.9),
        candidate("c.md", 0, "Only  of\na.", 0.8),
        candidate("b.md", 0, "\n\n  First of b.\n\n", 0.7),
        candidate("d.md", 0, " \n\t", 0.6),
    ];
    for baseline in BaselinePacker::ALL {
        let packed = pack_baseline(baseline, &candidates, 10_000, ContextFormat::Markdown, &RunTokenizer);
        assert_eq!(texts(&packed), ["  First of b.", "Second of b.", "Only of a."], "{}", baseline.name());
        assert_eq!((packed.passages[0].span.start, packed.passages[0].span.end), (2, 15));
        assert_eq!(packed.context.matches("# b.md").count(), 1);
    }
}

#[test]
fn nothing_to_pack_is_an_empty_context() {
    for baseline in BaselinePacker::ALL {
        assert_eq!(packed(baseline, &[], 1000), BaselineContext::default());
        assert_eq!(packed(baseline, &[candidate("a.md", 0, "text", 1.0)], 3), BaselineContext::default());
        assert_eq!(packed(baseline, &[candidate("a.md", 0, "text", f32::NAN)], 1000).passages.len(), 1);
    }
}
