//! A set of documents with known texts: PDF, Office files, books, mail and pages, in eight languages, with headings,
//! lists, tables and notes, from half a page to ten. Made here, so that nobody has to fetch them.
//!
//! The known text has what a reader of the document sees, in the order in which it is read; headers and footers of
//! pages, and what is hidden, are not in it.

mod book;
mod markup;
mod open_document;
mod pdf_pages;
mod slides;
mod texts;
mod word;
mod workbook;

use std::fs;
use std::path::Path;

pub(crate) use texts::{LANGUAGES, LanguageText};

/// A document of the set.
pub(crate) struct MadeDocument {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// What its text should be.
    pub(crate) truth: String,
}

/// A part of a document.
pub(crate) enum MadePart {
    /// Its level, from 1.
    Heading(usize, String),
    Paragraph(String),
    List(Vec<String>),
    /// Rows; the first is the header.
    Table(Vec<Vec<String>>),
    /// A paragraph, and the note at its end.
    Noted(String, String),
}

/// What makes a document of parts, and its ending.
type DocumentMaker = (&'static str, fn(&LanguageText, &[MadePart]) -> (Vec<u8>, String));

const MAKERS: [DocumentMaker; 8] = [
    ("docx", |text, parts| (word::docx(text, parts), plain_text(parts))),
    ("pptx", |_, parts| slides::pptx(parts)),
    ("xlsx", |text, parts| workbook::xlsx(text, parts)),
    ("odt", |text, parts| (open_document::odt(text, parts), plain_text(parts))),
    ("epub", |text, parts| (book::epub(text, parts), plain_text(parts))),
    ("rtf", |_, parts| (markup::rtf(parts), plain_text(parts))),
    ("html", |text, parts| (markup::html(text, parts).into_bytes(), plain_text(parts))),
    ("eml", |text, parts| markup::eml(text, parts)),
];

/// The whole set.
pub(crate) fn made_documents() -> Vec<MadeDocument> {
    let mut made = Vec::new();
    for (number, (ending, make)) in MAKERS.into_iter().enumerate() {
        for (place, text) in LANGUAGES.iter().enumerate() {
            let shape = number + place;
            let (bytes, truth) = make(text, &parts(text, [1, 3, 12][shape % 3], shape));
            made.push(MadeDocument { name: format!("{}-{}.{ending}", text.code, shape % 4), bytes, truth });
        }
    }
    made.extend(pdf_pages::made_pdfs());
    made
}

/// Writes the set into a folder, each document with its text beside it.
pub(crate) fn write_documents(folder: &Path) -> std::io::Result<usize> {
    fs::create_dir_all(folder)?;
    let made = made_documents();
    for document in &made {
        fs::write(folder.join(&document.name), &document.bytes)?;
        fs::write(folder.join(format!("{}.txt", document.name)), &document.truth)?;
    }
    Ok(made.len())
}

/// The parts of a document with so many sections; its shape says whether it has lists, tables and notes.
pub(crate) fn parts(text: &LanguageText, sections: usize, shape: usize) -> Vec<MadePart> {
    let mut parts = vec![MadePart::Heading(1, text.title.to_owned())];
    for section in 0..sections {
        parts.push(MadePart::Heading(2, format!("{} {}", text.headings[section % 3], section + 1)));
        let paragraph = |step: usize| text.paragraphs[(section + step) % 4].to_owned();
        if shape % 4 == 2 && section.is_multiple_of(4) {
            parts.push(MadePart::Noted(paragraph(0), text.note.to_owned()));
        } else {
            parts.push(MadePart::Paragraph(paragraph(0)));
        }
        if shape % 4 != 1 && section.is_multiple_of(2) {
            parts.push(MadePart::List(text.items.map(str::to_owned).to_vec()));
        }
        parts.push(MadePart::Paragraph(paragraph(1)));
        if !shape.is_multiple_of(4) && section.is_multiple_of(3) {
            parts.push(MadePart::Table(table(text)));
        }
        parts.push(MadePart::Paragraph(format!("{} {}", paragraph(2), paragraph(3))));
    }
    parts
}

fn table(text: &LanguageText) -> Vec<Vec<String>> {
    text.table.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
}

/// The text of parts, a line for each; notes stand at the end.
pub(crate) fn plain_text(parts: &[MadePart]) -> String {
    let mut lines = Vec::new();
    let mut notes = Vec::new();
    for part in parts {
        match part {
            MadePart::Heading(_, text) | MadePart::Paragraph(text) => lines.push(text.clone()),
            MadePart::List(items) => lines.extend(items.iter().cloned()),
            MadePart::Table(rows) => lines.extend(rows.iter().map(|row| row.join(" | "))),
            MadePart::Noted(text, note) => {
                lines.push(text.clone());
                notes.push(note.clone());
            }
        }
    }
    lines.extend(notes);
    lines.join("\n") + "\n"
}

/// A text for XML.
pub(crate) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text in two parts, of which the second is formatted: cut before a word, or within one, as in a list's items.
pub(crate) fn halves(text: &str, within_word: bool) -> (&str, &str) {
    let middle = text.floor_char_boundary(text.len() / 2);
    let cut = if within_word { Some(middle) } else { text[..middle].rfind(' ').map(|space| space + 1) };
    text.split_at(cut.unwrap_or(text.len()))
}

/// Parts of markup, one after the other.
pub(crate) fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().concat()
}

/// A ZIP archive of these entries. The first is not compressed, as some formats want it.
pub(crate) fn zipped(entries: &[(String, String)]) -> Vec<u8> {
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (index, (name, content)) in entries.iter().enumerate() {
        let method =
            if index == 0 { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
        zip.start_file(name.as_str(), SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
