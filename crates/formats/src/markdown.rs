//! Markdown and MDX, cleaned: what a reader of the page sees, as Markdown.
//!
//! Two steps, each with a map: [`blocks`] takes lines (front matter is off already): fences, admonitions, tabs,
//! MDX modules, attributes of headings; [`inline`] takes what stands outside of code: comments, tags, templates,
//! wiki links, pictures in `data:` URIs. Fenced, indented and inline code is never changed. Tables, footnotes,
//! definitions of links and setext headings stay as they are.
//!
//! The title is that of the front matter. Limits: admonitions nested 32 deep; a tag of 2 KiB.

mod blocks;
mod inline;
mod tags;

use crate::front_matter::split_front_matter;
use crate::parsed_text::{ParsedText, TextStructure};
use crate::source_map::SourceMap;
use crate::unix_lines::parse_unix_lines;

/// Cleans Markdown or MDX.
pub fn parse_markdown(source: &str) -> ParsedText {
    parse_unix_lines(source, |source| {
        let split = split_front_matter(source);
        let (text, map) = clean_markdown(source, split.body_start);
        ParsedText {
            text,
            map,
            structure: TextStructure::Markdown,
            properties: split.properties,
            notes: split.notes,
        }
    })
}

/// Cleans a text with LF line ends from a byte on.
pub(crate) fn clean_markdown(source: &str, from: usize) -> (String, SourceMap) {
    let blocks = blocks::rewrite_blocks(source, from);
    let (text, map) = blocks.out.finish();
    let (text, inline_map) = inline::rewrite_inline(&text, &blocks.code).finish();
    let map = inline_map.after(&map);
    (text, map)
}

/// The line that closes the fence that a text leaves open.
pub(crate) fn missing_fence(source: &str) -> Option<String> {
    blocks::open_fence_at_end(source)
}

/// A fence that is longer than all runs of backticks in a code.
pub(crate) fn fence_around(code: &str) -> String {
    let (mut longest, mut run) = (0, 0);
    for byte in code.bytes() {
        run = if byte == b'`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(longest.max(2) + 1)
}
