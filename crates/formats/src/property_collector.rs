//! Collects what a source says about itself, with limits, and adds the standard names.
//!
//! Properties keep the name under which they were written. `language`, `date`, `updated`, `published`, `tags`,
//! `categories` and `author` are added where only a synonym was given, so that a filter finds them. Limits: 64
//! names as written, 1 KiB a value (longer text is cut, a list ends), 128 bytes a name.

use crate::parsed_text::{PropertyValue, TextProperties};
use crate::unix_lines::one_line;

/// Most properties of a source, as written.
const PROPERTIES_MAX: usize = 64;
/// Longest value in bytes; of a list, all texts together.
const VALUE_BYTES_MAX: usize = 1024;
/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Standard names with what else they are called; the first that is there counts.
const SYNONYMS: [(&str, &[&str]); 8] = [
    ("language", &["lang", "locale", "language_code", "taxonomies.language", "extra.lang"]),
    (
        "date",
        &["published", "pubdate", "publishdate", "publish_date", "published_at", "created", "created_at"],
    ),
    (
        "updated",
        &["lastmod", "last_modified", "last_modified_at", "modified", "updated_at", "last_update.date"],
    ),
    ("published", &["pubdate", "publishdate", "publish_date", "published_at"]),
    ("tags", &["tag", "taxonomies.tags"]),
    ("categories", &["category", "taxonomies.categories"]),
    ("author", &["authors", "author.name", "creator", "last_update.author", "extra.author"]),
    ("description", &["summary", "excerpt", "abstract"]),
];
/// Names whose text is a list that is separated by commas.
const LISTS: [&str; 5] = ["tags", "tag", "keywords", "categories", "category"];

/// Properties under construction.
#[derive(Debug, Default)]
pub(crate) struct PropertyCollector {
    properties: TextProperties,
    left_out: usize,
}

impl PropertyCollector {
    /// Adds a property. The first value of a name stays; empty names and values are no properties.
    pub(crate) fn add(&mut self, name: &str, value: PropertyValue) {
        let name = name.trim().replace('\0', "");
        let Some(value) = bounded(&name, value) else { return };
        if name.is_empty() {
            return;
        }
        if name.eq_ignore_ascii_case("title") && self.properties.title.is_none() {
            self.properties.title = match value {
                PropertyValue::Text(title) => Some(one_line(&title)),
                PropertyValue::Number(number) => Some(number.to_string()),
                PropertyValue::Bool(truth) => Some(truth.to_string()),
                PropertyValue::Texts(texts) => Some(one_line(&texts.join(" "))),
            };
        } else if name.len() > NAME_BYTES_MAX || self.properties.other.len() >= PROPERTIES_MAX {
            self.left_out += 1;
        } else {
            self.properties.other.entry(name).or_insert(value);
        }
    }

    /// Adds a property that is text.
    pub(crate) fn add_text(&mut self, name: &str, text: &str) {
        self.add(name, PropertyValue::Text(text.to_owned()));
    }

    /// Counts a property that is not kept.
    pub(crate) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// The properties with the standard names, and a note if some are not among them.
    pub(crate) fn finish(mut self) -> (TextProperties, Option<String>) {
        for (standard, synonyms) in SYNONYMS {
            if self.find(standard).is_some_and(|(name, _)| name == standard) {
                continue;
            }
            let found = std::iter::once(&standard).chain(synonyms).find_map(|name| self.find(name));
            if let Some((_, value)) = found {
                let value = match value.clone() {
                    PropertyValue::Texts(mut texts) if standard == "author" && texts.len() == 1 => {
                        PropertyValue::Text(texts.remove(0))
                    }
                    other => other,
                };
                self.properties.other.insert(standard.to_owned(), value);
            }
        }
        let note = (self.left_out > 0).then(|| format!("{} properties were left out", self.left_out));
        (self.properties, note)
    }

    fn find(&self, name: &str) -> Option<(&str, &PropertyValue)> {
        if let Some((found, value)) = self.properties.other.get_key_value(name) {
            return Some((found, value));
        }
        let mut all = self.properties.other.iter();
        all.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(found, value)| (found.as_str(), value))
    }
}

fn bounded(name: &str, value: PropertyValue) -> Option<PropertyValue> {
    match value {
        PropertyValue::Text(text) if LISTS.iter().any(|list| name.eq_ignore_ascii_case(list)) => {
            bounded_texts(text.split(',').map(str::to_owned))
        }
        PropertyValue::Text(text) => bounded_text(&text).map(PropertyValue::Text),
        PropertyValue::Texts(texts) => bounded_texts(texts.into_iter()),
        other => Some(other),
    }
}

fn bounded_text(text: &str) -> Option<String> {
    let text = text.trim().replace('\0', "").replace("\r\n", "\n").replace('\r', "\n");
    let cut = text[..text.floor_char_boundary(VALUE_BYTES_MAX)].trim_end();
    (!cut.is_empty()).then(|| cut.to_owned())
}

fn bounded_texts(texts: impl Iterator<Item = String>) -> Option<PropertyValue> {
    let mut bytes_left = VALUE_BYTES_MAX;
    let mut kept = Vec::new();
    for text in texts.filter_map(|text| bounded_text(&text)) {
        let Some(left) = bytes_left.checked_sub(text.len()) else { break };
        bytes_left = left;
        kept.push(text);
    }
    (!kept.is_empty()).then_some(PropertyValue::Texts(kept))
}
