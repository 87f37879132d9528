//! Preformatted text and inline code.
//!
//! Sites show code in many ways: lines as text, as `div`, `span` or `li` each, as rows of a table, with a
//! gutter of line numbers and a button that copies. What is written is the code: one line per line, no gutter,
//! no button, and the language that a class names on the fence.

use std::ops::Range;

use super::dom::{HtmlDom, HtmlNodeContent};
use super::styles::HtmlStyleSheet;
use super::writer::{HtmlGap, HtmlMarkdownWriter};

/// Shortest fence around preformatted text.
const FENCE_BACKTICKS_MIN: usize = 3;
/// Longest name of a language.
const LANGUAGE_BYTES_MAX: usize = 24;

/// A part of some code: bytes of the source as they are, or text for a range of it.
#[derive(Debug, Clone)]
struct HtmlCodePiece {
    text: String,
    source: Range<usize>,
    copied: bool,
}

/// Code that is being collected.
#[derive(Debug, Default)]
struct HtmlCodeText {
    pieces: Vec<HtmlCodePiece>,
    /// The last byte so far.
    last: u8,
    /// Whether a line has ended that the text has not broken yet.
    line_due: bool,
}

impl HtmlCodeText {
    fn push(&mut self, text: &str, source: Range<usize>, copied: bool) {
        if let Some(&last) = text.as_bytes().last() {
            if self.line_due && !text.starts_with('\n') {
                self.pieces.push(HtmlCodePiece {
                    text: "\n".into(),
                    source: source.start..source.start,
                    copied: false,
                });
            }
            self.line_due = false;
            self.last = last;
            self.pieces.push(HtmlCodePiece { text: text.to_owned(), source, copied });
        }
    }

    /// Pushes text of the source; no-break spaces become spaces.
    fn push_source(&mut self, text: &str, start: usize) {
        let mut from = 0;
        for (at, space) in text.match_indices('\u{A0}') {
            self.push(&text[from..at], start + from..start + at, true);
            from = at + space.len();
            self.push(" ", start + at..start + from, false);
        }
        self.push(&text[from..], start + from..start + text.len(), true);
    }

    /// Ends the line that is open.
    fn start_line(&mut self, place: usize) {
        if self.line_due || !matches!(self.last, 0 | b'\n') {
            self.line_due = false;
            self.push("\n", place..place, false);
        }
    }

    fn trim(&mut self) {
        if let Some(first) = self.pieces.first_mut()
            && first.text.starts_with('\n')
        {
            first.text.remove(0);
            if first.copied {
                first.source.start += 1;
            }
        }
        while let Some(last) = self.pieces.last_mut() {
            let kept = last.text.trim_end().len();
            if last.copied {
                last.source.end -= last.text.len() - kept;
            }
            last.text.truncate(kept);
            if kept > 0 {
                break;
            }
            self.pieces.pop();
        }
    }

    fn longest_run_of_backticks(&self) -> usize {
        let (mut longest, mut current) = (0, 0);
        for byte in self.pieces.iter().flat_map(|piece| piece.text.bytes()) {
            current = if byte == b'`' { current + 1 } else { 0 };
            longest = longest.max(current);
        }
        longest
    }
}

/// Whether an element stands for a gutter or a button beside code.
pub(super) fn is_beside_code(dom: &HtmlDom, node: usize) -> bool {
    if matches!(dom.name(node), "button" | "input" | "select" | "textarea") {
        return true;
    }
    dom.classes(node).any(|class| {
        let class = class.to_ascii_lowercase();
        matches!(
            class.as_str(),
            "ln" | "lnt"
                | "lno"
                | "gutter"
                | "linenos"
                | "lineno"
                | "linenumber"
                | "linenumbers"
                | "line-number"
                | "line-numbers-rows"
                | "blob-num"
                | "rouge-gutter"
                | "linenodiv"
                | "hljs-ln-numbers"
                | "hljs-ln-n"
                | "codemirror-linenumber"
                | "codemirror-gutter"
                | "codemirror-gutters"
                | "react-line-number"
                | "react-syntax-highlighter-line-number"
                | "code-line-number"
                | "line-num"
                | "linenum"
                | "num"
                | "copybtn"
                | "copy"
                | "copy-button"
                | "copy-btn"
                | "btn-copy"
                | "btn-clipboard"
                | "code-copy"
                | "copy-code-button"
                | "clipboard"
                | "clipboard-copy"
                | "copy-to-clipboard"
                | "code-toolbar-item"
                | "toolbar-item"
                | "prompt-copy"
        ) || class.ends_with("-gutter")
            || class.ends_with("line-number")
            || class.ends_with("__copy")
            || class.starts_with("copybutton")
    })
}

/// Whether a link is the number of its line.
fn is_line_anchor(dom: &HtmlDom, source: &str, node: usize) -> bool {
    if dom.name(node) != "a" {
        return false;
    }
    let target = dom.attribute(node, "href").and_then(|href| href.strip_prefix('#')).unwrap_or_default();
    let number = target.trim_start_matches(|next: char| !next.is_ascii_digit());
    let text = dom.first_child(node).map(|child| dom.content(child));
    match text {
        Some(HtmlNodeContent::Text(piece)) => {
            let text = piece.text(source).trim();
            !text.is_empty() && (text == number || number.ends_with(&format!("-{text}")))
        }
        _ => false,
    }
}

/// Whether an element makes a line of its own inside of code.
fn is_code_line(dom: &HtmlDom, sheet: &HtmlStyleSheet, node: usize) -> bool {
    match dom.name(node) {
        "div" | "p" | "li" | "tr" | "ol" | "ul" | "table" | "tbody" | "section" => true,
        "span" | "code" | "a" => {
            dom.classes(node).any(|class| {
                let class = class.to_ascii_lowercase();
                matches!(
                    class.as_str(),
                    "line" | "codeline" | "code-line" | "view-line" | "token-line" | "row"
                ) || class.ends_with("-line") && !class.contains("highlight") && !class.contains("number")
            }) || (dom.attribute(node, "style").is_some() && sheet.effect(dom, node).block)
        }
        _ => false,
    }
}

/// Whether a `code` element outside of `pre` holds lines.
pub(super) fn is_code_block(dom: &HtmlDom, sheet: &HtmlStyleSheet, node: usize) -> bool {
    let lines = dom.children(node).filter(|&child| is_code_line(dom, sheet, child)).take(2).count();
    let breaks = dom.children(node).filter(|&child| dom.name(child) == "br").take(2).count();
    lines >= 2 || breaks >= 2 || (lines == 1 && dom.children(node).any(|child| dom.name(child) == "div"))
}

fn collect_code(
    dom: &HtmlDom,
    sheet: &HtmlStyleSheet,
    source: &str,
    skipped: &[bool],
    root: usize,
) -> HtmlCodeText {
    let mut code = HtmlCodeText::default();
    let mut open_lines: Vec<(usize, usize)> = Vec::new();
    let mut node = root;
    loop {
        let mut descend = !skipped[node];
        match dom.content(node) {
            // White space between the rows of a table is not in any line.
            HtmlNodeContent::Text(piece)
                if dom.parent(node).is_some_and(|parent| {
                    matches!(dom.name(parent), "table" | "tbody" | "thead" | "tr" | "ol" | "ul")
                }) && piece.text(source).trim().is_empty() => {}
            HtmlNodeContent::Text(piece) if descend => match &piece.decoded {
                Some(decoded) => {
                    let text = decoded.replace('\u{A0}', " ").replace('\u{AD}', "");
                    code.push(&text, piece.source.clone(), false);
                }
                None => code.push_source(&source[piece.source.clone()], piece.source.start),
            },
            HtmlNodeContent::Element(_) if node != root => {
                descend &= !is_beside_code(dom, node) && !is_line_anchor(dom, source, node);
                if descend && dom.name(node) == "br" {
                    code.push("\n", dom.tag(node), false);
                } else if descend && is_code_line(dom, sheet, node) {
                    code.start_line(dom.tag(node).start);
                    open_lines.push((node, code.pieces.len()));
                }
            }
            _ => {}
        }
        let Some(next) = dom.following(node, root, descend) else { break };
        // Lines that end before the next node.
        if !(descend && dom.first_child(node).is_some()) {
            let until = dom.parent(next);
            let mut at = Some(node);
            while at != until
                && let Some(left) = at
            {
                if let Some(&(_, pieces_before)) = open_lines.last().filter(|(line, _)| *line == left) {
                    open_lines.pop();
                    code.line_due = code.line_due || code.last != b'\n' || code.pieces.len() == pieces_before;
                }
                at = dom.parent(left);
            }
        }
        node = next;
    }
    code
}

/// Writes `root` as a fence.
pub(super) fn write_code_block(
    dom: &HtmlDom,
    sheet: &HtmlStyleSheet,
    skipped: &[bool],
    root: usize,
    source: &str,
    out: &mut HtmlMarkdownWriter<'_>,
) {
    let mut code = collect_code(dom, sheet, source, skipped, root);
    code.trim();
    if code.pieces.iter().all(|piece| piece.text.trim().is_empty()) {
        return;
    }
    // Longer than any run of backticks inside, so that the text cannot close the fence.
    let fence = "`".repeat((code.longest_run_of_backticks() + 1).max(FENCE_BACKTICKS_MIN));
    let language = code_language(dom, root).unwrap_or_default();
    let tag = dom.tag(root);
    out.start_fence(&format!("{fence}{language}"), tag.clone());
    for piece in code.pieces {
        if piece.copied {
            out.copy_on(piece.source);
        } else {
            out.write_on(&piece.text, piece.source);
        }
    }
    out.end_fence(&fence, tag);
}

/// Writes `root` as inline code, on one line.
pub(super) fn write_inline_code(
    dom: &HtmlDom,
    sheet: &HtmlStyleSheet,
    skipped: &[bool],
    root: usize,
    source: &str,
    out: &mut HtmlMarkdownWriter<'_>,
) {
    let code = collect_code(dom, sheet, source, skipped, root);
    let is_space = |next: char| next.is_ascii_whitespace();
    if code.pieces.iter().all(|piece| piece.text.trim_matches(is_space).is_empty()) {
        return;
    }
    if code
        .pieces
        .iter()
        .find(|piece| !piece.text.is_empty())
        .is_some_and(|piece| piece.text.starts_with(is_space))
    {
        out.gap(HtmlGap::Space);
    }
    let backticks = code.longest_run_of_backticks();
    let fence = "`".repeat(backticks + 1);
    let pad = if backticks > 0 { " " } else { "" };
    let tag = dom.tag(root);
    out.write(&format!("{fence}{pad}"), tag.clone());
    let mut first = true;
    let mut space = false;
    for piece in code.pieces {
        let mut rest = 0;
        for word in piece.text.split_inclusive(is_space) {
            let shown = word.trim_end_matches(is_space);
            let at = rest;
            rest += word.len();
            if !shown.is_empty() {
                let place = if piece.copied { piece.source.start + at } else { piece.source.start };
                if space && !first {
                    out.write_on(" ", place..place);
                }
                space = false;
                first = false;
                for part in shown.split_inclusive('|') {
                    let shift = part.as_ptr() as usize - piece.text.as_ptr() as usize;
                    let (words, bar) = match part.strip_suffix('|') {
                        Some(words) if out.in_cell() => (words, true),
                        _ => (part, false),
                    };
                    let source = if piece.copied {
                        piece.source.start + shift..piece.source.start + shift + words.len()
                    } else {
                        piece.source.clone()
                    };
                    if piece.copied {
                        out.copy_on(source.clone());
                    } else {
                        out.write_on(words, source.clone());
                    }
                    if bar {
                        out.write_on("\\|", source.end..source.end);
                    }
                }
            }
            space |= shown.len() < word.len();
        }
    }
    out.write_on(&format!("{pad}{fence}"), tag);
    if space {
        out.gap(HtmlGap::Space);
    }
}

/// The language of code, from its own classes, those of a `code` inside, or of the elements right around it.
fn code_language(dom: &HtmlDom, root: usize) -> Option<String> {
    let inside = dom.subtree(root).skip(1).take(64).find(|&below| matches!(dom.name(below), "code" | "pre"));
    let around =
        dom.ancestors(root).take(3).filter(|&above| matches!(dom.name(above), "div" | "figure" | "pre"));
    std::iter::once(root).chain(inside).chain(around).find_map(|node| {
        let attribute = dom.attribute(node, "data-lang").or_else(|| dom.attribute(node, "data-language"));
        let mut after_brush = false;
        let class = dom.classes(node).find_map(|class| {
            if class == "brush:" {
                after_brush = true;
                return None;
            }
            if std::mem::take(&mut after_brush) {
                return Some(class.trim_end_matches(';'));
            }
            ["language-", "lang-", "highlight-source-", "highlight-text-", "brush:"]
                .iter()
                .find_map(|prefix| class.strip_prefix(prefix))
                .or_else(|| class.strip_prefix("highlight-").filter(|_| dom.name(node) == "div"))
                .or_else(|| {
                    (dom.classes(node).any(|other| other == "sourceCode" || other == "hljs")
                        && !matches!(class, "sourceCode" | "hljs" | "numberSource" | "numberLines"))
                    .then_some(class)
                })
        });
        let name = attribute.or(class)?.to_ascii_lowercase();
        let plain = matches!(
            name.as_str(),
            "default" | "none" | "plain" | "plaintext" | "text" | "txt" | "nohighlight"
        );
        let is_name = !name.is_empty()
            && name.len() <= LANGUAGE_BYTES_MAX
            && name
                .chars()
                .all(|next| next.is_ascii_alphanumeric() || matches!(next, '+' | '-' | '#' | '.' | '_'));
        (is_name && !plain).then_some(name)
    })
}
