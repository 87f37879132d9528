//! The suite of the reranker port, and what its HTTP adapter makes of servers that misbehave.

mod contract;
mod http;

use std::sync::Arc;

use contexture_adapters::rerank::RerankApi;
use contexture_core::ports::reranker::Reranker;

use crate::support::rerankers::{InProcessReranker, answer_well, client, config, shared_words};
use crate::support::scripted_http::ScriptedHttp;

/// A reranker that prefers texts with the question's words, and what it needs to stay alive.
struct RerankerUnderTest {
    reranker: Arc<dyn Reranker>,
    _server: Option<ScriptedHttp>,
}

macro_rules! reranker_suite {
    ($adapter:ident, $open:ident) => {
        laws!($adapter, $open, {
            contract: [
                info_is_usable,
                one_finite_score_per_text,
                scores_come_in_the_order_of_the_texts,
                better_texts_score_higher,
                more_texts_than_a_call_takes_are_scored_alike,
                awkward_texts_are_scored,
                no_texts_no_scores,
            ],
        });
    };
}

async fn open_in_memory() -> RerankerUnderTest {
    RerankerUnderTest { reranker: Arc::new(InProcessReranker::new(shared_words)), _server: None }
}

reranker_suite!(in_memory, open_in_memory);

async fn open(shape: RerankApi) -> RerankerUnderTest {
    let server = ScriptedHttp::start(answer_well).await;
    let reranker = Arc::new(client(&config(server.url("/rerank"), shape, 4)));
    RerankerUnderTest { reranker, _server: Some(server) }
}

async fn open_results() -> RerankerUnderTest {
    open(RerankApi::Results).await
}

reranker_suite!(results, open_results);

async fn open_tei() -> RerankerUnderTest {
    open(RerankApi::Tei).await
}

reranker_suite!(tei, open_tei);
