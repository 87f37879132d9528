//! Office files, books and messages to text, with the `docling` crate.
//!
//! What a reader of the document sees is taken in: body and notes of the speaker. Headers and footers of pages and
//! hidden slides, sheets and text are left out. Slides and sheets are sections, and lead back to their number and
//! rows.

use docling::{
    ArchiveLimits, ContentLayer, ContentLayers, ConversionError, DoclingDocument, DocumentConverter,
    EmailAttachments, InputFormat, MarkdownExportOptions, Node, SourceDocument,
};

use contexture_formats::SourceUnit;

use crate::document_format::DocumentFormat;
use crate::extracted::{
    ExtractedAttachment, ExtractedText, ExtractionError, ExtractionErrorCode, clean_text,
};

/// Reads a document of any format but PDF.
pub fn read_office(
    body: &[u8],
    format: DocumentFormat,
    name: &str,
) -> Result<ExtractedText, ExtractionError> {
    let converter = DocumentConverter::new().fetch_images(false).use_outline_level_for_headings(true);
    // The bytes decide, so the name must not.
    let file_name = format!("document.{}", format.ending());
    let source = SourceDocument::from_bytes(file_name, input_format(format), body.to_vec());
    let metadata = converter.document_metadata(&source);
    let result = converter.convert(source).map_err(|error| refuse(&error, format, name))?;
    let mut document = result.document;
    let nodes = std::mem::take(&mut document.nodes);
    document.compact_tables = true;
    document.metadata_output = docling::MetadataOutput::default();
    let mut walk =
        OfficeWalk { document, read: ExtractedText::default(), notes: Vec::new(), has_rows: false };
    match format {
        DocumentFormat::Pptx => walk.slides(nodes),
        DocumentFormat::Xlsx | DocumentFormat::Xls | DocumentFormat::Ods => walk.sheets(nodes),
        _ => {
            let text = walk.markdown(nodes);
            walk.read.push(&text, 1);
        }
    }
    let OfficeWalk { mut read, notes, has_rows, .. } = walk;
    if read.unit == Some(SourceUnit::Row) && !has_rows {
        // No place is better than a wrong one.
        read.unit = None;
    }
    read.notes = notes;
    read.title = metadata.title.filter(|title| title.chars().any(char::is_alphabetic));
    let authors = Some(metadata.authors.join(", "));
    let date = metadata.date.or(metadata.modified).or(metadata.created);
    let properties = [
        ("author", authors),
        ("subject", metadata.subject),
        ("description", metadata.description),
        ("language", metadata.language),
        ("date", date),
        ("keywords", Some(metadata.keywords.join(", "))),
    ];
    for (key, value) in properties {
        if let Some(value) = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()) {
            read.properties.insert(key.to_owned(), value);
        }
    }
    Ok(read)
}

fn input_format(format: DocumentFormat) -> InputFormat {
    match format {
        DocumentFormat::Pdf => InputFormat::Pdf,
        DocumentFormat::Docx => InputFormat::Docx,
        DocumentFormat::Pptx => InputFormat::Pptx,
        DocumentFormat::Xlsx => InputFormat::Xlsx,
        DocumentFormat::Doc => InputFormat::Doc,
        DocumentFormat::Ppt => InputFormat::Ppt,
        DocumentFormat::Xls => InputFormat::Xls,
        DocumentFormat::Odt => InputFormat::Odt,
        DocumentFormat::Odp => InputFormat::Odp,
        DocumentFormat::Ods => InputFormat::Ods,
        DocumentFormat::Epub => InputFormat::Epub,
        DocumentFormat::Rtf => InputFormat::Rtf,
        DocumentFormat::Msg => InputFormat::Email,
    }
}

/// The files inside a mail of Outlook. Pictures that belong to its text are none.
pub fn read_message_attachments(body: &[u8], name: &str) -> Result<ExtractedText, ExtractionError> {
    let opened = EmailAttachments::open(body, &ArchiveLimits::default());
    let message = opened.map_err(|error| refuse(&error, DocumentFormat::Msg, name))?;
    let mut read = ExtractedText::default();
    for entry in message.entries().iter().filter(|entry| !entry.inline) {
        match message.data(entry.index) {
            Some(body) if !body.is_empty() => read.attachments.push(ExtractedAttachment {
                name: entry.name.clone(),
                media_type: entry.content_type.clone(),
                body: body.to_vec(),
            }),
            _ => {
                let why = entry.skipped.as_deref().unwrap_or("it is empty");
                read.notes.push(format!("the attachment '{}' is left out: {why}", entry.name));
            }
        }
    }
    Ok(read)
}

/// The walk through the parts of one document.
struct OfficeWalk {
    /// Its settings, without parts.
    document: DoclingDocument,
    read: ExtractedText,
    notes: Vec<String>,
    /// Whether its tables say where on their sheet they stand.
    has_rows: bool,
}

impl OfficeWalk {
    /// Parts as Markdown, without what is hidden.
    fn markdown(&mut self, nodes: Vec<Node>) -> String {
        self.document.nodes = nodes;
        let options = MarkdownExportOptions {
            layers: ContentLayers::BODY.with(ContentLayer::Notes),
            escape_html: false,
            escape_underscores: false,
            image_placeholder: String::new(),
            ..MarkdownExportOptions::default()
        };
        let (text, _) = self.document.export_to_markdown_with_options(&options);
        self.document.nodes = Vec::new();
        let text = clean_text(text.trim());
        if text.is_empty() { text } else { text + "\n\n" }
    }

    /// Slides, which are groups with a number. What stands between them belongs to the one before.
    fn slides(&mut self, nodes: Vec<Node>) {
        self.read.unit = Some(SourceUnit::Slide);
        let mut slide = 1;
        for node in nodes {
            slide = slide_number(&node).unwrap_or(slide);
            if !matches!(node, Node::PageBreak) {
                self.push_slide(vec![node], slide);
            }
        }
    }

    fn push_slide(&mut self, nodes: Vec<Node>, slide: usize) {
        let text = self.markdown(nodes);
        if text.trim().is_empty() {
            return;
        }
        // A section of its own: a heading that the slide has not gives it its number.
        let heading = if text.starts_with('#') { String::new() } else { format!("## Slide {slide}\n\n") };
        self.read.push(&format!("{heading}{text}"), slide);
    }

    /// Sheets, which are groups.
    fn sheets(&mut self, nodes: Vec<Node>) {
        self.read.unit = Some(SourceUnit::Row);
        for node in nodes {
            match node {
                Node::Group { name, layer: Some(ContentLayer::Invisible), .. } => {
                    let name = name.unwrap_or_default();
                    self.notes.push(format!("the hidden sheet '{name}' is left out"));
                }
                Node::Group { name, children, .. } => {
                    let heading = format!("## {}\n\n", clean_text(name.as_deref().unwrap_or("Sheet")).trim());
                    let before = self.read.text.len();
                    self.read.push(&heading, 1);
                    for child in children {
                        self.sheet_part(child, 1);
                    }
                    if self.read.text.len() == before + heading.len() {
                        // An empty sheet says nothing.
                        self.read.text.truncate(before);
                        self.forget_bytes(heading.len());
                    }
                }
                other => self.sheet_part(other, 1),
            }
        }
    }

    fn forget_bytes(&mut self, bytes: usize) {
        if let Some(last) = self.read.places.last_mut() {
            last.bytes -= bytes;
            if last.bytes == 0 {
                self.read.places.pop();
            }
        }
    }

    /// A part of a sheet. A table's lines are rows from the first one of its cells on; below the header stands the
    /// row of dashes, which is no row.
    fn sheet_part(&mut self, node: Node, row: usize) {
        match node {
            Node::Prov { bbox, inner, .. } => {
                self.has_rows = true;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a row of a sheet, from 0"
                )]
                let first = bbox[1].max(0.0) as usize + 1;
                self.sheet_part(*inner, first);
            }
            Node::Located { inner, .. } => self.sheet_part(*inner, row),
            Node::Table(table) => {
                let text = self.markdown(vec![Node::Table(table)]);
                for (line, written) in text.split_inclusive('\n').enumerate() {
                    let below = if written.trim().is_empty() {
                        line.saturating_sub(2)
                    } else {
                        line.saturating_sub(1)
                    };
                    self.read.push(written, row + below.max(usize::from(line > 1)));
                }
            }
            other => {
                let text = self.markdown(vec![other]);
                self.read.push(&text, row);
            }
        }
    }
}

/// The number of a slide that is a group, from 1; the group counts from 0, empty and hidden slides included.
fn slide_number(node: &Node) -> Option<usize> {
    let Node::Group { name, .. } = node else { return None };
    Some(name.as_deref()?.strip_prefix("slide-")?.parse::<usize>().ok()? + 1)
}

fn refuse(error: &ConversionError, format: DocumentFormat, name: &str) -> ExtractionError {
    let what = format.ending();
    if error.encryption().is_some() {
        let detail = format!("{name} needs a password; save the {what} without one and ingest that");
        return ExtractionError::new(ExtractionErrorCode::Encrypted, detail);
    }
    match error {
        ConversionError::Panic(_) => ExtractionError::new(
            ExtractionErrorCode::Crashed,
            format!("the reader of {what} files gave up; open the file and save it anew"),
        ),
        _ => ExtractionError::new(
            ExtractionErrorCode::CorruptDocument,
            format!("the {what} cannot be read: {error}; open it and save it anew"),
        ),
    }
}
