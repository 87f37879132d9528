//! Inline markup of reStructuredText.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::markup_fragment::MarkupFragment;

/// Longest inline markup.
const SPAN_BYTES_MAX: usize = 1024;
/// Roles whose text is code.
const CODE_ROLES: [&str; 26] = [
    "func", "class", "meth", "mod", "attr", "data", "exc", "obj", "const", "code", "file", "command",
    "option", "envvar", "samp", "kbd", "program", "type", "macro", "member", "var", "literal", "keyword",
    "token", "regexp", "makevar",
];

/// What names of the document stand for.
#[derive(Debug, Default)]
pub(super) struct RestNames {
    /// Addresses by the name of the link, in lower case.
    pub(super) targets: BTreeMap<String, String>,
    /// Texts by the name of the substitution.
    pub(super) substitutions: BTreeMap<String, String>,
}

/// Renders a range as Markdown.
pub(super) fn render_rest_inline(source: &str, range: Range<usize>, names: &RestNames) -> MarkupFragment {
    let mut scan = RestInlineScanner {
        source,
        end: range.end,
        names,
        out: MarkupFragment::default(),
        word_start: range.start,
    };
    let mut at = range.start;
    let mut copied = at;
    while at < range.end {
        let special = |byte: &u8| matches!(byte, b'`' | b'|' | b'\\' | b'_' | b'[' | b':');
        let Some(found) = source.as_bytes()[at..range.end].iter().position(special) else { break };
        at += found;
        match scan.markup(at, copied) {
            Some(next) => (at, copied) = (next, next),
            None => at += 1,
        }
    }
    scan.out.copy(copied..range.end);
    scan.out
}

struct RestInlineScanner<'a> {
    source: &'a str,
    end: usize,
    names: &'a RestNames,
    out: MarkupFragment,
    /// Where what comes before was last rendered.
    word_start: usize,
}

impl RestInlineScanner<'_> {
    /// Takes the markup at a byte, if there is some, with what is to be copied before it; returns its end.
    fn markup(&mut self, at: usize, copied: usize) -> Option<usize> {
        let source = self.source;
        let rest = &source[at..source.floor_char_boundary(self.end.min(at + SPAN_BYTES_MAX))];
        self.word_start = copied;
        match rest.as_bytes()[0] {
            b'\\' => {
                self.out.copy(copied..at);
                let blank = rest[1..].starts_with([' ', '\n']);
                if !blank && rest.len() > 1 {
                    let next = at + 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                    self.out.copy(at..next);
                    return Some(next);
                }
                Some(at + if blank { 2 } else { 1 })
            }
            b'`' if rest.starts_with("``") => {
                let length = rest[2..].find("``").filter(|&length| length > 0)?;
                // A literal may end in a backtick.
                let length = length + rest[2 + length + 2..].bytes().take_while(|&byte| byte == b'`').count();
                let inner = at + 2..at + 2 + length;
                self.out.copy(copied..at);
                self.code(inner.clone(), at..inner.end + 2);
                Some(inner.end + 2)
            }
            b'`' => {
                let end = rest[1..].find('`').filter(|&end| end > 0)? + 1;
                self.out.copy(copied..at);
                Some(self.interpreted(at, at + 1..at + end, ""))
            }
            b':' => {
                let name = rest[1..].split_once(":`").map(|(name, _)| name)?;
                let fits = !name.is_empty()
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'+' | b'.'));
                let open = at + name.len() + 3;
                let length = source[open..source.floor_char_boundary(self.end.min(open + SPAN_BYTES_MAX))]
                    .find('`')?;
                if !fits {
                    return None;
                }
                self.out.copy(copied..at);
                Some(self.interpreted(at, open..open + length, name))
            }
            b'|' => {
                let name =
                    rest[1..].split_once('|').map(|(name, _)| name).filter(|name| !name.contains('\n'))?;
                let text = self.names.substitutions.get(&name.to_lowercase())?;
                let mut end = at + name.len() + 2;
                self.out.copy(copied..at);
                self.out.write(text, at..end);
                end += source[end..self.end].bytes().take(2).take_while(|&byte| byte == b'_').count();
                Some(end)
            }
            b'[' => {
                let (name, behind) = rest[1..].split_once(']')?;
                let fits = !name.is_empty() && name.len() < 64 && !name.contains([' ', '\n', '[']);
                if !fits || !behind.starts_with('_') || behind[1..].starts_with(char::is_alphanumeric) {
                    return None;
                }
                self.out.copy(copied..at);
                self.out.write("[^", at..at + 1);
                self.out.copy(at + 1..at + 1 + name.len());
                self.out.write("]", at + 1 + name.len()..at + name.len() + 3);
                Some(at + name.len() + 3)
            }
            _ => self.reference(at, copied),
        }
    }

    /// `name_` refers to a target.
    fn reference(&mut self, at: usize, copied: usize) -> Option<usize> {
        let end = at + self.source[at..self.end].bytes().take(2).take_while(|&byte| byte == b'_').count();
        if self.source[end..self.end].starts_with(|next: char| next.is_alphanumeric() || next == '_') {
            return None;
        }
        let before = &self.source[copied..at];
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        let start = at - before.chars().rev().take_while(|&c| is_name(c)).map(char::len_utf8).sum::<usize>();
        let target = self.names.targets.get(&self.source[start..at].to_lowercase()).filter(|_| start < at)?;
        self.out.copy(copied..start);
        self.link(start..at, target, at..end);
        Some(end)
    }

    fn link(&mut self, text: Range<usize>, target: &str, place: Range<usize>) {
        if target.is_empty() {
            return self.out.copy(text);
        }
        self.out.write("[", text.start..text.start);
        self.out.copy(text);
        self.out.write(&format!("]({target})"), place);
    }

    fn code(&mut self, inner: Range<usize>, whole: Range<usize>) {
        let marks = if self.source[inner.clone()].contains('`') { "``" } else { "`" };
        self.out.write(marks, whole.start..inner.start);
        self.out.copy(inner.clone());
        self.out.write(marks, inner.end..whole.end);
    }

    /// Takes what stands between backticks; returns the end with the marks behind.
    fn interpreted(&mut self, start: usize, inner: Range<usize>, role: &str) -> usize {
        let source = self.source;
        let text = &source[inner.clone()];
        let mut end = inner.end + 1;
        let underscores = source[end..self.end].bytes().take(2).take_while(|&byte| byte == b'_').count();
        if role.is_empty() {
            end += underscores;
        }
        let (shown, target) = match text.rfind('<').filter(|_| text.ends_with('>')) {
            Some(open) => {
                let shown = inner.start..inner.start + text[..open].trim_end().len();
                let target = inner.start + open + 1..inner.end - 1;
                (if shown.is_empty() { target.clone() } else { shown }, Some(target))
            }
            None => (inner.clone(), None),
        };
        let name = role.rsplit(':').next().unwrap_or_default();
        if role.is_empty() && underscores > 0 {
            match target {
                Some(target) if !source[target.clone()].ends_with('_') => {
                    let target = source[target].split_whitespace().collect::<String>();
                    self.link(shown, &target, inner.end..end);
                }
                _ => {
                    let target = self.names.targets.get(&source[shown.clone()].to_lowercase()).cloned();
                    self.link(shown, target.as_deref().unwrap_or_default(), inner.end..end);
                }
            }
        } else if matches!(name, "sup" | "superscript") {
            self.out.write("^", start..inner.start);
            self.out.copy(inner);
        } else if name == "math" {
            self.out.write("$", start..inner.start);
            self.out.copy(inner.clone());
            self.out.write("$", inner.end..end);
        } else if CODE_ROLES.contains(&name) {
            let is_titled = target.is_some() && shown.start == inner.start;
            let short = match source[shown.clone()].strip_prefix('~') {
                Some(path) if !is_titled => {
                    shown.end - path.rsplit('.').next().unwrap_or_default().len()..shown.end
                }
                _ => shown.end - source[shown.clone()].trim_start_matches('!').len()..shown.end,
            };
            self.code(short, start..end);
        } else if role.is_empty() {
            self.out.copy(start..end);
        } else {
            self.out.copy(shown);
        }
        end
    }
}
