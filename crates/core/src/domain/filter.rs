//! Filters on metadata and their meaning.
//!
//! `key = v`, `key in [..]`, ranges and `exists(key)` are true if *any* value under the key satisfies
//! them, and false if the key is missing. `not` negates the whole. `and` of nothing is true; `or` and
//! `in` of nothing are false. Engines pre-filter with the same terms ([`crate::domain::metadata`]);
//! [`MetadataFilter::matches`] is the definition.
//!
//! The text form is `lang = "en" and (year >= 2020 or not exists(draft)) and tag in ["a", 3]`, at most
//! [`FILTER_TEXT_BYTES_MAX`] bytes, [`FILTER_DEPTH_MAX`] deep, [`FILTER_TERMS_MAX`] comparisons.

use std::collections::BTreeSet;

use super::metadata::{DocumentMetadata, MetadataScalar};
use crate::fault::Refusal;

/// Longest filter text, in bytes.
pub const FILTER_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Most comparisons and listed values.
pub const FILTER_TERMS_MAX: usize = 512;

/// A condition on a document's metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataFilter {
    /// The key has this value.
    Equals(String, MetadataScalar),
    /// The key has one of these values.
    In(String, Vec<MetadataScalar>),
    /// The key has a number within the bounds.
    Range(String, NumericBounds),
    /// The key is present.
    Exists(String),
    /// All hold.
    And(Vec<MetadataFilter>),
    /// At least one holds.
    Or(Vec<MetadataFilter>),
    /// It does not hold.
    Not(Box<MetadataFilter>),
}

/// Bounds of a range; a missing bound is open.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NumericBounds {
    /// Greater than.
    pub gt: Option<f64>,
    /// Greater than or equal.
    pub gte: Option<f64>,
    /// Less than.
    pub lt: Option<f64>,
    /// Less than or equal.
    pub lte: Option<f64>,
}

impl NumericBounds {
    fn contains(&self, number: f64) -> bool {
        self.gt.is_none_or(|bound| number > bound)
            && self.gte.is_none_or(|bound| number >= bound)
            && self.lt.is_none_or(|bound| number < bound)
            && self.lte.is_none_or(|bound| number <= bound)
    }
}

impl MetadataFilter {
    /// Whether the metadata satisfies this filter. This is the definition of a filter's meaning.
    pub fn matches(&self, metadata: &DocumentMetadata) -> bool {
        let any = |key: &str, test: &dyn Fn(&MetadataScalar) -> bool| {
            metadata.get(key).is_some_and(|value| value.scalars().iter().any(test))
        };
        match self {
            Self::Equals(key, wanted) => any(key, &|scalar| scalar.equals(wanted)),
            Self::In(key, wanted) => any(key, &|scalar| wanted.iter().any(|one| one.equals(scalar))),
            Self::Range(key, bounds) => {
                any(key, &|scalar| scalar.as_number().is_some_and(|number| bounds.contains(number)))
            }
            Self::Exists(key) => metadata.get(key).is_some(),
            Self::And(parts) => parts.iter().all(|part| part.matches(metadata)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(metadata)),
            Self::Not(part) => !part.matches(metadata),
        }
    }

    /// The keys that it asks for.
    pub fn keys(&self) -> BTreeSet<&str> {
        match self {
            Self::Equals(key, _) | Self::In(key, _) | Self::Range(key, _) | Self::Exists(key) => {
                BTreeSet::from([key.as_str()])
            }
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::keys).collect(),
            Self::Not(part) => part.keys(),
        }
    }

    /// Whether no document can pass because none has metadata under `keys`. `exists` asks just that, and is
    /// answered.
    pub fn is_barred_by_absence_of(&self, keys: &BTreeSet<&str>) -> bool {
        match self {
            Self::Equals(key, _) | Self::In(key, _) | Self::Range(key, _) => keys.contains(key.as_str()),
            Self::Exists(_) => false,
            Self::And(parts) => parts.iter().any(|part| part.is_barred_by_absence_of(keys)),
            Self::Or(parts) => parts.iter().all(|part| part.is_barred_by_absence_of(keys)),
            Self::Not(part) => part.is_certain_by_absence_of(keys),
        }
    }

    /// Whether every document passes because none has metadata under `keys`.
    fn is_certain_by_absence_of(&self, keys: &BTreeSet<&str>) -> bool {
        match self {
            Self::Equals(..) | Self::In(..) | Self::Range(..) | Self::Exists(_) => false,
            Self::And(parts) => parts.iter().all(|part| part.is_certain_by_absence_of(keys)),
            Self::Or(parts) => parts.iter().any(|part| part.is_certain_by_absence_of(keys)),
            Self::Not(part) => part.is_barred_by_absence_of(keys),
        }
    }

    /// Parses the text form.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > FILTER_TEXT_BYTES_MAX {
            return Err(Refusal::invalid(
                "filter_too_long",
                "filter",
                format!("filter is longer than {FILTER_TEXT_BYTES_MAX} bytes"),
            ));
        }
        let mut parser = FilterParser { text, position: 0, depth: 0, terms: 0 };
        let filter = parser.or()?;
        parser.skip_space();
        if parser.position < text.len() {
            return Err(parser.refuse("expected 'and', 'or' or the end"));
        }
        Ok(filter)
    }
}

struct FilterParser<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
    terms: usize,
}

impl FilterParser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    fn refuse(&self, why: &str) -> Refusal {
        Refusal::invalid("invalid_filter", "filter", format!("filter, at byte {}: {why}", self.position))
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.position += token.len();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let rest = self.rest();
        let matches = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        // `order` is a key, not the word `or`.
        let ends = rest.get(word.len()..).is_some_and(|after| !after.starts_with(is_filter_key_char));
        if matches && ends {
            self.position += word.len();
        }
        matches && ends
    }

    fn enter(&mut self) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > FILTER_DEPTH_MAX {
            return Err(Refusal::invalid(
                "filter_too_deep",
                "filter",
                format!("filter nests deeper than {FILTER_DEPTH_MAX}"),
            ));
        }
        Ok(())
    }

    fn count_term(&mut self) -> Result<(), Refusal> {
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return Err(Refusal::invalid(
                "filter_too_large",
                "filter",
                format!("filter has more than {FILTER_TERMS_MAX} comparisons and values"),
            ));
        }
        Ok(())
    }

    fn or(&mut self) -> Result<MetadataFilter, Refusal> {
        let mut parts = vec![self.and()?];
        while self.eat_word("or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { MetadataFilter::Or(parts) })
    }

    fn and(&mut self) -> Result<MetadataFilter, Refusal> {
        let mut parts = vec![self.unary()?];
        while self.eat_word("and") {
            parts.push(self.unary()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { MetadataFilter::And(parts) })
    }

    fn unary(&mut self) -> Result<MetadataFilter, Refusal> {
        // The parser recurses; the bound keeps user text from exhausting the stack.
        self.enter()?;
        let filter = if self.eat_word("not") {
            MetadataFilter::Not(Box::new(self.unary()?))
        } else if self.eat("(") {
            let inner = self.or()?;
            if !self.eat(")") {
                return Err(self.refuse("expected ')'"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Result<MetadataFilter, Refusal> {
        self.count_term()?;
        if self.eat_word("exists") {
            if !self.eat("(") {
                return Err(self.refuse("expected '(' after exists"));
            }
            let key = self.key()?;
            if !self.eat(")") {
                return Err(self.refuse("expected ')'"));
            }
            return Ok(MetadataFilter::Exists(key));
        }
        let key = self.key()?;
        if self.eat_word("in") {
            return Ok(MetadataFilter::In(key, self.list()?));
        }
        // Longer operators first: `>` would match the start of `>=`.
        let mut bounds = NumericBounds::default();
        if self.eat("!=") {
            return Ok(MetadataFilter::Not(Box::new(MetadataFilter::Equals(key, self.scalar()?))));
        } else if self.eat(">=") {
            bounds.gte = Some(self.number()?);
        } else if self.eat("<=") {
            bounds.lte = Some(self.number()?);
        } else if self.eat(">") {
            bounds.gt = Some(self.number()?);
        } else if self.eat("<") {
            bounds.lt = Some(self.number()?);
        } else if self.eat("=") {
            return Ok(MetadataFilter::Equals(key, self.scalar()?));
        } else {
            return Err(self.refuse("expected '=', '!=', '<', '<=', '>', '>=' or 'in'"));
        }
        Ok(MetadataFilter::Range(key, bounds))
    }

    fn key(&mut self) -> Result<String, Refusal> {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(|one| !is_filter_key_char(one)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.refuse("expected a metadata key"));
        }
        let key = rest[..end].to_owned();
        // Refused rather than ignored: a filter that looks like access control must not be relied on.
        if ["tenant", "acl", "groups"].contains(&key.as_str()) || key.starts_with("_contexture") {
            return Err(Refusal::invalid(
                "reserved_filter_key",
                "filter",
                format!("'{key}' is decided by the credential and cannot be filtered on"),
            ));
        }
        self.position += end;
        Ok(key)
    }

    fn list(&mut self) -> Result<Vec<MetadataScalar>, Refusal> {
        if !self.eat("[") {
            return Err(self.refuse("expected '['"));
        }
        let mut values = Vec::new();
        if self.eat("]") {
            return Ok(values);
        }
        loop {
            self.count_term()?;
            values.push(self.scalar()?);
            if self.eat("]") {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(self.refuse("expected ',' or ']'"));
            }
        }
    }

    fn number(&mut self) -> Result<f64, Refusal> {
        let start = self.position;
        self.scalar()?.as_number().ok_or_else(|| {
            // The message points at the value, not behind it.
            self.position = start;
            self.refuse("a range needs a number")
        })
    }

    fn scalar(&mut self) -> Result<MetadataScalar, Refusal> {
        self.skip_space();
        if self.eat_word("true") {
            return Ok(MetadataScalar::Bool(true));
        }
        if self.eat_word("false") {
            return Ok(MetadataScalar::Bool(false));
        }
        // A number ends where its characters end: a stream of JSON values would refuse the ')' after it.
        let rest = self.rest();
        let in_number = |one: char| one.is_ascii_alphanumeric() || "+-.".contains(one);
        let end = if rest.starts_with('"') { None } else { rest.find(|one| !in_number(one)) };
        let literal = &rest[..end.unwrap_or(rest.len())];
        let mut stream = serde_json::Deserializer::from_str(literal).into_iter::<MetadataScalar>();
        let parsed = stream.next();
        let consumed = stream.byte_offset();
        match parsed {
            Some(Ok(scalar)) => {
                self.position += consumed;
                Ok(scalar)
            }
            _ => Err(self.refuse("expected a \"string\", a number, true or false")),
        }
    }
}

fn is_filter_key_char(one: char) -> bool {
    one.is_ascii_alphanumeric() || "_-.".contains(one)
}
