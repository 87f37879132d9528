//! What holds for every ranking: an order that does not depend on how much is asked for, nor on how it came about.

use contexture_core::context::answer::SearchAnswer;
use contexture_core::context::request::RawContextQuery;
use proptest::prelude::*;

use super::federated::plain;
use crate::support::library::{CountingEmbedder, IndexedLibrary};

/// Texts of the chunks of each document.
type DocumentTexts = Vec<Vec<String>>;

fn any_documents() -> impl Strategy<Value = DocumentTexts> {
    let word =
        prop::sample::select(vec!["heron", "otter", "reed", "marsh", "willow", "sleep", "water", "night"]);
    let text = prop::collection::vec(word, 1..7).prop_map(|words| format!("{}. ", words.join(" ")));
    // Many documents with equal texts, so that there are ties to break.
    prop::collection::vec(prop::collection::vec(text, 1..6), 1..40)
}

async fn library_of(texts: &DocumentTexts, order: &[usize]) -> IndexedLibrary {
    let model = CountingEmbedder::new(8);
    let library = IndexedLibrary::new(&[("birds", &model)]).await;
    for number in order {
        let texts: Vec<&str> = texts[*number].iter().map(String::as_str).collect();
        library.put("birds", &format!("notes/{number}.md"), 1, &plain(), &texts).await;
    }
    library
}

fn asking(question: &str, top_k: i64) -> RawContextQuery {
    RawContextQuery {
        collection: "birds".to_owned(),
        question: question.to_owned(),
        top_k: Some(top_k),
        budget: Some(300),
        ..RawContextQuery::default()
    }
}

fn ranked(answer: &SearchAnswer) -> Vec<(String, f32)> {
    answer.results.iter().map(|hit| (hit.chunk_id.to_string(), hit.score)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_shorter_list_is_the_beginning_of_a_longer_one(
        texts in any_documents(),
        question in prop::sample::select(vec!["heron", "where does the heron sleep", "notes 3", "marsh water at night"]),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lists: Vec<Vec<(String, f32)>> = runtime.block_on(async {
            let order: Vec<usize> = (0..texts.len()).collect();
            let library = library_of(&texts, &order).await;
            let mut lists = Vec::new();
            // Beyond 100 the ranking is deeper.
            for top_k in [1, 2, 5, 20, 100, 101, 250, 1000] {
                lists.push(ranked(&library.search(&asking(question, top_k)).await.unwrap()));
            }
            lists
        });
        for pair in lists.windows(2) {
            prop_assert_eq!(&pair[0][..], &pair[1][..pair[0].len()]);
        }
        for (_, score) in lists.iter().flatten() {
            prop_assert!((0.0..=1.0).contains(score), "score {score}");
        }
        for list in &lists {
            prop_assert!(list.is_sorted_by(|left, right| left.1 >= right.1), "best first");
        }
    }

    #[test]
    fn the_order_of_writes_changes_no_answer(
        (texts, order) in any_documents().prop_flat_map(|texts| {
            let order: Vec<usize> = (0..texts.len()).collect();
            (Just(texts), Just(order).prop_shuffle())
        }),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let answers = runtime.block_on(async {
            let mut answers = Vec::new();
            let in_order: Vec<usize> = (0..texts.len()).collect();
            for order in [&in_order, &order] {
                let library = library_of(&texts, order).await;
                let raw = asking("where does the heron sleep", 50);
                let found = ranked(&library.search(&raw).await.unwrap());
                answers.push((found, library.ask(&raw).await.unwrap().context));
            }
            answers
        });
        prop_assert_eq!(&answers[0], &answers[1]);
    }
}
