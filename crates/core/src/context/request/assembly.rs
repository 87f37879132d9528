//! What the assembler needs beside the candidates.

use super::{BUDGET_TOKENS_MAX, ContextFormat, PassageOrder, RawContextQuery, TOKENIZER_DEFAULT};
use crate::context::continuation::Continuation;
use crate::context::render::ContextStyle;
use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

/// What the assembler needs beside the candidates.
#[derive(Debug, Clone, Default)]
pub struct AssemblyRequest {
    /// Tokens the rendered context may have, framing included.
    pub budget: usize,
    /// The reading model's tokenizer; known names are in the registry of readers.
    pub tokenizer: String,
    /// How it is written, if [`AssemblyRequest::template`] names nothing else.
    pub style: ContextStyle,
    /// The template that it is written with; known names are in the registry.
    pub template: Option<String>,
    /// In which order passages stand.
    pub order: PassageOrder,
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

impl AssemblyRequest {
    /// Checks the part of a query that only assembly reads.
    pub fn new(raw: &RawContextQuery) -> Result<Self, Refusal> {
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
            style: raw.format.as_deref().and_then(built_in_format).unwrap_or_default().into(),
            template: raw.format.as_deref().and_then(|name| template_name(name).transpose()).transpose()?,
            order: raw.order.as_deref().map_or(Ok(PassageOrder::default()), PassageOrder::from_name)?,
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
            previous: parse_previous(raw)?,
            explain: raw.explain,
        })
    }
}

impl AssemblyRequest {
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

/// Longest name of a template that is looked up, in bytes.
const TEMPLATE_NAME_BYTES_MAX: usize = 64;

fn built_in_format(name: &str) -> Option<ContextFormat> {
    ContextFormat::from_name(name).ok()
}

/// A name that no format has; whether a template has it is for the registry to say.
fn template_name(name: &str) -> Result<Option<String>, Refusal> {
    match ContextFormat::from_name(name) {
        Ok(_) => Ok(None),
        Err(refusal) if name.len() > TEMPLATE_NAME_BYTES_MAX => Err(refusal),
        Err(_) => Ok(Some(name.to_owned())),
    }
}

fn parse_previous(raw: &RawContextQuery) -> Result<Option<Continuation>, Refusal> {
    let goes_on = raw.continuable || raw.previous.is_some();
    if goes_on && !raw.sections.is_empty() {
        let message = "a context of several sections cannot go on from another";
        return Err(Refusal::invalid("sections_not_continuable", "sections", message));
    }
    raw.previous.as_deref().map(Continuation::parse).transpose()
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
