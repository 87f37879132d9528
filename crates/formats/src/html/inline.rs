//! Inline elements whose meaning plain text would lose: raised and lowered text, links, pictures.
//!
//! Raised digits are powers (`10^6`) or marks of notes (`[1]`), and are never glued to the number before them.
//! Which of both is told by links, by classes, by notes that begin with the same mark, and by what stands before.

use std::collections::HashSet;

use super::dom::{HtmlDom, HtmlNodeContent};

/// Longest address of a link or picture, in bytes.
const ADDRESS_BYTES_MAX: usize = 400;
/// Longest raised or lowered text that is told apart from its line.
const RAISED_BYTES_MAX: usize = 40;
/// Longest text that stands for a picture.
const ALT_BYTES_MAX: usize = 1000;

/// How raised or lowered text is written: what comes before and behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HtmlRaisedMark {
    pub(super) before: &'static str,
    pub(super) behind: &'static str,
}

const AS_IT_IS: HtmlRaisedMark = HtmlRaisedMark { before: "", behind: "" };

/// Nodes that are looked through for a short text: more do not make one.
const SHORT_TEXT_NODES_MAX: usize = 256;

/// The visible text of an element, at most about `most` bytes.
pub(super) fn short_text(dom: &HtmlDom, source: &str, skipped: &[bool], root: usize, most: usize) -> String {
    let mut text = String::new();
    let mut next = Some(root);
    let mut nodes = 0;
    while let Some(node) = next {
        if let HtmlNodeContent::Text(piece) = dom.content(node)
            && !skipped[node]
        {
            text.push_str(piece.text(source));
        }
        nodes += 1;
        if text.len() > most || nodes > SHORT_TEXT_NODES_MAX {
            break;
        }
        next = dom.following(node, root, !skipped[node]);
    }
    text
}

/// The marks of notes of a page: raised text with which a block begins.
pub(super) fn note_marks(dom: &HtmlDom, source: &str, skipped: &[bool]) -> HashSet<String> {
    let mut marks = HashSet::new();
    for node in 0..dom.len() {
        if dom.name(node) != "sup" || !begins_block(dom, source, node) {
            continue;
        }
        let text = short_text(dom, source, skipped, node, RAISED_BYTES_MAX);
        let mark = text.trim();
        if !mark.is_empty() && mark.len() <= 4 {
            marks.insert(mark.to_owned());
        }
    }
    marks
}

/// Whether nothing stands before an inline element in its block.
fn begins_block(dom: &HtmlDom, source: &str, node: usize) -> bool {
    let mut at = node;
    for _ in 0..8 {
        let mut before = dom.previous_sibling(at);
        while let Some(sibling) = before {
            match dom.content(sibling) {
                HtmlNodeContent::Text(piece) if piece.text(source).trim().is_empty() => {}
                HtmlNodeContent::Other => {}
                HtmlNodeContent::Element(_) if dom.name(sibling) == "br" => return true,
                _ => return false,
            }
            before = dom.previous_sibling(sibling);
        }
        let Some(parent) = dom.parent(at) else { return true };
        if matches!(
            dom.name(parent),
            "p" | "li" | "div" | "td" | "dd" | "dt" | "aside" | "footer" | "section" | "body"
        ) {
            return true;
        }
        at = parent;
    }
    false
}

/// How a `sup` is written behind `line`, the line so far.
pub(super) fn raised_mark(
    dom: &HtmlDom,
    source: &str,
    skipped: &[bool],
    node: usize,
    notes: &HashSet<String>,
    line: &str,
) -> HtmlRaisedMark {
    let text = short_text(dom, source, skipped, node, RAISED_BYTES_MAX);
    let text = text.trim();
    let last = line.chars().next_back();
    let glued = last.is_some_and(char::is_alphanumeric);
    if text.is_empty() || text.len() > RAISED_BYTES_MAX {
        return AS_IT_IS;
    }
    if text.starts_with(['[', '(']) {
        return HtmlRaisedMark { before: if glued { " " } else { "" }, behind: "" };
    }
    let is_number = text.chars().all(|next| next.is_ascii_digit() || ", -–".contains(next))
        && text.starts_with(|next: char| next.is_ascii_digit());
    let linked = dom.subtree(node).take(16).any(|below| {
        dom.name(below) == "a" && dom.attribute(below, "href").is_some_and(|href| href.contains('#'))
    }) || dom.ancestors(node).take(2).any(|above| {
        dom.name(above) == "a" && dom.attribute(above, "href").is_some_and(|href| href.starts_with('#'))
    });
    let called_note = dom.attribute(node, "role").is_some_and(|role| role.contains("noteref"))
        || dom.classes(node).any(|class| {
            let class = class.to_ascii_lowercase();
            ["footnote", "reference", "noteref", "fnref", "citation"].iter().any(|name| class.contains(name))
        });
    let behind_ten =
        line.strip_suffix("10").is_some_and(|rest| !rest.ends_with(|next: char| next.is_ascii_digit()));
    let behind_unit = matches!(text, "2" | "3") && ends_with_unit(line);
    let begins_note = notes.contains(text) && !behind_ten && !behind_unit;
    if linked || called_note || begins_note {
        return HtmlRaisedMark { before: if glued { " [" } else { "[" }, behind: "]" };
    }
    if text.chars().all(|next| !next.is_alphanumeric() && !"-+−".contains(next)) {
        // An asterisk, a dagger, a degree sign.
        return AS_IT_IS;
    }
    let letters = text.chars().all(char::is_alphabetic) && text.chars().count() > 1
        || matches!(text, "e" | "o" | "a" | "ª" | "º" | "er" | "TM" | "R");
    let after_digit = last.is_some_and(char::is_numeric);
    if letters && (after_digit || !glued || matches!(text, "TM" | "SM" | "tm" | "sm")) {
        // `2nd`, `1er`.
        return AS_IT_IS;
    }
    if last.is_none_or(char::is_whitespace) {
        return if is_number { HtmlRaisedMark { before: "[", behind: "]" } } else { AS_IT_IS };
    }
    power(text, "^", "^(")
}

/// How a `sub` is written behind `line`.
pub(super) fn lowered_mark(
    dom: &HtmlDom,
    source: &str,
    skipped: &[bool],
    node: usize,
    line: &str,
) -> HtmlRaisedMark {
    let text = short_text(dom, source, skipped, node, RAISED_BYTES_MAX);
    let text = text.trim();
    let mut before = line.chars().rev();
    let last = before.next();
    if text.is_empty() || text.len() > RAISED_BYTES_MAX || last.is_none_or(char::is_whitespace) {
        return AS_IT_IS;
    }
    // Formulas of chemistry are written, and searched for, without a mark: H2O, Fe2O3, Ca(OH)2.
    let element = last.is_some_and(|last| {
        last.is_ascii_uppercase()
            || matches!(last, ')' | ']')
            || (last.is_ascii_lowercase() && before.next().is_some_and(|above| above.is_ascii_uppercase()))
    });
    if element && text.chars().all(|next| next.is_ascii_digit()) {
        return AS_IT_IS;
    }
    power(text, "_", "_(")
}

fn power(text: &str, mark: &'static str, mark_of_many: &'static str) -> HtmlRaisedMark {
    if text.chars().any(char::is_whitespace) {
        HtmlRaisedMark { before: mark_of_many, behind: ")" }
    } else {
        HtmlRaisedMark { before: mark, behind: "" }
    }
}

fn ends_with_unit(line: &str) -> bool {
    let word = line.rsplit(|next: char| !next.is_alphabetic()).next().unwrap_or_default();
    matches!(word, "m" | "cm" | "mm" | "km" | "dm" | "ft" | "in" | "s" | "nm" | "µm" | "mi" | "yd")
}

/// The address of a link or picture as it goes into the text; `None` if it does not.
pub(super) fn text_address(written: &str) -> Option<String> {
    // As a browser does: no white space around, no line ends or tabs inside.
    let address: String = written.trim().chars().filter(|next| !next.is_control()).collect();
    if address.is_empty() || address.starts_with('#') || address.len() > ADDRESS_BYTES_MAX {
        return None;
    }
    let scheme = address.split([':', '/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    if matches!(scheme.as_str(), "javascript" | "data" | "vbscript" | "blob" | "about")
        && address.contains(':')
    {
        return None;
    }
    let mut escaped = String::with_capacity(address.len());
    for next in address.chars() {
        match next {
            ' ' => escaped.push_str("%20"),
            '(' => escaped.push_str("%28"),
            ')' => escaped.push_str("%29"),
            '<' => escaped.push_str("%3C"),
            '>' => escaped.push_str("%3E"),
            '|' => escaped.push_str("%7C"),
            next if next.is_whitespace() => {}
            next => escaped.push(next),
        }
    }
    Some(escaped)
}

/// What stands for a picture; `None` if it is an ornament.
pub(super) fn picture_text(dom: &HtmlDom, node: usize) -> Option<String> {
    let role = dom.attribute(node, "role").unwrap_or_default();
    let tiny =
        |name: &str| dom.attribute(node, name).is_some_and(|size| matches!(size.trim(), "0" | "1" | "1px"));
    if matches!(role, "presentation" | "none") || (tiny("width") && tiny("height")) {
        return None;
    }
    let alt = super::metadata::one_line(dom.attribute(node, "alt")?, ALT_BYTES_MAX)?;
    let class = dom.attribute(node, "class").unwrap_or_default();
    let is_character = class.split_ascii_whitespace().any(|class| class.contains("emoji"));
    if class.contains("mwe-math") {
        return Some(format!("${}$", formula(&alt)));
    }
    if is_character {
        return Some(alt);
    }
    let alt = alt.replace(['[', ']'], " ");
    Some(match dom.attribute(node, "src").and_then(text_address) {
        Some(address) => format!("![{alt}]({address})"),
        None => format!("![{alt}]"),
    })
}

/// The TeX of a formula without the style that wraps it.
pub(super) fn formula(tex: &str) -> &str {
    let tex = tex.trim();
    let inner = tex.strip_prefix("{\\displaystyle").or_else(|| tex.strip_prefix("{\\textstyle"));
    inner.and_then(|inner| inner.strip_suffix('}')).map_or(tex, str::trim)
}
