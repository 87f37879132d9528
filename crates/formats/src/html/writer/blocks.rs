//! Borders of blocks, headings, lists, rows of tables and fences, and the inline marks that they end.

use std::ops::Range;

use super::{HtmlGap, HtmlInlineMark, HtmlMarkdownWriter};

impl HtmlMarkdownWriter<'_> {
    /// Ends heading, marker, line and the inline marks of the block.
    pub(in crate::html) fn block(&mut self, gap: HtmlGap) {
        if self.in_cell {
            self.gap = self.gap.max(HtmlGap::Space);
            return;
        }
        self.heading = false;
        self.marker.clear();
        self.broken = false;
        self.close_block_marks();
        self.gap = self.gap.max(gap);
    }

    fn close_block_marks(&mut self) {
        for mark in self.marks.iter_mut().rev().filter(|mark| mark.opened && !mark.done) {
            self.out.write(&mark.close, mark.tag.clone());
            mark.opened = false;
            mark.done = !mark.for_each_block;
        }
    }

    /// The border of an element that is a block but no item or heading.
    pub(in crate::html) fn border(&mut self, gap: HtmlGap) {
        if self.heading && gap == HtmlGap::Line {
            self.gap = self.gap.max(HtmlGap::Space);
        } else if self.marker.is_empty() || self.heading {
            self.block(gap);
        }
    }

    pub(in crate::html) fn line_break(&mut self) {
        if self.heading || self.in_cell {
            self.gap = self.gap.max(HtmlGap::Space);
        } else if self.broken {
            self.gap = HtmlGap::Paragraph;
        } else {
            self.broken = self.gap < HtmlGap::Line;
            self.gap = self.gap.max(HtmlGap::Line);
        }
    }

    pub(in crate::html) fn start_heading(&mut self, level: usize, tag: Range<usize>) {
        self.block(HtmlGap::Paragraph);
        if !self.in_cell {
            self.heading = true;
            self.set_marker(format!("{} ", "#".repeat(level)), tag);
        }
    }

    fn set_marker(&mut self, marker: String, tag: Range<usize>) {
        self.marker = marker;
        self.marker_tag = tag;
    }

    fn list_gap(&self) -> HtmlGap {
        if self.lists.is_empty() { HtmlGap::Paragraph } else { HtmlGap::Line }
    }

    /// Opens a list; `start` is the number of the first item of an ordered one.
    pub(in crate::html) fn start_list(&mut self, start: Option<i64>) {
        self.block(self.list_gap());
        if !self.in_cell {
            self.lists.push(start);
        }
    }

    pub(in crate::html) fn end_list(&mut self) {
        if !self.in_cell {
            self.lists.pop();
            self.lists_ended = self.lists_ended.min(self.lists.len());
        }
        self.block(self.list_gap());
    }

    pub(in crate::html) fn start_item(&mut self, number: Option<i64>, tag: Range<usize>) {
        // Behind a paragraph of no list only an item with number one would be read as one.
        let ended = self.lists_ended > 0 && self.lists_ended == self.lists.len();
        self.block(if ended { HtmlGap::Paragraph } else { HtmlGap::Line });
        if self.in_cell {
            return;
        }
        let marker = match self.lists.last_mut() {
            Some(Some(next)) => {
                let own = number.unwrap_or(*next);
                *next = own.saturating_add(1);
                format!("{own}. ")
            }
            _ => "- ".to_owned(),
        };
        self.set_marker(marker, tag);
    }

    /// Opens marks around what follows; they are written only if text follows.
    pub(in crate::html) fn open_mark(
        &mut self,
        open: &'static str,
        close: String,
        for_each_block: bool,
        tag: Range<usize>,
    ) {
        let marked = !open.is_empty() && self.marks.iter().all(|mark| mark.open != open);
        self.marked.push(marked);
        if marked {
            self.marks.push(HtmlInlineMark { open, close, tag, opened: false, for_each_block, done: false });
        }
    }

    /// Closes the marks that were opened last.
    pub(in crate::html) fn close_mark(&mut self) {
        if self.marked.pop() == Some(true)
            && let Some(mark) = self.marks.pop()
            && mark.opened
        {
            self.out.write(&mark.close, mark.tag);
        }
    }

    /// Starts a line of its own for a table's row and keeps everything on it until [`Self::end_row`].
    pub(in crate::html) fn start_row(&mut self, gap: HtmlGap, tag: Range<usize>) {
        self.block(gap);
        self.marks_around = std::mem::take(&mut self.marks);
        self.write("|", tag);
        self.in_cell = true;
    }

    /// Starts a cell.
    pub(in crate::html) fn start_cell(&mut self) {
        self.gap = HtmlGap::Space;
    }

    /// Ends a cell.
    pub(in crate::html) fn end_cell(&mut self, tag: Range<usize>) {
        self.gap = HtmlGap::None;
        self.out.write(" |", tag);
    }

    pub(in crate::html) fn end_row(&mut self) {
        self.in_cell = false;
        self.marks = std::mem::take(&mut self.marks_around);
        self.gap = HtmlGap::Line;
    }

    /// Starts a fence at the start of a line.
    pub(in crate::html) fn start_fence(&mut self, fence: &str, tag: Range<usize>) {
        self.block(HtmlGap::Paragraph);
        if !self.out.is_empty() {
            self.out.write("\n\n", tag.clone());
        }
        self.gap = HtmlGap::None;
        self.lists_ended = self.lists.len();
        self.out.write(fence, tag.clone());
        self.out.write("\n", tag);
    }

    pub(in crate::html) fn end_fence(&mut self, fence: &str, tag: Range<usize>) {
        self.out.write("\n", tag.clone());
        self.out.write(fence, tag);
        self.line_open = false;
        self.gap = HtmlGap::Paragraph;
    }
}
