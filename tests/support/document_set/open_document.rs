//! `OpenDocument` texts.

use std::fmt::Write as _;

use super::{LanguageText, MadePart, halves, joined, xml, zipped};

const OPEN: &str = r#"xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.3""#;

/// A text of these parts.
pub(crate) fn odt(text: &LanguageText, parts: &[MadePart]) -> Vec<u8> {
    let mut body = String::new();
    let mut noted = 0;
    for part in parts {
        match part {
            MadePart::Heading(level, text) => {
                write!(body, r#"<text:h text:outline-level="{level}">{}</text:h>"#, spans(text, false))
                    .unwrap();
            }
            MadePart::Paragraph(text) => write!(body, "<text:p>{}</text:p>", spans(text, false)).unwrap(),
            MadePart::List(items) => {
                let item = |text: &String| {
                    format!("<text:list-item><text:p>{}</text:p></text:list-item>", spans(text, true))
                };
                write!(body, "<text:list>{}</text:list>", joined(items.iter().map(item))).unwrap();
            }
            MadePart::Table(rows) => {
                body +=
                    r#"<table:table table:name="T"><table:table-column table:number-columns-repeated="3"/>"#;
                for row in rows {
                    let cell = |text: &String| {
                        format!(
                            "<table:table-cell><text:p>{}</text:p></table:table-cell>",
                            spans(text, false)
                        )
                    };
                    write!(body, "<table:table-row>{}</table:table-row>", joined(row.iter().map(cell)))
                        .unwrap();
                }
                body += "</table:table>";
            }
            MadePart::Noted(text, note) => {
                noted += 1;
                write!(
                    body,
                    r#"<text:p>{}<text:note text:id="n{noted}" text:note-class="footnote"><text:note-citation>{noted}</text:note-citation><text:note-body><text:p>{}</text:p></text:note-body></text:note></text:p>"#,
                    spans(text, false),
                    spans(note, false)
                )
                .unwrap();
            }
        }
    }
    let manifest = r#"<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.text"/><manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>"#;
    let meta = format!(
        "<office:document-meta {OPEN}><office:meta><dc:language>{}</dc:language></office:meta></office:document-meta>",
        text.code
    );
    let entry = |name: &str, content: String| (name.to_owned(), content);
    zipped(&[
        entry("mimetype", "application/vnd.oasis.opendocument.text".to_owned()),
        entry("META-INF/manifest.xml", manifest.to_owned()),
        entry("meta.xml", meta),
        entry(
            "content.xml",
            format!(
                r#"<?xml version="1.0" encoding="UTF-8"?><office:document-content {OPEN}><office:body><office:text>{body}</office:text></office:body></office:document-content>"#
            ),
        ),
    ])
}

/// Two spans.
fn spans(text: &str, within_word: bool) -> String {
    let (first, second) = halves(text, within_word);
    format!("{}<text:span>{}</text:span>", xml(first), xml(second))
}
