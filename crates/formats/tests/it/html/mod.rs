//! Pages as their readers see them.

mod markup;
mod whole_pages;

use contexture_formats::{HtmlContent, HtmlOptions, ParsedText, PropertyValue, parse_html};

const DOCUMENTATION: &str = include_str!("../pages/documentation.html");
const WIKI: &str = include_str!("../pages/wiki.html");

fn read_with(source: &str, options: &HtmlOptions) -> ParsedText {
    let parsed = parse_html(source, options);
    assert!(parsed.map.is_map_of(&parsed.text, source), "{:?} {:?}", parsed.text, parsed.map);
    assert!(!parsed.text.contains(['\0', '\r']));
    parsed
}

fn main_of(source: &str) -> String {
    read_with(source, &HtmlOptions::default()).text
}

fn everything_of(source: &str) -> String {
    let options = HtmlOptions { content: HtmlContent::Everything, ..HtmlOptions::default() };
    read_with(source, &options).text
}

/// Both ways to read a page give this text.
fn assert_text(body: &str, expected: &str) {
    assert_eq!(main_of(body), expected, "{body}");
    assert_eq!(everything_of(body), expected, "{body}");
}

fn links_of_chapters() -> String {
    (0..30).map(|index| format!("<li><a href=/{index}>Chapter {index}</a></li>")).collect::<Vec<_>>().concat()
}

fn text_of(value: &PropertyValue) -> &str {
    match value {
        PropertyValue::Text(text) => text,
        other => panic!("{other:?}"),
    }
}
