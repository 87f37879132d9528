//! Bodies of every kind: what they decode to, and why some do not.

use contexture_core::fault::{FailureReason, reason};
use contexture_core::ingest::chunk::{CodeLanguage, NormalisedText, TextFormat, decode_body};

fn undeclared(body: &[u8]) -> Result<NormalisedText, FailureReason> {
    decode_body(body, None, "it")
}

fn html(body: &str) -> NormalisedText {
    decode_body(body.as_bytes(), Some("text/html; charset=utf-8"), "it").unwrap()
}

fn utf16(text: &str, mark: [u8; 2], unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect()
}

#[test]
fn encodings_and_line_ends_are_normalised() {
    let text = "a é 漢 👩‍👧\n";
    assert_eq!(undeclared(text.as_bytes()).unwrap().text, text);
    assert_eq!(undeclared(format!("\u{FEFF}{text}").as_bytes()).unwrap().text, text);
    assert_eq!(undeclared(&utf16(text, [0xFF, 0xFE], u16::to_le_bytes)).unwrap().text, text);
    assert_eq!(undeclared(&utf16(text, [0xFE, 0xFF], u16::to_be_bytes)).unwrap().text, text);
    assert_eq!(undeclared(b"a\r\nb\rc\n\r\nd\0e\r").unwrap().text, "a\nb\nc\n\nd\u{FFFD}e\n");
}

#[test]
fn invalid_text_is_refused_by_what_it_claims() {
    let detail_of = |body: &[u8]| {
        let refused = undeclared(body).unwrap_err();
        assert_eq!(refused.code, reason::INVALID_ENCODING);
        refused.detail
    };
    let mut lone = utf16("ab", [0xFF, 0xFE], u16::to_le_bytes);
    lone.extend(0xD800_u16.to_le_bytes());
    assert!(detail_of(&lone).contains("not all of its bytes are valid UTF-16LE"));
    assert!(detail_of(&[0xFF, 0xFE, b'a', 0, b'b']).contains("not all of its bytes are valid UTF-16LE"));
}

#[test]
fn binary_bodies_are_unsupported_and_named() {
    let mut tar = vec![0_u8; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let bodies: [(&[u8], &str); 9] = [
        (b"%PDF-1.7\n1 0 obj << >> endobj", "application/pdf"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "application/zip"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xFF\xD8\xFF\xE0\0\x10JFIF\0", "image/jpeg"),
        (b"\x1F\x8B\x08\0\0\0\0\0\0\x03", "application/gzip"),
        (b"{\\rtf1\\ansi hello}", "application/rtf"),
        (&tar, "application/x-tar"),
        (&[0x01, 0x02, 0x03, 0x04, 0x05, 0x06], "application/octet-stream"),
        (&[0xFF, 0xFE, 0, 0, b'a', 0, 0, 0], "utf-32"),
    ];
    for (body, sniffed) in bodies {
        let refused = decode_body(body, Some("text/plain"), "it.txt").unwrap_err();
        assert_eq!(refused.code, reason::UNSUPPORTED_TYPE);
        assert!(refused.detail.contains(sniffed) && refused.detail.contains("text/plain"), "{refused}");
    }
    let same = decode_body(b"%PDF-1.7\n", Some("Application/PDF"), "it").unwrap_err();
    assert!(!same.detail.contains("declared"), "{same}");
}

#[test]
fn text_that_starts_like_a_magic_number_is_text() {
    assert!(undeclared("BMW builds cars. MZ is a prefix.".as_bytes()).is_ok());
    assert!(undeclared(b"MZ is the mark of a program, and \0 one NUL is not").is_ok());
}

#[test]
fn blank_bodies_are_empty() {
    for body in
        ["", " \n\t\r\n", "\u{FEFF}", "\u{200B}\u{200D}\u{3000}", "<html><script>alert(1)</script></html>"]
    {
        assert_eq!(undeclared(body.as_bytes()).unwrap_err().code, reason::EMPTY_DOCUMENT, "{body:?}");
    }
}

#[test]
fn the_format_follows_bytes_then_declaration_then_name_then_content() {
    let format = |declared, id| decode_body(b"some text", declared, id).unwrap().format;
    assert_eq!(format(Some("text/markdown; charset=utf-8"), "a.txt"), TextFormat::Markdown);
    assert_eq!(format(Some("TEXT/PLAIN"), "a.md"), TextFormat::Markdown, "servers say so of anything");
    assert_eq!(format(None, "folder.py/a.MD"), TextFormat::Markdown);
    assert_eq!(format(Some("application/octet-stream"), "a.tsx"), TextFormat::Code(CodeLanguage::Tsx));
    assert_eq!(format(Some("image/png"), "a"), TextFormat::Plain);
    assert_eq!(format(None, "Makefile"), TextFormat::Plain);
    assert_eq!(undeclared(b" <!DOCTYPE html><p>x").unwrap().format, TextFormat::Markdown);
}

#[test]
fn html_becomes_markdown() {
    let document = html(
        "<!doctype html><head><title> A &amp;\n B </title><style>p{}</style></head><body>\
         <h1>One <em>big</em> title</h1><div>first <b>bold</b>text<br>next &lt;line&gt;</div>\
         <ul><li>alpha<li>beta<ol><li>one</li><li>two</li></ol></ul>\
         <table><tr><th>k<th>v</tr><tr><td>a</td><td>b c</td></tr></table>\
         <pre><code>let x = 1;\n  let y = `2`;</code></pre><script>no()</script>\
         <template><p>hidden</p></template><p>#1 is a\n\n  number</p>",
    );
    assert_eq!(document.title.as_deref(), Some("A & B"));
    let expected = "# One big title\n\nfirst boldtext\nnext <line>\n\n- alpha\n- beta\n    1. one\n    2. two\n\n\
        | k | v |\n| --- | --- |\n| a | b c |\n\n```\nlet x = 1;\n  let y = `2`;\n```\n\n\\#1 is a number\n";
    assert_eq!(document.text, expected);
}

#[test]
fn html_cannot_pass_text_off_as_structure() {
    let document = html("<p># no heading</p><p>```</p><p>a</p>===<br>--<br>&lt;script&gt;<p>rest</p>");
    assert_eq!(document.text, "\\# no heading\n\n\\```\n\na\n\n\\===\n\\--\n\\<script>\n\nrest\n");
    let fenced = html("<pre>```\n# x\n````</pre>");
    assert_eq!(fenced.text, "`````\n```\n# x\n````\n`````\n");
}

#[test]
fn html_nested_a_hundred_thousand_deep_is_read() {
    for element in ["div", "ul", "li", "table", "blockquote", "b", "h1", "pre", "td"] {
        let body = format!(
            "{}deep{}",
            format!("<{element}>").repeat(100_000),
            format!("</{element}>").repeat(100_000)
        );
        assert!(html(&body).text.contains("deep"), "{element}");
        let unclosed = format!("{}deep", format!("<{element}>").repeat(100_000));
        assert!(html(&unclosed).text.contains("deep"), "{element}");
    }
}
