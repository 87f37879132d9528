//! Inline markup of `AsciiDoc`.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::markup_fragment::MarkupFragment;

/// Longest inline markup.
const SPAN_BYTES_MAX: usize = 1024;

/// Renders a range as Markdown.
pub(super) fn render_ascii_doc_inline(
    source: &str,
    range: Range<usize>,
    attributes: &BTreeMap<String, String>,
) -> MarkupFragment {
    let mut scan =
        AsciiDocInlineScanner { source, end: range.end, attributes, out: MarkupFragment::default() };
    let mut copied = range.start;
    let mut at = range.start;
    let special = |byte: &u8| {
        matches!(
            byte,
            b'{' | b'<' | b'[' | b'*' | b'_' | b'`' | b'+' | b'#' | b'^' | b'~' | b'(' | b':' | b'\\' | b'"'
        )
    };
    while let Some(found) = source.as_bytes()[at..range.end].iter().position(special) {
        at += found;
        match scan.markup(at, copied) {
            Some(next) => (at, copied) = (next, next),
            None => at += 1,
        }
    }
    scan.out.copy(copied..range.end);
    scan.out
}

struct AsciiDocInlineScanner<'a> {
    source: &'a str,
    end: usize,
    attributes: &'a BTreeMap<String, String>,
    out: MarkupFragment,
}

impl AsciiDocInlineScanner<'_> {
    fn near(&self, at: usize) -> &str {
        &self.source[at..self.source.floor_char_boundary(self.end.min(at + SPAN_BYTES_MAX))]
    }

    /// Takes the markup at a byte, if there is some, with what is to be copied before it; returns its end.
    fn markup(&mut self, at: usize, copied: usize) -> Option<usize> {
        let near = self.near(at).to_owned();
        match near.as_bytes()[0] {
            b'\\' => {
                let next = near[1..].chars().next().filter(char::is_ascii_punctuation)?;
                self.out.copy(copied..at);
                self.out.copy(at + 1..at + 1 + next.len_utf8());
                Some(at + 1 + next.len_utf8())
            }
            b'{' => self.attribute(at, copied, &near),
            b'<' if near.starts_with("<<") => {
                let inner = &near[2..2 + near[2..].find(">>")?];
                self.out.copy(copied..at);
                let text = inner.find(',').map_or(0, |comma| comma + 1);
                let text = text + (inner[text..].len() - inner[text..].trim_start_matches([' ', '#']).len());
                self.out.copy(at + 2 + text..at + 2 + inner.len());
                Some(at + inner.len() + 4)
            }
            b'[' if near.starts_with("[[") => {
                let length = near.find("]]").filter(|&length| !near[..length].contains('\n'))?;
                self.out.copy(copied..at);
                Some(at + length + 2)
            }
            b'[' => {
                // A role of the text between `#` or other marks behind it.
                let length = near.find(']')?;
                let is_role = near[1..].starts_with(['.', '#'])
                    || near[1..length].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                if !is_role || !near[length + 1..].starts_with(['#', '*', '_', '`']) {
                    return None;
                }
                self.out.copy(copied..at);
                self.marked(at + length + 1).or(Some(at + length + 1))
            }
            b'(' if near.starts_with("(((") => {
                let length = near.find(")))")?;
                self.out.copy(copied..at);
                Some(at + length + 3)
            }
            b'(' if near.starts_with("((") => {
                let length = near.find("))")?;
                self.out.copy(copied..at);
                self.out.copy(at + 2..at + length);
                Some(at + length + 2)
            }
            b'"' if near.starts_with("\"`") => {
                let length = near.find("`\"")?;
                self.out.copy(copied..at + 1);
                self.out.copy(at + 2..at + length);
                self.out.copy(at + length + 1..at + length + 2);
                Some(at + length + 2)
            }
            b':' => self.named(at, copied, &near),
            b'*' | b'_' | b'`' | b'+' | b'#' | b'^' | b'~' => {
                let before = self.source[copied..at].chars().next_back();
                let doubled = near.as_bytes().get(1) == Some(&near.as_bytes()[0]);
                let free = matches!(near.as_bytes()[0], b'^' | b'~') || doubled;
                if !free && before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
                    return None;
                }
                if near.starts_with("+\n") && before == Some(' ') {
                    self.out.copy(copied..at - 1);
                    return Some(at + 1);
                }
                let mut rendered = std::mem::take(&mut self.out);
                let end = self.marked(at);
                let piece = std::mem::take(&mut self.out);
                if end.is_some() {
                    rendered.copy(copied..at);
                    rendered.append(piece);
                }
                self.out = rendered;
                end
            }
            _ => None,
        }
    }

    fn attribute(&mut self, at: usize, copied: usize, near: &str) -> Option<usize> {
        let name = &near[1..near.find('}')?];
        let builtin = match name {
            "nbsp" | "sp" => Some(" "),
            "empty" | "blank" | "zwsp" | "wj" => Some(""),
            "amp" => Some("&"),
            "lt" => Some("<"),
            "gt" => Some(">"),
            "plus" => Some("+"),
            "asterisk" => Some("*"),
            "vbar" => Some("|"),
            _ => None,
        };
        let value =
            self.attributes.get(&name.to_ascii_lowercase()).map(String::as_str).or(builtin)?.to_owned();
        let end = at + name.len() + 2;
        self.out.copy(copied..at);
        let behind = self.near(end).to_owned();
        if value.contains("://")
            && behind.starts_with('[')
            && let Some(close) = behind.find(']')
        {
            self.link(&value, end + 1..end + close, at..end);
            return Some(end + close + 1);
        }
        self.out.write(&value, at..end);
        Some(end)
    }

    fn link(&mut self, target: &str, text: Range<usize>, place: Range<usize>) {
        let shown = &self.source[text.clone()];
        let cut = shown.find(',').filter(|&comma| shown[comma..].contains('=')).unwrap_or(shown.len());
        let shown = shown[..cut].trim_end_matches('^').trim().trim_matches('"');
        if shown.is_empty() {
            return self.out.write(target, place);
        }
        let skipped = self.source[text.clone()].find(shown).unwrap_or(0);
        self.out.write("[", place.clone());
        self.out.copy(text.start + skipped..text.start + skipped + shown.len());
        self.out.write(&format!("]({target})"), place);
    }

    /// Takes a macro, `name:target[text]`, or an address with a text.
    fn named(&mut self, at: usize, copied: usize, near: &str) -> Option<usize> {
        let before = &self.source[copied..at];
        let letters = before.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
        let start = at - letters;
        let name = self.source[start..at].to_owned();
        let open = near.find('[')?;
        let target = near[1..open].to_owned();
        if target.contains(char::is_whitespace) || target.starts_with(':') || target.contains(['<', '>']) {
            return None;
        }
        let text_start = at + open + 1;
        let close = near[open + 1..].find(']')?;
        let text = text_start..text_start + close;
        let end = text.end + 1;
        let place = start..text_start;
        let copy_text = |out: &mut MarkupFragment| out.copy(text.clone());
        match name.as_str() {
            "http" | "https" | "ftp" | "irc" if target.starts_with("//") => {
                self.out.copy(copied..start);
                self.link(&format!("{name}:{target}"), text, place);
            }
            "link" | "mailto" => {
                self.out.copy(copied..start);
                let target = target.trim_matches('+').to_owned();
                self.link(&if name == "link" { target } else { format!("mailto:{target}") }, text, place);
            }
            "xref" => {
                self.out.copy(copied..start);
                if text.is_empty() {
                    self.out.write(target.trim_start_matches('#'), place);
                } else {
                    copy_text(&mut self.out);
                }
            }
            "image" => {
                self.out.copy(copied..start);
                let alt_end =
                    self.source[text.clone()].find(',').map_or(text.end, |comma| text.start + comma);
                self.out.write("![", place.clone());
                self.out.copy(text.start..alt_end);
                self.out
                    .write(&format!("]({})", if target.starts_with("data") { "" } else { &target }), place);
            }
            "kbd" | "btn" | "pass" => {
                self.out.copy(copied..start);
                copy_text(&mut self.out);
            }
            "menu" => {
                self.out.copy(copied..start);
                self.out.write(&target, place.clone());
                self.out.write(" > ", place);
                copy_text(&mut self.out);
            }
            "footnote" => {
                self.out.copy(copied..start);
                if !text.is_empty() {
                    self.out.write(" (", place);
                    copy_text(&mut self.out);
                    self.out.write(")", text.end..end);
                }
            }
            "stem" | "latexmath" | "asciimath" => {
                self.out.copy(copied..start);
                self.out.write("$", place);
                copy_text(&mut self.out);
                self.out.write("$", text.end..end);
            }
            "icon" | "anchor" | "indexterm" => self.out.copy(copied..start),
            _ => return None,
        }
        Some(end)
    }

    /// Takes text between marks; returns the end of the closing one.
    fn marked(&mut self, at: usize) -> Option<usize> {
        let near = self.near(at).to_owned();
        let mark = near.as_bytes()[0];
        let width = if near.as_bytes().get(1) == Some(&mark) && !matches!(mark, b'^' | b'~') { 2 } else { 1 };
        let marks = &near[..width];
        let body = &near[width..];
        if body.starts_with(char::is_whitespace) || body.is_empty() {
            return None;
        }
        let length = body.match_indices(marks).map(|(length, _)| length).find(|&length| {
            let inside = body[..length].chars().next_back();
            let behind = body[length + width..].chars().next();
            let free = width == 2 || matches!(mark, b'^' | b'~');
            inside.is_some_and(|inside| !inside.is_whitespace())
                && (free
                    || behind
                        .is_none_or(|c| !c.is_alphanumeric() && c != '_' && u32::from(c) != u32::from(mark)))
        })?;
        if matches!(mark, b'^' | b'~') && body[..length].contains(char::is_whitespace) {
            return None;
        }
        let mut inner = at + width..at + width + length;
        let end = inner.end + width;
        let shown = match mark {
            b'*' => "**",
            b'_' => "*",
            b'`' => "`",
            _ => "",
        };
        if mark == b'`' && body[..length].starts_with('+') && body[..length].ends_with('+') && length > 2 {
            inner = inner.start + 1..inner.end - 1;
        }
        self.out.write(if mark == b'^' { "^" } else { shown }, at..inner.start);
        self.out.copy(inner.clone());
        self.out.write(shown, inner.end..end);
        Some(end)
    }
}
