//! HTML as its reader sees it.
//!
//! A page is parsed as a browser does (`feeder`, `tree_sink`, `dom`), what is not drawn is left out
//! (`visibility`, `styles`), and of the rest the part that the reader came for is written (`main_content`,
//! `chrome`): headings as `#` lines, items as `-` or numbered lines, tables as `| a | b |` rows (`tables`,
//! `table_rows`), `pre` as fences (`code`), links and pictures with their addresses, raised digits as `10^6`,
//! struck text as `~~90~~` (`inline`, `render`, `writer`). What a page says about itself becomes properties
//! (`metadata`).
//!
//! Missing end tags cost structure, never text, except that what an open `template` hides stays hidden. Nothing
//! recurses; time is linear in the input up to bounded factors. No script is run and nothing is fetched.

mod chrome;
mod code;
mod dom;
mod feeder;
mod inline;
mod main_content;
mod metadata;
mod render;
mod styles;
mod table_rows;
mod tables;
mod tree_sink;
mod visibility;
mod writer;

use crate::parsed_text::{ParsedText, TextStructure};
use crate::source_map::SourceMap;
use dom::{HTML_DOCUMENT_NODE, HtmlNodeContent};

/// Which part of a page is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HtmlContent {
    /// What its reader came for: no navigation, no header and footer of the page, no asides or banners. A page
    /// where nearly everything would be left out is taken as a whole.
    #[default]
    Main,
    /// All that a browser draws.
    Everything,
}

/// How a page is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlOptions {
    /// Which part of the page is text.
    pub content: HtmlContent,
    /// Whether the text of closed `<details>` is kept: a reader opens them.
    pub closed_details: bool,
}

impl Default for HtmlOptions {
    fn default() -> Self {
        Self { content: HtmlContent::Main, closed_details: true }
    }
}

/// Reads a page. `source` may have line ends of any kind; the text has LF.
pub fn parse_html(source: &str, options: &HtmlOptions) -> ParsedText {
    if memchr::memchr(b'\r', source.as_bytes()).is_none() {
        return parse_normalised(source, options);
    }
    let (normalised, line_ends) = with_lf(source);
    let parsed = parse_normalised(&normalised, options);
    ParsedText { map: parsed.map.after(&line_ends), ..parsed }
}

/// Makes all line ends LF.
fn with_lf(source: &str) -> (String, SourceMap) {
    let mut text = String::with_capacity(source.len());
    let mut map = SourceMap::default();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\r', source.as_bytes()) {
        text.push_str(&source[start..end]);
        map.push_copied(end - start, start);
        start = end + 1;
        // The LF behind a CR is copied.
        if source.as_bytes().get(start) != Some(&b'\n') {
            text.push('\n');
            map.push_written(1, end..start);
        }
    }
    text.push_str(&source[start..]);
    map.push_copied(source.len() - start, start);
    (text, map)
}

fn parse_normalised(source: &str, options: &HtmlOptions) -> ParsedText {
    let (dom, flattened) = feeder::build_html_dom(source);
    let mut notes = Vec::new();
    if flattened {
        notes.push(
            "The page is nested deeper than a browser reads; its inner elements were read loosely."
                .to_owned(),
        );
    }
    let properties = metadata::page_properties(&dom, source);
    let sheet = styles::HtmlStyleSheet::of_page(&dom, source);
    let mut skipped = visibility::hidden_nodes(&dom, &sheet, options);
    let hidden = (0..dom.len()).filter(|&node| {
        skipped[node]
            && matches!(dom.content(node), HtmlNodeContent::Element(_))
            && is_drawn_by_name(dom.name(node))
    });
    let hidden = hidden.count();
    if hidden > 0 {
        notes.push(format!("Hidden elements were left out: {hidden}."));
    }
    let mut roots = vec![HTML_DOCUMENT_NODE];
    if options.content == HtmlContent::Main {
        let main = main_content::choose_main_content(&dom, source, &mut skipped);
        if main.left_out {
            notes.push("Navigation and other parts around the main content were left out.".to_owned());
        }
        roots = main.roots;
    }
    let mut renderer = render::HtmlRenderer::new(&dom, source, &skipped, sheet);
    for root in roots {
        renderer.write_root(root);
    }
    let (text, map) = renderer.finish().finish();
    ParsedText { text, map, structure: TextStructure::Markdown, properties, notes }
}

/// Whether hiding an element of this name is worth a note.
fn is_drawn_by_name(name: &str) -> bool {
    !matches!(name, "" | "head" | "title" | "script" | "style" | "template" | "noscript" | "iframe" | "rp")
}
