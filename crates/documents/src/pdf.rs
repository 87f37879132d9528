//! PDF to text, page by page, with the `unpdf` crate.
//!
//! Around it: bytes before the header are cut; each page is rendered alone, so that its place is known; lines that
//! stand at the same edge of most pages are left out; a document without words says so, and one that has pages
//! without words names them; letters of no script are told. The text of a hidden layer, such as a scanner's, is
//! read as all other text, because it often is the only one.

use unpdf::{ErrorMode, ParseOptions, RenderOptions};

use contexture_formats::SourceUnit;

use crate::document_format::pdf_start;
use crate::extracted::{ExtractedText, ExtractionError, ExtractionErrorCode, clean_text};
use crate::page_furniture::remove_page_furniture;

/// Most pages of a document.
pub const PDF_PAGES_MAX: usize = 20_000;
/// Pages without words that a note names.
const PAGES_NAMED_MAX: usize = 12;
/// Letters from which on a text is judged.
const JUDGED_LETTERS_MIN: usize = 40;
/// Percent of letters of no script above which a text is unreadable.
const UNREADABLE_PERCENT: usize = 30;

/// Reads a PDF.
pub fn read_pdf(body: &[u8]) -> Result<ExtractedText, ExtractionError> {
    let start = pdf_start(body).unwrap_or(0);
    let options = ParseOptions {
        error_mode: ErrorMode::Lenient,
        extract_resources: false,
        parallel: false,
        ..ParseOptions::default()
    };
    let mut document =
        unpdf::parse_bytes_with_options(&body[start..], options).map_err(|error| refuse(&error))?;
    if document.pages.len() > PDF_PAGES_MAX {
        let detail =
            format!("the PDF has {} pages, more than {PDF_PAGES_MAX}; split it", document.pages.len());
        return Err(ExtractionError::new(ExtractionErrorCode::TooLarge, detail));
    }
    let pages = std::mem::take(&mut document.pages);
    let numbers: Vec<usize> = pages.iter().map(|page| page.number as usize).collect();
    let (metadata, fields) =
        (std::mem::take(&mut document.metadata), std::mem::take(&mut document.form_fields));
    let mut texts = Vec::with_capacity(pages.len());
    let render = RenderOptions::new().with_frontmatter(false);
    for page in pages {
        document.pages = vec![page];
        let text = unpdf::render::to_markdown(&document, &render).map_err(|error| refuse(&error))?;
        texts.push(clean_text(text.trim()));
    }
    check_words(&texts, fields.is_empty())?;
    let mut read = ExtractedText { unit: Some(SourceUnit::Page), ..ExtractedText::default() };
    let without: Vec<usize> =
        numbers.iter().zip(&texts).filter(|(_, text)| !has_words(text)).map(|(number, _)| *number).collect();
    if !without.is_empty() && without.len() < texts.len() {
        read.notes.push(pages_note(&without));
    }
    remove_page_furniture(&mut texts);
    for (number, text) in numbers.iter().zip(&texts) {
        let text = text.trim();
        if !text.is_empty() {
            read.push(&format!("{text}\n\n"), *number);
        }
    }
    let filled: Vec<String> = fields.iter().filter_map(field_line).collect();
    if !filled.is_empty() {
        let last = numbers.last().copied().unwrap_or(1);
        read.push(&format!("## Form fields\n\n{}\n", filled.join("\n")), last);
    }
    let unpdf::Metadata { title, author, subject, keywords, created, .. } = metadata;
    read.title = title.map(|title| title.trim().to_owned()).filter(|title| is_title(title));
    let created = created.map(|created| created.to_rfc3339());
    let properties = [("author", author), ("subject", subject), ("keywords", keywords), ("date", created)];
    for (name, value) in properties {
        if let Some(value) = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()) {
            read.properties.insert(name.to_owned(), value);
        }
    }
    Ok(read)
}

/// Whether a title was given by a person: programs write the name of a file, or their own.
fn is_title(title: &str) -> bool {
    let lower = title.to_lowercase();
    let is_file =
        [".doc", ".docx", ".indd", ".ppt", ".pptx", ".xls", ".xlsx", ".qxd", ".tex", ".dvi", ".pdf"]
            .iter()
            .any(|ending| lower.ends_with(ending));
    title.chars().any(char::is_alphabetic)
        && !is_file
        && !lower.starts_with("microsoft word -")
        && lower != "untitled"
}

fn field_line(field: &unpdf::FormField) -> Option<String> {
    let value = field.display_value().trim().to_owned();
    (!value.is_empty() && value != "[ ]")
        .then(|| format!("- {}: {}", clean_text(&field.name), clean_text(&value)))
}

fn has_words(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// Refuses a document without words, and one whose letters mean nothing.
fn check_words(texts: &[String], has_no_fields: bool) -> Result<(), ExtractionError> {
    if has_no_fields && !texts.iter().any(|text| has_words(text)) {
        let detail = format!(
            "none of the {} pages has words that can be read: they are pictures; run OCR on the PDF \
             and ingest the result",
            texts.len()
        );
        return Err(ExtractionError::new(ExtractionErrorCode::NoTextLayer, detail));
    }
    let visible = texts.iter().flat_map(|text| text.chars()).filter(|one| !one.is_whitespace());
    let (mut all, mut unreadable) = (0, 0);
    for one in visible {
        all += 1;
        unreadable += usize::from(is_of_no_script(one));
    }
    if all >= JUDGED_LETTERS_MIN && unreadable * 100 > all * UNREADABLE_PERCENT {
        let detail = format!(
            "{} of 100 characters are of no script: the fonts of the PDF do not say which letters they show; \
             run OCR on it and ingest the result",
            unreadable * 100 / all
        );
        return Err(ExtractionError::new(ExtractionErrorCode::UnreadableText, detail));
    }
    Ok(())
}

/// Private use, replacement characters, controls and the specials.
fn is_of_no_script(one: char) -> bool {
    matches!(u32::from(one),
        0xE000..=0xF8FF | 0xFFF0..=0xFFFF | 0xF_0000..=0x10_FFFF | 0..=8 | 0xE..=0x1F | 0x80..=0x9F)
}

fn pages_note(without: &[usize]) -> String {
    let named: Vec<String> = without.iter().take(PAGES_NAMED_MAX).map(ToString::to_string).collect();
    let more = without.len().saturating_sub(PAGES_NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("pages without words, perhaps pictures: {}{more}", named.join(", "))
}

fn refuse(error: &unpdf::Error) -> ExtractionError {
    match error.kind() {
        unpdf::ErrorKind::Encrypted | unpdf::ErrorKind::InvalidPassword => ExtractionError::new(
            ExtractionErrorCode::Encrypted,
            "the PDF needs a password; save it without one and ingest that",
        ),
        _ => ExtractionError::new(
            ExtractionErrorCode::CorruptDocument,
            format!("the PDF cannot be read: {error}; open it and save it anew"),
        ),
    }
}
