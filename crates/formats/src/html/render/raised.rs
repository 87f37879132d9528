//! Raised, lowered and struck text, by element or by style.

use std::ops::Range;

use super::HtmlRenderer;
use crate::html::inline::{HtmlRaisedMark, lowered_mark, raised_mark};
use crate::html::writer::HtmlGap;

impl HtmlRenderer<'_> {
    /// Starts what a style strikes, raises or lowers, as pages do that were made in word processors.
    pub(super) fn start_styled(&mut self, node: usize) {
        let effect = self.sheet.effect(self.dom, node);
        if !effect.struck && effect.raised.is_none() {
            return;
        }
        let tag = self.dom.tag(node);
        if effect.struck {
            self.out.open_mark("~~", "~~".to_owned(), true, tag.clone());
        }
        if let Some(raised) = effect.raised {
            let mark = self.raised_or_lowered(node, raised);
            self.start_raised(mark, tag);
        }
        self.styled.push((node, effect));
    }

    pub(super) fn end_styled(&mut self, node: usize) {
        if self.styled.last().is_none_or(|(styled, _)| *styled != node) {
            return;
        }
        let Some((_, effect)) = self.styled.pop() else { return };
        if effect.raised.is_some() {
            self.end_raised(self.dom.tag(node));
        }
        if effect.struck {
            self.out.close_mark();
        }
    }

    pub(super) fn raised_or_lowered(&self, node: usize, raised: bool) -> HtmlRaisedMark {
        let line = if self.out.last_character().is_some() { self.out.line_so_far() } else { "" };
        if raised {
            raised_mark(self.dom, self.source, self.skipped, node, &self.notes, line)
        } else {
            lowered_mark(self.dom, self.source, self.skipped, node, line)
        }
    }

    pub(super) fn end_raised(&mut self, tag: Range<usize>) {
        if let Some(behind) = self.raised.pop().filter(|behind| !behind.is_empty()) {
            self.out.write_on(behind, tag);
        }
    }

    pub(super) fn start_raised(&mut self, mark: HtmlRaisedMark, tag: Range<usize>) {
        if mark.before.starts_with(' ') {
            self.out.gap(HtmlGap::Space);
        }
        if !mark.before.trim().is_empty() {
            self.out.write(mark.before.trim(), tag);
        }
        self.raised.push(mark.behind);
    }
}
