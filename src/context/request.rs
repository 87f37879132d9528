//! What may be asked, checked once: raw fields in, trusted requests out.

use std::time::Duration;

use super::continuation::Continuation;
use super::render::Style;
use crate::domain::filter::Filter;
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId, Version};
use crate::domain::principal::{Principal, Scope};
use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

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
/// Most sections of a context.
pub const SECTIONS_MAX: usize = 16;
/// Longest name of a section, in bytes.
pub const SECTION_NAME_BYTES_MAX: usize = 120;
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
    /// Tokens of the budget that are left for the answer.
    pub reserve_answer: Option<i64>,
    /// Whether the question's tokens are left, too.
    pub reserve_question: bool,
    /// Parts of the context, each with its own question, filter and share of the budget.
    pub sections: Vec<RawSection>,
    /// Whether to return a continuation.
    pub continuable: bool,
    /// The continuation of the answer that the context goes on from.
    pub previous: Option<String>,
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

/// A part of the context, as it came.
#[derive(Debug, Clone, Default)]
pub struct RawSection {
    /// What stands above it.
    pub name: String,
    /// Its question, if it has its own.
    pub question: Option<String>,
    /// A filter beside the query's.
    pub filter: Option<String>,
    /// Its share of the budget; the sections without one divide what is left evenly.
    pub share: Option<f64>,
}

/// A part of the context.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// What stands above it; nothing if empty.
    pub name: String,
    question: Option<String>,
    filter: Option<Filter>,
    /// Its share of the budget, 0 to 1; what it leaves is for those behind.
    pub share: f64,
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
    /// Parts of the context; none if it is of one piece.
    pub sections: Vec<Section>,
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
    /// How it is written, if [`Assembly::template`] names nothing else.
    pub style: Style,
    /// The template that it is written with; known names are in the registry.
    pub template: Option<String>,
    /// In which order passages stand.
    pub order: Order,
    /// Leaves out what is less relevant than this share of the best, 0 to 1, even if there is
    /// room; nothing if none.
    pub cutoff: Option<f64>,
    /// Most passages of one document.
    pub passages_per_document_max: Option<usize>,
    /// Tokens of the budget that are left for the answer.
    pub reserve_answer: usize,
    /// Whether the question's tokens are left, too.
    pub reserve_question: bool,
    /// Whether to return a continuation.
    pub continuable: bool,
    /// The answer that the context goes on from.
    pub previous: Option<Continuation>,
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
            sections: checked_sections(&raw.sections)?,
            rerank: raw.rerank,
            min_versions,
            deadline: deadline.min(DEADLINE_MAX),
        })
    }
}

impl Query {
    /// The query of each section; the query itself where there is none.
    pub fn by_section(&self) -> Vec<(Section, Self)> {
        if self.sections.is_empty() {
            let whole = Section { name: String::new(), question: None, filter: None, share: 1.0 };
            return vec![(whole, self.clone())];
        }
        let of = |section: &Section| {
            let filters = [self.filter.clone(), section.filter.clone()].into_iter().flatten();
            let filters: Vec<Filter> = filters.collect();
            let question = section.question.clone().unwrap_or_else(|| self.question.clone());
            let filter = (!filters.is_empty()).then_some(Filter::And(filters));
            (section.clone(), Self { question, filter, ..self.clone() })
        };
        self.sections.iter().map(of).collect()
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
            style: raw.format.as_deref().and_then(built_in).unwrap_or_default().into(),
            template: raw.format.clone().filter(|name| built_in(name).is_none()),
            order: raw.order.as_deref().map_or(Ok(Order::default()), Order::from_name)?,
            cutoff: raw.cutoff.map(checked_cutoff).transpose()?,
            passages_per_document_max: raw.passages_per_document_max.map(checked_passages).transpose()?,
            reserve_answer: raw.reserve_answer.map_or(Ok(0), |tokens| {
                usize::try_from(tokens).map_err(|_| {
                    Refusal::invalid(
                        "invalid_reserve",
                        "reserve_answer",
                        "reserve_answer must not be negative",
                    )
                })
            })?,
            reserve_question: raw.reserve_question,
            continuable: raw.continuable,
            previous: checked_previous(raw)?,
            explain: raw.explain,
        })
    }
}

impl Assembly {
    /// Tokens of the budget that question and answer are left; refused if that is more than all.
    pub fn reserved(&self, question: &str, tokenizer: &dyn Tokenizer) -> Result<usize, Refusal> {
        let asked = if self.reserve_question { tokenizer.count(question) } else { 0 };
        let reserved = self.reserve_answer.saturating_add(asked);
        if reserved > self.budget {
            let message = format!(
                "{reserved} tokens are reserved for question and answer, more than the budget of {}",
                self.budget
            );
            return Err(Refusal::invalid("reserve_exceeds_budget", "reserve_answer", message));
        }
        Ok(reserved)
    }
}

fn built_in(name: &str) -> Option<Format> {
    Format::from_name(name).ok()
}

fn checked_previous(raw: &RawQuery) -> Result<Option<Continuation>, Refusal> {
    let goes_on = raw.continuable || raw.previous.is_some();
    if goes_on && !raw.sections.is_empty() {
        let message = "a context of several sections cannot go on from another";
        return Err(Refusal::invalid("sections_not_continuable", "sections", message));
    }
    raw.previous.as_deref().map(Continuation::parse).transpose()
}

fn checked_sections(raw: &[RawSection]) -> Result<Vec<Section>, Refusal> {
    let refuse = |message: String| Refusal::invalid("invalid_sections", "sections", message);
    if raw.len() > SECTIONS_MAX {
        return Err(refuse(format!("a context has at most {SECTIONS_MAX} sections")));
    }
    let given: f64 = raw.iter().filter_map(|section| section.share).sum();
    let bad = |share: &f64| !(0.0..=1.0).contains(share);
    if raw.iter().filter_map(|section| section.share).any(|share| bad(&share)) || given > 1.0 + 1e-9 {
        return Err(refuse("shares must be between 0 and 1, and no more than 1 in all".to_owned()));
    }
    let open = raw.iter().filter(|section| section.share.is_none()).count();
    #[expect(clippy::cast_precision_loss, reason = "there are at most SECTIONS_MAX")]
    let even = (1.0 - given).max(0.0) / open.max(1) as f64;
    let check = |section: &RawSection| {
        let name = section.name.trim();
        if name.is_empty() || name.len() > SECTION_NAME_BYTES_MAX || name.contains(['*', '\n', '\r']) {
            return Err(refuse(format!(
                "a section needs a name of at most {SECTION_NAME_BYTES_MAX} bytes, without * and line breaks"
            )));
        }
        let question = section.question.as_deref().map(str::trim).filter(|question| !question.is_empty());
        if question.is_some_and(|question| question.len() > QUESTION_BYTES_MAX) {
            return Err(refuse(format!(
                "section '{name}': its question has over {QUESTION_BYTES_MAX} bytes"
            )));
        }
        let filter = section.filter.as_deref().filter(|text| !text.trim().is_empty());
        Ok(Section {
            name: name.to_owned(),
            question: question.map(|question| question.replace('\0', " ")),
            filter: filter.map(Filter::parse).transpose()?,
            share: section.share.unwrap_or(even),
        })
    };
    raw.iter().map(check).collect()
}

fn checked_cutoff(cutoff: f64) -> Result<f64, Refusal> {
    (0.0..=1.0)
        .contains(&cutoff)
        .then_some(cutoff)
        .ok_or_else(|| Refusal::invalid("invalid_cutoff", "cutoff", "cutoff must be a share between 0 and 1"))
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
