//! Packing: the cases by hand.

use contexture_core::context::answer::{CandidateVerdict, Citation, Passage};
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::ids::{DocumentId, Version};

use super::{SENTENCE, candidate, run};
use crate::support::corpora::chunk;

#[test]
fn nothing_fits_into_nothing() {
    let candidates = || vec![candidate(chunk("a.md", 0, SENTENCE), 1.0)];
    for budget in [0, 1, 10] {
        let assembled = run(candidates(), budget);
        assert_eq!((assembled.context.as_str(), assembled.tokens), ("", 0));
        assert_eq!(assembled.trace[0].verdict, CandidateVerdict::OverBudget);
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
    assert_eq!(assembled.passages[0].span, TextSpan { start: 0, end: text.trim_end().len() });
    assert!((assembled.passages[0].score - 0.9).abs() < f32::EPSILON);
    assert_eq!(assembled.trace[0].verdict, CandidateVerdict::Kept { passage: 1 });
    assert_eq!(assembled.trace[1].verdict, CandidateVerdict::MergedInto { passage: 1 });
    assert_eq!(assembled.trace[2].verdict, CandidateVerdict::Kept { passage: 2 });
}

#[test]
fn blank_bytes_that_a_passage_sheds_are_no_part_of_it() {
    // Both have the line feed, and the passage that begins with it starts behind it.
    let before = "nothing that answers in one sentence that never ends and ".repeat(8) + "\n";
    let answer = chunk("a.md", before.len() - 1, &format!("\n{SENTENCE}"));
    let assembled = run(vec![candidate(chunk("a.md", 0, &before), 0.1), candidate(answer, 1.0)], 80);
    assert_eq!(assembled.passages.len(), 1);
    assert_eq!(assembled.passages[0].span.start, before.len());
    let became = |at: usize| (assembled.trace[at].verdict, assembled.trace[at].kept_bytes);
    assert_eq!(became(0), (CandidateVerdict::Kept { passage: 1 }, SENTENCE.len()));
    assert_eq!(became(1), (CandidateVerdict::OverBudget, 0));
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
    assert_eq!(assembled.trace[1].verdict, CandidateVerdict::DuplicateOf { of: of(0) });
    assert_eq!(assembled.trace[3].verdict, CandidateVerdict::NearDuplicateOf { of: of(2) });
    let span = TextSpan { start: 7, end: 7 + folded.len() };
    let version = Version::new(1).unwrap();
    let twin = Citation { collection: None, document_id: DocumentId::new("b.md").unwrap(), version, span };
    let also = &assembled.passages[0].also;
    assert!(
        also.contains(&twin) && also[1..].iter().all(|one| one.document_id.as_str() == "c.md"),
        "{also:?}"
    );
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
    let verdicts: Vec<CandidateVerdict> = assembled.trace.iter().map(|entry| entry.verdict).collect();
    let kept = CandidateVerdict::Kept { passage: 1 };
    let bad = CandidateVerdict::Inconsistent;
    assert_eq!(verdicts, [bad, bad, kept, bad, CandidateVerdict::Blank]);
}

#[test]
fn json_names_are_those_of_the_contract() {
    let assembled = run(vec![candidate(chunk("a.md", 0, SENTENCE), 1.0)], 500);
    let passage = serde_json::to_value(&assembled.passages[0]).unwrap();
    let names: Vec<&String> = passage.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["document_id", "version", "start_byte", "end_byte", "heading", "score", "text", "metadata"]
    );
    let again: Passage = serde_json::from_value(passage).unwrap();
    assert_eq!(again, assembled.passages[0]);
    let entry = serde_json::to_value(&assembled.trace[0]).unwrap();
    assert_eq!(entry["reason"], "kept");
    assert_eq!(entry["passage"], 1);
    assert_eq!(entry["document_id"], "a.md");
    assert_eq!(entry["start_byte"], 0);
}
