//! Attributes of start tags: those that something reads, each once.

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::TagKind;
use html5ever::{Attribute, LocalName, QualName, ns};

use super::HtmlTreeFeeder;

/// Longest attribute value that is kept.
pub(super) const ATTRIBUTE_BYTES_MAX: usize = 16 * 1024;

impl HtmlTreeFeeder<'_> {
    pub(super) fn flush_attribute(&mut self) {
        if self.attribute_name.is_empty() {
            return;
        }
        let name = std::str::from_utf8(&self.attribute_name).unwrap_or_default();
        if self.tag_kind == TagKind::StartTag && is_read_attribute(name) {
            let name = QualName::new(None, ns!(), LocalName::from(name));
            if self.attributes.iter().all(|known| known.name != name) {
                self.attribute_value.truncate(ATTRIBUTE_BYTES_MAX);
                let value = String::from_utf8_lossy(&self.attribute_value);
                self.attributes.push(Attribute { name, value: StrTendril::from_slice(&value) });
            }
        }
        self.attribute_name.clear();
        self.attribute_value.clear();
    }
}

fn is_read_attribute(name: &str) -> bool {
    matches!(
        name,
        "alt"
            | "alttext"
            | "aria-hidden"
            | "aria-level"
            | "aria-modal"
            | "bgcolor"
            | "class"
            | "color"
            | "colspan"
            | "content"
            | "data-lang"
            | "data-language"
            | "datetime"
            | "encoding"
            | "face"
            | "height"
            | "hidden"
            | "href"
            | "id"
            | "itemprop"
            | "lang"
            | "name"
            | "open"
            | "popover"
            | "property"
            | "rel"
            | "role"
            | "rowspan"
            | "scope"
            | "size"
            | "src"
            | "start"
            | "style"
            | "summary"
            | "title"
            | "type"
            | "value"
            | "width"
            | "xml:lang"
    )
}
