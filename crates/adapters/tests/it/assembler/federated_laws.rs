//! What holds for every library, budget and weight.

use std::collections::BTreeMap;

use contexture_core::context::request::{ContextFormat, RawContextQuery};
use contexture_core::ports::tokenizer::Tokenizer;
use proptest::prelude::*;

use super::federated::{asking, plain};
use crate::support::library::{CountingEmbedder, IndexedLibrary};
use crate::support::tokenizers::Cl100kTokenizer;

/// Texts of the chunks of a document, by collection and document.
type LibraryTexts = BTreeMap<(usize, usize), Vec<String>>;

fn any_texts() -> impl Strategy<Value = LibraryTexts> {
    let sentence = prop::collection::vec(
        prop::sample::select(vec!["heron", "sleep", "where", "fox", "`x`", "]]>", "water", "näher", "# one"]),
        1..40,
    )
    .prop_map(|words| format!("{}. ", words.join(" ")));
    let document = prop::collection::vec(sentence, 1..4);
    prop::collection::btree_map((0..3_usize, 0..3_usize), document, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_passage_is_its_own_documents_text(
        texts in any_texts(),
        budget in 0..600_i64,
        weights in prop::array::uniform3(0.01..100.0_f64),
        format in prop::sample::select(ContextFormat::ALL.to_vec()),
        passages in prop::option::of(1..3_i64),
    ) {
        const NAMES: [&str; 3] = ["a", "b", "c"];
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let raw = RawContextQuery {
            budget: Some(budget),
            format: Some(format.name().to_owned()),
            passages_per_document_max: passages,
            ..asking(&[("a", weights[0]), ("b", weights[1]), ("c", weights[2])])
        };
        let answer = runtime.block_on(async {
            let model = CountingEmbedder::new(8);
            let library = IndexedLibrary::new(&NAMES.map(|name| (name, &model))).await;
            for ((collection, document), texts) in &texts {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                library.put(NAMES[*collection], &document.to_string(), 1, &plain(), &texts).await;
            }
            library.ask(&raw).await.unwrap()
        });
        prop_assert!(answer.tokens <= usize::try_from(budget).unwrap());
        prop_assert_eq!(answer.tokens, Cl100kTokenizer.count(&answer.context));
        let mut spans: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for passage in &answer.passages {
            let name = passage.collection.as_ref().unwrap().as_str();
            let key = (
                NAMES.iter().position(|one| *one == name).unwrap(),
                passage.document_id.as_str().parse().unwrap(),
            );
            let whole = texts[&key].concat();
            prop_assert_eq!(&whole[passage.span.start..passage.span.end], passage.text.as_str());
            spans.entry(key).or_default().push((passage.span.start, passage.span.end));
        }
        for own in spans.values_mut() {
            own.sort_unstable();
            prop_assert!(own.windows(2).all(|pair| pair[0].1 <= pair[1].0), "passages overlap");
            if let Some(most) = passages {
                prop_assert!(own.len() <= usize::try_from(most).unwrap());
            }
        }
    }

    #[test]
    fn copies_rank_by_weight(texts in any_texts(), light in 0.01..0.95_f64) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let search = runtime.block_on(async {
            let model = CountingEmbedder::new(8);
            let library = IndexedLibrary::new(&[("light", &model), ("heavy", &model)]).await;
            for ((collection, document), texts) in &texts {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                for name in ["light", "heavy"] {
                    library.put(name, &format!("{collection}-{document}"), 1, &plain(), &texts).await;
                }
            }
            library.search(&asking(&[("light", light), ("heavy", 1.0)])).await.unwrap()
        });
        let rank = |name: &str| -> BTreeMap<String, usize> {
            let own = search.results.iter().enumerate().filter(|(_, result)| {
                result.collection.as_ref().unwrap().as_str() == name
            });
            own.map(|(rank, result)| (result.chunk_id.to_string(), rank)).collect()
        };
        let (light, heavy) = (rank("light"), rank("heavy"));
        for (chunk, rank) in &light {
            prop_assert!(heavy[chunk] < *rank, "the heavier copy comes first");
        }
    }
}
