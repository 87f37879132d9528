//! Constructs of whole lines that are dropped or become code: comments, modules of MDX, scripts and `<pre>`.

use std::ops::Range;

use super::BlockScanner;
use crate::markdown::tags::scan_tag;

/// Longest MDX statement in lines.
const MODULE_LINES_MAX: usize = 200;

impl BlockScanner<'_> {
    /// Takes constructs that consist of whole lines and are dropped or become code.
    pub(super) fn whole_lines(
        &mut self,
        index: usize,
        mark: usize,
        columns: usize,
        after_blank: bool,
    ) -> Option<usize> {
        let range = self.lines[index].clone();
        let shown = self.source[mark..range.end].trim_end();
        let lower = shown.get(..8.min(shown.len())).unwrap_or_default().to_ascii_lowercase();
        for (open, close) in [("<!--", "-->"), ("{/*", "*/}")] {
            if shown.starts_with(open) {
                return self.comment(index, mark, close);
            }
        }
        if columns == 0 && after_blank && is_module_line(shown) {
            let next = self.module_end(index);
            self.drop_lines(range.start..self.lines[next - 1].end);
            return Some(next);
        }
        if ["<script", "<style"].iter().any(|name| lower.starts_with(name)) {
            let close = if lower.starts_with("<sc") { "</script" } else { "</style" };
            let next = self.line_with(index, close)? + 1;
            self.drop_lines(range.start..self.lines[next - 1].end);
            return Some(next);
        }
        if lower.starts_with("<pre") && lower[4..].starts_with(['>', ' ']) {
            let last = self.line_with(index, "</pre")?;
            self.preformatted(mark, last);
            return Some(last + 1);
        }
        for (open, close) in [("{% highlight ", "{% endhighlight"), ("{{< highlight ", "{{< /highlight")] {
            if let Some(rest) = shown.strip_prefix(open) {
                let last = self.line_with(index, close)?;
                let language = rest.split([' ', '%', '>']).next().unwrap_or_default();
                self.write_fence(language, range.clone(), self.lines[index + 1..last].to_vec());
                return Some(last + 1);
            }
        }
        let dropped = matches!(shown, "[TOC]" | "[toc]" | "[[toc]]" | "[[TOC]]" | "[[_TOC_]]")
            || shown.starts_with("--8<--")
            || shown.starts_with("{:") && shown.ends_with('}');
        if dropped {
            self.drop_lines(range);
            return Some(index + 1);
        }
        None
    }

    /// Drops a comment that begins a line and is alone on its lines.
    fn comment(&mut self, index: usize, mark: usize, close: &'static str) -> Option<usize> {
        let end = self.find(mark, close)? + close.len();
        let last = index + self.lines[index..].partition_point(|line| line.end < end);
        let behind = &self.source[end..self.lines[last].end];
        if !behind.trim().is_empty() {
            return None;
        }
        self.drop_lines(mark..end);
        Some(last + 1)
    }

    /// The index of the first line from an index on that contains a text.
    fn line_with(&mut self, index: usize, text: &'static str) -> Option<usize> {
        let found = self.find(self.lines[index].start, text)?;
        Some(index + self.lines[index..].partition_point(|line| line.end < found))
    }

    fn find(&mut self, from: usize, text: &'static str) -> Option<usize> {
        if self.missing.contains(&text) {
            return None;
        }
        let found = memchr::memmem::find(&self.source.as_bytes()[from..], text.as_bytes());
        if found.is_none() {
            self.missing.push(text);
        }
        found.map(|found| from + found)
    }

    fn module_end(&self, index: usize) -> usize {
        let mut depth = 0_i32;
        let mut blank = None;
        for (offset, range) in self.lines[index..].iter().take(MODULE_LINES_MAX).enumerate() {
            let line = &self.source[range.clone()];
            if line.trim().is_empty() {
                blank = blank.or(Some(index + offset));
            }
            depth += bracket_balance(line);
            if depth <= 0 {
                return index + offset + 1;
            }
        }
        blank.unwrap_or(index + 1)
    }

    fn preformatted(&mut self, mark: usize, last: usize) {
        let range = mark..self.lines[last].end;
        let inner = &self.source[range.clone()];
        let close = inner.to_ascii_lowercase().rfind("</pre").unwrap_or(inner.len());
        let at = self.out.len();
        self.out.write("```\n", mark..mark);
        let mut copied = mark + inner.find('>').map_or(close, |end| end + 1).min(close);
        if self.source[copied..].starts_with('\n') {
            copied += 1;
        }
        let end = mark + close;
        while copied < end {
            let next =
                memchr::memchr2(b'<', b'&', &self.source.as_bytes()[copied..end]).map_or(end, |n| copied + n);
            self.out.copy(self.source, copied..next);
            if next == end {
                break;
            }
            let rest = &self.source[next..end];
            let entity = [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("&quot;", "\""), ("&#39;", "'")];
            if let Some((written, shown)) = entity.iter().find(|(written, _)| rest.starts_with(written)) {
                self.out.write(shown, next..next + written.len());
                copied = next + written.len();
            } else if let Some(tag) = scan_tag(self.source, next).filter(|tag| tag.end <= end) {
                copied = tag.end;
            } else {
                self.out.copy(self.source, next..next + 1);
                copied = next + 1;
            }
        }
        if !self.out.as_str().ends_with('\n') {
            self.out.write("\n", end..end);
        }
        self.out.write("```\n", end..range.end);
        self.code.push(at..self.out.len());
    }

    fn write_fence(&mut self, language: &str, opening: Range<usize>, lines: Vec<Range<usize>>) {
        let at = self.out.len();
        let end = lines.last().map_or(opening.end, |line| line.end);
        self.out.write(&format!("```{language}\n"), opening);
        for line in lines {
            self.copy_line(line.start, line.end);
        }
        self.out.write("```\n", end..end);
        self.code.push(at..self.out.len());
    }
}

/// Whether a line begins an `import` or `export` of MDX, and is no prose.
pub(super) fn is_module_line(line: &str) -> bool {
    if let Some(rest) = line.strip_prefix("import") {
        let named = rest.trim_start();
        let bare =
            named.starts_with(['\'', '"']) && named.trim_end_matches([';', ' ']).ends_with(['\'', '"']);
        let from = [" from '", " from \"", "}from"].iter().any(|part| rest.contains(part));
        return rest.starts_with([' ', '{', '\'', '"']) && (bare || from || named.trim() == "{");
    }
    let Some(rest) = line.strip_prefix("export ") else { return false };
    let declares =
        ["const ", "let ", "var ", "function ", "async ", "class ", "default ", "type ", "interface "];
    let code = rest.contains(['=', '(', '{', ';']);
    rest.starts_with("* from")
        || rest.starts_with('{')
        || declares.iter().any(|word| rest.starts_with(word)) && code
}

/// Open brackets less closed ones in a line of JavaScript, outside of strings.
fn bracket_balance(line: &str) -> i32 {
    let mut balance = 0;
    let mut quote = None;
    let mut escaped = false;
    for byte in line.bytes() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), byte) if open == byte => quote = None,
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => balance += 1,
            (None, b')' | b']' | b'}') => balance -= 1,
            _ => {}
        }
    }
    balance
}
