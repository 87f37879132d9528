//! Spans between marks: code in backticks, templates in braces, links in brackets.

use super::{BACKTICKS_MAX, InlineScanner, SPAN_BYTES_MAX};
use crate::unix_lines::trimmed_range;

impl InlineScanner<'_> {
    /// Code between runs of backticks is copied.
    pub(super) fn backticks(&mut self, at: usize, to: usize) -> usize {
        let bytes = self.text.as_bytes();
        if at >= self.paragraph_end {
            self.paragraph_end = paragraph_end(self.text, at);
            self.unmatched_backticks = [false; BACKTICKS_MAX];
        }
        let end = to.min(self.paragraph_end);
        let run = |from: usize| bytes[from..].iter().take_while(|&&byte| byte == b'`').count();
        let length = run(at);
        if length >= BACKTICKS_MAX || self.unmatched_backticks[length] {
            return self.copy(at, at + length);
        }
        let mut next = at + length;
        while let Some(found) = bytes.get(next..end).and_then(|rest| memchr::memchr(b'`', rest)) {
            let other = run(next + found);
            next += found + other;
            if other == length {
                return self.copy(at, next);
            }
        }
        self.unmatched_backticks[length] = true;
        self.copy(at, at + length)
    }

    pub(super) fn brace(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        let span = SPAN_BYTES_MAX;
        let end = if rest.starts_with("{/*") {
            self.find_end(at + 3, "*/}", usize::MAX)
        } else if rest.starts_with("{{<") {
            self.find_end(at + 3, ">}}", span)
        } else if rest.starts_with("{{%") {
            self.find_end(at + 3, "%}}", span)
        } else if rest.starts_with("{%") {
            return self.liquid(at);
        } else {
            let behind_span = self.out.as_str().ends_with([')', ']', '`']);
            let near = &rest[1..rest.floor_char_boundary(128)];
            let inner = near.split_once('}').map(|(inner, _)| inner);
            inner
                .filter(|inner| {
                    let marked = inner.trim_start().starts_with(['#', '.', ':']) || inner.contains('=');
                    behind_span && marked && !inner.contains(['\n', '{'])
                })
                .map(|inner| at + inner.len() + 2)
        };
        match end {
            Some(end) => self.drop_to(end),
            None => self.copy(at, at + 1),
        }
    }

    /// Drops a tag of Liquid; what is raw is copied, what is a comment goes.
    fn liquid(&mut self, at: usize) -> usize {
        let Some(end) = self.find_end(at + 2, "%}", SPAN_BYTES_MAX) else { return self.copy(at, at + 1) };
        let word = self.text[at + 2..end - 2].trim_matches(['-', ' ', '\n']);
        self.dropped = true;
        if word == "raw" {
            let Some(close) = self.find_end(end, "endraw", usize::MAX) else { return end };
            let inner_end = self.text[end..close].rfind("{%").map_or(end, |found| end + found);
            self.copy(end, inner_end);
            self.line_start = self.out.as_str().rfind('\n').map_or(0, |found| found + 1);
            return self.find_end(close, "%}", SPAN_BYTES_MAX).unwrap_or(close);
        }
        if word == "comment" {
            let Some(close) = self.find_end(end, "endcomment", usize::MAX) else { return end };
            return self.find_end(close, "%}", SPAN_BYTES_MAX).unwrap_or(close);
        }
        end
    }

    /// Wiki links, and links and pictures in `data:` URIs.
    pub(super) fn bracket(&mut self, at: usize) -> usize {
        let line = &self.text[at..self.text.floor_char_boundary(at + SPAN_BYTES_MAX)];
        if let Some(inner) = line.strip_prefix("[[")
            && let Some(shown) = inner.split_once("]]").map(|(shown, _)| shown).filter(|s| is_wiki_link(s))
        {
            let end = at + shown.len() + 4;
            if !self.text[end..].starts_with(['(', '[']) {
                self.forget_picture_mark();
                let from = shown.rfind('|').map_or(0, |bar| bar + 1);
                let start = at + 2 + from;
                self.copy(start, at + 2 + shown.len());
                return self.drop_to(end);
            }
        }
        let start_of_line = self.current_line().trim().is_empty();
        if let Some((label, behind)) = line.split_once("]:").filter(|_| start_of_line) {
            let is_data = behind.trim_start_matches([' ', '<']).starts_with("data:");
            if is_data && !label.contains(['\n', ']']) {
                let end =
                    memchr::memchr(b'\n', &self.text.as_bytes()[at..]).map_or(self.text.len(), |n| at + n);
                return self.drop_to(end);
            }
        }
        let data = ["](data:", "](<data:"].iter().find_map(|open| line.find(open));
        if let Some(label) = data.filter(|&label| !line[1..label].contains(['[', '\n'])) {
            let from = at + label;
            let end = memchr::memchr2(b')', b'\n', &self.text.as_bytes()[from..]).map(|found| from + found);
            if let Some(end) = end.filter(|&end| self.text.as_bytes()[end] == b')') {
                self.forget_picture_mark();
                self.copy(at + 1, from);
                return self.drop_to(end + 1);
            }
        }
        self.copy(at, at + 1)
    }

    fn forget_picture_mark(&mut self) {
        if self.out.as_str().ends_with('!') {
            let shorter = self.out.len() - 1;
            self.out.truncate(shorter);
        }
    }
}

/// Whether what stands between `[[` and `]]` names a page.
fn is_wiki_link(shown: &str) -> bool {
    let parts = shown.rsplit('|').next().unwrap_or_default();
    !trimmed_range(parts, 0..parts.len()).is_empty()
        && !shown.starts_with(' ')
        && !shown.contains(['\n', '[', ']'])
}

/// Where the paragraph of a byte ends: at the next blank line.
fn paragraph_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    for end in memchr::memchr_iter(b'\n', &bytes[from..]) {
        let next = bytes[from + end + 1..].iter().find(|&&byte| byte != b' ' && byte != b'\t');
        if matches!(next, None | Some(b'\n')) {
            return from + end;
        }
    }
    text.len()
}
