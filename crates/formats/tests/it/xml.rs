//! XML of feeds, sites, books and services.

use super::data_support::{check, marks, mutations, path_at};
use contexture_formats::{ParsedText, StructureMarkKind, TextStructure, parse_xml};
use proptest::prelude::*;

const RSS: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- made by hand -->\n<rss version=\"2.0\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\n  <channel>\n    <title>Halle &amp; Hof</title>\n    <link>https://example.com/</link>\n    <language>de</language>\n    <item>\n      <title>Sommerschluss&#x2011;Verkauf</title>\n      <link>https://example.com/sale</link>\n      <dc:creator>Ada</dc:creator>\n      <description>Alle Pumpen, auch die aus Halle neun, kosten im August nur die H&auml;lfte: nur solange der Vorrat reicht.</description>\n      <pubDate>Mon, 30 Nov 2026 10:00:00 GMT</pubDate>\n    </item>\n    <item>\n      <title>Neue Öffnungszeiten</title>\n      <description><![CDATA[Ab Oktober <b>bis 20 Uhr</b>, am Samstag bis 18 Uhr, und an allen Adventssamstagen bis 22 Uhr, wie im letzten Jahr.]]></description>\n    </item>\n  </channel>\n</rss>\n";
const BOOK: &str = "<book xmlns=\"http://docbook.org/ns/docbook\">\n<title>Pump manual</title>\n<chapter xml:id=\"c1\"><title>Setup</title>\n<para>Turn the <emphasis>red</emphasis> valve, then wait\n  for <xref linkend=\"x\"/> ten seconds before you <emphasis>open</emphasis><superscript>2</superscript> the gate of the hall.</para>\n<programlisting>start:\n    pump --hall 9\n\n    wait 10\n</programlisting>\n<para>And a second paragraph stands here so that the chapter is long enough to be cut somewhere.</para>\n</chapter></book>";
const PARTS: &str = "<parts>\n  <part sku=\"A&amp;1\" price=\"3.50\"/>\n  <part sku='B2'><name>Nut</name><price currency=\"EUR\">1.20</price></part>\n</parts>";

fn parse(source: &str) -> ParsedText {
    let parsed = parse_xml(source);
    check(&parsed, source);
    parsed
}

fn path_of(parsed: &ParsedText, part: &str) -> Vec<String> {
    path_at(parsed, parsed.text.find(part).unwrap_or_else(|| panic!("{part} in {}", parsed.text)))
}

#[test]
fn a_feed_is_readable() {
    let parsed = parse(RSS);
    assert!(
        parsed.text.starts_with(
            "rss: version: 2.0\n  channel\n    title: Halle & Hof\n    link: https://example.com/\n"
        ),
        "{}",
        parsed.text
    );
    assert!(parsed.text.contains("    item\n      title: Sommerschluss\u{2011}Verkauf\n"));
    assert!(parsed.text.contains("kosten im August nur die Hälfte: nur"));
    assert!(parsed.text.contains("description: Ab Oktober <b>bis 20 Uhr</b>, am"));
    assert!(parsed.text.contains("creator: Ada"));
    assert!(!parsed.text.contains("made by hand"));
    assert_eq!(
        path_of(&parsed, "Alle Pumpen"),
        ["rss", "channel: Halle & Hof", "item: Sommerschluss\u{2011}Verkauf"]
    );
    assert_eq!(parsed.properties.title.as_deref(), Some("Halle & Hof"));
    assert!(parsed.notes.is_empty());
    let at = parsed.text.find("Alle Pumpen").expect("is there");
    assert_eq!(&RSS[parsed.map.source_span(at..at + 11)], "Alle Pumpen");
}

#[test]
fn a_book_keeps_inline_elements_inline_and_listings_as_they_are() {
    let parsed = parse(BOOK);
    assert!(
        parsed.text.contains("Turn the red valve, then wait for ten seconds before you open2 the gate"),
        "{}",
        parsed.text
    );
    assert!(
        parsed.text.contains("programlisting:\nstart:\n    pump --hall 9\n\n    wait 10\n"),
        "{}",
        parsed.text
    );
    assert_eq!(path_of(&parsed, "ten seconds"), ["book: Pump manual", "chapter: Setup"]);
    assert_eq!(parsed.properties.title.as_deref(), Some("Pump manual"));
}

#[test]
fn attributes_are_named_values() {
    let parsed = parse(PARTS);
    assert_eq!(
        parsed.text,
        "parts\n  part: sku: A&1, price: 3.50\n  part: sku: B2\n    name: Nut\n    price (currency: EUR): 1.20"
    );
}

#[test]
fn entities_do_not_multiply() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&b; &e; &nbsp;&#0;&#x110000;</x>";
    let parsed = parse(bomb);
    assert!(parsed.text.starts_with("x: &b; &e;"), "{}", parsed.text);
    assert!(parsed.notes[0].contains("2 entities"), "{:?}", parsed.notes);
}

#[test]
fn broken_xml_keeps_everything() {
    let source = "<list>\n  <entry>one pump</entry>\n  <entry>two pumps</list>\n<p>and the rest";
    let parsed = parse(source);
    for part in ["one pump", "two pumps", "and the rest"] {
        assert!(parsed.text.contains(part), "{}", parsed.text);
    }
    assert!(parsed.notes[0].contains("line 3"), "{:?}", parsed.notes);
    let parsed = parse("no markup at all");
    assert_eq!((&parsed.structure, parsed.text.as_str()), (&TextStructure::Plain, "no markup at all"));
    parse("<a><b>open");
    parse("<a b='1' c=>x</a>");
    parse("<a>x & y < z</a>");
    parse("");
}

#[test]
fn records_are_good_places_to_cut() {
    let records = (0..100)
        .map(|id| format!("<row><id>{id}</id><name>pump {id}</name></row>"))
        .collect::<Vec<String>>()
        .concat();
    let parsed = parse(&format!("<table>{records}</table>"));
    let sections =
        marks(&parsed).iter().filter(|mark| matches!(mark.kind, StructureMarkKind::Section { .. }));
    assert_eq!(sections.count(), 101);
    assert_eq!(path_of(&parsed, "pump 42"), ["table", "row: pump 42"]);
}

#[test]
fn size_and_nesting_take_linear_time() {
    parse(&("<a>".repeat(50_000) + "x" + &"</a>".repeat(50_000)));
    parse(&("<p>x<b>".repeat(20_000) + "x" + &"y </b>z</p>".repeat(20_000)));
    parse(&format!("<a>{}</a>", "<b/>".repeat(100_000)));
    parse(&format!("<a>{}</a>", "word &amp; &x; ".repeat(50_000)));
    parse(&format!("<a {}/>", "b='c' ".repeat(50_000)));
    parse(&"<a".repeat(50_000));
    parse(&format!("<pre>{}</pre>", "line\n\n".repeat(50_000)));
}

proptest! {
    #[test]
    fn damaged_xml_is_read(source in mutations(&[RSS, BOOK, PARTS], &["<", ">", "&", ";", "</", "/>", "\"", "=", "\n", "\r\n", "\0", "ü", "<![CDATA[", "]]>", "<!--", "<a>", "</a>", ""])) {
        parse(&source);
    }

    #[test]
    fn any_xml_is_read(source in "(<a>|</a>|<b c='&lt;ü'/>|<pre>|</pre>|x|ü|&amp;|&#32;|&nbsp;|&|<!\\[CDATA\\[|\\]\\]>|\n| |\r\n|<p>|</p>|y\n\nz){0,40}") {
        parse(&source);
    }
}
