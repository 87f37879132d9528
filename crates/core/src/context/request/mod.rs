//! Requests: raw fields are checked once and become queries that the engine can trust.

mod assembly;
mod collections;
mod output_format;
mod sections;

use std::time::Duration;

use crate::domain::filter::MetadataFilter;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use crate::domain::principal::{AccessScope, Principal};
use crate::fault::Refusal;

pub use assembly::AssemblyRequest;
pub use collections::{COLLECTION_WEIGHT_MAX, COLLECTIONS_MAX, RawCollectionWeight, WeightedCollection};
pub use output_format::{ContextFormat, PassageOrder};
pub use sections::{ContextSection, RawContextSection, SECTION_NAME_BYTES_MAX, SECTIONS_MAX};

/// Longest question, in bytes.
pub const QUESTION_BYTES_MAX: usize = 16 * 1024;
/// Most chunks a query may consider.
pub const TOP_K_MAX: usize = 1000;
/// Chunks considered when the caller does not say.
pub const TOP_K_DEFAULT: usize = 100;
/// Largest budget, in tokens.
pub const BUDGET_TOKENS_MAX: usize = 1_000_000;
/// Longest deadline.
pub const DEADLINE_MAX: Duration = Duration::from_mins(1);
/// Deadline when the caller does not say.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
/// Most `min_version` conditions.
pub const MIN_VERSIONS_MAX: usize = 64;
/// The tokenizer when the caller does not say.
pub const TOKENIZER_DEFAULT: &str = "cl100k_base";

/// How the lists of both legs are fused.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum FusionMethod {
    /// Relative scores, the default.
    #[default]
    RelativeScore,
    /// Reciprocal rank fusion with constant k.
    Rrf {
        /// Rank offset; 60 in the paper.
        k: f32,
    },
    /// Reciprocal rank fusion with weights per leg.
    WeightedRrf {
        /// Rank offset.
        k: f32,
        /// Weight of the lexical leg.
        lexical: f32,
        /// Weight of the dense leg.
        dense: f32,
    },
}

/// A request as the caller sent it.
#[derive(Debug, Clone, Default)]
pub struct RawContextQuery {
    /// The collection's name; empty if [`RawContextQuery::collections`] lists several.
    pub collection: String,
    /// Collections that are searched together.
    pub collections: Vec<RawCollectionWeight>,
    /// The question.
    pub question: String,
    /// Most tokens of the context; required for assembly, ignored by search.
    pub budget: Option<i64>,
    /// The reading model's tokenizer.
    pub tokenizer: Option<String>,
    /// The output format.
    pub format: Option<String>,
    /// The order of passages.
    pub order: Option<String>,
    /// Least relevance that is taken, as a share of the best.
    pub cutoff: Option<f64>,
    /// Most passages of one document.
    pub passages_per_document_max: Option<i64>,
    /// Tokens of the budget that are reserved for the answer.
    pub reserve_answer: Option<i64>,
    /// Whether tokens are reserved for the question, too.
    pub reserve_question: bool,
    /// Parts of the context, each with its own question, filter and share of the budget.
    pub sections: Vec<RawContextSection>,
    /// Whether to return a continuation.
    pub continuable: bool,
    /// The continuation of the answer that the context continues.
    pub previous: Option<String>,
    /// Chunks to consider.
    pub top_k: Option<i64>,
    /// A filter in text form.
    pub filter: Option<String>,
    /// `relative`, `rrf` or `weighted_rrf`.
    pub fusion: Option<String>,
    /// Whether to rerank; by default wherever a reranker is configured.
    pub rerank: Option<bool>,
    /// Documents and the versions the answer must have seen. With several collections a document is named
    /// `COLLECTION/DOCUMENT_ID`.
    pub min_versions: Vec<(String, u64)>,
    /// Whether to return the trace.
    pub explain: bool,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
}

/// A checked query.
#[derive(Debug, Clone)]
pub struct ContextQuery {
    /// Who asks.
    pub principal: Principal,
    /// The collection that is searched, or the first of several; its tenant is the principal's.
    pub collection: CollectionKey,
    /// The collections of a request that lists them; empty if it names a single one.
    pub collections: Vec<WeightedCollection>,
    /// The question.
    pub question: String,
    /// Chunks to consider.
    pub top_k: usize,
    /// The filter.
    pub filter: Option<MetadataFilter>,
    /// How lists are fused.
    pub fusion: FusionMethod,
    /// Whether chunks gain from their neighbours; off only in evaluations that compare.
    pub support: bool,
    /// Whether to rerank; none: if a reranker is configured.
    pub rerank: Option<bool>,
    /// Parts of the context; empty if it has none.
    pub sections: Vec<ContextSection>,
    /// Versions the answer must have seen; several collections have their own each.
    pub min_versions: Vec<(DocumentId, Version)>,
    /// How long the caller waits.
    pub deadline: Duration,
}

impl ContextQuery {
    /// Checks the part of a request that search reads.
    pub fn new(principal: Principal, raw: &RawContextQuery) -> Result<Self, Refusal> {
        // Before anything else: without the scope a caller learns nothing about the rest.
        principal.require(AccessScope::Read)?;
        let mut collections = collections::check_collections(raw, principal.tenant())?;
        // The tenant never comes from the request, so no request can name another one.
        let collection = match collections.first() {
            Some(first) => first.key.clone(),
            None => CollectionKey {
                tenant: principal.tenant().clone(),
                collection: CollectionId::new(&raw.collection)?,
            },
        };
        if raw.question.trim().is_empty() {
            return Err(Refusal::invalid("empty_question", "question", "question is empty"));
        }
        if raw.question.len() > QUESTION_BYTES_MAX {
            return Err(Refusal::invalid(
                "question_too_long",
                "question",
                format!("question has {} bytes; at most {QUESTION_BYTES_MAX} are read", raw.question.len()),
            ));
        }
        let top_k = match raw.top_k {
            None => TOP_K_DEFAULT,
            Some(top_k) => usize::try_from(top_k)
                .ok()
                .filter(|top_k| (1..=TOP_K_MAX).contains(top_k))
                .ok_or_else(|| {
                    Refusal::invalid(
                        "invalid_top_k",
                        "top_k",
                        format!("top_k must be between 1 and {TOP_K_MAX}"),
                    )
                })?,
        };
        let min_versions = collections::check_min_versions(&raw.min_versions, &mut collections)?;
        let deadline = raw.deadline.unwrap_or(DEADLINE_DEFAULT);
        if deadline.is_zero() {
            return Err(Refusal::new(
                crate::fault::RefusalKind::Deadline,
                "deadline_passed",
                "deadline",
                "the deadline passed before the query began",
            ));
        }
        Ok(Self {
            collection,
            collections,
            principal,
            question: raw.question.replace('\0', " "),
            top_k,
            filter: raw
                .filter
                .as_deref()
                .filter(|text| !text.trim().is_empty())
                .map(MetadataFilter::parse)
                .transpose()?,
            fusion: parse_fusion(raw.fusion.as_deref())?,
            sections: sections::check_sections(&raw.sections)?,
            support: true,
            rerank: raw.rerank,
            min_versions,
            // Shortened, not refused: a caller may pass on its own deadline as it is.
            deadline: deadline.min(DEADLINE_MAX),
        })
    }
}

fn parse_fusion(name: Option<&str>) -> Result<FusionMethod, Refusal> {
    match name {
        None | Some("relative") => Ok(FusionMethod::RelativeScore),
        Some("rrf") => Ok(FusionMethod::Rrf { k: 60.0 }),
        Some("weighted_rrf") => Ok(FusionMethod::WeightedRrf { k: 10.0, lexical: 2.0, dense: 1.0 }),
        Some(other) => Err(Refusal::invalid(
            "unknown_fusion",
            "fusion",
            format!("unknown fusion '{other}'; known: relative, rrf, weighted_rrf"),
        )),
    }
}
