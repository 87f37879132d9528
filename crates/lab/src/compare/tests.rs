//! Figures of made-up answers, by hand, and requirements on them.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::report::{GenerationComparison, QuestionOutcome, compare_answers};
use super::requirements::ComparisonRequirement;
use super::{ComparisonPlan, ComparisonQuestion, DEPTH_MAX, GenerationAnswer};
use contexture_core::context::answer::{AnswerDegradation, Passage};
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::ids::{CollectionId, DocumentId, TenantId, Version};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::Refusal;
use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};

/// A token is a byte.
struct ByteCountTokenizer;

impl Tokenizer for ByteCountTokenizer {
    fn name(&self) -> &'static str {
        "bytes"
    }

    fn count(&self, text: &str) -> usize {
        text.len()
    }

    fn table<'a>(&'a self, _text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        Box::new(Self)
    }
}

impl TokenCountTable for ByteCountTokenizer {
    fn count(&self, span: TextSpan) -> usize {
        span.len()
    }
}

fn plan_of_depth(depth: usize) -> Result<ComparisonPlan, Refusal> {
    let scopes = BTreeSet::from([AccessScope::Read]);
    let principal = Principal::new(TenantId::new("t").unwrap(), BTreeSet::new(), scopes).unwrap();
    ComparisonPlan::new(principal, CollectionId::new("c").unwrap(), depth, 100, Arc::new(ByteCountTokenizer))
}

fn document_id(name: char) -> DocumentId {
    DocumentId::new(&name.to_string()).unwrap()
}

/// Documents by letter, and a passage of ten bytes of the first one.
fn answer_with(documents: &str, start: usize, ms: u64) -> GenerationAnswer {
    let span = TextSpan { start, end: start + 10 };
    let passage = |document: char| Passage::new(document_id(document), Version::FIRST, span, "x".repeat(10));
    GenerationAnswer {
        documents: documents.chars().map(document_id).collect(),
        passages: documents.chars().next().map(passage).into_iter().collect(),
        tokens: 12,
        took: Duration::from_millis(ms),
        degraded: Vec::new(),
    }
}

fn question(name: &str, relevant: &str) -> ComparisonQuestion {
    let grades = relevant.chars().map(|document| (document_id(document), 1.0)).collect();
    ComparisonQuestion { id: name.to_owned(), text: format!("what is {name}?"), relevant: grades }
}

/// Equal answers, a judged question with others, and one that `b` cannot answer.
fn comparison() -> GenerationComparison {
    let plan = plan_of_depth(4).unwrap();
    let away = Refusal::not_found("gone", "it is gone");
    let degraded = GenerationAnswer { degraded: vec![AnswerDegradation::Dense], ..answer_with("ba", 5, 30) };
    let all = vec![
        compare_answers(
            &question("same", ""),
            Ok(answer_with("abcd", 0, 10)),
            Ok(answer_with("abcd", 0, 10)),
            &plan,
        ),
        compare_answers(&question("other", "a"), Ok(answer_with("ab", 0, 20)), Ok(degraded), &plan),
        compare_answers(&question("lost", "a"), Ok(answer_with("a", 0, 90)), Err(away), &plan),
    ];
    GenerationComparison::new(&plan, [1, 3], all, Duration::from_millis(1234))
}

fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
}

#[test]
fn figures_are_means_over_what_both_answered() {
    let comparison = comparison();
    assert_eq!((comparison.questions, comparison.failed), (3, 1));
    assert_eq!((comparison.degraded.a, comparison.degraded.b), (0, 1));
    let likeness = comparison.likeness.unwrap();
    assert_close(likeness.overlap, 1.0);
    assert_close(likeness.kendall_tau, f64::midpoint(1.0, -1.0));
    // Of the second question, the first documents differ, so no byte of the contexts is common.
    assert_close(likeness.context_overlap, 0.5);
    assert_close(likeness.a_context_in_b, 0.5);
    let judged = comparison.judged.unwrap();
    assert_eq!(judged.questions, 1);
    assert_close(judged.ndcg.a, 1.0);
    assert_close(judged.ndcg.b, 1.0 / 3_f64.log2());
    assert_close(judged.ndcg_delta.mean, 1.0 / 3_f64.log2() - 1.0);
    assert_close(judged.recall_delta.mean, 0.0);
    assert_close(comparison.latency_ms.a.p50, 10.0);
    assert_close(comparison.latency_ms.a.p99, 20.0);
    assert_close(comparison.latency_ratio.p95, 1.5);
    assert_close(comparison.seconds, 1.234);
}

#[test]
fn a_question_without_an_answer_says_whose_and_why() {
    let comparison = comparison();
    let QuestionOutcome::Failed { error } = &comparison.per_question[2].outcome else { panic!("it failed") };
    assert_eq!((&*error.side, &*error.code, &*error.message), ("b", "gone", "it is gone"));
    let (likeness, sides) = comparison.per_question[1].answered().unwrap();
    assert_close(likeness.overlap, 1.0);
    assert_eq!(sides.b.documents, [document_id('b'), document_id('a')]);
    assert_eq!((sides.b.context_tokens, sides.a.ndcg), (12, Some(1.0)));
}

#[test]
fn where_no_question_is_answered_nothing_is_measured() {
    let plan = plan_of_depth(4).unwrap();
    let lost = || Err(Refusal::not_found("gone", "it is gone"));
    let all = vec![compare_answers(&question("lost", "a"), lost(), lost(), &plan)];
    let comparison = GenerationComparison::new(&plan, [1, 2], all, Duration::ZERO);
    assert_eq!((comparison.failed, comparison.likeness, comparison.judged.clone()), (1, None, None));
    let requirements =
        parse_requirements(&["overlap>=0", "p95_ratio<=9", "ndcg_delta>=-1", "failed<=1"], 4).unwrap();
    let comparison = comparison.held_against(&requirements);
    let met: Vec<bool> = comparison.requirements.iter().map(|checked| checked.met).collect();
    assert_eq!(met, [false, false, false, true], "{:?}", comparison.requirements);
    assert_eq!(comparison.broken()[0], "overlap>=0 does not hold: not measured");
}

fn parse_requirements(texts: &[&str], depth: usize) -> Result<Vec<ComparisonRequirement>, String> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    ComparisonRequirement::parse_all(&texts, depth).map_err(|refusal| {
        assert_eq!((refusal.code, &*refusal.field), ("invalid_requirement", "require"));
        refusal.message
    })
}

#[test]
fn requirements_hold_or_not() {
    for (text, met) in [
        ("overlap@4>=1", true),
        ("overlap >= 0.9999", true),
        ("kendall_tau>=0.1", false),
        ("rbo>=0.5", true),
        ("context_overlap>=0.5", true),
        ("context_overlap>=0.51", false),
        ("ndcg@4>=0.63", true),
        ("ndcg_delta>=-0.3", false),
        ("ndcg_delta_low>=-0.4", true),
        ("recall@4>=1", true),
        ("recall_delta>=0", true),
        ("recall_delta_low>=0", true),
        ("p50_ratio<=1", true),
        ("p95_ratio<=1.4", false),
        ("p99_ratio<=1.6", true),
        ("degraded<=0", false),
        ("failed<=1", true),
        ("failed<=0", false),
    ] {
        let requirements = parse_requirements(&[text], 4).unwrap();
        let checked = requirements[0].check(&comparison());
        assert_eq!(checked.met, met, "{checked:?}");
        assert_eq!(checked.requirement, text);
    }
}

#[test]
fn whoever_requires_anything_requires_that_no_question_fails() {
    let named = |texts: &[&str]| {
        let comparison = comparison().held_against(&parse_requirements(texts, 4).unwrap());
        comparison.requirements.into_iter().map(|checked| checked.requirement).collect::<Vec<_>>()
    };
    assert_eq!(named(&["overlap>=0"]), ["overlap>=0", "failed<=0"]);
    assert_eq!(named(&["failed<=3"]), ["failed<=3"]);
    assert!(named(&[]).is_empty());
}

#[test]
fn wrong_requirements_are_refused() {
    for (text, why) in [
        ("overlap", "'overlap' is no requirement"),
        ("overlap=0.8", "is no requirement"),
        ("overlap>=much", "'much' is not a number"),
        ("overlap>=NaN", "'NaN' is not a number"),
        ("overlap@5>=0.8", "the first 4 documents are compared"),
        ("overlap@>=0.8", "the first 4 documents are compared"),
        ("p95_ratio@4<=2", "p95_ratio has no depth"),
        ("speed>=1", "unknown figure 'speed'; known: overlap, rbo"),
    ] {
        let message = parse_requirements(&[text], 4).unwrap_err();
        assert!(message.contains(why), "{message}");
    }
    assert!(parse_requirements(&["overlap>=0"; 65], 4).unwrap_err().contains("at most 64"));
}

#[test]
fn a_depth_has_bounds() {
    for depth in [0, DEPTH_MAX + 1] {
        assert_eq!(plan_of_depth(depth).err().unwrap().code, "invalid_top_k");
    }
    assert!(plan_of_depth(DEPTH_MAX).is_ok());
}
