//! Books: a chapter for each section. In one language the names of the files have to be decoded.

use std::fmt::Write as _;

use super::markup::html_parts;
use super::{LanguageText, MadePart, xml, zipped};

/// A book of these parts. Its notes are the last chapter.
pub(crate) fn epub(text: &LanguageText, parts: &[MadePart]) -> Vec<u8> {
    let mut chapters: Vec<String> = Vec::new();
    let mut notes = String::new();
    for part in parts {
        if matches!(part, MadePart::Heading(..)) {
            chapters.push(String::new());
        }
        let (body, note) = html_parts(std::slice::from_ref(part));
        if let Some(chapter) = chapters.last_mut() {
            *chapter += &body;
        }
        notes += &note;
    }
    if !notes.is_empty() {
        chapters.push(notes);
    }
    let page = |body: &str| {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><html xmlns="http://www.w3.org/1999/xhtml" xml:lang="{}"><head><title>{}</title></head><body>{body}</body></html>"#,
            text.code,
            xml(text.title)
        )
    };
    let (mut manifest, mut spine) = (String::new(), String::new());
    let mut entries = vec![
        ("mimetype".to_owned(), "application/epub+zip".to_owned()),
        (
            "META-INF/container.xml".to_owned(),
            r#"<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"#
                .to_owned(),
        ),
    ];
    for (index, chapter) in chapters.iter().enumerate() {
        // The files are not in the order of the spine.
        let file = chapters.len() - index;
        let (between, encoded) = if text.code == "pl" { (" ", "%20") } else { ("-", "-") };
        write!(
            manifest,
            r#"<item id="c{index}" href="part{encoded}{file:02}.xhtml" media-type="application/xhtml+xml"/>"#
        )
        .unwrap();
        write!(spine, r#"<itemref idref="c{index}"/>"#).unwrap();
        entries.push((format!("OEBPS/part{between}{file:02}.xhtml"), page(chapter)));
    }
    entries.push((
        "OEBPS/nav.xhtml".to_owned(),
        page(r#"<nav epub:type="toc" xmlns:epub="http://www.idpf.org/2007/ops"><ol><li><a href="nav.xhtml">1</a></li></ol></nav>"#),
    ));
    entries.push((
        "OEBPS/book.opf".to_owned(),
        format!(
            r#"<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">made-{code}</dc:identifier><dc:title>{}</dc:title><dc:language>{code}</dc:language></metadata><manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>{manifest}</manifest><spine>{spine}</spine></package>"#,
            xml(text.title),
            code = text.code
        ),
    ));
    zipped(&entries)
}
