//! Fusion, assembly and rendering: the laws over random corpora, and the cases by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contexture::context::answer::{Assembled, Citation, Passage, Verdict};
use contexture::context::assemble::{AssemblyInput, Candidate, assemble};
use contexture::context::fuse::{Weights, fuse, relative_scores};
use contexture::context::render::render;
use contexture::context::render::visible::{visible, visible_line};
use contexture::context::request::{Assembly, BUDGET_TOKENS_MAX, Format, Fusion};
use contexture::domain::chunk::{Chunk, Span};
use contexture::domain::ids::{ChunkId, DocumentId, Version};
use contexture::ports::lexical::LexicalHit;
use contexture::ports::tokenizer::Tokenizer;
use contexture::ports::vectors::DenseHit;
use proptest::prelude::*;

use crate::support::contexts::{Read, parse};
use crate::support::corpora::{chunk, corpus};
use crate::support::tokenizers::{Cl100k, Runs, all};

fn assembly(budget: usize, format: Format) -> Assembly {
    Assembly { budget, style: format.into(), explain: true, ..Assembly::default() }
}

fn any_format() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

fn any_tokenizer() -> impl Strategy<Value = usize> {
    0..all().len()
}

/// Small budgets are where framing matters; large ones keep everything.
fn any_budget() -> impl Strategy<Value = usize> {
    prop_oneof![0..80_usize, 80..600_usize, 600..5000_usize]
}

/// What a reader of the context must find.
fn expected(passages: &[Passage], format: Format) -> Vec<Read> {
    let read = |(index, passage): (usize, &Passage)| Read {
        number: index + 1,
        document_id: shown_id(passage.document_id.as_str(), format),
        version: passage.version.get(),
        start: passage.span.start,
        end: passage.span.end,
        text: visible(&passage.text).into_owned(),
    };
    passages.iter().enumerate().map(read).collect()
}

fn shown_id(id: &str, format: Format) -> String {
    let line = visible_line(id).into_owned();
    if matches!(format, Format::Xml | Format::Json) {
        return line;
    }
    let mut shown = line.replace("](", "\\u{5D}(").replace('`', "\\u{60}").replace('<', "\\u{3C}");
    for digit in '0'..='9' {
        shown = shown.replace(&format!("[{digit}"), &format!("\\u{{5B}}{digit}"));
    }
    shown
}

fn kept_gain(assembled: &Assembled) -> f64 {
    let is_in = |verdict| matches!(verdict, Verdict::Kept { .. } | Verdict::MergedInto { .. });
    assembled.trace.iter().filter(|entry| is_in(entry.verdict)).map(|entry| entry.gain).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn the_budget_is_never_exceeded(
        corpus in corpus(5, 8),
        budget in any_budget(),
        format in any_format(),
        which in any_tokenizer(),
    ) {
        let tokenizer = all()[which];
        let assembled = assemble(&corpus.input, &assembly(budget, format), tokenizer);
        prop_assert!(assembled.tokens <= budget);
        let again = assemble(&corpus.input, &assembly(budget, format), tokenizer);
        prop_assert_eq!(&again.context, &assembled.context);
        prop_assert_eq!(assembled.tokens, tokenizer.count(&assembled.context));
        prop_assert_eq!(&assembled.context, &render(&assembled.passages, format));
        prop_assert!((0.0..=1.0).contains(&assembled.bound));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2500))]

    #[test]
    fn equal_input_gives_equal_bytes_in_any_order(
        (corpus, shuffled) in corpus(4, 6).prop_flat_map(|corpus| {
            let order = Just(corpus.input.candidates.clone()).prop_shuffle();
            (Just(corpus), order)
        }),
        budget in any_budget(),
        format in any_format(),
    ) {
        let assembly = assembly(budget, format);
        let once = assemble(&corpus.input, &assembly, &Runs);
        let again = assemble(&AssemblyInput { candidates: shuffled, ..AssemblyInput::default() }, &assembly, &Runs);
        prop_assert_eq!(once, again);
    }

    #[test]
    fn a_context_reads_back_as_it_was_written(
        corpus in corpus(5, 8),
        budget in any_budget(),
        format in any_format(),
    ) {
        let assembled = assemble(&corpus.input, &assembly(budget, format), &Runs);
        let read = parse(&assembled.context, format);
        prop_assert_eq!(read, Some(expected(&assembled.passages, format)), "{}", assembled.context);
    }

    #[test]
    fn passages_are_disjoint_bytes_of_their_documents(
        corpus in corpus(5, 8),
        budget in any_budget(),
        format in any_format(),
    ) {
        let assembled = assemble(&corpus.input, &assembly(budget, format), &Runs);
        let texts: BTreeMap<&DocumentId, &str> =
            corpus.documents.iter().map(|(id, text)| (id, text.as_str())).collect();
        let mut previous: Option<&Passage> = None;
        let mut seen = BTreeSet::new();
        for passage in &assembled.passages {
            let Span { start, end } = passage.span;
            prop_assert_eq!(texts[&passage.document_id].get(start..end), Some(passage.text.as_str()));
            match previous.filter(|before| before.document_id == passage.document_id) {
                Some(before) => prop_assert!(before.span.end <= start),
                None => prop_assert!(seen.insert(&passage.document_id), "a document comes in one block"),
            }
            previous = Some(passage);
        }
    }

    #[test]
    fn the_trace_names_every_candidate_once(corpus in corpus(5, 8), budget in any_budget()) {
        let assembled = assemble(&corpus.input, &assembly(budget, Format::Markdown), &Runs);
        let mut named: Vec<ChunkId> = assembled.trace.iter().map(|entry| entry.chunk_id).collect();
        let mut given: Vec<ChunkId> = corpus.input.candidates.iter().map(|one| one.chunk.id).collect();
        named.sort();
        given.sort();
        prop_assert_eq!(named, given);
        for (index, passage) in assembled.passages.iter().enumerate() {
            let kept = Verdict::Kept { passage: index + 1 };
            let best: Vec<_> = assembled.trace.iter().filter(|entry| entry.verdict == kept).collect();
            prop_assert_eq!(best.len(), 1);
            prop_assert!((best[0].score - passage.score).abs() < f32::EPSILON);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_bound_holds_against_exhaustive_search(
        corpus in corpus(3, 3),
        share in 1..100_usize,
        format in any_format(),
        which in 0..2_usize,
    ) {
        let tokenizer: &dyn Tokenizer = if which == 0 { &Cl100k } else { &Runs };
        let everything = assemble(&corpus.input, &assembly(BUDGET_TOKENS_MAX, format), tokenizer);
        prop_assert!((everything.bound - 1.0).abs() < f64::EPSILON);
        let budget = everything.tokens * share / 100;
        let assembled = assemble(&corpus.input, &assembly(budget, format), tokenizer);

        let gains: BTreeMap<ChunkId, f64> =
            assembled.trace.iter().map(|entry| (entry.chunk_id, entry.gain)).collect();
        let distinct: Vec<&Candidate> = corpus
            .input
            .candidates
            .iter()
            .filter(|candidate| {
                everything.trace.iter().any(|entry| {
                    let counts = matches!(entry.verdict, Verdict::Kept { .. } | Verdict::MergedInto { .. });
                    entry.chunk_id == candidate.chunk.id && counts
                })
            })
            .collect();
        let mut best = 0.0_f64;
        for subset in 0..1_usize << distinct.len() {
            let members = distinct.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1);
            let candidates: Vec<Candidate> = members.map(|(_, one)| (*one).clone()).collect();
            let gain: f64 = candidates.iter().map(|one| gains[&one.chunk.id]).sum();
            if gain <= best {
                continue;
            }
            let all = assemble(&AssemblyInput { candidates, ..AssemblyInput::default() }, &assembly(BUDGET_TOKENS_MAX, format), tokenizer);
            if all.tokens <= budget {
                best = gain;
            }
        }
        let achieved = kept_gain(&assembled);
        prop_assert!(achieved + 1e-9 >= assembled.bound * best, "{achieved} of {best}, {}", assembled.bound);
    }
}

fn id(number: u128) -> ChunkId {
    ChunkId::from_uuid(uuid::Uuid::from_u128(number))
}

fn hits() -> impl Strategy<Value = Vec<(u128, f32)>> {
    prop::collection::vec((0..30_u128, -1.0..20.0_f32), 0..20).prop_map(|mut hits| {
        let mut seen = BTreeSet::new();
        hits.retain(|(number, _)| seen.insert(*number));
        hits.sort_by(|left, right| right.1.total_cmp(&left.1));
        hits
    })
}

proptest! {
    #[test]
    fn fusion_ranks_every_hit_once_and_keeps_a_lone_list(lexical in hits(), dense in hits(), rrf: bool) {
        let fusion = if rrf { Fusion::Rrf { k: 60.0 } } else { Fusion::RelativeScore };
        let lexical: Vec<LexicalHit> =
            lexical.iter().map(|(number, score)| LexicalHit { id: id(*number), score: score.abs() }).collect();
        let dense: Vec<DenseHit> =
            dense.iter().map(|(number, score)| DenseHit { id: id(*number), score: *score }).collect();
        let fused = fuse(&lexical, &dense, fusion, WEIGHTS);
        let given: BTreeSet<ChunkId> =
            lexical.iter().map(|hit| hit.id).chain(dense.iter().map(|hit| hit.id)).collect();
        prop_assert_eq!(fused.len(), given.len());
        prop_assert_eq!(fused.iter().map(|one| one.id).collect::<BTreeSet<_>>(), given);
        let ordered = |pair: &[contexture::context::fuse::Fused]| {
            pair[1].score.total_cmp(&pair[0].score).then_with(|| pair[0].id.cmp(&pair[1].id)).is_lt()
        };
        prop_assert!(fused.windows(2).all(ordered));
        prop_assert!(fused.iter().all(|one| (0.0..=1.0).contains(&one.score)));

        let alone = fuse(&[], &dense, fusion, WEIGHTS);
        let position = |wanted: ChunkId| dense.iter().position(|hit| hit.id == wanted).unwrap();
        for pair in alone.windows(2) {
            prop_assert!(
                position(pair[0].id) < position(pair[1].id) || (pair[0].score - pair[1].score).abs() < 1e-6
            );
        }
    }
}

#[test]
fn relative_scores_add_normalised_shares() {
    let lexical = [LexicalHit { id: id(1), score: 8.0 }, LexicalHit { id: id(2), score: 4.0 }];
    let dense = [
        DenseHit { id: id(2), score: 0.9 },
        DenseHit { id: id(3), score: 0.5 },
        DenseHit { id: id(1), score: 0.1 },
    ];
    let fused = relative_scores(&lexical, &dense, WEIGHTS);
    let scores: Vec<(ChunkId, f32)> = fused.iter().map(|one| (one.id, one.score)).collect();
    assert_eq!(scores[0].0, id(2));
    assert!((scores[0].1 - 0.7).abs() < 1e-6, "0.6 · 4/8 + 0.4 · 1");
    assert_eq!(scores[1].0, id(1));
    assert!((scores[1].1 - 0.6).abs() < 1e-6, "0.6 · 8/8 + 0.4 · 0");
    assert_eq!(scores[2].0, id(3));
    assert!((scores[2].1 - 0.2).abs() < 1e-6, "0.4 · 0.5");
}

#[test]
fn weighted_ranks_can_turn_the_order() {
    let lexical = [LexicalHit { id: id(1), score: 2.0 }, LexicalHit { id: id(2), score: 1.0 }];
    let dense = [DenseHit { id: id(2), score: 0.8 }, DenseHit { id: id(1), score: 0.7 }];
    let first = |fusion| fuse(&lexical, &dense, fusion, WEIGHTS)[0].id;
    assert_eq!(first(Fusion::WeightedRrf { k: 10.0, lexical: 2.0, dense: 1.0 }), id(1));
    assert_eq!(first(Fusion::WeightedRrf { k: 10.0, lexical: 1.0, dense: 2.0 }), id(2));
    assert_eq!(first(Fusion::Rrf { k: 60.0 }), id(1), "a tie goes to the lower id");
}

fn candidate(chunk: Chunk, score: f32) -> Candidate {
    Candidate { chunk: Arc::new(chunk), score }
}

fn run(candidates: Vec<Candidate>, budget: usize) -> Assembled {
    assemble(
        &AssemblyInput { candidates, ..AssemblyInput::default() },
        &assembly(budget, Format::Markdown),
        &Cl100k,
    )
}

const WEIGHTS: Weights = Weights { lexical: 0.6, dense: 0.4 };
const SENTENCE: &str = "Set the flag before you start the worker, or the queue stays paused until the next deploy \
                        and every message that arrives in between waits in the retry tier of its own stage.";

#[test]
fn nothing_fits_into_nothing() {
    let candidates = || vec![candidate(chunk("a.md", 0, SENTENCE), 1.0)];
    for budget in [0, 1, 10] {
        let assembled = run(candidates(), budget);
        assert_eq!((assembled.context.as_str(), assembled.tokens), ("", 0));
        assert_eq!(assembled.trace[0].verdict, Verdict::OverBudget);
    }
    let empty = run(Vec::new(), 1000);
    assert_eq!((empty.context.as_str(), empty.tokens, empty.trace.len()), ("", 0, 0));
}

#[test]
fn neighbours_become_one_passage_and_pay_one_frame() {
    let text = format!("{SENTENCE}\n\nAnd then? Nothing.\n\n");
    let cut = SENTENCE.len() + 1;
    let apart = candidate(chunk("a.md", 900, "Elsewhere, something else is said."), 0.4);
    let assembled = run(
        vec![
            candidate(chunk("a.md", cut, &text[cut..]), 0.9),
            apart,
            candidate(chunk("a.md", 0, &text[..cut]), 0.5),
        ],
        1000,
    );
    assert_eq!(assembled.passages.len(), 2);
    assert_eq!(assembled.passages[0].text, text.trim_end());
    assert_eq!(assembled.passages[0].span, Span { start: 0, end: text.trim_end().len() });
    assert!((assembled.passages[0].score - 0.9).abs() < f32::EPSILON);
    assert_eq!(assembled.trace[0].verdict, Verdict::Kept { passage: 1 });
    assert_eq!(assembled.trace[1].verdict, Verdict::MergedInto { passage: 1 });
    assert_eq!(assembled.trace[2].verdict, Verdict::Kept { passage: 2 });
}

#[test]
fn duplicates_are_paid_once_and_all_cited() {
    let nearly = SENTENCE.to_owned() + " " + SENTENCE + " And a few more words make no difference.";
    let long = SENTENCE.to_owned() + " " + SENTENCE + " And a few more words make no great difference.";
    let folded = SENTENCE.replace(' ', "\n");
    let assembled = run(
        vec![
            candidate(chunk("a.md", 0, SENTENCE), 0.9),
            candidate(chunk("b.md", 7, &folded), 0.8),
            candidate(chunk("c.md", 0, &long.repeat(3)), 0.7),
            candidate(chunk("d.md", 0, &(long.repeat(2) + &nearly)), 0.6),
        ],
        2000,
    );
    let ids: Vec<&str> = assembled.passages.iter().map(|one| one.document_id.as_str()).collect();
    assert_eq!(ids, ["a.md", "c.md"]);
    let of = |at: usize| assembled.trace[at].chunk_id;
    assert_eq!(assembled.trace[1].verdict, Verdict::DuplicateOf { of: of(0) });
    assert_eq!(assembled.trace[3].verdict, Verdict::NearDuplicateOf { of: of(2) });
    let span = Span { start: 7, end: 7 + folded.len() };
    let version = Version::new(1).unwrap();
    let twin = Citation { document_id: DocumentId::new("b.md").unwrap(), version, span };
    assert_eq!(assembled.passages[0].also, [twin]);
}

#[test]
fn a_long_word_does_not_make_a_duplicate_stand_for_a_short_text() {
    let bloated = format!("{SENTENCE} {}", "x".repeat(4000));
    let assembled =
        run(vec![candidate(chunk("evil", 0, &bloated), 1.0), candidate(chunk("a", 0, SENTENCE), 0.9)], 100);
    assert_eq!(assembled.passages[0].document_id.as_str(), "a");
}

#[test]
fn another_number_is_not_a_duplicate() {
    let row = |revenue: u32| format!("{SENTENCE} {SENTENCE} The revenue was {revenue} million.").repeat(3);
    let assembled =
        run(vec![candidate(chunk("a", 0, &row(41)), 0.9), candidate(chunk("b", 0, &row(42)), 0.8)], 4000);
    assert_eq!(assembled.passages.len(), 2);
}

#[test]
fn a_text_full_of_backticks_pays_for_its_own_fence() {
    let poison = format!("Press this: {}", "`".repeat(1000));
    let good = |document: &str, text: &str| candidate(chunk(document, 0, text), 0.9);
    let other = "Budgets are spent on the passages that say most for each token they cost.";
    let assembled =
        run(vec![candidate(chunk("evil", 0, &poison), 1.0), good("a", SENTENCE), good("b", other)], 100);
    let ids: Vec<&str> = assembled.passages.iter().map(|one| one.document_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn what_contradicts_its_span_or_neighbour_is_left_out() {
    let mut short = chunk("a.md", 0, SENTENCE);
    short.span.end += 5;
    let mut backwards = chunk("b.md", 9, SENTENCE);
    backwards.span.end = 3;
    let assembled = run(
        vec![
            candidate(short, 1.0),
            candidate(backwards, 0.9),
            candidate(chunk("c.md", 0, "one two three"), 0.8),
            candidate(chunk("c.md", 4, "TWO three four"), 0.7),
            candidate(chunk("d.md", 4, " \n\t"), 0.6),
        ],
        1000,
    );
    let verdicts: Vec<Verdict> = assembled.trace.iter().map(|entry| entry.verdict).collect();
    let kept = Verdict::Kept { passage: 1 };
    let bad = Verdict::Inconsistent;
    assert_eq!(verdicts, [bad, bad, kept, bad, Verdict::Blank]);
}

fn passage(document: &str, start: usize, heading: &str, text: &str) -> Passage {
    Passage {
        document_id: DocumentId::new(document).unwrap(),
        version: Version::new(3).unwrap(),
        span: Span { start, end: start + text.len() },
        heading: heading.to_owned(),
        score: 0.5,
        text: text.to_owned(),
        also: Vec::new(),
        section: String::new(),
    }
}

#[test]
fn the_formats_look_like_this() {
    let passages = [
        passage("setup.md", 10, "Install", "Run `make`.\n```sh\nmake\n```"),
        passage("setup.md", 90, "Install", "a < b & \"c\""),
        passage("[1] `x`", 0, "", "\u{202E}tab\there"),
    ];
    assert_eq!(
        render(&passages, Format::Markdown),
        "# setup.md v3\n````[1] 10-36 Install\nRun `make`.\n```sh\nmake\n```\n````\n````[2] 90-101\na < b & \
         \"c\"\n````\n# \\u{5B}1] \\u{60}x\\u{60} v3\n````[3] 0-11\n\\u{202E}tab\there\n````\n"
    );
    assert_eq!(
        render(&passages, Format::Xml),
        "<context>\n<document id=\"setup.md\" version=\"3\">\n<passage n=\"1\" span=\"10-36\" \
         heading=\"Install\">Run `make`.\n```sh\nmake\n```</passage>\n<passage n=\"2\" span=\"90-101\">a &lt; b \
         &amp; \"c\"</passage>\n</document>\n<document id=\"[1] `x`\" version=\"3\">\n<passage n=\"3\" \
         span=\"0-11\">\\u{202E}tab\there</passage>\n</document>\n</context>\n"
    );
    assert_eq!(
        render(&passages, Format::Json),
        "{\"documents\":[{\"id\":\"setup.md\",\"version\":3,\"passages\":[{\"n\":1,\"span\":[10,36],\"heading\":\
         \"Install\",\"text\":\"Run `make`.\\n```sh\\nmake\\n```\"},{\"n\":2,\"span\":[90,101],\"text\":\"a < b & \
         \\\"c\\\"\"}]},{\"id\":\"[1] `x`\",\"version\":3,\"passages\":[{\"n\":3,\"span\":[0,11],\"text\":\
         \"\\\\u{202E}tab\\there\"}]}]}"
    );
    let plain = render(&passages, Format::Plain);
    let mark = plain.split(' ').next().unwrap();
    assert_eq!(
        plain,
        format!(
            "{mark} setup.md v3\n{mark}[1] 10-36 Install\nRun `make`.\n```sh\nmake\n```\n{mark}[2] 90-101\na < b & \
             \"c\"\n{mark} \\u{{5B}}1] \\u{{60}}x\\u{{60}} v3\n{mark}[3] 0-11\n\\u{{202E}}tab\there\n{mark}\n"
        )
    );
}

#[test]
fn a_tag_that_a_text_contains_grows() {
    let guesses = (0..1000).map(|number| format!("={number:03}")).collect::<Vec<_>>().join(" ");
    let context = render(&[passage("a", 0, "", &guesses)], Format::Plain);
    assert_eq!(context.split(' ').next().unwrap().len(), 7, "= and six digits");
}

#[test]
fn only_what_hides_is_made_visible() {
    assert_eq!(visible("a\u{202E}b\u{0}\r\n\t\u{200B}"), "a\\u{202E}b\\u{0}\\u{D}\n\t\\u{200B}");
    assert_eq!(visible("x\u{E0041}\u{FEFF}\u{2028}\u{85}"), "x\\u{E0041}\\u{FEFF}\\u{2028}\\u{85}");
    assert_eq!(visible("ad\u{200D}min"), "ad\\u{200D}min");
    for kept in ["👩‍👩‍👧 ❤️", "می‌خواهم", "漢字", "é e\u{301}", "\\u{202E}"] {
        assert_eq!(visible(kept), kept);
    }
    assert_eq!(visible_line("a\nb\tc"), "a\\u{A}b\\u{9}c");
}

#[test]
fn json_names_are_those_of_the_contract() {
    let assembled = run(vec![candidate(chunk("a.md", 0, SENTENCE), 1.0)], 500);
    let passage = serde_json::to_value(&assembled.passages[0]).unwrap();
    let names: Vec<&String> = passage.as_object().unwrap().keys().collect();
    assert_eq!(names, ["document_id", "version", "start_byte", "end_byte", "heading", "score", "text"]);
    let entry = serde_json::to_value(&assembled.trace[0]).unwrap();
    assert_eq!(entry["reason"], "kept");
    assert_eq!(entry["passage"], 1);
    assert_eq!(entry["document_id"], "a.md");
    assert_eq!(entry["start_byte"], 0);
}
