//! Questions to a server.

use std::time::Duration;

use reqwest::Method;

use super::RemoteServer;
use crate::operations::messages::answer::{ContextResponse, SearchResponse};
use crate::operations::messages::context::{
    ContextRequest, MinVersionRequest, SearchRequest, SectionRequest,
};
use contexture_core::context::request::RawContextQuery;
use contexture_core::fault::Refusal;

/// How much longer than the deadline of a question its answer may take on the way.
const ANSWER_SLACK: Duration = Duration::from_secs(30);

impl RemoteServer {
    /// Assembles the context for a question.
    pub(crate) async fn context(&self, raw: &RawContextQuery) -> Result<ContextResponse, Refusal> {
        let section = |section: &contexture_core::context::request::RawContextSection| SectionRequest {
            name: section.name.clone(),
            question: section.question.clone(),
            filter: section.filter.clone(),
            share: section.share,
        };
        let request = ContextRequest {
            collections: Vec::new(),
            question: raw.question.clone(),
            budget: raw.budget.unwrap_or_default(),
            tokenizer: raw.tokenizer.clone(),
            format: raw.format.clone(),
            top_k: raw.top_k,
            filter: raw.filter.clone(),
            fusion: raw.fusion.clone(),
            rerank: raw.rerank,
            min_versions: min_versions(raw),
            explain: raw.explain,
            order: raw.order.clone(),
            cutoff: raw.cutoff,
            passages_per_document_max: raw.passages_per_document_max,
            reserve_answer: raw.reserve_answer,
            reserve_question: raw.reserve_question,
            sections: raw.sections.iter().map(section).collect(),
            continuable: raw.continuable,
            continuation: raw.previous.clone(),
            timeout_ms: timeout_ms(raw),
            include_groups: false,
        };
        let call = self.collection_call(Method::POST, &raw.collection, &["context"]);
        call.json(&request).with_server_deadline(raw.deadline).within(answer_max(raw)).answer().await
    }

    /// Ranks the chunks for a question.
    pub(crate) async fn search(&self, raw: &RawContextQuery) -> Result<SearchResponse, Refusal> {
        let request = SearchRequest {
            collections: Vec::new(),
            question: raw.question.clone(),
            top_k: raw.top_k,
            filter: raw.filter.clone(),
            fusion: raw.fusion.clone(),
            rerank: raw.rerank,
            min_versions: min_versions(raw),
            timeout_ms: timeout_ms(raw),
            include_groups: false,
        };
        let call = self.collection_call(Method::POST, &raw.collection, &["search"]);
        call.json(&request).with_server_deadline(raw.deadline).within(answer_max(raw)).answer().await
    }
}

fn min_versions(raw: &RawContextQuery) -> Vec<MinVersionRequest> {
    let wanted = raw.min_versions.iter();
    wanted
        .map(|(document_id, version)| MinVersionRequest {
            document_id: document_id.clone(),
            version: *version,
        })
        .collect()
}

fn timeout_ms(raw: &RawContextQuery) -> Option<u64> {
    raw.deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX))
}

fn answer_max(raw: &RawContextQuery) -> Duration {
    raw.deadline.unwrap_or_default().saturating_add(ANSWER_SLACK)
}
