//! Sections of a context, each with its own question, filter and share of the budget.

use super::{ContextQuery, QUESTION_BYTES_MAX};
use crate::domain::filter::MetadataFilter;
use crate::fault::Refusal;

/// Most sections of a context.
pub const SECTIONS_MAX: usize = 16;
/// Longest name of a section, in bytes.
pub const SECTION_NAME_BYTES_MAX: usize = 120;

/// A section as the caller sent it.
#[derive(Debug, Clone, Default)]
pub struct RawContextSection {
    /// Its title.
    pub name: String,
    /// Its question, if it has its own.
    pub question: Option<String>,
    /// A filter in addition to the query's.
    pub filter: Option<String>,
    /// Its share of the budget; sections without one divide the rest evenly.
    pub share: Option<f64>,
}

/// A checked section.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextSection {
    /// Its title; none is written if empty.
    pub name: String,
    question: Option<String>,
    filter: Option<MetadataFilter>,
    /// Its share of the budget, 0 to 1. What it leaves is for the sections after it.
    pub share: f64,
}

impl ContextQuery {
    /// Returns the query of each section, or the query itself if it has no sections.
    pub fn by_section(&self) -> Vec<(ContextSection, Self)> {
        if self.sections.is_empty() {
            let whole = ContextSection { name: String::new(), question: None, filter: None, share: 1.0 };
            return vec![(whole, self.clone())];
        }
        let of = |section: &ContextSection| {
            let filters = [self.filter.clone(), section.filter.clone()].into_iter().flatten();
            let filters: Vec<MetadataFilter> = filters.collect();
            let question = section.question.clone().unwrap_or_else(|| self.question.clone());
            // Both filters hold: a section can narrow the query, never widen it.
            let filter = (!filters.is_empty()).then_some(MetadataFilter::And(filters));
            (section.clone(), Self { question, filter, ..self.clone() })
        };
        self.sections.iter().map(of).collect()
    }
}

pub(super) fn check_sections(raw: &[RawContextSection]) -> Result<Vec<ContextSection>, Refusal> {
    let refuse = |message: String| Refusal::invalid("invalid_sections", "sections", message);
    if raw.len() > SECTIONS_MAX {
        return Err(refuse(format!("a context has at most {SECTIONS_MAX} sections")));
    }
    let given: f64 = raw.iter().filter_map(|section| section.share).sum();
    // The tolerance below: decimal fractions that should sum to 1 may come out a little above it.
    let bad = |share: &f64| !(0.0..=1.0).contains(share);
    if raw.iter().filter_map(|section| section.share).any(|share| bad(&share)) || given > 1.0 + 1e-9 {
        return Err(refuse("shares must be between 0 and 1, and no more than 1 in all".to_owned()));
    }
    let open = raw.iter().filter(|section| section.share.is_none()).count();
    #[expect(clippy::cast_precision_loss, reason = "there are at most SECTIONS_MAX")]
    let even = (1.0 - given).max(0.0) / open.max(1) as f64;
    let check = |section: &RawContextSection| {
        let name = section.name.trim();
        // The name is written in bold on a line of its own: `*` or a line break would end it.
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
        Ok(ContextSection {
            name: name.to_owned(),
            question: question.map(|question| question.replace('\0', " ")),
            filter: filter.map(MetadataFilter::parse).transpose()?,
            share: section.share.unwrap_or(even),
        })
    };
    raw.iter().map(check).collect()
}
