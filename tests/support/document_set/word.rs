//! Word files: styles, lists, tables, footnotes, and what readers do not see.

use std::fmt::Write as _;

use super::super::office_files::{content_types, relations};
use super::{LanguageText, MadePart, halves, xml, zipped};

const WORD: &str = r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships""#;

/// A Word file of these parts, with a header and a hidden word.
pub(crate) fn docx(text: &LanguageText, parts: &[MadePart]) -> Vec<u8> {
    let mut body = String::new();
    let mut notes = String::new();
    let mut number_of_note = 0;
    for part in parts {
        match part {
            MadePart::Heading(level, text) => {
                body += &paragraph(&format!(r#"<w:pStyle w:val="Heading{level}"/>"#), text, "");
            }
            MadePart::Paragraph(text) => body += &paragraph("", text, ""),
            MadePart::List(items) => {
                for item in items {
                    let list = r#"<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>"#;
                    body += &paragraph(list, item, "");
                }
            }
            MadePart::Table(rows) => {
                body += "<w:tbl><w:tblPr/><w:tblGrid><w:gridCol/><w:gridCol/><w:gridCol/></w:tblGrid>";
                for row in rows {
                    let cells: Vec<String> = row
                        .iter()
                        .map(|cell| format!("<w:tc><w:tcPr/>{}</w:tc>", paragraph("", cell, "")))
                        .collect();
                    write!(body, "<w:tr>{}</w:tr>", cells.concat()).unwrap();
                }
                body += "</w:tbl>";
            }
            MadePart::Noted(text, note) => {
                number_of_note += 1;
                let reference = format!(r#"<w:r><w:footnoteReference w:id="{number_of_note}"/></w:r>"#);
                body += &paragraph("", text, &reference);
                write!(
                    notes,
                    r#"<w:footnote w:id="{number_of_note}">{}</w:footnote>"#,
                    paragraph("", note, "")
                )
                .unwrap();
            }
        }
    }
    body += "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>invisible</w:t></w:r></w:p>";
    body += r#"<w:sectPr><w:headerReference w:type="default" r:id="rId4"/></w:sectPr>"#;
    let parts = [
        ("word/document.xml", "wordprocessingml.document.main"),
        ("word/styles.xml", "wordprocessingml.styles"),
        ("word/numbering.xml", "wordprocessingml.numbering"),
        ("word/footnotes.xml", "wordprocessingml.footnotes"),
        ("word/header1.xml", "wordprocessingml.header"),
    ];
    let related = [
        ("styles", "styles.xml"),
        ("numbering", "numbering.xml"),
        ("footnotes", "footnotes.xml"),
        ("header", "header1.xml"),
    ];
    let style = |level: usize| {
        format!(
            r#"<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/><w:pPr><w:outlineLvl w:val="{}"/></w:pPr></w:style>"#,
            level - 1
        )
    };
    let numbering = r#"<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="•"/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>"#;
    let entry = |name: &str, content: String| (name.to_owned(), content);
    zipped(&[
        entry("[Content_Types].xml", content_types(&parts)),
        entry("_rels/.rels", relations(&[("officeDocument", "word/document.xml")])),
        entry("word/_rels/document.xml.rels", relations(&related)),
        entry("word/styles.xml", format!("<w:styles {WORD}>{}{}</w:styles>", style(1), style(2))),
        entry("word/numbering.xml", format!("<w:numbering {WORD}>{numbering}</w:numbering>")),
        entry("word/footnotes.xml", format!("<w:footnotes {WORD}>{notes}</w:footnotes>")),
        entry("word/header1.xml", format!("<w:hdr {WORD}>{}</w:hdr>", paragraph("", text.title, ""))),
        entry("word/document.xml", format!("<w:document {WORD}><w:body>{body}</w:body></w:document>")),
    ])
}

/// A paragraph, whose second half is bold, with what stands at its end.
fn paragraph(properties: &str, text: &str, end: &str) -> String {
    let within_word = properties.contains("numPr");
    let (first, second) = halves(text, within_word);
    format!(
        "<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space=\"preserve\">{}</w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t \
         xml:space=\"preserve\">{}</w:t></w:r>{end}</w:p>",
        xml(first),
        xml(second)
    )
}
