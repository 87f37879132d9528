//! Elements whose content decides how they are written: links, formulas, abbreviations, lists of options, tables.

use super::HtmlRenderer;
use crate::html::code::write_code_block;
use crate::html::dom::HtmlNodeContent;
use crate::html::inline::{formula, short_text, text_address};
use crate::html::metadata::one_line;
use crate::html::tables::{HtmlTableUse, read_table};
use crate::html::writer::HtmlGap;

/// Most options of a `select` that are written.
const OPTIONS_MAX: usize = 20;
/// Longest expansion of an abbreviation.
const EXPANSION_BYTES_MAX: usize = 120;

impl HtmlRenderer<'_> {
    /// Whether a button is what a title consists of, as where titles open their text.
    pub(super) fn is_in_title(&self, node: usize) -> bool {
        self.dom.ancestors(node).take(3).any(|above| {
            matches!(self.dom.name(above), "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "summary" | "dt")
        })
    }

    pub(super) fn enter_formula(&mut self, node: usize) -> bool {
        let dom = self.dom;
        let annotation = dom.subtree(node).take(4096).find(|&below| {
            dom.element(below).is_some_and(|element| &*element.name == "annotation")
                && dom.attribute(below, "encoding").is_some_and(|encoding| encoding.contains("tex"))
        });
        let tex = match annotation {
            Some(annotation) => short_text(dom, self.source, self.skipped, annotation, 2000),
            None => dom.attribute(node, "alttext").unwrap_or_default().to_owned(),
        };
        let Some(tex) = one_line(formula(&tex), 2000) else { return true };
        let tex = if self.out.in_cell() { tex.replace('|', "\\|") } else { tex };
        self.out.write(&format!("${tex}$"), dom.tag(node));
        false
    }

    /// Opens the marks of a link; whether its text is written.
    pub(super) fn enter_link(&mut self, node: usize) -> bool {
        let dom = self.dom;
        let written = dom.attribute(node, "href").unwrap_or_default();
        let text = short_text(dom, self.source, self.skipped, node, 500);
        let text = text.trim();
        if written.contains('#') && self.out.in_heading() {
            let signs =
                |next: char| !next.is_alphanumeric() && !next.is_ascii_punctuation() || "#".contains(next);
            let class = dom.attribute(node, "class").unwrap_or_default();
            if text.chars().all(signs) || ["headerlink", "hash-link"].iter().any(|name| class.contains(name))
            {
                return false;
            }
        }
        let address = text_address(written).filter(|address| {
            let shown = address.strip_prefix("mailto:").unwrap_or(address);
            let same = shown == text
                || shown.trim_end_matches('/') == text
                || shown.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/') == text);
            !same && self.raised.is_empty() && self.navigation == 0
        });
        match address {
            Some(address) => self.out.open_mark("[", format!("]({address})"), false, dom.tag(node)),
            None => self.out.open_mark("", String::new(), false, dom.tag(node)),
        }
        true
    }

    /// Writes what an abbreviation stands for behind its first use.
    pub(super) fn expand(&mut self, node: usize) {
        let Some(title) = self.dom.attribute(node, "title") else { return };
        let Some(line) = one_line(title, EXPANSION_BYTES_MAX) else { return };
        let text = short_text(self.dom, self.source, self.skipped, node, EXPANSION_BYTES_MAX);
        let known = line.len() < title.trim().len() || text.trim() == line || text.trim().is_empty();
        if !known && self.expanded.insert(title) {
            let line = if self.out.in_cell() { line.replace('|', "\\|") } else { line };
            self.out.write_on(&format!(" ({line})"), self.dom.tag(node));
        }
    }

    pub(super) fn write_options(&mut self, select: usize) {
        let dom = self.dom;
        let options = dom.subtree(select).take(4096).filter(|&node| dom.name(node) == "option");
        let mut first = true;
        for option in options.take(OPTIONS_MAX) {
            if self.skipped[option] || !self.has_content(option) {
                continue;
            }
            if !first {
                self.out.write_on(",", dom.tag(option));
            }
            first = false;
            self.out.gap(HtmlGap::Space);
            for node in dom.subtree(option) {
                if let HtmlNodeContent::Text(piece) = dom.content(node) {
                    self.out.text(piece, "");
                }
            }
        }
        self.out.gap(HtmlGap::Space);
    }

    /// Whether an element has anything that is written.
    pub(in crate::html) fn has_content(&self, root: usize) -> bool {
        let mut next = Some(root);
        while let Some(node) = next {
            if !self.skipped[node] {
                match self.dom.content(node) {
                    HtmlNodeContent::Text(piece) if !piece.text(self.source).trim().is_empty() => {
                        return true;
                    }
                    HtmlNodeContent::Element(_) if self.dom.name(node) == "img" => return true,
                    _ => {}
                }
            }
            next = self.dom.following(node, root, !self.skipped[node]);
        }
        false
    }

    pub(super) fn enter_table(&mut self, node: usize) -> bool {
        if self.out.in_cell() || self.out.in_heading() {
            self.out.gap(HtmlGap::Space);
            return true;
        }
        match read_table(self.dom, self.source, self.skipped, node) {
            HtmlTableUse::Layout => {
                self.out.border(HtmlGap::Paragraph);
                true
            }
            HtmlTableUse::Code => {
                write_code_block(self.dom, &self.sheet, self.skipped, node, self.source, &mut self.out);
                false
            }
            HtmlTableUse::Data(grid) => {
                self.write_table(&grid);
                false
            }
        }
    }
}
