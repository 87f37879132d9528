//! Reranking as callers see it: another order when it works, the same answer when it does not.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contexture_adapters::embedder::hash::HashEmbedder;
use contexture_adapters::memory::ledger::MemoryLedger;
use contexture_adapters::memory::vectors::MemoryVectors;
use contexture_adapters::rerank::RerankApi;
use contexture_core::context::answer::{AnswerDegradation, ContextAnswer, SearchAnswer};
use contexture_core::context::fuse::RELATIVE_WEIGHTS;
use contexture_core::context::request::{AssemblyRequest, ContextQuery, RawContextQuery};
use contexture_core::context::rerank::BoundedReranker;
use contexture_core::context::{ContextEngine, TokenizerRegistry};
use contexture_core::domain::document::DocumentDescription;
use contexture_core::domain::pipeline::ChunkerKind;
use contexture_core::fault::{Fault, Refusal, RefusalKind};
use contexture_core::ports::catalog::{CollectionParts, EmbedderChunkSizes, OpenCollection};
use contexture_core::ports::ledger::Ledger;
use contexture_core::ports::lexical::{DocumentWrite, LexicalIndex};
use contexture_core::ports::reranker::{Reranker, RerankerInfo};
use contexture_tokenizers::bpe::BpeTokenizer;
use tokio::time::Instant;

use crate::support::clock::ManualClock;
use crate::support::one::SingleCollectionCatalog;
use crate::support::rerankers::{InProcessReranker, answer_well, client, config};
use crate::support::scan::ScanIndex;
use crate::support::scripted_http::{ScriptedHttp, ScriptedReply};
use crate::support::tokenizers::RunTokenizer;
use crate::support::{IndexedTestDocument, TENANT, collection, epoch, indexed, principal};

const QUESTION: &str = "where does the heron sleep";
/// Documents in the order in which words alone rank them, best first.
const DOCUMENTS: [(&str, &str); 5] = [
    ("five", "where does the heron sleep is a question."),
    ("four", "where does the heron live?"),
    ("three", "the heron does fish."),
    ("two", "a heron may sleep."),
    ("one", "sleep well."),
];

async fn catalog() -> Arc<SingleCollectionCatalog> {
    const DIMS: usize = 8;
    let index = ScanIndex::default();
    for (id, text) in DOCUMENTS {
        let described =
            DocumentDescription { title: Some("Birds".to_owned()), ..DocumentDescription::default() };
        let IndexedTestDocument { head, chunks } = indexed(id, 1, &described, &[text]);
        index.commit(vec![DocumentWrite { head, chunks }], 1).await.unwrap();
    }
    let ledger = MemoryLedger::new(Arc::new(ManualClock::new()));
    let record = ledger.ensure_collection(&collection(TENANT, "birds"), "", epoch("one")).await.unwrap();
    let parts = CollectionParts {
        record,
        sizes: EmbedderChunkSizes {
            chunker: ChunkerKind::Structure,
            tokens_max: 64,
            tokens_target: 48,
            tokens_reserved: 0,
        },
        embedder: Arc::new(HashEmbedder::new(Arc::new(RunTokenizer), DIMS, 512).unwrap()),
        vectors: Arc::new(MemoryVectors::new(DIMS)),
        lexical: Some(Arc::new(index)),
    };
    Arc::new(SingleCollectionCatalog(Arc::new(OpenCollection::new(parts, true))))
}

/// An engine with this reranker, which reads three candidates.
async fn engine(reranker: Option<Arc<dyn Reranker>>) -> ContextEngine {
    let time_max = Duration::from_secs(2);
    let reranking = reranker.map(|reranker| BoundedReranker { reranker, candidates_max: 3, time_max });
    let mut tokenizers = TokenizerRegistry::default();
    tokenizers.add("cl100k_base", "", Arc::new(|| Ok(Arc::new(BpeTokenizer::cl100k())))).unwrap();
    ContextEngine::new(catalog().await, tokenizers, RELATIVE_WEIGHTS).with_reranking(reranking)
}

fn raw() -> RawContextQuery {
    RawContextQuery {
        collection: "birds".to_owned(),
        question: QUESTION.to_owned(),
        budget: Some(60),
        ..RawContextQuery::default()
    }
}

async fn search(engine: &ContextEngine, raw: &RawContextQuery) -> Result<SearchAnswer, Refusal> {
    engine.search(ContextQuery::new(principal(TENANT), raw).unwrap()).await
}

async fn assemble(engine: &ContextEngine, raw: &RawContextQuery) -> Result<ContextAnswer, Refusal> {
    let query = ContextQuery::new(principal(TENANT), raw).unwrap();
    engine.assemble(query, AssemblyRequest::new(raw).unwrap()).await
}

fn order(ranking: &SearchAnswer) -> Vec<&str> {
    ranking.results.iter().map(|ranked| ranked.document_id.as_str()).collect()
}

fn scores(ranking: &SearchAnswer) -> Vec<f32> {
    ranking.results.iter().map(|ranked| ranked.score).collect()
}

/// Scores by a word of each document.
fn by_word(scores: [(&'static str, f32); 3]) -> Arc<InProcessReranker> {
    Arc::new(InProcessReranker::new(move |_, text| {
        scores.iter().find_map(|(word, score)| text.contains(word).then_some(*score)).unwrap()
    }))
}

/// Answers what it is told to.
struct ScriptedReranker(RerankerInfo, Result<Vec<f32>, Fault>);

impl ScriptedReranker {
    fn answers(answer: Result<Vec<f32>, Fault>) -> Arc<Self> {
        Arc::new(Self(RerankerInfo { model: "told".to_owned(), texts_max: 9 }, answer))
    }
}

#[async_trait]
impl Reranker for ScriptedReranker {
    fn info(&self) -> &RerankerInfo {
        &self.0
    }

    async fn rerank(&self, _: &str, _: &[String]) -> Result<Vec<f32>, Fault> {
        self.1.clone()
    }
}

/// Never answers.
struct SilentReranker(RerankerInfo);

impl SilentReranker {
    fn new() -> Arc<Self> {
        Arc::new(Self(RerankerInfo { model: "silent".to_owned(), texts_max: 9 }))
    }
}

#[async_trait]
impl Reranker for SilentReranker {
    fn info(&self) -> &RerankerInfo {
        &self.0
    }

    async fn rerank(&self, _: &str, _: &[String]) -> Result<Vec<f32>, Fault> {
        std::future::pending().await
    }
}

/// The answers are those of an engine without a reranker, and say so.
async fn assert_unchanged_but_degraded(reranker: Arc<dyn Reranker>) {
    let (with, without) = (engine(Some(reranker)).await, engine(None).await);
    let (ranking, plain) = (search(&with, &raw()).await.unwrap(), search(&without, &raw()).await.unwrap());
    assert_eq!(ranking.degraded, [AnswerDegradation::Rerank]);
    assert_eq!((&ranking.results, plain.degraded.as_slice()), (&plain.results, &[][..]));
    let mut answer = serde_json::to_value(assemble(&with, &raw()).await.unwrap()).unwrap();
    assert_eq!(answer["degraded"], serde_json::json!(["RERANK"]));
    answer["degraded"] = serde_json::json!([]);
    assert_eq!(answer, serde_json::to_value(assemble(&without, &raw()).await.unwrap()).unwrap());
}

#[tokio::test]
async fn the_fused_order_is_what_the_other_tests_take_it_for() {
    let plain = search(&engine(None).await, &raw()).await.unwrap();
    assert_eq!(order(&plain), ["five", "four", "three", "two", "one"]);
}

#[tokio::test]
async fn the_model_orders_what_it_has_read_and_the_rest_follows() {
    let reranker = by_word([("question", 0.2), ("live", 0.9), ("fish", 0.4)]);
    let engine = engine(Some(reranker.clone())).await;
    let ranking = search(&engine, &raw()).await.unwrap();
    assert_eq!(order(&ranking), ["four", "three", "five", "two", "one"]);
    assert_eq!(scores(&ranking)[..3], [0.9, 0.4, 0.2], "the model's scores, as they are");
    assert!(scores(&ranking).is_sorted_by(|left, right| left > right), "{:?}", scores(&ranking));
    assert!(ranking.degraded.is_empty());
    let answer = assemble(&engine, &raw()).await.unwrap();
    assert_eq!(answer.passages[0].document_id.as_str(), "four");
    assert!(answer.tokens <= answer.budget && answer.degraded.is_empty());
    assert_eq!(reranker.calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn numbers_of_any_sign_become_scores_within_0_and_1() {
    // The two best are the same to a 32-bit logistic function, and yet one is better.
    let reranker = by_word([("question", 40.0), ("live", -3.0), ("fish", 41.0)]);
    let ranking = search(&engine(Some(reranker)).await, &raw()).await.unwrap();
    assert_eq!(order(&ranking), ["three", "five", "four", "two", "one"]);
    let scores = scores(&ranking);
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
    assert!((scores[2] - 0.047_425_87).abs() < 1e-6, "{scores:?}");
}

#[tokio::test]
async fn equal_scores_are_ordered_by_chunk() {
    let reranker = by_word([("question", 0.5), ("live", 0.5), ("fish", 0.5)]);
    let ranking = search(&engine(Some(reranker)).await, &raw()).await.unwrap();
    let ids: Vec<_> = ranking.results[..3].iter().map(|ranked| ranked.chunk_id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[tokio::test]
async fn the_lowest_score_leaves_the_rest_at_nothing() {
    let reranker = by_word([("question", 0.0), ("live", 1.0), ("fish", 0.0)]);
    let ranking = search(&engine(Some(reranker)).await, &raw()).await.unwrap();
    assert_eq!(order(&ranking)[3..], ["two", "one"]);
    assert_eq!(scores(&ranking)[3..], [0.0, 0.0]);
}

#[tokio::test]
async fn the_model_reads_what_was_embedded() {
    let read = Arc::new(Mutex::new(Vec::new()));
    let seen = read.clone();
    let reranker = Arc::new(InProcessReranker::new(move |question, text| {
        seen.lock().unwrap().push((question.to_owned(), text.to_owned()));
        0.5
    }));
    search(&engine(Some(reranker)).await, &raw()).await.unwrap();
    let expected = (QUESTION.to_owned(), format!("Birds > Guide > Part 0\n{}", DOCUMENTS[0].1));
    assert_eq!(read.lock().unwrap()[0], expected);
    assert_eq!(read.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_late_reranker_changes_nothing_and_the_answer_says_so() {
    assert_unchanged_but_degraded(SilentReranker::new()).await;
}

#[tokio::test(start_paused = true)]
async fn reranking_leaves_time_for_the_rest() {
    let reranking = BoundedReranker {
        reranker: SilentReranker::new(),
        candidates_max: 3,
        time_max: Duration::from_hours(1),
    };
    let engine = engine(None).await.with_reranking(Some(reranking));
    let asked = Instant::now();
    let raw = RawContextQuery { deadline: Some(Duration::from_secs(5)), ..raw() };
    assert_eq!(assemble(&engine, &raw).await.unwrap().degraded, [AnswerDegradation::Rerank]);
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_failing_reranker_changes_nothing_and_the_answer_says_so() {
    for fault in [
        Fault::transient("down"),
        Fault::Throttled { retry_after: Duration::from_mins(1), what: "busy".to_owned() },
        Fault::unauthorized("expired"),
        Fault::permanent("rejected", "no"),
    ] {
        assert_unchanged_but_degraded(ScriptedReranker::answers(Err(fault))).await;
    }
}

#[tokio::test]
async fn nonsense_changes_nothing_and_the_answer_says_so() {
    for scores in
        [vec![], vec![0.5; 2], vec![0.5; 4], vec![0.1, f32::NAN, 0.3], vec![0.1, f32::INFINITY, 0.3]]
    {
        assert_unchanged_but_degraded(ScriptedReranker::answers(Ok(scores))).await;
    }
}

#[tokio::test]
async fn callers_can_go_without() {
    let reranker = by_word([("question", 0.2), ("live", 0.9), ("fish", 0.4)]);
    let (with, without) = (engine(Some(reranker.clone())).await, engine(None).await);
    let raw = RawContextQuery { rerank: Some(false), ..raw() };
    let (ranking, plain) = (search(&with, &raw).await.unwrap(), search(&without, &raw).await.unwrap());
    assert_eq!((&ranking.results, &ranking.degraded), (&plain.results, &plain.degraded));
    assemble(&with, &raw).await.unwrap();
    assert_eq!(reranker.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_asked_for_and_not_there_is_refused() {
    let raw = RawContextQuery { rerank: Some(true), ..raw() };
    let refusal = search(&engine(None).await, &raw).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (RefusalKind::Invalid, "no_reranker"));
    assert_eq!(refusal.field, "rerank");
    let reranker = by_word([("question", 0.2), ("live", 0.9), ("fish", 0.4)]);
    assert_eq!(order(&search(&engine(Some(reranker)).await, &raw).await.unwrap())[0], "four");
}

#[tokio::test]
async fn nothing_found_costs_no_call() {
    let reranker = by_word([("question", 0.2), ("live", 0.9), ("fish", 0.4)]);
    let raw = RawContextQuery { question: "xylophone".to_owned(), ..raw() };
    let ranking = search(&engine(Some(reranker.clone())).await, &raw).await.unwrap();
    assert!(ranking.results.is_empty() && ranking.degraded.is_empty());
    assert_eq!(reranker.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_server_reranks_over_the_wire() {
    let server = ScriptedHttp::start(answer_well).await;
    let reranker = Arc::new(client(&config(server.url("/rerank"), RerankApi::Tei, 2)));
    let ranking = search(&engine(Some(reranker)).await, &raw()).await.unwrap();
    assert!(ranking.degraded.is_empty());
    assert_eq!(server.requests().len(), 2, "three candidates, two texts a call");
}

#[tokio::test]
async fn a_server_that_does_not_answer_does_not_hold_up_the_caller() {
    let server = ScriptedHttp::always(ScriptedReply::never()).await;
    let reranker = Arc::new(client(&config(server.url("/rerank"), RerankApi::Tei, 9)));
    let engine = engine(Some(reranker)).await;
    let raw = RawContextQuery { deadline: Some(Duration::from_millis(500)), ..raw() };
    let (answer, ()) = tokio::join!(assemble(&engine, &raw), server.arrived(1));
    assert_eq!(answer.unwrap().degraded, [AnswerDegradation::Rerank]);
}
