//! Links, footnotes and marks of Org mode inside of a text.

use std::ops::Range;

use crate::markup_fragment::MarkupFragment;

/// Longest inline mark or link.
const SPAN_BYTES_MAX: usize = 1024;

/// Renders inline Org as Markdown.
pub(super) fn render_org_inline(source: &str, range: Range<usize>) -> MarkupFragment {
    let mut out = MarkupFragment::default();
    let mut copied = range.start;
    let mut at = range.start;
    let special =
        |byte: &u8| matches!(byte, b'[' | b'*' | b'/' | b'=' | b'~' | b'+' | b'_' | b'<' | b'@' | b'{');
    while let Some(found) = source.as_bytes()[at..range.end].iter().position(special) {
        at += found;
        let before = source[range.start..at].chars().next_back();
        let near = &source[at..source.floor_char_boundary(range.end.min(at + SPAN_BYTES_MAX))];
        let mut piece = MarkupFragment::default();
        match org_markup(source, at, near, before, &mut piece) {
            Some(end) => {
                out.copy(copied..at);
                out.append(piece);
                (at, copied) = (end, end);
            }
            None => at += 1,
        }
    }
    out.copy(copied..range.end);
    out
}

/// Renders the markup at a byte, if there is some; returns its end.
fn org_markup(
    source: &str,
    at: usize,
    near: &str,
    before: Option<char>,
    out: &mut MarkupFragment,
) -> Option<usize> {
    if let Some(inner) = near.strip_prefix("[[") {
        let inner = &inner[..inner.find("]]")?];
        let end = at + inner.len() + 4;
        let (target, text) =
            inner.split_once("][").map_or((inner, None), |(target, text)| (target, Some(text)));
        let target_range = at + 2..at + 2 + target.len();
        let text_range = text.map_or(target_range.clone(), |text| end - 2 - text.len()..end - 2);
        let path = target.strip_prefix("file:").unwrap_or(target);
        let extension = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let is_picture = ["png", "jpg", "jpeg", "gif", "svg", "webp"].contains(&extension.as_str());
        let inner_target = target.starts_with(['*', '#']) || !target.contains([':', '/', '.']);
        if text.is_none() && is_picture {
            out.write(&format!("![]({path})"), at..end);
        } else if inner_target || text.is_none() {
            let skipped =
                source[text_range.clone()].bytes().take_while(|byte| matches!(byte, b'*' | b'#')).count();
            out.copy(text_range.start + if text.is_none() { skipped } else { 0 }..text_range.end);
        } else {
            out.write("[", at..text_range.start);
            out.copy(text_range);
            out.write(&format!("]({path})"), at..end);
        }
        return Some(end);
    }
    if let Some(inner) = near.strip_prefix("[fn:") {
        let inner = &inner[..inner.find(']')?];
        let end = at + inner.len() + 5;
        match inner.split_once(':') {
            Some((label, _)) => {
                out.write(" (", at..at + 5);
                out.copy(at + 5 + label.len()..end - 1);
                out.write(")", end - 1..end);
            }
            None => out.write(&format!("[^{inner}]"), at..end),
        }
        return Some(end);
    }
    for (open, close) in [("<<", ">>"), ("@@", "@@"), ("{{{", "}}}")] {
        if let Some(inner) = near.strip_prefix(open) {
            let length = inner.find(close).filter(|&length| length > 0 && !inner[..length].contains('\n'))?;
            return Some(at + open.len() + length + close.len());
        }
    }
    let mark = near.chars().next().filter(|mark| matches!(mark, '*' | '/' | '=' | '~' | '+' | '_'))?;
    if !before
        .is_none_or(|before| before.is_whitespace() || matches!(before, '-' | '—' | '(' | '{' | '\'' | '"'))
    {
        return None;
    }
    let body = &near[1..];
    if body.starts_with(|c: char| c.is_whitespace() || c == mark) {
        return None;
    }
    let length = body.match_indices(mark).map(|(length, _)| length).find(|&length| {
        let inside = body[..length].chars().next_back();
        let behind = body[length + 1..].chars().next();
        inside.is_some_and(|inside| !inside.is_whitespace())
            && behind.is_none_or(|c| c.is_whitespace() || "-—.,;:!?'\")}[\\".contains(c))
    })?;
    if body[..length].matches('\n').count() > 1 {
        return None;
    }
    let inner = at + 1..at + 1 + length;
    let shown = match mark {
        '*' => "**",
        '/' => "*",
        '+' => "~~",
        '=' | '~' if body[..length].contains('`') => "``",
        '=' | '~' => "`",
        _ => "",
    };
    out.write(shown, at..at + 1);
    if matches!(mark, '*' | '/' | '_' | '+') && body[..length].contains("[[") {
        out.append(render_org_inline_flat(source, inner.clone()));
    } else {
        out.copy(inner.clone());
    }
    out.write(shown, inner.end..inner.end + 1);
    Some(inner.end + 1)
}

/// Renders the links inside of a mark, and no further marks.
fn render_org_inline_flat(source: &str, range: Range<usize>) -> MarkupFragment {
    let mut out = MarkupFragment::default();
    let mut copied = range.start;
    while let Some(found) = source[copied..range.end].find("[[") {
        let at = copied + found;
        out.copy(copied..at);
        if let Some(end) = org_markup(source, at, &source[at..range.end], None, &mut out) {
            copied = end;
        } else {
            out.copy(at..at + 2);
            copied = at + 2;
        }
    }
    out.copy(copied..range.end);
    out
}
