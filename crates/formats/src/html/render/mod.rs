//! Writes the visible elements of a page in document order.
//!
//! One walk over the tree without recursion: [`HtmlRenderer::enter`] and [`HtmlRenderer::leave`] say what an
//! element means (`elements`: those that take more than a line; `raised`: text above and below the line),
//! [`HtmlMarkdownWriter`] how it is written. Tables start walks over their cells, in which tables are inline, so that
//! walks are never more than two deep.

mod elements;
mod raised;

use std::collections::HashSet;

use super::code::{is_code_block, write_code_block, write_inline_code};
use super::dom::{HtmlDom, HtmlNodeContent};
use super::inline::{note_marks, picture_text, short_text};
use super::styles::{HtmlStyleEffect, HtmlStyleSheet};
use super::writer::{HtmlGap, HtmlMarkdownWriter};
use crate::source_map::MappedText;

/// Bytes that repeated cells may add to a page, besides as many as the page has.
const REPEATED_BYTES_MIN: usize = 64 * 1024;

/// Writes a page.
pub(super) struct HtmlRenderer<'a> {
    pub(super) dom: &'a HtmlDom,
    source: &'a str,
    skipped: &'a [bool],
    sheet: HtmlStyleSheet,
    notes: HashSet<String>,
    expanded: HashSet<&'a str>,
    pub(super) out: HtmlMarkdownWriter<'a>,
    /// Raised and lowered text that is open: what is written behind it.
    raised: Vec<&'static str>,
    /// Open elements that are struck, raised or lowered by their style.
    styled: Vec<(usize, HtmlStyleEffect)>,
    /// Open elements whose links lead only around the site.
    navigation: usize,
    pub(super) repeated_bytes_left: usize,
}

impl<'a> HtmlRenderer<'a> {
    pub(super) fn new(dom: &'a HtmlDom, source: &'a str, skipped: &'a [bool], sheet: HtmlStyleSheet) -> Self {
        Self {
            dom,
            source,
            skipped,
            sheet,
            notes: note_marks(dom, source, skipped),
            expanded: HashSet::new(),
            out: HtmlMarkdownWriter::new(source),
            raised: Vec::new(),
            styled: Vec::new(),
            navigation: 0,
            repeated_bytes_left: source.len() + REPEATED_BYTES_MIN,
        }
    }

    /// Writes a part of the page as a block of its own.
    pub(super) fn write_root(&mut self, root: usize) {
        self.out.block(HtmlGap::Paragraph);
        self.walk(root);
    }

    pub(super) fn finish(self) -> MappedText {
        self.out.finish()
    }

    /// Writes `root` and what is inside.
    pub(super) fn walk(&mut self, root: usize) {
        let mut node = root;
        loop {
            let descend = self.enter(node);
            if descend && let Some(child) = self.dom.first_child(node) {
                node = child;
                continue;
            }
            if descend {
                self.leave(node);
            }
            loop {
                if node == root {
                    return;
                }
                if let Some(next) = self.dom.next_sibling(node) {
                    node = next;
                    break;
                }
                let Some(parent) = self.dom.parent(node) else { return };
                node = parent;
                self.leave(node);
            }
        }
    }

    /// The text that stands right behind a text node.
    fn text_behind(&self, node: usize) -> &'a str {
        match self.dom.next_sibling(node).map(|next| self.dom.content(next)) {
            Some(HtmlNodeContent::Text(piece)) => piece.text(self.source),
            _ => "",
        }
    }

    /// Starts a node; whether its children come next, and then its end.
    fn enter(&mut self, node: usize) -> bool {
        if self.skipped[node] {
            return false;
        }
        let dom = self.dom;
        let element = match dom.content(node) {
            HtmlNodeContent::Other => return true,
            HtmlNodeContent::Text(piece) => {
                let behind = self.text_behind(node);
                self.out.text(piece, behind);
                return false;
            }
            HtmlNodeContent::Element(element) => element,
        };
        let tag = dom.tag(node);
        if !element.is_html {
            return if &*element.name == "math" {
                self.enter_formula(node)
            } else {
                !element.name.starts_with("annotation")
            };
        }
        match &*element.name {
            "br" => self.out.line_break(),
            "wbr" => {}
            "hr" => {
                self.out.block(HtmlGap::Paragraph);
                // At the start of a text there is nothing to divide.
                if !self.out.in_cell() && !self.out.is_empty() {
                    self.out.write("---", tag);
                    self.out.block(HtmlGap::Paragraph);
                }
            }
            "pre" | "listing" | "xmp" | "plaintext" if !self.out.in_cell() && !self.out.in_heading() => {
                write_code_block(dom, &self.sheet, self.skipped, node, self.source, &mut self.out);
                return false;
            }
            "code"
                if !self.out.in_cell() && !self.out.in_heading() && is_code_block(dom, &self.sheet, node) =>
            {
                write_code_block(dom, &self.sheet, self.skipped, node, self.source, &mut self.out);
                return false;
            }
            "code" | "tt" | "samp" | "pre" => {
                write_inline_code(dom, &self.sheet, self.skipped, node, self.source, &mut self.out);
                return false;
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                // The name is `h` and a digit.
                self.out.start_heading(usize::from(element.name.as_bytes()[1] - b'0'), tag);
            }
            "ul" | "menu" | "dir" => self.out.start_list(None),
            "ol" => {
                let start = dom.attribute(node, "start").and_then(|start| start.trim().parse().ok());
                self.out.start_list(Some(start.unwrap_or(1)));
            }
            "li" => {
                let number = dom.attribute(node, "value").and_then(|value| value.trim().parse().ok());
                self.out.start_item(number, tag);
            }
            "table" => return self.enter_table(node),
            "tr" | "td" | "th" => self.out.border(HtmlGap::Line),
            "button" => return self.is_in_title(node),
            "input" | "textarea" | "datalist" | "option" | "optgroup" | "rtc" => return false,
            "select" => {
                self.write_options(node);
                return false;
            }
            "img" => {
                if let Some(text) = picture_text(dom, node) {
                    let text = if self.out.in_cell() { text.replace('|', "\\|") } else { text };
                    self.out.write(&text, tag);
                }
            }
            "a" => return self.enter_link(node),
            "del" | "s" | "strike" => self.out.open_mark("~~", "~~".to_owned(), true, tag),
            "q" => self.out.write("\"", tag),
            "sup" | "sub" => {
                let mark = self.raised_or_lowered(node, &*element.name == "sup");
                self.start_raised(mark, tag);
            }
            "rt" => {
                if short_text(dom, self.source, self.skipped, node, 64).trim().is_empty() {
                    return false;
                }
                self.out.write("(", tag);
            }
            name => {
                self.navigation += usize::from(name == "nav");
                if dom.attribute(node, "role") == Some("heading") {
                    let level = dom.attribute(node, "aria-level").and_then(|level| level.parse().ok());
                    self.out.start_heading(level.unwrap_or(2_usize).clamp(1, 6), tag);
                } else if let Some(gap) = gap_around(name) {
                    self.out.border(gap);
                }
                self.start_styled(node);
            }
        }
        true
    }

    fn leave(&mut self, node: usize) {
        let dom = self.dom;
        let tag = dom.tag(node);
        match dom.name(node) {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.out.block(HtmlGap::Paragraph),
            "ul" | "menu" | "dir" | "ol" => self.out.end_list(),
            "li" => self.out.gap(HtmlGap::Line),
            "tr" | "td" | "th" => self.out.border(HtmlGap::Line),
            "table" => self.out.border(HtmlGap::Paragraph),
            "a" | "del" | "s" | "strike" => self.out.close_mark(),
            "q" => self.out.write_on("\"", tag),
            "rt" => self.out.write_on(")", tag),
            "sup" | "sub" => self.end_raised(tag),
            "abbr" | "acronym" | "dfn" => {
                self.end_styled(node);
                self.expand(node);
            }
            "" => {}
            name => {
                self.end_styled(node);
                self.navigation -= usize::from(name == "nav");
                if dom.attribute(node, "role") == Some("heading") {
                    self.out.block(HtmlGap::Paragraph);
                } else if let Some(gap) = gap_around(name) {
                    self.out.border(gap);
                }
            }
        }
    }
}

/// The gap around elements that are blocks.
fn gap_around(name: &str) -> Option<HtmlGap> {
    match name {
        "div" | "dt" | "dd" | "summary" | "caption" | "legend" | "option" | "tbody" | "thead" | "tfoot" => {
            Some(HtmlGap::Line)
        }
        "p" | "section" | "article" | "header" | "footer" | "main" | "nav" | "aside" | "blockquote"
        | "figure" | "figcaption" | "form" | "fieldset" | "address" | "dl" | "details" | "body" | "head"
        | "center" | "dialog" | "hgroup" | "search" | "html" | "marquee" => Some(HtmlGap::Paragraph),
        _ => None,
    }
}
