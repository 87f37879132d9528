//! Tables of delimited values as programs export them.

use super::data_support::{check, mutations};
use contexture_formats::{ParsedText, TextStructure, parse_delimited};
use proptest::prelude::*;

const PRICES: &str = "Artikel;Bezeichnung;Preis;Lager\r\n\
    A-100;\"Schraube \"\"M5\"\"; verzinkt\";1,25;400\r\n\
    A-101;Mutter M5;0,80;12\r\n\
    A-102;\"Dübel\n8 mm | grau\";2,10;0\r\n";
const PARTS: &str = "sku,name,weight_g,price_eur,stock\nPX-1000,\"bracket, size 0\",120,3.00,0\n\
    PX-1001,\"bracket, size 1\",121,3.10,7\nPX-1002,plain,122,3.20,14\n";

fn parse(source: &str) -> ParsedText {
    let parsed = parse_delimited(source, None);
    check(&parsed, source);
    parsed
}

#[test]
fn a_price_list_with_decimal_commas_becomes_a_table() {
    let parsed = parse(PRICES);
    assert_eq!(parsed.structure, TextStructure::Markdown);
    assert_eq!(
        parsed.text,
        "| Artikel | Bezeichnung | Preis | Lager |\n| --- | --- | --- | --- |\n\
         | A-100 | Schraube \"M5\"; verzinkt | 1,25 | 400 |\n| A-101 | Mutter M5 | 0,80 | 12 |\n\
         | A-102 | Dübel 8 mm \\| grau | 2,10 | 0 |"
    );
    assert!(parsed.notes.is_empty());
    let at = parsed.text.find("Mutter").expect("is there");
    let span = parsed.map.source_span(at..at + "Mutter M5".len());
    assert_eq!(&PRICES[span], "Mutter M5");
    let row = parsed.text.find("| A-101").expect("is there");
    let span = parsed.map.source_span(row..row + "| A-101 | Mutter M5 | 0,80 | 12 |".len());
    assert_eq!(&PRICES[span], "A-101;Mutter M5;0,80;12");
}

#[test]
fn delimiters_are_told_apart() {
    for (source, first) in [
        (PARTS, "| sku | name | weight_g | price_eur | stock |"),
        ("name\tnote\nAda\tlikes commas, and more, of them\nBo\tnone\n", "| name | note |"),
        ("host|port|owner\nalpha|80|ops, night\nbeta|443|web\n", "| host | port | owner |"),
        ("sep=;\na;b\n1;2\n", "| a | b |"),
        ("Jahr;2024;2025\nUmsatz;1,5;1,7\n", "| Jahr | 2024 | 2025 |"),
    ] {
        assert_eq!(parse(source).text.lines().next(), Some(first), "{source}");
    }
}

#[test]
fn without_a_header_columns_are_numbered() {
    let parsed = parse("1,2.5,north\n2,2.7,south\n3,2.9,east\n");
    assert!(
        parsed
            .text
            .starts_with("| column 1 | column 2 | column 3 |\n| --- | --- | --- |\n| 1 | 2.5 | north |\n")
    );
}

#[test]
fn ragged_records_are_kept_and_noted() {
    let parsed = parse("a,b,c\n1,2,3\n4,5\n6,7,8,9\n10,11,12\n13,14,15\n");
    assert!(parsed.text.contains("| 4 | 5 | |\n| 6 | 7 | 8 | 9 |\n"), "{}", parsed.text);
    assert_eq!(parsed.notes.len(), 1);
    assert!(parsed.notes[0].contains("line 3, 4"), "{:?}", parsed.notes);
}

#[test]
fn a_quote_that_never_closes_is_a_character() {
    let parsed = parse("id,name,size\n1,tube,\"5 inch\n2,\"pipe, long\",7\n3,rod,9\n");
    assert!(
        parsed.text.contains("| 1 | tube | \"5 inch |\n| 2 | pipe, long | 7 |\n| 3 | rod | 9 |"),
        "{}",
        parsed.text
    );
}

#[test]
fn prose_is_no_table() {
    for source in [
        "Dear all,\nthe pump, which is old, stands in hall nine.\nPlease, do not touch it.\n",
        "one\ntwo\nthree\n",
        "",
        "\n\n",
        "Monday was fine, mostly.\nTuesday was wet, sadly.\nWednesday was cold, as always.\n",
    ] {
        let parsed = parse(source);
        assert_eq!(parsed.structure, TextStructure::Plain, "{source}");
        assert_eq!(parsed.text, source);
    }
}

#[test]
fn empty_cells_and_lines_do_no_harm() {
    let parsed = parse("\n\na,b,\n\n1,,\n,,\n\"\",\"x\",y");
    assert!(
        parsed.text.starts_with("| a | b | column 3 |\n| --- | --- | --- |\n| 1 |  |  |\n|  |  |  |\n"),
        "{}",
        parsed.text
    );
    assert!(parsed.text.ends_with("|  | x | y |"));
}

#[test]
fn large_tables_take_linear_time() {
    let rows = (0..60_000)
        .map(|row| format!("{row},\"name {row}\",{}\n", row * 3))
        .collect::<Vec<String>>()
        .concat();
    let parsed = parse(&format!("id,name,n\n{rows}"));
    assert_eq!(parsed.text.lines().count(), 60_002);
    parse(&("a,\"".to_owned() + &"b,c\n\"".repeat(50_001)));
    parse(&"\",".repeat(50_001));
    parse(&",".repeat(200_000));
}

proptest! {
    #[test]
    fn damaged_tables_are_read(source in mutations(&[PRICES, PARTS], &["\"", ",", ";", "\n", "\r\n", "|", "\t", "\0", "ü", ""])) {
        parse(&source);
        check(&parse_delimited(&source, Some("x.tsv")), &source);
    }

    #[test]
    fn any_text_is_read(source in "([a-c,;\t|\"\n\r\0é ]|\"\"){0,60}") {
        parse(&source);
    }
}
