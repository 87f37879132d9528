//! Which format a file is in: its bytes alone say.

use std::io::Cursor;

use serde::{Deserialize, Serialize};

/// Bytes at the start within which a PDF may begin (ISO 32000-1, annex H.3.4.1: readers accept the header there).
const PDF_HEADER_WITHIN: usize = 1024;
/// Entries of an archive that are looked at to tell its format.
const ENTRIES_LOOKED_AT_MAX: usize = 2000;
/// The longest content of an archive's `mimetype` entry.
const MEDIA_TYPE_BYTES_MAX: u64 = 128;
/// Bytes of an archive without its end in which names of entries are looked for.
const CUT_NAMES_WITHIN: usize = 1 << 20;
/// Bytes of an OLE file in which the names of its streams are looked for.
const OLE_NAMES_WITHIN: usize = 1 << 20;

/// A format that is read in a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentFormat {
    /// Portable Document Format.
    Pdf,
    /// Word, Office Open XML.
    Docx,
    /// `PowerPoint`, Office Open XML.
    Pptx,
    /// Excel, Office Open XML.
    Xlsx,
    /// Word 97 to 2003.
    Doc,
    /// `PowerPoint` 97 to 2003.
    Ppt,
    /// Excel 97 to 2003.
    Xls,
    /// `OpenDocument` text.
    Odt,
    /// `OpenDocument` presentation.
    Odp,
    /// `OpenDocument` spreadsheet.
    Ods,
    /// A book.
    Epub,
    /// Rich Text Format.
    Rtf,
    /// A message of Outlook.
    Msg,
}

impl DocumentFormat {
    /// Its usual ending, in lower case.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Pptx => "pptx",
            Self::Xlsx => "xlsx",
            Self::Doc => "doc",
            Self::Ppt => "ppt",
            Self::Xls => "xls",
            Self::Odt => "odt",
            Self::Odp => "odp",
            Self::Ods => "ods",
            Self::Epub => "epub",
            Self::Rtf => "rtf",
            Self::Msg => "msg",
        }
    }

    /// The format of a file, by its bytes. None if it is none of these.
    pub fn sniff(body: &[u8]) -> Option<Self> {
        if pdf_start(body).is_some() {
            return Some(Self::Pdf);
        }
        if body.starts_with(b"{\\rtf") {
            return Some(Self::Rtf);
        }
        if body.starts_with(b"PK\x03\x04") {
            return sniff_archive(body);
        }
        if body.starts_with(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) {
            return Some(sniff_ole(body));
        }
        None
    }
}

/// Where a PDF begins: at its start, or behind a few bytes that something put before it.
pub fn pdf_start(body: &[u8]) -> Option<usize> {
    let head = &body[..body.len().min(PDF_HEADER_WITHIN)];
    let at = head.windows(5).position(|bytes| bytes == b"%PDF-")?;
    // A text about PDF names the mark somewhere in a sentence; a header stands at the start of a line.
    let begins_line = at == 0
        || head.starts_with(b"\xEF\xBB\xBF")
        || matches!(head[at - 1], b'\n' | b'\r')
        || !is_text(&head[..at]);
    begins_line.then_some(at).filter(|at| *at == 0 || looks_like_pdf(&body[*at..]))
}

/// Whether bytes behind a header have an object, as each PDF has.
fn looks_like_pdf(body: &[u8]) -> bool {
    let head = &body[..body.len().min(1 << 16)];
    head.windows(4).any(|bytes| bytes == b" obj")
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.chars().any(|one| one.is_control() && !one.is_whitespace()))
}

/// The format of a ZIP archive, by the names that every file of a format has.
fn sniff_archive(body: &[u8]) -> Option<DocumentFormat> {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(body)) else { return sniff_cut_archive(body) };
    if let Some(format) = sniff_mimetype(&mut archive) {
        return Some(format);
    }
    for index in 0..archive.len().min(ENTRIES_LOOKED_AT_MAX) {
        let Some(Ok(name)) = archive.name_for_index(index) else { continue };
        let format = match &*name {
            "word/document.xml" | "word/document2.xml" => DocumentFormat::Docx,
            "ppt/presentation.xml" => DocumentFormat::Pptx,
            "xl/workbook.xml" => DocumentFormat::Xlsx,
            "META-INF/container.xml" => DocumentFormat::Epub,
            _ => continue,
        };
        return Some(format);
    }
    None
}

/// The format of an archive that has lost its end, where its directory is: by names before its entries. It cannot be
/// read, but its person hears that, and not that archives are left out.
fn sniff_cut_archive(body: &[u8]) -> Option<DocumentFormat> {
    const NAMES: [(&[u8], DocumentFormat); 9] = [
        (b"mimetypeapplication/epub+zip", DocumentFormat::Epub),
        (b"mimetypeapplication/vnd.oasis.opendocument.text", DocumentFormat::Odt),
        (b"mimetypeapplication/vnd.oasis.opendocument.presentation", DocumentFormat::Odp),
        (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", DocumentFormat::Ods),
        (b"ppt/", DocumentFormat::Pptx),
        (b"xl/", DocumentFormat::Xlsx),
        (b"word/", DocumentFormat::Docx),
        (b"META-INF/container.xml", DocumentFormat::Epub),
        (b"[Content_Types].xml", DocumentFormat::Docx),
    ];
    let head = &body[..body.len().min(CUT_NAMES_WITHIN)];
    let has = |name: &[u8]| head.windows(name.len()).any(|bytes| bytes == name);
    NAMES.iter().find(|(name, _)| has(name)).map(|(_, format)| *format)
}

/// The format by the entry `mimetype`, which `OpenDocument` files and books begin with.
fn sniff_mimetype(archive: &mut zip::ZipArchive<Cursor<&[u8]>>) -> Option<DocumentFormat> {
    use std::io::Read;
    let mut media_type = String::new();
    archive.by_name("mimetype").ok()?.take(MEDIA_TYPE_BYTES_MAX).read_to_string(&mut media_type).ok()?;
    Some(match media_type.trim() {
        "application/vnd.oasis.opendocument.text" | "application/vnd.oasis.opendocument.text-template" => {
            DocumentFormat::Odt
        }
        "application/vnd.oasis.opendocument.presentation" => DocumentFormat::Odp,
        "application/vnd.oasis.opendocument.spreadsheet" => DocumentFormat::Ods,
        "application/epub+zip" => DocumentFormat::Epub,
        _ => return None,
    })
}

/// The format of an OLE compound file, by the names of its streams, which are in UTF-16.
fn sniff_ole(body: &[u8]) -> DocumentFormat {
    let head = &body[..body.len().min(OLE_NAMES_WITHIN)];
    // Directories often stand at the end.
    let tail = &body[body.len().saturating_sub(OLE_NAMES_WITHIN)..];
    let has = |name: &str| {
        let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [head, tail].iter().any(|part| part.windows(wide.len()).any(|bytes| bytes == wide))
    };
    if has("__properties_version1.0") {
        DocumentFormat::Msg
    } else if has("PowerPoint Document") {
        DocumentFormat::Ppt
    } else if has("Workbook") || has("Book") {
        DocumentFormat::Xls
    } else {
        DocumentFormat::Doc
    }
}

#[cfg(test)]
mod tests {
    use super::{DocumentFormat, pdf_start};

    #[test]
    fn pdfs_may_begin_behind_a_few_bytes() {
        assert_eq!(pdf_start(b"%PDF-1.7\n1 0 obj"), Some(0));
        assert_eq!(pdf_start(b"\xEF\xBB\xBF%PDF-1.4\n1 0 obj\n"), Some(3));
        assert_eq!(pdf_start(b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.4\n1 0 obj\n"), Some(19));
        assert_eq!(pdf_start(b"A PDF begins with %PDF-1.4 and has 1 0 obj in it."), None);
        assert_eq!(pdf_start(b"Its first line is\n%PDF-1.4\nand its second is a comment."), None);
        assert_eq!(pdf_start(&[b"x".repeat(2000), b"%PDF-1.4 1 0 obj".to_vec()].concat()), None);
    }

    #[test]
    fn other_bytes_are_no_document() {
        for body in [b"".as_slice(), b"PK\x03\x04", b"plain text", b"{\"rtf\": 1}"] {
            assert_eq!(DocumentFormat::sniff(body), None);
        }
        assert_eq!(DocumentFormat::sniff(b"{\\rtf1\\ansi text}"), Some(DocumentFormat::Rtf));
    }
}
