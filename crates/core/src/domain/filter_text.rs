//! The text form of filters.
//!
//! `lang = "en" and (year >= 2020 or not exists(draft)) and tag in ["a", 3] and document starts_with "guides/"`, at
//! most [`FILTER_TEXT_BYTES_MAX`] bytes, [`FILTER_DEPTH_MAX`] deep, [`FILTER_TERMS_MAX`] comparisons.

use super::filter::{
    FILTER_DEPTH_MAX, FILTER_TERMS_MAX, FILTER_TEXT_BYTES_MAX, MetadataFilter, NumericBounds,
};
use super::metadata::MetadataScalar;
use crate::fault::Refusal;

impl MetadataFilter {
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
        if self.eat_word("starts_with") {
            return Ok(MetadataFilter::StartsWith(key, self.text()?));
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
            return Err(self.refuse("expected '=', '!=', '<', '<=', '>', '>=', 'in' or 'starts_with'"));
        }
        Ok(MetadataFilter::Range(key, bounds))
    }

    fn key(&mut self) -> Result<String, Refusal> {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(|one| !is_filter_key_char(one)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.refuse("expected a key"));
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

    fn text(&mut self) -> Result<String, Refusal> {
        let start = self.position;
        let MetadataScalar::Text(text) = self.scalar()? else {
            self.position = start;
            return Err(self.refuse("starts_with needs a \"string\""));
        };
        Ok(text)
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
