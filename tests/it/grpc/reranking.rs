//! `rerank` of requests, three-valued as it is sent.

use std::sync::Arc;

use contexture::server::grpc::proto::{AssembleRequest, SearchRequest};

use super::support::*;

#[tokio::test]
async fn requests_say_whether_to_rerank_or_leave_it_to_the_server() {
    let scripted = Arc::new(ScriptedServices::default());
    let running = RunningServer::start(&scripted, limits(), Vec::new()).await;
    let mut client = running.context().await;
    for rerank in [None, Some(false), Some(true)] {
        client.assemble(AssembleRequest { rerank, ..question() }).await.unwrap();
        let search = SearchRequest {
            collection: "docs".to_owned(),
            question: "why?".to_owned(),
            rerank,
            ..SearchRequest::default()
        };
        client.search(search).await.unwrap();
        let asked: Vec<Option<bool>> =
            scripted.queries.lock().unwrap().drain(..).map(|query| query.rerank).collect();
        assert_eq!(asked, [rerank, rerank]);
    }
}
