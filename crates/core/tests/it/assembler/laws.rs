//! What holds for every corpus, budget, format and tokenizer.
//!
//! `CONTEXTURE_TEST_CASES_FACTOR` multiplies the cases: 10 makes 100,000 of the budget's law.

use std::collections::{BTreeMap, BTreeSet};

use contexture_core::context::answer::{CandidateTrace, CandidateVerdict, Passage};
use contexture_core::context::assemble::{AssemblyInput, ContextCandidate, assemble_context};
use contexture_core::context::render::hidden_characters::{visible_line, visible_text};
use contexture_core::context::render::render_passages;
use contexture_core::context::request::{AssemblyRequest, BUDGET_TOKENS_MAX, ContextFormat, PassageOrder};
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::ids::{ChunkId, DocumentId};
use contexture_core::ports::tokenizer::Tokenizer;
use proptest::prelude::*;

use super::assembly;
use crate::support::contexts::{ReadPassage, parse};
use crate::support::corpora::corpus;
use crate::support::tokenizers::{Cl100kTokenizer, RunTokenizer, all};

fn cases(number: u32) -> ProptestConfig {
    let factor = std::env::var("CONTEXTURE_TEST_CASES_FACTOR").ok().and_then(|text| text.parse().ok());
    ProptestConfig::with_cases(number * factor.unwrap_or(1))
}

fn any_order() -> impl Strategy<Value = PassageOrder> {
    prop::sample::select(PassageOrder::ALL.to_vec())
}

fn any_format() -> impl Strategy<Value = ContextFormat> {
    prop::sample::select(ContextFormat::ALL.to_vec())
}

fn any_tokenizer() -> impl Strategy<Value = usize> {
    0..all().len()
}

/// Small budgets are where framing matters; large ones keep everything.
fn any_budget() -> impl Strategy<Value = usize> {
    prop_oneof![0..80_usize, 80..600_usize, 600..5000_usize]
}

/// What a reader of the context must find.
fn expected(passages: &[Passage], format: ContextFormat) -> Vec<ReadPassage> {
    let read = |(index, passage): (usize, &Passage)| ReadPassage {
        number: index + 1,
        document_id: shown_id(passage.document_id.as_str(), format),
        version: passage.version.get(),
        start: passage.span.start,
        end: passage.span.end,
        text: visible_text(&passage.text).into_owned(),
    };
    passages.iter().enumerate().map(read).collect()
}

fn shown_id(id: &str, format: ContextFormat) -> String {
    let line = visible_line(id).into_owned();
    if matches!(format, ContextFormat::Xml | ContextFormat::Json) {
        return line;
    }
    let mut shown = line.replace("](", "\\u{5D}(").replace('`', "\\u{60}").replace('<', "\\u{3C}");
    for digit in '0'..='9' {
        shown = shown.replace(&format!("[{digit}"), &format!("\\u{{5B}}{digit}"));
    }
    shown
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn the_budget_is_never_exceeded(
        corpus in corpus(5, 8),
        budget in any_budget(),
        format in any_format(),
        order in any_order(),
        which in any_tokenizer(),
        cutoff in prop::option::weighted(0.2, 0.0..1.0_f64),
        passages in prop::option::weighted(0.2, 1..3_usize),
    ) {
        let tokenizer = all()[which];
        let asked = AssemblyRequest { order, cutoff, passages_per_document_max: passages, ..assembly(budget, format) };
        let assembled = assemble_context(&corpus.input, &asked, tokenizer);
        prop_assert!(assembled.tokens <= budget);
        let again = assemble_context(&corpus.input, &asked, tokenizer);
        prop_assert_eq!(&again.context, &assembled.context);
        prop_assert_eq!(assembled.tokens, tokenizer.count(&assembled.context));
        prop_assert_eq!(&assembled.context, &render_passages(&assembled.passages, format));
        prop_assert!((0.0..=1.0).contains(&assembled.bound));
    }
}

proptest! {
    #![proptest_config(cases(2500))]

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
        let once = assemble_context(&corpus.input, &assembly, &RunTokenizer);
        let again = assemble_context(&AssemblyInput { candidates: shuffled, ..corpus.input.clone() }, &assembly, &RunTokenizer);
        prop_assert_eq!(once, again);
    }

    #[test]
    fn a_context_reads_back_as_it_was_written(
        corpus in corpus(5, 8),
        budget in any_budget(),
        format in any_format(),
    ) {
        let assembled = assemble_context(&corpus.input, &assembly(budget, format), &RunTokenizer);
        let read = parse(&assembled.context, format);
        prop_assert_eq!(read, Some(expected(&assembled.passages, format)), "{}", assembled.context);
    }

    #[test]
    fn passages_are_disjoint_bytes_of_their_documents(
        corpus in corpus(5, 8),
        budget in any_budget(),
        format in any_format(),
    ) {
        let assembled = assemble_context(&corpus.input, &assembly(budget, format), &RunTokenizer);
        let texts: BTreeMap<&DocumentId, &str> =
            corpus.documents.iter().map(|(id, text)| (id, text.as_str())).collect();
        let mut previous: Option<&Passage> = None;
        let mut seen = BTreeSet::new();
        for passage in &assembled.passages {
            let TextSpan { start, end } = passage.span;
            prop_assert_eq!(texts[&passage.document_id].get(start..end), Some(passage.text.as_str()));
            match previous.filter(|before| before.document_id == passage.document_id) {
                Some(before) => prop_assert!(before.span.end <= start),
                None => prop_assert!(seen.insert(&passage.document_id), "a document comes in one block"),
            }
            previous = Some(passage);
        }
    }

    #[test]
    fn any_order_has_the_same_passages(corpus in corpus(5, 8), budget in any_budget(), order in any_order()) {
        let asked = AssemblyRequest { order, ..assembly(budget, ContextFormat::Xml) };
        let assembled = assemble_context(&corpus.input, &asked, &RunTokenizer);
        let mut spans: Vec<(&DocumentId, TextSpan)> =
            assembled.passages.iter().map(|passage| (&passage.document_id, passage.span)).collect();
        spans.sort();
        for pair in spans.windows(2) {
            prop_assert!(pair[0].0 != pair[1].0 || pair[0].1.end <= pair[1].1.start);
        }
        if order == PassageOrder::Score {
            prop_assert!(assembled.passages.is_sorted_by(|left, right| left.score >= right.score));
        }
    }

    #[test]
    fn no_document_has_more_passages_than_asked_for(
        corpus in corpus(3, 8),
        budget in any_budget(),
        most in 1..3_usize,
    ) {
        let asked = AssemblyRequest { passages_per_document_max: Some(most), ..assembly(budget, ContextFormat::Markdown) };
        let assembled = assemble_context(&corpus.input, &asked, &RunTokenizer);
        let mut passages: BTreeMap<&DocumentId, usize> = BTreeMap::new();
        for passage in &assembled.passages {
            *passages.entry(&passage.document_id).or_default() += 1;
        }
        prop_assert!(passages.values().all(|count| *count <= most), "{passages:?}");
    }

    #[test]
    fn what_stands_in_front_stays_byte_for_byte(
        corpus in corpus(5, 8),
        budget in any_budget(),
        more in 0..400_usize,
        kept in 0..4_usize,
        format in any_format(),
        which in any_tokenizer(),
    ) {
        let tokenizer = all()[which];
        let before = assemble_context(&corpus.input, &assembly(budget, format), tokenizer);
        let kept = kept.min(before.passages.len());
        let tag = (format == ContextFormat::Plain && kept > 0)
            .then(|| before.context.split(' ').next().unwrap_or_default().to_owned());
        let input =
            AssemblyInput { kept: before.passages[..kept].to_vec(), tag: tag.clone(), ..corpus.input.clone() };
        let after = assemble_context(&input, &assembly(budget + more, format), tokenizer);
        prop_assert!(after.tokens <= budget + more);
        prop_assert_eq!(after.tokens, if after.context.is_empty() { 0 } else { tokenizer.count(&after.context) });
        if kept > 0 && !after.passages.is_empty() {
            let prefix = &before.context[..before.ends[kept - 1]];
            // A new passage that holds the tag would end its own fence: safety comes before the cache.
            let holds_tag = |passage: &Passage| tag.as_ref().is_some_and(|tag| passage.text.contains(tag));
            let fenced_anew = after.passages[kept..].iter().any(holds_tag);
            let kept_bytes = after.context.starts_with(prefix);
            prop_assert!(kept_bytes != fenced_anew, "{}\n---\n{prefix}", after.context);
            prop_assert_eq!(&after.passages[..kept], &before.passages[..kept]);
        }
        let read = parse(&after.context, format);
        prop_assert_eq!(read, Some(expected(&after.passages, format)), "{}", after.context);
    }

    #[test]
    fn the_trace_names_every_candidate_once(corpus in corpus(5, 8), budget in any_budget()) {
        let assembled = assemble_context(&corpus.input, &assembly(budget, ContextFormat::Markdown), &RunTokenizer);
        let mut named: Vec<ChunkId> = assembled.trace.iter().map(|entry| entry.chunk_id).collect();
        let mut given: Vec<ChunkId> = corpus.input.candidates.iter().map(|one| one.chunk.id).collect();
        named.sort();
        given.sort();
        prop_assert_eq!(named, given);
        for entry in &assembled.trace {
            let (CandidateVerdict::Kept { passage } | CandidateVerdict::MergedInto { passage }) = entry.verdict else {
                prop_assert_eq!(entry.kept_bytes, 0);
                continue;
            };
            let (passage, place) = (&assembled.passages[passage - 1], entry.citation.as_ref().unwrap());
            prop_assert!(passage.document_id == place.document_id);
            prop_assert!(passage.span.start < place.span.end && place.span.start < passage.span.end);
            prop_assert!(entry.kept_bytes > 0 && entry.score <= passage.score);
        }
        let mentioned = |place: usize| {
            assembled.trace.iter().any(|entry| {
                let span = entry.citation.as_ref().map(|citation| citation.span);
                let passage = &assembled.passages[place];
                entry.kept_bytes > 0 && span.is_some_and(|span| span.start < passage.span.end)
            })
        };
        prop_assert!((0..assembled.passages.len()).all(mentioned));
    }

    #[test]
    fn a_part_adds_at_least_what_its_tokenizer_says(
        parts in prop::collection::vec((any_text(), any_text()), 1..5),
        which in any_tokenizer(),
    ) {
        let tokenizer = all()[which];
        let mut whole = String::new();
        let mut least = 0;
        for (between, part) in &parts {
            let part = part.trim();
            let (tokens, adds) = tokenizer.count_and_least(part);
            prop_assert_eq!(tokens, tokenizer.count(part));
            whole.push_str(between);
            whole.push_str(part);
            least += adds.max(tokenizer.least_of(part));
        }
        prop_assert!(tokenizer.count(&whole) >= least, "{whole:?} {least}");
    }
}

/// Texts whose borders tokenizers see: digits, capitals, contractions, white space, marks.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "12345",
        "7",
        "foo",
        "FOO",
        "Bar",
        "'re",
        "'s",
        "don't",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        ".",
        "!!",
        "```",
        "[",
        "é",
        "漢字",
        "e\u{301}",
        "naïve",
        "-",
        "/",
        "a b. C",
        "one two three",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn the_bound_holds_against_exhaustive_search(
        corpus in corpus(3, 3),
        share in 1..100_usize,
        format in any_format(),
        which in 0..2_usize,
    ) {
        let tokenizer: &dyn Tokenizer = if which == 0 { &Cl100kTokenizer } else { &RunTokenizer };
        let everything = assemble_context(&corpus.input, &assembly(BUDGET_TOKENS_MAX, format), tokenizer);
        prop_assert!((everything.bound - 1.0).abs() < f64::EPSILON);
        // A gain that two candidates share would be counted twice.
        prop_assume!(!overlap(&corpus.input.candidates));
        let budget = everything.tokens * share / 100;
        let assembled = assemble_context(&corpus.input, &assembly(budget, format), tokenizer);

        let gains: BTreeMap<ChunkId, f64> =
            assembled.trace.iter().map(|entry| (entry.chunk_id, entry.gain)).collect();
        let distinct: Vec<&ContextCandidate> = corpus
            .input
            .candidates
            .iter()
            .filter(|candidate| {
                let kept = |entry: &CandidateTrace| entry.chunk_id == candidate.chunk.id && entry.kept_bytes > 0;
                everything.trace.iter().any(kept)
            })
            .collect();
        let mut best = 0.0_f64;
        for subset in 0..1_usize << distinct.len() {
            let members = distinct.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1);
            let candidates: Vec<ContextCandidate> = members.map(|(_, one)| (*one).clone()).collect();
            let gain: f64 = candidates.iter().map(|one| gains[&one.chunk.id]).sum();
            if gain <= best {
                continue;
            }
            let subset = AssemblyInput { candidates, ..corpus.input.clone() };
            let all = assemble_context(&subset, &assembly(BUDGET_TOKENS_MAX, format), tokenizer);
            // What is worth nothing in a smaller pool is left out of it, and proves nothing.
            let is_whole = all.trace.iter().all(|entry| entry.kept_bytes > 0);
            if is_whole && all.tokens <= budget {
                best = gain;
            }
        }
        let achieved = assembled.gain;
        prop_assert!(achieved + 1e-9 >= assembled.bound * best, "{achieved} of {best}, {}", assembled.bound);
    }
}

fn overlap(candidates: &[ContextCandidate]) -> bool {
    let mut places: Vec<(&DocumentId, TextSpan)> =
        candidates.iter().map(|one| (&one.chunk.document_id, one.chunk.span)).collect();
    places.sort();
    places.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[1].1.start < pair[0].1.end)
}
