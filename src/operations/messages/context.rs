//! Questions and contexts as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use contexture_core::context::request::{RawCollectionWeight, RawContextQuery, RawContextSection};

/// A question, and how much context it may have.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct ContextRequest {
    /// Several collections to search, instead of the one in the path; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub collections: Vec<CollectionWeight>,
    /// The question, at most 16 KiB. It is text, never query syntax.
    #[schema(example = "How many days of leave do I have?", min_length = 1, max_length = 16384)]
    pub question: String,
    /// Tokens the context may have, framing included: 0 to 1,000,000.
    #[schema(example = 2000, minimum = 0, maximum = 1_000_000)]
    pub budget: i64,
    /// The tokenizer of the model that will read it: `cl100k_base` (default), `o200k_base`, one of the
    /// server's configuration, or the name of an OpenAI model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// `markdown` (default), `xml`, `json` or `plain`, or the name of a configured template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Chunks to consider, 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub top_k: Option<i64>,
    /// Condition on metadata, `document`, `title` and places (`page`, `slide`, `row`, `line`), such as
    /// `lang = "en" and (year >= 2020 or not exists(draft)) and document starts_with "guides/" and page >= 10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16384)]
    pub filter: Option<String>,
    /// `relative` (default), `rrf` or `weighted_rrf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<String>,
    /// Whether a cross-encoder orders the best candidates anew. Absent: where the server has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank: Option<bool>,
    /// Read your writes: the answer has seen these versions. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub min_versions: Vec<MinVersionRequest>,
    /// Whether to return what became of every candidate.
    #[serde(default)]
    pub explain: bool,
    /// `document` (default), `edges` or `score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Leaves out what is less relevant than this share of the best, 0 to 1, even if there is room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub cutoff: Option<f64>,
    /// Most passages of one document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub passages_per_document_max: Option<i64>,
    /// Tokens of the budget that are left for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub reserve_answer: Option<i64>,
    /// Whether the question's tokens are left, too.
    #[serde(default)]
    pub reserve_question: bool,
    /// Parts of the context, at most 16, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub sections: Vec<SectionRequest>,
    /// Whether to return a continuation.
    #[serde(default)]
    pub continuable: bool,
    /// The continuation of the answer before: the context starts with that one, as far as it still holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation: Option<String>,
    /// How long the caller waits, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
    /// Whether passages name the groups that may read them.
    #[serde(default)]
    pub include_groups: bool,
}

/// A question to rank chunks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// Several collections to search, instead of the one in the path; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub collections: Vec<CollectionWeight>,
    /// The question, at most 16 KiB.
    #[schema(example = "How many days of leave do I have?", min_length = 1, max_length = 16384)]
    pub question: String,
    /// Chunks to return, 1 to 1000; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub top_k: Option<i64>,
    /// As in [`ContextRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16384)]
    pub filter: Option<String>,
    /// As in [`ContextRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<String>,
    /// As in [`ContextRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerank: Option<bool>,
    /// As in [`ContextRequest`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub min_versions: Vec<MinVersionRequest>,
    /// How long the caller waits, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
    /// Whether results name the groups that may read them.
    #[serde(default)]
    pub include_groups: bool,
}

/// A collection and how much its hits count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionWeight {
    /// Its name.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9_-]*$")]
    pub name: String,
    /// Above 0, at most 1000; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 1000)]
    pub weight: Option<f64>,
}

/// A document and the version an answer must have seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MinVersionRequest {
    /// The document.
    #[schema(min_length = 1, max_length = 512)]
    pub document_id: String,
    /// The lowest version that will do, from 1.
    #[schema(minimum = 1)]
    pub version: u64,
}

/// A part of the context.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionRequest {
    /// What stands above it, at most 120 bytes.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// Its question, if it has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// A filter beside the request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Its share of the budget, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub share: Option<f64>,
}

fn min_versions(asked: Vec<MinVersionRequest>) -> Vec<(String, u64)> {
    asked.into_iter().map(|one| (one.document_id, one.version)).collect()
}

fn weighted(asked: Vec<CollectionWeight>) -> Vec<RawCollectionWeight> {
    asked.into_iter().map(|one| RawCollectionWeight { name: one.name, weight: one.weight }).collect()
}

impl ContextRequest {
    /// The unchecked query. `collection` is the one of the path, empty where there is none.
    pub fn into_raw(self, collection: &str) -> RawContextQuery {
        let section = |section: SectionRequest| {
            let SectionRequest { name, question, filter, share } = section;
            RawContextSection { name, question, filter, share }
        };
        RawContextQuery {
            collection: collection.to_owned(),
            collections: weighted(self.collections),
            question: self.question,
            budget: Some(self.budget),
            tokenizer: self.tokenizer,
            format: self.format,
            order: self.order,
            cutoff: self.cutoff,
            passages_per_document_max: self.passages_per_document_max,
            reserve_answer: self.reserve_answer,
            reserve_question: self.reserve_question,
            sections: self.sections.into_iter().map(section).collect(),
            continuable: self.continuable,
            previous: self.continuation,
            top_k: self.top_k,
            filter: self.filter,
            fusion: self.fusion,
            rerank: self.rerank,
            min_versions: min_versions(self.min_versions),
            explain: self.explain,
            deadline: self.timeout_ms.map(Duration::from_millis),
        }
    }
}

impl SearchRequest {
    /// The unchecked query. `collection` is the one of the path, empty where there is none.
    pub fn into_raw(self, collection: &str) -> RawContextQuery {
        RawContextQuery {
            collection: collection.to_owned(),
            collections: weighted(self.collections),
            question: self.question,
            top_k: self.top_k,
            filter: self.filter,
            fusion: self.fusion,
            rerank: self.rerank,
            min_versions: min_versions(self.min_versions),
            deadline: self.timeout_ms.map(Duration::from_millis),
            ..RawContextQuery::default()
        }
    }
}
