//! `AsciiDoc`.

use super::markup_support::{checked, mutations};
use contexture_formats::{PropertyValue, parse_ascii_doc};
use proptest::prelude::*;

fn read(source: &str) -> String {
    checked(parse_ascii_doc, source).text
}

const DOCUMENT: &str = "= The Crane\nAda Löw <ada@a.example>\nv1.2, 2024-05-01: Draft\n:product: Crane 5\n:toc:\n\nIntro to {product}.\n\n// hidden\n\
    [[load]]\n== Loading\n\ninclude::x.adoc[]\n\n.Example\n[source,python]\n----\nx = 1 # <1>\n----\n<1> One\n\n\
    NOTE: See <<load,loading>> and https://a.example[the page^].\n\n[WARNING]\n====\nHeavy *loads* and _more_ `+code+`.\n====\n\n\
    * one\n** two\n. first\n\nTerm:: Text\n+\nMore.\n\n|===\n|Plan |Seats\n\n|D7\n|148\n|===\n\nimage::a.png[Three queues,300]\n";

#[test]
fn a_document_becomes_markdown() {
    let parsed = checked(parse_ascii_doc, DOCUMENT);
    assert_eq!(
        parsed.text,
        "# The Crane\n\nIntro to Crane 5.\n\n## Loading\n\n**Example**\n\n```python\nx = 1 # <1>\n```\n\n1. One\n\n\
         **Note:** See loading and [the page](https://a.example).\n\n**Warning**\n\nHeavy **loads** and *more* `code`.\n\n\
         - one\n  - two\n1. first\n\n- **Term**: Text\n\nMore.\n\n| Plan | Seats |\n|---|---|\n| D7 | 148 |\n\n![Three queues](a.png)\n"
    );
    assert_eq!(parsed.properties.title.as_deref(), Some("The Crane"));
    assert_eq!(parsed.properties.other["author"], PropertyValue::Text("Ada Löw".into()));
    assert_eq!(parsed.properties.other["date"], PropertyValue::Text("2024-05-01".into()));
    assert_eq!(parsed.properties.other["product"], PropertyValue::Text("Crane 5".into()));
    let at = parsed.text.find("148").expect("text");
    assert_eq!(&DOCUMENT[parsed.map.source_span(at..at + 3)], "148");
}

#[test]
fn tables_have_columns_as_declared() {
    assert_eq!(
        read("[cols=\"1,2a\",options=\"header\"]\n|===\n|a |b\n|1\n|2 \\| x\n2+|wide\n|===\n"),
        "| a | b |\n|---|---|\n| 1 | 2 | x |\n| wide |  |\n".replace("2 | x", "2 \\| x")
    );
    assert_eq!(read(",===\na,b\n1,\"2, x\"\n,===\n"), "| a | b |\n|---|---|\n| 1 | 2, x |\n");
}

#[test]
fn inline_markup_is_markdown() {
    assert_eq!(
        read("See xref:a.adoc#x[the part], link:b.html[b], kbd:[Ctrl+C] and footnote:[A note.] x^2^.\n"),
        "See the part, [b](b.html), Ctrl+C and  (A note.) x^2.\n"
    );
    assert_eq!(
        read("Snake_case_name, 2 * 3 * 4, \\*stars*, a::b and C++ stay; [.role]#this# too.\n"),
        "Snake_case_name, 2 * 3 * 4, *stars*, a::b and C++ stay; this too.\n"
    );
    assert_eq!(
        read("Text +\nnext.\n\n literal\n  block\n\nEnd.\n"),
        "Text\nnext.\n\n```\n literal\n  block\n```\n\nEnd.\n"
    );
}

#[test]
fn hostile_input_is_bounded() {
    for piece in
        ["*", "`a ", "{a}", "<<", "a:b[", "|===\n", "====\n", "----\n\n", "[x]\n", "* a\n", "|", "\"`"]
    {
        checked(parse_ascii_doc, &piece.repeat(20_000 / piece.len()));
    }
}

proptest! {
    #[test]
    fn any_document_is_parsed(source in mutations(DOCUMENT, &["----\n", "====\n", "|===\n", "2+|", "3*|", ".2+^.>s|", ",===\n", "<<", ">>", "[[", "]]", "((", "((( ", "image:", "image::", "[stem]\n++++\n", "::", "{product}", "+\n", "'''\n", "[.x]#", "http://x["])) {
        checked(parse_ascii_doc, &source);
    }
}
