//! The part of a request that assembly reads.

use super::{BUDGET_TOKENS_MAX, ContextFormat, PassageOrder, RawContextQuery, TOKENIZER_DEFAULT};
use crate::context::continuation::Continuation;
use crate::context::render::ContextStyle;
use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

/// A checked assembly request: everything that assembly needs besides the candidates.
#[derive(Debug, Clone, Default)]
pub struct AssemblyRequest {
    /// Most tokens of the rendered context, framing included.
    pub budget: usize,
    /// The reading model's tokenizer; known names are in the registry of readers.
    pub tokenizer: String,
    /// The style, unless [`AssemblyRequest::template`] names a template.
    pub style: ContextStyle,
    /// The name of a template; the registry knows the names.
    pub template: Option<String>,
    /// The order of passages.
    pub order: PassageOrder,
    /// Atoms less relevant than this share of the best, 0 to 1, are left out even if there is room; none:
    /// no cut-off.
    pub cutoff: Option<f64>,
    /// Most passages of one document.
    pub passages_per_document_max: Option<usize>,
    /// Tokens of the budget that are reserved for the answer.
    pub reserve_answer: usize,
    /// Whether tokens are reserved for the question, too.
    pub reserve_question: bool,
    /// Whether to return a continuation.
    pub continuable: bool,
    /// The answer that the context continues.
    pub previous: Option<Continuation>,
    /// Whether to return the trace.
    pub explain: bool,
}

impl AssemblyRequest {
    /// Checks the part of a request that only assembly reads.
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
            // One field names either a format or a template. An unknown name is taken for a template here
            // and refused later, by the registry, which lists what there is.
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
    /// Tokens of the budget that are reserved for question and answer. Refuses more than the budget.
    pub fn reserved(&self, question: &str, tokenizer: &dyn Tokenizer) -> Result<usize, Refusal> {
        let asked = if self.reserve_question { tokenizer.count(question) } else { 0 };
        // Saturating: the caller chooses the number, and the comparison below refuses it.
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

/// Returns a name that no format has. Whether a template has it, the registry decides later.
fn template_name(name: &str) -> Result<Option<String>, Refusal> {
    match ContextFormat::from_name(name) {
        Ok(_) => Ok(None),
        // Too long for any template: refused as a format, so that no lookup sees it.
        Err(refusal) if name.len() > TEMPLATE_NAME_BYTES_MAX => Err(refusal),
        Err(_) => Ok(Some(name.to_owned())),
    }
}

fn parse_previous(raw: &RawContextQuery) -> Result<Option<Continuation>, Refusal> {
    // A prefix has no sections, so its tokens could not be charged to the share of any.
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
