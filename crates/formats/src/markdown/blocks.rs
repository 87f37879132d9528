//! The first step over Markdown, line by line. It also finds what is code, for the second step.
//!
//! Here are fences, indented code, lists and headings; `whole_lines` and `admonitions` take the rest.

mod admonitions;
mod whole_lines;

use std::ops::Range;

use crate::source_map::MappedText;
use crate::unix_lines::{dedent_bytes, indent_columns, line_ranges};
use whole_lines::is_module_line;

/// Markdown after the first step.
pub(super) struct MarkdownBlocks {
    pub(super) out: MappedText,
    /// Ranges of `out` that are code.
    pub(super) code: Vec<Range<usize>>,
}

/// Rewrites the blocks from a byte on.
pub(super) fn rewrite_blocks(source: &str, from: usize) -> MarkdownBlocks {
    let mut scan = scan_blocks(source, from);
    scan.close_fence();
    MarkdownBlocks { out: scan.out, code: scan.code }
}

/// The line that closes the fence that is open at the end of a text.
pub(super) fn open_fence_at_end(source: &str) -> Option<String> {
    let fence = scan_blocks(source, 0).fence?;
    Some(char::from(fence.mark).to_string().repeat(fence.length))
}

fn scan_blocks(source: &str, from: usize) -> BlockScanner<'_> {
    let lines = line_ranges(source, from);
    let is_mdx = lines.iter().any(|line| {
        let line = &source[line.clone()];
        is_module_line(line)
            || line.starts_with('<') && line[1..].starts_with(|c: char| c.is_ascii_uppercase())
    });
    let mut scan = BlockScanner {
        source,
        lines,
        is_mdx,
        out: MappedText::default(),
        code: Vec::new(),
        bodies: Vec::new(),
        fence: None,
        list: None,
        after_blank: true,
        in_indented_code: false,
        in_html: false,
        after_dropped: false,
        missing: Vec::new(),
    };
    let mut index = 0;
    while index < scan.lines.len() {
        index = scan.line(index);
    }
    scan
}

struct OpenMarkdownFence {
    at: usize,
    mark: u8,
    length: usize,
    quoted: bool,
    /// Columns that are taken off its lines besides those of admonitions.
    dedent: usize,
    /// Lines with less indentation are behind the list item of the fence, and so behind the fence.
    list: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each remembers one thing about the lines before")]
struct BlockScanner<'a> {
    source: &'a str,
    lines: Vec<Range<usize>>,
    /// In MDX nothing is indented code.
    is_mdx: bool,
    out: MappedText,
    code: Vec<Range<usize>>,
    /// Columns of the bodies of open admonitions and tabs, outermost first.
    bodies: Vec<usize>,
    fence: Option<OpenMarkdownFence>,
    /// Column of the content of the current list item.
    list: Option<usize>,
    after_blank: bool,
    in_indented_code: bool,
    in_html: bool,
    after_dropped: bool,
    /// Texts that were looked for and do not come any more.
    missing: Vec<&'static str>,
}

impl BlockScanner<'_> {
    /// Takes the line of an index; returns the index of the next line.
    fn line(&mut self, index: usize) -> usize {
        let range = self.lines[index].clone();
        let line = &self.source[range.clone()];
        if line.trim().is_empty() {
            self.blank(range);
            return index + 1;
        }
        let columns = indent_columns(line);
        while self.bodies.last().is_some_and(|&body| body > columns) {
            self.bodies.pop();
            self.list = None;
            self.close_fence();
        }
        let dropped_columns = 4 * self.bodies.len();
        let visible = columns.saturating_sub(dropped_columns);
        let start = range.start + dedent_bytes(line, dropped_columns);
        if self.fence_line(start, range.end, visible) {
            return index + 1;
        }
        let mark = range.end - line.trim_start().len();
        let shown = &self.source[mark..range.end];
        let was_after_blank = std::mem::replace(&mut self.after_blank, false);
        if !self.is_mdx
            && !self.in_html
            && visible >= self.list.map_or(4, |content| content + 4)
            && (was_after_blank || self.in_indented_code)
        {
            self.in_indented_code = true;
            let at = self.out.len();
            self.copy_line(start, range.end);
            self.code.push(at..self.out.len());
            return index + 1;
        }
        self.in_indented_code = false;
        self.after_dropped = false;
        let flat = (self.is_mdx || self.in_html) && self.list.is_none();
        if (visible < 4 || flat || self.list.is_some())
            && self.open_fence(start, mark, range.end, visible, flat)
        {
            return index + 1;
        }
        if (visible < 4 || flat)
            && let Some(next) = self.whole_lines(index, mark, columns, was_after_blank)
        {
            return next;
        }
        if let Some(next) = self.admonition(index, start, mark, columns) {
            return next;
        }
        if shown.starts_with('<') && visible < 4 {
            self.in_html = true;
        }
        self.track_list(shown, visible, was_after_blank);
        let start = if flat && visible >= 4 { mark } else { start };
        self.copy_text_line(index, start, mark);
        index + 1
    }

    fn blank(&mut self, range: Range<usize>) {
        if let Some(fence) = &self.fence {
            if !fence.quoted {
                self.copy_line(range.end, range.end);
                return;
            }
            self.close_fence();
        }
        self.after_blank = true;
        self.in_html = false;
        if !(self.after_dropped && (self.out.is_empty() || self.out.as_str().ends_with("\n\n"))) {
            self.copy_line(range.end, range.end);
        }
    }

    /// Copies a line and its end.
    fn copy_line(&mut self, start: usize, end: usize) {
        self.out.copy(self.source, start..self.source.len().min(end + 1));
    }

    /// Stands a blank line for lines that are dropped.
    fn drop_lines(&mut self, lines: Range<usize>) {
        self.after_dropped = true;
        self.after_blank = true;
        if !self.out.is_empty() && !self.out.as_str().ends_with("\n\n") {
            self.out.write("\n", lines);
        }
    }

    /// Takes a line inside of an open fence.
    fn fence_line(&mut self, start: usize, end: usize, visible: usize) -> bool {
        let Some(fence) = &self.fence else { return false };
        let mut content = self.source[start..end].trim_start();
        if visible < fence.list || fence.quoted && !content.starts_with('>') {
            self.close_fence();
            return false;
        }
        if fence.quoted {
            content = content.trim_start_matches(['>', ' ', '\t']);
        }
        let content = content.trim_end().as_bytes();
        let closes = content.len() >= fence.length && content.iter().all(|&byte| byte == fence.mark);
        let start = start + dedent_bytes(&self.source[start..end], fence.dedent);
        self.copy_line(start, end);
        if closes {
            self.close_fence();
        }
        true
    }

    fn close_fence(&mut self) {
        if let Some(fence) = self.fence.take() {
            self.code.push(fence.at..self.out.len());
        }
    }

    fn open_fence(&mut self, start: usize, mark: usize, end: usize, visible: usize, flat: bool) -> bool {
        let mut content = &self.source[mark..end];
        let quoted = content.starts_with('>');
        if quoted {
            content = content.trim_start_matches(['>', ' ', '\t']);
        }
        if let Some(width) = list_marker_width(content) {
            content = content.get(width..).unwrap_or_default().trim_start();
        }
        let Some(&byte) = content.as_bytes().first().filter(|byte| matches!(byte, b'`' | b'~')) else {
            return false;
        };
        let length = content.bytes().take_while(|&other| other == byte).count();
        if length < 3 || byte == b'`' && content[length..].contains('`') {
            return false;
        }
        let item_width = list_marker_width(&self.source[mark..end]);
        if let Some(width) = item_width {
            self.list = Some(visible + width);
        }
        let inside = self.list.filter(|&content| content <= visible || item_width.is_some());
        let list = if quoted { 0 } else { inside.unwrap_or(0) };
        let dedent = if flat { visible } else { 0 };
        self.fence = Some(OpenMarkdownFence { at: self.out.len(), mark: byte, length, quoted, dedent, list });
        let start = if flat { mark } else { start };
        self.copy_line(start, end);
        true
    }

    fn track_list(&mut self, shown: &str, visible: usize, after_blank: bool) {
        if let Some(width) = list_marker_width(shown).filter(|_| visible < 4 || self.list.is_some()) {
            self.list = Some(visible + width);
        } else if visible == 0 && after_blank {
            self.list = None;
        } else if visible > 0 && after_blank {
            self.list = self.list.map(|content| content.min(visible));
        }
    }

    /// Copies a line of text, without the attributes of a heading.
    fn copy_text_line(&mut self, index: usize, start: usize, mark: usize) {
        let end = self.lines[index].end;
        let shown = &self.source[mark..end];
        let hashes = shown.bytes().take_while(|&byte| byte == b'#').count();
        let atx = (1..=6).contains(&hashes) && shown[hashes..].starts_with([' ', '\t']);
        let setext = || {
            self.lines.get(index + 1).is_some_and(|next| {
                let next = self.source[next.clone()].trim();
                !next.is_empty() && (next.bytes().all(|b| b == b'=') || next.bytes().all(|b| b == b'-'))
            })
        };
        let trimmed = shown.trim_end();
        if let Some(open) = trimmed.rfind('{').filter(|_| trimmed.ends_with('}')) {
            let inner = trimmed[open + 1..trimmed.len() - 1].trim();
            let attributes =
                inner.starts_with(['#', '.', ':']) || inner.contains('=') && !inner.contains('{');
            if open > hashes && attributes && (atx || setext()) {
                let kept = mark + trimmed[..open].trim_end().len();
                self.out.copy(self.source, start..kept);
                self.copy_line(end, end);
                return;
            }
        }
        self.copy_line(start, end);
    }
}

/// The width of a list marker with the white space behind it.
pub(super) fn list_marker_width(shown: &str) -> Option<usize> {
    let digits = shown.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &shown[digits..];
    let marker = match digits {
        0 => rest.starts_with(['-', '*', '+']),
        1..=9 => rest.starts_with(['.', ')']),
        _ => false,
    };
    let spaces = rest.get(1..)?.bytes().take_while(|&byte| byte == b' ').count();
    (marker && (spaces > 0 || rest.len() == 1)).then(|| digits + 1 + spaces.clamp(1, 4))
}
