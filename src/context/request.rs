//! What may be asked, checked once: raw fields in, trusted requests out.

use std::time::Duration;

use crate::domain::filter::Filter;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use crate::domain::principal::{Principal, Scope};
use super::render::Style;
use crate::fault::Refusal;

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

/// How the context is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Headings, citations and fenced passages.
    #[default]
    Markdown,
    /// Elements with escaped text.
    Xml,
    /// One JSON object.
    Json,
    /// Text between marker lines.
    Plain,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Markdown, Self::Xml, Self::Json, Self::Plain];

    /// Its name on the command line and in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Xml => "xml",
            Self::Json => "json",
            Self::Plain => "plain",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            Refusal::invalid(
                "unknown_format",
                "format",
                format!("unknown format '{name}'; known: markdown, xml, json, plain"),
            )
        })
    }
}

/// In which order passages stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The best document first, its passages in document order.
    #[default]
    Document,
    /// The best passages first and last, the others between.
    Edges,
    /// The best passage first.
    Score,
}

impl Order {
    /// All orders.
    pub const ALL: [Self; 3] = [Self::Document, Self::Edges, Self::Score];

    /// Its name on the command line and in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Edges => "edges",
            Self::Score => "score",
        }
    }

    /// The order of that name.
    pub fn from_name(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|order| order.name() == name).ok_or_else(|| {
            Refusal::invalid(
                "unknown_order",
                "order",
                format!("unknown order '{name}'; known: document, edges, score"),
            )
        })
    }
}

/// How the two legs' lists become one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fusion {
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

/// What a caller sends, as it came.
#[derive(Debug, Clone, Default)]
pub struct RawQuery {
    /// The collection's name.
    pub collection: String,
    /// The question.
    pub question: String,
    /// Tokens the context may have; required to assemble, ignored by search.
    pub budget: Option<i64>,
    /// The reading model's tokenizer.
    pub tokenizer: Option<String>,
    /// The output format.
    pub format: Option<String>,
    /// The order of passages.
    pub order: Option<String>,
    /// Share of the best relevance below which nothing is taken.
    pub cutoff: Option<f64>,
    /// Most passages of one document.
    pub passages_per_document_max: Option<i64>,
    /// Chunks to consider.
    pub top_k: Option<i64>,
    /// A filter in text form.
    pub filter: Option<String>,
    /// `relative`, `rrf` or `weighted_rrf`.
    pub fusion: Option<String>,
    /// Whether to rerank; wherever a reranker is configured when the caller does not say.
    pub rerank: Option<bool>,
    /// Documents and the versions the answer must have seen.
    pub min_versions: Vec<(String, u64)>,
    /// Whether to return the trace.
    pub explain: bool,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
}

/// A checked query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Who asks.
    pub principal: Principal,
    /// What is searched; its tenant is the principal's.
    pub collection: CollectionKey,
    /// The question.
    pub question: String,
    /// Chunks to consider.
    pub top_k: usize,
    /// The filter.
    pub filter: Option<Filter>,
    /// How lists are fused.
    pub fusion: Fusion,
    /// Whether to rerank; if possible when none.
    pub rerank: Option<bool>,
    /// Versions the answer must have seen.
    pub min_versions: Vec<(DocumentId, Version)>,
    /// How long the caller waits.
    pub deadline: Duration,
}

/// What the assembler needs beside the candidates.
#[derive(Debug, Clone, Default)]
pub struct Assembly {
    /// Tokens the rendered context may have, framing included.
    pub budget: usize,
    /// The reading model's tokenizer; known names are in the registry of readers.
    pub tokenizer: String,
    /// How it is written.
    pub style: Style,
    /// In which order passages stand.
    pub order: Order,
    /// Leaves out what is less relevant than this share of the best, 0 to 1, even if there is
    /// room; nothing if none.
    pub cutoff: Option<f64>,
    /// Most passages of one document.
    pub passages_per_document_max: Option<usize>,
    /// Whether to return the trace.
    pub explain: bool,
}

impl Query {
    /// Checks a search.
    pub fn new(principal: Principal, raw: &RawQuery) -> Result<Self, Refusal> {
        principal.require(Scope::Read)?;
        let collection = CollectionId::new(&raw.collection)?;
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
        if raw.min_versions.len() > MIN_VERSIONS_MAX {
            return Err(Refusal::invalid(
                "too_many_min_versions",
                "min_version",
                format!("at most {MIN_VERSIONS_MAX} documents can be awaited"),
            ));
        }
        let min_versions = raw
            .min_versions
            .iter()
            .map(|(document, version)| Ok((DocumentId::new(document)?, Version::new(*version)?)))
            .collect::<Result<_, Refusal>>()?;
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
            collection: CollectionKey { tenant: principal.tenant().clone(), collection },
            principal,
            question: raw.question.replace('\0', " "),
            top_k,
            filter: raw
                .filter
                .as_deref()
                .filter(|text| !text.trim().is_empty())
                .map(Filter::parse)
                .transpose()?,
            fusion: parse_fusion(raw.fusion.as_deref())?,
            rerank: raw.rerank,
            min_versions,
            deadline: deadline.min(DEADLINE_MAX),
        })
    }
}

impl Assembly {
    /// Checks the part of a query that only assembly reads.
    pub fn new(raw: &RawQuery) -> Result<Self, Refusal> {
        let refuse = |message: String| Refusal::invalid("invalid_budget", "budget", message);
        let budget = raw
            .budget
            .ok_or_else(|| refuse("budget is missing: how many tokens may the context have?".to_owned()))?;
        let budget = usize::try_from(budget)
            .ok()
            .filter(|budget| *budget <= BUDGET_TOKENS_MAX)
            .ok_or_else(|| refuse(format!("budget must be between 0 and {BUDGET_TOKENS_MAX} tokens")))?;
        Ok(Self {
            budget,
            tokenizer: raw.tokenizer.clone().unwrap_or_else(|| TOKENIZER_DEFAULT.to_owned()),
            style: raw.format.as_deref().map_or(Ok(Format::default()), Format::from_name)?.into(),
            order: raw.order.as_deref().map_or(Ok(Order::default()), Order::from_name)?,
            cutoff: raw.cutoff.map(checked_cutoff).transpose()?,
            passages_per_document_max: raw
                .passages_per_document_max
                .map(checked_passages)
                .transpose()?,
            explain: raw.explain,
        })
    }
}

fn checked_cutoff(cutoff: f64) -> Result<f64, Refusal> {
    (0.0..=1.0).contains(&cutoff).then_some(cutoff).ok_or_else(|| {
        Refusal::invalid("invalid_cutoff", "cutoff", "cutoff must be a share between 0 and 1")
    })
}

fn checked_passages(passages: i64) -> Result<usize, Refusal> {
    usize::try_from(passages).ok().filter(|passages| *passages >= 1).ok_or_else(|| {
        Refusal::invalid(
            "invalid_passages_per_document",
            "passages_per_document_max",
            "passages_per_document_max must be at least 1",
        )
    })
}

fn parse_fusion(name: Option<&str>) -> Result<Fusion, Refusal> {
    match name {
        None | Some("relative") => Ok(Fusion::RelativeScore),
        Some("rrf") => Ok(Fusion::Rrf { k: 60.0 }),
        Some("weighted_rrf") => Ok(Fusion::WeightedRrf { k: 10.0, lexical: 2.0, dense: 1.0 }),
        Some(other) => Err(Refusal::invalid(
            "unknown_fusion",
            "fusion",
            format!("unknown fusion '{other}'; known: relative, rrf, weighted_rrf"),
        )),
    }
}
