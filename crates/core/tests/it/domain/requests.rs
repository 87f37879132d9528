//! Queries: every field at its limit and one beyond.

use std::collections::BTreeSet;
use std::time::Duration;

use contexture_core::context::request::{
    AssemblyRequest, BUDGET_TOKENS_MAX, COLLECTION_WEIGHT_MAX, COLLECTIONS_MAX, ContextFormat, ContextQuery,
    DEADLINE_DEFAULT, DEADLINE_MAX, FusionMethod, MIN_VERSIONS_MAX, QUESTION_BYTES_MAX, RawCollectionWeight,
    RawContextQuery, TOKENIZER_DEFAULT, TOP_K_DEFAULT, TOP_K_MAX,
};
use contexture_core::domain::ids::{TenantId, VERSION_MAX};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Refusal, RefusalKind};

use super::assert_refused;
use crate::support::{TENANT, principal};

fn raw() -> RawContextQuery {
    RawContextQuery {
        collection: "handbook".to_owned(),
        question: "where?".to_owned(),
        budget: Some(1_000),
        ..RawContextQuery::default()
    }
}

fn check(raw: &RawContextQuery) -> Result<ContextQuery, Refusal> {
    ContextQuery::new(principal(TENANT), raw)
}

#[test]
fn defaults_are_filled_in() {
    let query = check(&raw()).unwrap();
    assert_eq!(
        (query.top_k, query.deadline, query.fusion),
        (TOP_K_DEFAULT, DEADLINE_DEFAULT, FusionMethod::RelativeScore)
    );
    assert!(query.filter.is_none() && query.min_versions.is_empty());
    assert_eq!(query.collection.tenant.as_str(), TENANT, "the tenant is the principal's");
    let assembly = AssemblyRequest::new(&raw()).unwrap();
    assert_eq!(
        (assembly.budget, assembly.style, assembly.explain),
        (1_000, ContextFormat::Markdown.into(), false)
    );
    assert_eq!(assembly.tokenizer, TOKENIZER_DEFAULT);
}

#[test]
fn questions_at_their_limits() {
    let asked = |question: &str| check(&RawContextQuery { question: question.to_owned(), ..raw() });
    for good in ["?", "\u{202e}שלום", &"x".repeat(QUESTION_BYTES_MAX)] {
        assert_eq!(asked(good).unwrap().question, good);
    }
    assert_eq!(asked("a\0b").unwrap().question, "a b");
    for empty in ["", " \n\t", "\u{3000}"] {
        assert_refused(asked(empty), "empty_question", "question");
    }
    for long in [QUESTION_BYTES_MAX + 1, 1 << 20] {
        assert_refused(asked(&"x".repeat(long)), "question_too_long", "question");
    }
}

#[test]
fn top_k_at_its_limits() {
    let asked = |top_k: i64| check(&RawContextQuery { top_k: Some(top_k), ..raw() });
    let most = i64::try_from(TOP_K_MAX).unwrap();
    for good in [1, most] {
        assert_eq!(i64::try_from(asked(good).unwrap().top_k).unwrap(), good);
    }
    for bad in [0, -1, most + 1, 1_000_000_000, i64::MIN, i64::MAX] {
        assert_refused(asked(bad), "invalid_top_k", "top_k");
    }
}

#[test]
fn budgets_at_their_limits() {
    let asked = |budget: Option<i64>| AssemblyRequest::new(&RawContextQuery { budget, ..raw() });
    let most = i64::try_from(BUDGET_TOKENS_MAX).unwrap();
    for good in [0, 1, most] {
        assert_eq!(i64::try_from(asked(Some(good)).unwrap().budget).unwrap(), good);
    }
    for bad in [None, Some(-1), Some(most + 1), Some(1_000_000_000), Some(i64::MIN)] {
        assert_refused(asked(bad), "invalid_budget", "budget");
    }
}

#[test]
fn deadlines_at_their_limits() {
    let asked = |deadline: Duration| check(&RawContextQuery { deadline: Some(deadline), ..raw() });
    for (given, kept) in [
        (Duration::from_nanos(1), Duration::from_nanos(1)),
        (DEADLINE_MAX, DEADLINE_MAX),
        (DEADLINE_MAX + Duration::from_nanos(1), DEADLINE_MAX),
        (Duration::MAX, DEADLINE_MAX),
    ] {
        assert_eq!(asked(given).unwrap().deadline, kept);
    }
    let refusal = asked(Duration::ZERO).unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Deadline, "deadline_passed"));
}

#[test]
fn awaited_versions_at_their_limits() {
    let asked = |min_versions: Vec<(String, u64)>| check(&RawContextQuery { min_versions, ..raw() });
    let one = |number: u64| ("doc".to_owned(), number);
    assert_eq!(asked(vec![one(VERSION_MAX); MIN_VERSIONS_MAX]).unwrap().min_versions.len(), MIN_VERSIONS_MAX);
    assert_refused(asked(vec![one(1); MIN_VERSIONS_MAX + 1]), "too_many_min_versions", "min_version");
    assert_refused(asked(vec![one(0)]), "invalid_version", "version");
    assert_refused(asked(vec![one(VERSION_MAX + 1)]), "invalid_version", "version");
    assert_refused(asked(vec![(String::new(), 1)]), "invalid_document_id", "document_id");
}

#[test]
fn names_are_known_or_refused() {
    for format in ContextFormat::ALL {
        assert_eq!(ContextFormat::from_name(format.name()).unwrap(), format);
    }
    assert_eq!(ContextFormat::from_name("Markdown").unwrap_err().code, "unknown_format");
    // A template may have any other name; who it is for the engine to say.
    let format = Some("mine".to_owned());
    assert_eq!(
        AssemblyRequest::new(&RawContextQuery { format, ..raw() }).unwrap().template.as_deref(),
        Some("mine")
    );
    let format = Some("y".repeat(65));
    assert_refused(AssemblyRequest::new(&RawContextQuery { format, ..raw() }), "unknown_format", "format");
    for (name, fusion) in [("relative", FusionMethod::RelativeScore), ("rrf", FusionMethod::Rrf { k: 60.0 })]
    {
        assert_eq!(
            check(&RawContextQuery { fusion: Some(name.to_owned()), ..raw() }).unwrap().fusion,
            fusion
        );
    }
    let fusion = Some(String::new());
    assert_refused(check(&RawContextQuery { fusion, ..raw() }), "unknown_fusion", "fusion");
    let collection = "../other".to_owned();
    assert_refused(check(&RawContextQuery { collection, ..raw() }), "invalid_collection", "collection");
}

#[test]
fn filters_are_parsed_or_refused() {
    let asked = |filter: &str| check(&RawContextQuery { filter: Some(filter.to_owned()), ..raw() });
    assert!(asked(" ").unwrap().filter.is_none());
    assert!(asked("year > 2020").unwrap().filter.is_some());
    assert_refused(asked("year >"), "invalid_filter", "filter");
    assert_refused(asked("tenant = \"other\""), "reserved_filter_key", "filter");
}

#[test]
fn reading_needs_the_scope() {
    let writer =
        Principal::new(TenantId::new(TENANT).unwrap(), BTreeSet::new(), BTreeSet::from([AccessScope::Write]))
            .unwrap();
    let refused = ContextQuery::new(writer, &raw()).unwrap_err();
    assert_eq!((refused.kind, refused.code), (RefusalKind::PermissionDenied, "missing_scope"));
}

#[test]
fn one_collection_or_a_list_of_them() {
    let listed = |name: &str, weight| RawCollectionWeight { name: name.to_owned(), weight };
    let asked = |collections: Vec<RawCollectionWeight>| {
        check(&RawContextQuery { collection: String::new(), collections, ..raw() })
    };
    assert!(check(&raw()).unwrap().collections.is_empty());
    let query = asked(vec![listed("b", None), listed("a", Some(COLLECTION_WEIGHT_MAX))]).unwrap();
    assert_eq!(query.collection.collection.as_str(), "b");
    let names: Vec<&str> = query.searched().map(|key| key.collection.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert!(query.collections.iter().all(|one| one.key.tenant.as_str() == TENANT));
    let weights: Vec<f64> = query.collections.iter().map(|one| one.weight).collect();
    assert_eq!(weights, [1.0, COLLECTION_WEIGHT_MAX]);

    let many =
        |count: usize| (0..count).map(|number| listed(&format!("c{number}"), None)).collect::<Vec<_>>();
    assert_eq!(asked(many(COLLECTIONS_MAX)).unwrap().collections.len(), COLLECTIONS_MAX);
    assert_refused(asked(many(COLLECTIONS_MAX + 1)), "too_many_collections", "collections");
    assert_refused(asked(Vec::new()), "invalid_collections", "collection");
    let both = RawContextQuery { collections: many(1), ..raw() };
    assert_refused(check(&both), "invalid_collections", "collections");
    let twice = vec![listed("a", None), listed("b", None), listed("a", Some(2.0))];
    assert_refused(asked(twice), "duplicate_collection", "collections[2].name");
    assert_refused(
        asked(vec![listed("a", None), listed("B", None)]),
        "invalid_collection",
        "collections[1].name",
    );
    for weight in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, COLLECTION_WEIGHT_MAX.next_up()] {
        assert_refused(asked(vec![listed("a", Some(weight))]), "invalid_weight", "collections[0].weight");
    }
}

#[test]
fn versions_of_several_collections_name_theirs() {
    let listed = |name: &str| RawCollectionWeight { name: name.to_owned(), weight: None };
    let asked = |names: &[&str], document: &str| {
        let collections = names.iter().map(|name| listed(name)).collect();
        let min_versions = vec![(document.to_owned(), 2)];
        check(&RawContextQuery { collection: String::new(), collections, min_versions, ..raw() })
    };
    assert_eq!(asked(&["a"], "a/b").unwrap().min_versions[0].0.as_str(), "a/b", "one needs no name");
    let query = asked(&["a", "b"], "b/a/b").unwrap();
    assert!(query.min_versions.is_empty() && query.collections[0].min_versions.is_empty());
    assert_eq!(query.collections[1].min_versions[0].0.as_str(), "a/b");
    for nobodys in ["x", "c/x", "/x", ""] {
        assert_refused(asked(&["a", "b"], nobodys), "invalid_min_version", "min_version");
    }
}
