//! Every sentence of the contract.

use super::RerankerUnderTest;

const QUESTION: &str = "heron on the lake";

async fn rerank(under: &RerankerUnderTest, question: &str, texts: &[&str]) -> Vec<f32> {
    let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
    under.reranker.rerank(question, &texts).await.unwrap()
}

pub(super) async fn info_is_usable(under: RerankerUnderTest) {
    assert!(under.reranker.info().texts_max > 0);
}

pub(super) async fn one_finite_score_per_text(under: RerankerUnderTest) {
    let scores = rerank(&under, QUESTION, &["a heron", "quarterly tax return", "a heron"]).await;
    assert_eq!(scores.len(), 3);
    assert!(scores.iter().all(|score| score.is_finite()));
}

pub(super) async fn scores_come_in_the_order_of_the_texts(under: RerankerUnderTest) {
    let texts = ["tax", "heron", "on the lake", "heron on the lake"];
    let forwards = rerank(&under, QUESTION, &texts).await;
    let mut reversed = texts;
    reversed.reverse();
    let mut backwards = rerank(&under, QUESTION, &reversed).await;
    backwards.reverse();
    assert_eq!(forwards, backwards);
}

pub(super) async fn better_texts_score_higher(under: RerankerUnderTest) {
    let scores = rerank(&under, QUESTION, &["quarterly tax return", "the heron on the lake"]).await;
    assert!(scores[1] > scores[0], "{scores:?}");
}

pub(super) async fn more_texts_than_a_call_takes_are_scored_alike(under: RerankerUnderTest) {
    let words = ["tax", "heron", "on", "the lake"];
    let texts: Vec<&str> = words.into_iter().cycle().take(words.len() * 5 + 1).collect();
    let together = rerank(&under, QUESTION, &texts).await;
    assert_eq!(together.len(), texts.len());
    for (text, score) in texts.iter().zip(together) {
        assert_eq!(rerank(&under, QUESTION, &[text]).await, [score], "{text}");
    }
}

pub(super) async fn awkward_texts_are_scored(under: RerankerUnderTest) {
    let long = "lake ".repeat(20_000);
    let texts = ["", " ", "\u{0}", "\u{202e}abc", "日本語", "\"}]}", "\u{1f468}\u{200d}\u{1f469}", &long];
    for question in [QUESTION, "\u{0}\"\\", "?"] {
        assert_eq!(rerank(&under, question, &texts).await.len(), texts.len());
    }
}

pub(super) async fn no_texts_no_scores(under: RerankerUnderTest) {
    assert!(rerank(&under, QUESTION, &[]).await.is_empty());
}
