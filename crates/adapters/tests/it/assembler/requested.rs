//! What a request may ask of a context: sections, reserves, a cut-off.

use contexture_core::context::answer::RankedChunk;
use contexture_core::context::request::{RawContextQuery, RawContextSection};
use contexture_core::domain::document::DocumentDescription;
use contexture_core::ports::tokenizer::Tokenizer;

use crate::support::shelf::IndexedShelf;
use crate::support::tokenizers::Cl100kTokenizer;

const LAW: &str = "The law asks for a record of every change that is made to a document, and for who made it, for ten \
                   years after the change, in a form that an auditor can read without the software that wrote it.";
const CODE: &str = "The code writes a record of every change before the change itself, so that a crash between the two \
                    leaves a record without a change, which the next start finds and finishes or takes back again.";

async fn shelf() -> IndexedShelf {
    let shelf = IndexedShelf::new().await;
    shelf.put("law", 1, &DocumentDescription::default(), &[LAW]).await;
    shelf.put("code", 1, &DocumentDescription::default(), &[CODE]).await;
    shelf
}

fn asking(budget: i64) -> RawContextQuery {
    RawContextQuery {
        question: "record of every change".to_owned(),
        budget: Some(budget),
        explain: true,
        ..RawContextQuery::default()
    }
}

fn section(name: &str, question: &str, share: Option<f64>) -> RawContextSection {
    RawContextSection { name: name.to_owned(), question: Some(question.to_owned()), filter: None, share }
}

#[tokio::test]
async fn sections_have_their_own_questions_and_shares() {
    let shelf = shelf().await;
    let sections =
        vec![section("Law", "auditor law", Some(0.5)), section("Code", "crash between code start", None)];
    let raw = RawContextQuery { sections, ..asking(400) };
    let answer = shelf.ask(&raw).await.unwrap();
    let told: Vec<(&str, &str)> =
        answer.passages.iter().map(|one| (one.section.as_str(), one.document_id.as_str())).collect();
    assert_eq!(told[..2], [("Law", "law"), ("Code", "code")]);
    assert!(answer.context.starts_with("**Law**\n# law v1\n```[1]"), "{}", answer.context);
    assert!(answer.context.contains("**Code**\n# code v1\n```[2]"), "{}", answer.context);
    assert_eq!(answer.tokens, Cl100kTokenizer.count(&answer.context));

    // What the first leaves is for the second, but not the other way round.
    let sections =
        |share| vec![section("Law", "auditor law", Some(share)), section("Code", "crash code", None)];
    let tight = RawContextQuery { sections: sections(0.1), ..asking(120) };
    let answer = shelf.ask(&tight).await.unwrap();
    assert!(answer.passages.iter().all(|one| one.section == "Code") && !answer.passages.is_empty());
    assert!(answer.tokens <= 120);
}

#[tokio::test]
async fn sections_that_make_no_sense_are_refused() {
    let shelf = shelf().await;
    for sections in [
        vec![section("", "q", None)],
        vec![section("a\nb", "q", None)],
        vec![section("a", "q", Some(0.7)), section("b", "q", Some(0.7))],
        vec![section("a", "q", Some(f64::NAN))],
        vec![section("a", "q", Some(-0.1))],
        vec![section("a", "q", None); 17],
    ] {
        let refusal = shelf.ask(&RawContextQuery { sections, ..asking(100) }).await.unwrap_err();
        assert_eq!(refusal.code, "invalid_sections");
    }
    let both = RawContextQuery { sections: vec![section("a", "q", None)], continuable: true, ..asking(100) };
    assert_eq!(shelf.ask(&both).await.unwrap_err().code, "sections_not_continuable");
}

#[tokio::test]
async fn question_and_answer_are_left_their_tokens() {
    let shelf = shelf().await;
    let whole = shelf.ask(&asking(160)).await.unwrap();
    assert_eq!(whole.passages.len(), 2);
    let question = Cl100kTokenizer.count("record of every change");
    let reserving = RawContextQuery { reserve_answer: Some(70), reserve_question: true, ..asking(160) };
    let answer = shelf.ask(&reserving).await.unwrap();
    assert_eq!((answer.budget, answer.reserved), (160, 70 + question));
    assert!(answer.tokens <= 90 - question && answer.passages.len() == 1, "{}", answer.context);
    let refused = async |raw: RawContextQuery| shelf.ask(&raw).await.unwrap_err().code;
    assert_eq!(refused(RawContextQuery { reserve_answer: Some(-1), ..asking(160) }).await, "invalid_reserve");
    assert_eq!(
        refused(RawContextQuery { reserve_answer: Some(161), ..asking(160) }).await,
        "reserve_exceeds_budget"
    );
}

#[tokio::test]
async fn a_cut_off_leaves_room_unused() {
    let shelf = shelf().await;
    shelf
        .put(
            "noise",
            1,
            &DocumentDescription::default(),
            &["A change of weather is what everybody talks about."],
        )
        .await;
    let everything = shelf.ask(&asking(1000)).await.unwrap();
    assert!(everything.passages.iter().any(|one| one.document_id.as_str() == "noise"));
    let strict = shelf.ask(&RawContextQuery { cutoff: Some(0.6), ..asking(1000) }).await.unwrap();
    assert!(
        strict.passages.iter().all(|one| one.document_id.as_str() != "noise") && !strict.passages.is_empty()
    );
    let noise = strict.trace.iter().find(|entry| entry.kept_bytes == 0).unwrap();
    assert_eq!(serde_json::to_value(noise.verdict).unwrap()["reason"], "below_cutoff");
    let refused = shelf.ask(&RawContextQuery { cutoff: Some(1.5), ..asking(1000) }).await.unwrap_err();
    assert_eq!(refused.code, "invalid_cutoff");
}

#[tokio::test]
async fn an_unknown_format_is_refused_with_the_known_ones() {
    let shelf = shelf().await;
    let raw = RawContextQuery { format: Some("yaml".to_owned()), ..asking(100) };
    let refusal = shelf.ask(&raw).await.unwrap_err();
    assert_eq!((refusal.code, refusal.field.as_str()), ("unknown_format", "format"));
    assert!(refusal.message.contains("markdown"), "{}", refusal.message);
}

#[tokio::test]
async fn a_chunk_gains_from_its_neighbours_unless_a_comparison_goes_without() {
    let shelf = IndexedShelf::new().await;
    shelf.put("both", 1, &DocumentDescription::default(), &[LAW, CODE, "Something else is said here."]).await;
    // The same text would be listed once.
    shelf.put("alone", 1, &DocumentDescription::default(), &[&format!("{LAW} Again.")]).await;
    let scores = async |support: bool| {
        let ranking = shelf.rank(&asking(100), support).await.unwrap();
        let score = |(document, start): (&str, bool)| {
            let is_it =
                |one: &&RankedChunk| one.document_id.as_str() == document && (one.span.start == 0) == start;
            ranking.results.iter().find(is_it).map(|one| one.score).unwrap()
        };
        [("both", true), ("both", false), ("alone", true)].map(score)
    };
    let ([law, code, alone], plain) = (scores(true).await, scores(false).await);
    // How much is said in the tests of fusion.
    assert!(law / alone > plain[0] / plain[2], "{law} {alone} {plain:?}");
    assert!(code / alone > plain[1] / plain[2], "{code} {alone} {plain:?}");
    assert!(plain.iter().all(|score| *score > 0.0), "{plain:?}");
}
