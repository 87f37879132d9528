//! Encoded bytes inside of text.

use super::data_support::{check, marks, mutations};
use contexture_formats::{
    ParsedText, SourceMap, StructureMark, StructureMarkKind, TextStructure, strip_payloads,
};
use proptest::prelude::*;

/// Base64 of pseudo-random bytes.
fn base64(length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(ALPHABET[(state >> 58) as usize])
    };
    (0..length).map(|_| next()).collect()
}

fn hex(length: usize) -> String {
    base64(length).bytes().map(|byte| char::from(b"0123456789abcdef"[usize::from(byte % 16)])).collect()
}

fn wrapped(length: usize, width: usize) -> String {
    let data = base64(length);
    data.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line) + "\n").collect()
}

fn strip(text: &str) -> ParsedText {
    let parsed =
        ParsedText { text: text.to_owned(), map: SourceMap::identity(text.len()), ..ParsedText::default() };
    let stripped = strip_payloads(parsed);
    check(&stripped, text);
    stripped
}

#[test]
fn data_uris_and_runs_are_replaced() {
    let stripped = strip(&format!("![logo](data:image/png;base64,{}==) and text\n", base64(16_384)));
    assert_eq!(stripped.text, "![logo]([image/png data, 13 KB]) and text\n");
    assert_eq!(stripped.notes.len(), 1);
    let stripped = strip(&format!("token = {}=\nnext", base64(400)));
    assert_eq!(stripped.text, "token = [base64 data, 300 B]\nnext");
    let stripped = strip(&format!("dump: {}", hex(4096)));
    assert_eq!(stripped.text, "dump: [hex data, 2 KB]");
    let stripped = strip(&format!("<img src=\"data:image/svg+xml,{}\">", "%3Csvg/%3E".repeat(40)));
    assert_eq!(stripped.text, "<img src=\"[image/svg+xml data, 400 B]\">");
}

#[test]
fn pem_blocks_keep_their_header_lines() {
    let pem =
        format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\nbehind\n", wrapped(1000, 64));
    let stripped = strip(&pem);
    assert_eq!(
        stripped.text,
        "-----BEGIN CERTIFICATE-----\n[base64 data, 750 B]\n-----END CERTIFICATE-----\nbehind\n"
    );
    let indented =
        wrapped(100, 64).lines().map(|line| format!("    {line}\n")).collect::<Vec<String>>().concat();
    let stripped = strip(&format!(
        "key: |\n    -----BEGIN EC PRIVATE KEY-----\n{indented}    -----END EC PRIVATE KEY-----\n"
    ));
    assert!(stripped.text.contains("KEY-----\n    [base64 data, 75 B]\n    -----END"), "{}", stripped.text);
    let mail = strip(&format!("Content-Transfer-Encoding: base64\n\n{}\n--frontier", wrapped(2000, 76)));
    assert_eq!(mail.text, "Content-Transfer-Encoding: base64\n\n[base64 data, 2 KB]\n\n--frontier");
}

#[test]
fn hashes_identifiers_and_words_stay() {
    let hashes: String = (0..30).map(|_| hex(64) + "\n").collect();
    let words = "Donaudampfschifffahrtsgesellschaftskapitaen".repeat(9);
    let sentence = format!("{}\n", "word ".repeat(200));
    for text in [
        format!("sha512: {}\n", hex(128)),
        hashes,
        words,
        sentence,
        "-".repeat(400),
        "a".repeat(400),
        "/usr/local/share/some/very/long/path".repeat(12),
        "the data: image is small, data:text/plain,hello".to_owned(),
        "01".repeat(200),
        "snake_case_identifier_of_a_generated_test_".repeat(10),
        "word\n".repeat(100),
        "SomeCamelCaseNameOfAnEnterpriseFactory".repeat(8),
    ] {
        let stripped = strip(&text);
        assert_eq!(stripped.text, text);
        assert!(stripped.notes.is_empty());
    }
}

#[test]
fn marks_and_maps_move() {
    let source = format!("# A\r\nx {} y\r\n# B\r\n", base64(300));
    let (text, map) = contexture_formats::normalise_line_ends(source.clone());
    let item = |at| StructureMark { at, kind: StructureMarkKind::Item };
    let second = text.find("# B").expect("is there");
    let structure = TextStructure::Marked(vec![item(0), item(4), item(6), item(50), item(306), item(second)]);
    let stripped = strip_payloads(ParsedText { text, map, structure, ..ParsedText::default() });
    check(&stripped, &source);
    assert_eq!(stripped.text, "# A\nx [base64 data, 225 B] y\n# B\n");
    let places: Vec<usize> = marks(&stripped).iter().map(|mark| mark.at).collect();
    assert_eq!(places, [0, 4, 6, 6, 26, 29]);
    let at = stripped.text.find("# B").expect("is there");
    assert_eq!(&source[stripped.map.source_span(at..at + 3)], "# B");
    assert_eq!(stripped.map.source_span(8..10), 7..307);
}

#[test]
fn many_lines_take_linear_time() {
    strip(&("abcdefghij".repeat(6) + "\n").repeat(20_000));
    strip(&"data:".repeat(100_000));
    strip(&"data:a,".repeat(100_000));
    strip(&"-----BEGIN X\n\n".repeat(50_000));
    strip(&(base64(300) + " ").repeat(500));
}

proptest! {
    #[test]
    fn damaged_payloads_are_read(source in mutations(&[
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJgggiVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbybl==) x",
        "-----BEGIN A-----\nMIIBszCCAVmgAwIBAgIUZ7w0bC0YV0rZyC7c8VnN5Kq3mX0wCgYIKoZIzj0EAwIw\nMIIBszCCAVmgAwIBAgIUZ7w0bC0YV0rZyC7c8VnN5Kq3mX0w\n-----END A-----\n",
    ], &["\n", "ü", "=", "data:", ",", ";base64", "\\", "\"", ":", " ", "-----BEGIN", ""])) {
        strip(&source);
    }
}
