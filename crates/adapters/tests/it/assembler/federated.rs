//! One question to several collections: one ranking, one budget, and no document taken for another's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contexture_core::context::answer::{CandidateVerdict, ContextAnswer, Passage, PrefixBreakReason};
use contexture_core::context::request::{ContextFormat, RawContextQuery, RawContextSection};
use contexture_core::context::rerank::BoundedReranker;
use contexture_core::domain::document::{DocumentAcl, DocumentDescription};
use contexture_core::domain::ids::TenantId;
use contexture_core::domain::metadata::DocumentMetadata;
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::RefusalKind;
use contexture_core::ports::tokenizer::Tokenizer;

use crate::support::contexts::parse;
use crate::support::library::{CountingEmbedder, IndexedLibrary, listed};
use crate::support::rerankers::{InProcessReranker, shared_words};
use crate::support::tokenizers::Cl100kTokenizer;
use crate::support::{TENANT, groups, readable_by};

const HERON: &str = "The heron sleeps on one leg in the shallow water behind the mill, where no fox can reach it before \
                     it hears the water move, and it wakes at the first light of the day. ";
const STORK: &str = "The stork sleeps on a chimney in the middle of the town, where the warm air of the houses rises \
                     all night, and nobody disturbs the heron or the stork up there. ";

async fn library() -> IndexedLibrary {
    let model = CountingEmbedder::new(8);
    IndexedLibrary::new(&[("birds", &model), ("notes", &model)]).await
}

pub(super) fn plain() -> DocumentDescription {
    DocumentDescription::default()
}

pub(super) fn asking(collections: &[(&str, f64)]) -> RawContextQuery {
    RawContextQuery {
        collections: listed(collections),
        question: "where does the heron sleep?".to_owned(),
        budget: Some(1000),
        explain: true,
        ..RawContextQuery::default()
    }
}

const BOTH: &[(&str, f64)] = &[("birds", 1.0), ("notes", 1.0)];

/// Collection, document and text of each passage.
fn told(answer: &ContextAnswer) -> Vec<(&str, &str, &str)> {
    let mut told: Vec<(&str, &str, &str)> = Vec::new();
    for Passage { collection, document_id, text, .. } in &answer.passages {
        told.push((collection.as_ref().unwrap().as_str(), document_id.as_str(), text));
    }
    told.sort_unstable();
    told
}

#[tokio::test]
async fn documents_of_one_id_stay_apart() {
    let library = library().await;
    // The second chunk of one would join the first chunk of the other without a gap.
    library.put("birds", "day", 1, &plain(), &[HERON, "The fox sleeps, too."]).await;
    library.put("notes", "day", 1, &plain(), &[&STORK[..HERON.len().min(STORK.len())], STORK]).await;
    for format in ContextFormat::ALL {
        let raw = RawContextQuery { format: Some(format.name().to_owned()), ..asking(BOTH) };
        let answer = library.ask(&raw).await.unwrap();
        assert_eq!(answer.tokens, Cl100kTokenizer.count(&answer.context));
        let whole = format!("{HERON}The fox sleeps, too.");
        assert!(told(&answer).contains(&("birds", "day", whole.as_str())), "{:?}", told(&answer));
        assert!(told(&answer).iter().any(|(collection, ..)| *collection == "notes"));
        let read = parse(&answer.context, format).unwrap();
        let names: Vec<String> = read.iter().map(|one| one.document_id.clone()).collect();
        let expected = answer
            .passages
            .iter()
            .map(|one| format!("{}/{}", one.collection.as_ref().unwrap(), one.document_id));
        assert_eq!(names, expected.collect::<Vec<_>>());
    }
    let capped = RawContextQuery { passages_per_document_max: Some(1), ..asking(BOTH) };
    assert_eq!(library.ask(&capped).await.unwrap().passages.len(), 2, "the limit counts for each document");
}

#[tokio::test]
async fn a_text_in_two_collections_is_told_once_and_cited_twice() {
    let library = library().await;
    for name in ["birds", "notes"] {
        library.put(name, "day", 1, &plain(), &[HERON]).await;
    }
    let answer = library.ask(&asking(&[("birds", 1.0), ("notes", 2.0)])).await.unwrap();
    assert_eq!(told(&answer), [("notes", "day", HERON.trim_end())]);
    let also = &answer.passages[0].also;
    assert_eq!(also.len(), 1);
    assert_eq!(also[0].collection.as_ref().unwrap().as_str(), "birds");
    assert!(matches!(answer.trace[1].verdict, CandidateVerdict::DuplicateOf { .. }));
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["passages"][0]["collection"], "notes");
    assert_eq!(json["passages"][0]["also"][0]["collection"], "birds");
    assert_eq!(json["trace"][1]["collection"], "birds");
    let again: ContextAnswer = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), json);
}

#[tokio::test]
async fn a_list_of_one_answers_as_the_collection_itself() {
    let library = library().await;
    library.put("birds", "day", 1, &plain(), &[HERON, STORK]).await;
    library.put("birds", "night", 1, &plain(), &[HERON]).await;
    library.put("notes", "day", 1, &plain(), &[HERON]).await;
    let min_versions = vec![("day".to_owned(), 1)];
    let ask = |raw: RawContextQuery| RawContextQuery {
        min_versions: min_versions.clone(),
        continuable: true,
        ..raw
    };
    let one = ask(asking(&[("birds", 7.5)]));
    let named = RawContextQuery {
        collection: "birds".to_owned(),
        collections: Vec::new(),
        ..ask(asking(&[("birds", 1.0)]))
    };
    let mut answer = serde_json::to_value(library.ask(&one).await.unwrap()).unwrap();
    let mut results = serde_json::to_value(library.search(&one).await.unwrap()).unwrap();
    assert_eq!(answer["passages"][0]["collection"], "birds");
    assert_eq!(results["results"][0]["collection"], "birds");
    unname(&mut answer);
    unname(&mut results);
    assert_eq!(answer, serde_json::to_value(library.ask(&named).await.unwrap()).unwrap());
    assert_eq!(results, serde_json::to_value(library.search(&named).await.unwrap()).unwrap());
}

/// Removes the field `collection` everywhere.
fn unname(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("collection");
            fields.values_mut().for_each(unname);
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(unname),
        _ => {}
    }
}

#[tokio::test]
async fn weights_order_collections() {
    let library = library().await;
    library.put("birds", "one", 1, &plain(), &[HERON]).await;
    library.put("notes", "two", 1, &plain(), &["Somewhere a heron may sleep."]).await;
    for (birds, notes, first) in [(1.0, 0.01, "birds"), (0.01, 1.0, "notes"), (1000.0, 1.0, "birds")] {
        let raw = asking(&[("birds", birds), ("notes", notes)]);
        let search = library.search(&raw).await.unwrap();
        assert_eq!(search.results.len(), 2);
        assert_eq!(search.results[0].collection.as_ref().unwrap().as_str(), first);
        assert!(search.results[0].score > search.results[1].score * 10.0);
        let answer = library.ask(&raw).await.unwrap();
        assert_eq!(answer.passages[0].collection.as_ref().unwrap().as_str(), first);
    }
    // Only proportions count.
    let (small, large) =
        (asking(&[("birds", 0.5), ("notes", 0.25)]), asking(&[("birds", 4.0), ("notes", 2.0)]));
    assert_eq!(library.ask(&small).await.unwrap().passages, library.ask(&large).await.unwrap().passages);
}

#[tokio::test]
async fn weights_hold_after_reranking() {
    let reranking = BoundedReranker {
        reranker: Arc::new(InProcessReranker::new(shared_words)),
        candidates_max: 10,
        time_max: Duration::from_secs(2),
    };
    let library = library().await.with_reranking(reranking);
    library.put("birds", "one", 1, &plain(), &[HERON]).await;
    // Another text to the reader, the same to the reranker: the same text is listed once.
    library.put("notes", "two", 1, &plain(), &[&HERON.replace('.', "!")]).await;
    for (birds, notes, first) in [(1.0, 0.1, "birds"), (0.1, 1.0, "notes")] {
        let search = library.search(&asking(&[("birds", birds), ("notes", notes)])).await.unwrap();
        assert!(search.degraded.is_empty());
        assert_eq!(search.results[0].collection.as_ref().unwrap().as_str(), first);
        let ratio = search.results[1].score / search.results[0].score;
        assert!((ratio - 0.1).abs() < 1e-4, "{ratio}");
    }
}

#[tokio::test]
async fn readers_and_filter_hold_in_each_collection() {
    let library = library().await;
    let metadata = DocumentMetadata::from_json(&serde_json::json!({"lang": "en"})).unwrap();
    let english = DocumentDescription { metadata, ..DocumentDescription::default() };
    library.put("birds", "open", 1, &english, &[HERON]).await;
    library.put("birds", "closed", 1, &readable_by(&["keepers"]), &[STORK]).await;
    library.put("notes", "open", 1, &readable_by(&["keepers"]), &[HERON]).await;
    library.put("notes", "free", 1, &plain(), &[STORK]).await;
    let places = |answer: &ContextAnswer| -> Vec<(String, String)> {
        let place = |(collection, id, _): (&str, &str, &str)| (collection.to_owned(), id.to_owned());
        told(answer).into_iter().map(place).collect()
    };
    let place = |collection: &str, id: &str| (collection.to_owned(), id.to_owned());
    let answer = library.ask(&asking(BOTH)).await.unwrap();
    assert_eq!(places(&answer), [place("birds", "open"), place("notes", "free")]);
    assert!(answer.passages.iter().all(|one| one.also.is_empty()), "closed documents are not cited");
    let filtered = RawContextQuery { filter: Some("lang = \"en\"".to_owned()), ..asking(BOTH) };
    let answer = library.ask(&filtered).await.unwrap();
    assert_eq!(places(&answer), [place("birds", "open")]);
    assert_eq!(
        serde_json::to_value(&answer.passages[0].metadata).unwrap(),
        serde_json::json!({"lang": "en"})
    );

    let scopes = BTreeSet::from([AccessScope::Read]);
    let keeper = Principal::new(TenantId::new(TENANT).unwrap(), groups(&["keepers"]), scopes).unwrap();
    let answer = library.ask_as(keeper, &asking(BOTH)).await.unwrap();
    let acl = |collection: &str, id: &str| {
        let is_it = |one: &&Passage| {
            one.collection.as_ref().unwrap().as_str() == collection && one.document_id.as_str() == id
        };
        answer.passages.iter().find(is_it).map(|one| one.acl.clone())
    };
    // Of equal texts the first by name stands for both; the other is cited.
    assert_eq!(acl("birds", "open"), Some(DocumentAcl::Tenant));
    assert_eq!(acl("birds", "closed"), Some(readable_by(&["keepers"]).acl));
    let json = serde_json::to_string(&answer).unwrap();
    assert!(!json.contains("keepers"), "readers are not part of the JSON");
}

#[tokio::test]
async fn unknown_collections_and_ambiguous_versions_are_refused() {
    let library = library().await;
    library.put("notes", "a/b", 3, &plain(), &[HERON]).await;
    let refusal = library.ask(&asking(&[("birds", 1.0), ("nowhere", 1.0)])).await.unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.code, refusal.field.as_str()),
        (RefusalKind::NotFound, "unknown_collection", "collections[1].name")
    );
    let awaiting = |document: &str, version| RawContextQuery {
        min_versions: vec![(document.to_owned(), version)],
        deadline: Some(Duration::from_millis(200)),
        ..asking(BOTH)
    };
    let answer = library.ask(&awaiting("notes/a/b", 3)).await.unwrap();
    assert_eq!(told(&answer).len(), 1);
    assert_eq!(answer.snapshots.len(), 2);
    assert_eq!(answer.snapshot, answer.snapshots.values().copied().max().unwrap());
    for (document, version, code) in [
        ("notes/a/b", 4, "min_version_not_visible"),
        ("birds/a/b", 3, "min_version_not_visible"),
        ("a/b", 3, "invalid_min_version"),
        ("notes", 3, "invalid_min_version"),
        ("notes/", 3, "invalid_document_id"),
    ] {
        assert_eq!(library.ask(&awaiting(document, version)).await.unwrap_err().code, code, "{document}");
    }
}

#[tokio::test]
async fn sections_ask_all_collections() {
    let library = library().await;
    library.put("birds", "day", 1, &plain(), &[HERON]).await;
    library.put("notes", "day", 1, &plain(), &[STORK]).await;
    let section = |name: &str, question: &str| RawContextSection {
        name: name.to_owned(),
        question: Some(question.to_owned()),
        ..RawContextSection::default()
    };
    let sections =
        vec![section("Water", "shallow water mill fox"), section("Town", "chimney warm air houses")];
    let answer = library.ask(&RawContextQuery { sections, ..asking(BOTH) }).await.unwrap();
    let places: Vec<(&str, &str)> = answer
        .passages
        .iter()
        .map(|one| (one.section.as_str(), one.collection.as_ref().unwrap().as_str()))
        .collect();
    assert_eq!(places[0], ("Water", "birds"));
    assert!(places.contains(&("Town", "notes")) || places.contains(&("Water", "notes")));
    assert_eq!(places.len(), 2, "a passage of an earlier section is not repeated: {places:?}");
}

#[tokio::test]
async fn a_context_of_several_collections_continues() {
    let library = library().await;
    library.put("birds", "day", 1, &plain(), &[HERON]).await;
    library.put("notes", "day", 1, &plain(), &[STORK]).await;
    let asking = |collections| RawContextQuery { continuable: true, ..asking(collections) };
    let first = library.ask(&asking(BOTH)).await.unwrap();
    assert_eq!(first.passages.len(), 2);
    let going_on =
        |collections| RawContextQuery { previous: Some(first.continuation.clone()), ..asking(collections) };
    let second = library.ask(&going_on(BOTH)).await.unwrap();
    assert_eq!(second.prefix.unwrap().passages, 2);
    assert_eq!((&second.passages, &second.context), (&first.passages, &first.context));

    // A newer version in one collection leaves the document of the other as it is.
    library.put("notes", "day", 2, &plain(), &["Nothing."]).await;
    let at =
        first.passages.iter().position(|one| one.collection.as_ref().unwrap().as_str() == "notes").unwrap();
    let third = library.ask(&going_on(BOTH)).await.unwrap().prefix.unwrap();
    let broken = third.broken.unwrap();
    assert_eq!((third.passages, broken.passage, broken.by), (at, at + 1, PrefixBreakReason::Superseded));

    // A collection that is not asked is not read, whatever the continuation names.
    let other = library.ask(&going_on(&[("notes", 1.0)])).await.unwrap().prefix.unwrap();
    assert_eq!((other.passages, other.broken.unwrap().by), (0, PrefixBreakReason::Gone));
}

#[tokio::test]
async fn each_collection_has_its_own_model_and_a_shared_one_embeds_once() {
    let (small, large) = (CountingEmbedder::new(8), CountingEmbedder::new(16));
    let library = IndexedLibrary::new(&[("a", &small), ("b", &large), ("c", &small)]).await;
    for name in ["a", "b", "c"] {
        library.put(name, name, 1, &plain(), &[&format!("{HERON} {name}")]).await;
    }
    let raw = asking(&[("a", 1.0), ("b", 1.0), ("c", 1.0)]);
    let search = library.search(&raw).await.unwrap();
    assert!(search.degraded.is_empty(), "each leg got a vector of its own dimensions");
    assert_eq!(search.results.len(), 3);
    assert_eq!((small.questions.load(Ordering::SeqCst), large.questions.load(Ordering::SeqCst)), (1, 1));
}
