//! Chunks: byte spans of a document's normalised text.

pub use contexture_formats::{SourceExcerpt, SourcePlace, SourceUnit};
use serde::{Deserialize, Serialize};

use super::document::DocumentDescription;
use super::ids::{ChunkId, DocumentId, Version};

/// A half-open byte range of the normalised text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(expecting = "struct Span")]
pub struct TextSpan {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl TextSpan {
    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A chunk as the chunk stage cuts it. The spans of a document tile its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSpan {
    /// Its place in the text.
    pub span: TextSpan,
    /// Titles of the sections it stands in, outermost first.
    pub heading: Vec<String>,
    /// Tokens of the embedded text (context line and span) in the embedder's tokenizer,
    /// special tokens included.
    pub embed_tokens: u32,
    /// The fence of the block of code that it begins inside of, such as three backticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_fence: Option<String>,
}

/// A chunk as the index stores it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Its id, shared with its point in the vector store.
    pub id: ChunkId,
    /// The document.
    pub document_id: DocumentId,
    /// The version.
    pub version: Version,
    /// Position among the document's chunks, from 0.
    pub ordinal: u32,
    /// Number of the document's chunks.
    pub chunk_count: u32,
    /// Its place in the normalised text.
    pub span: TextSpan,
    /// Titles of the sections it stands in, outermost first.
    pub heading: Vec<String>,
    /// Tokens of the embedded text.
    pub embed_tokens: u32,
    /// The fence of the block of code that it begins inside of, such as three backticks.
    pub open_fence: Option<String>,
    /// The way from its text to the document's source; none of chunks that were indexed before there was one.
    pub source: Option<SourceExcerpt>,
    /// The text of the span.
    pub text: String,
    /// The producer's description of the document.
    pub description: DocumentDescription,
}

impl Chunk {
    /// The place in the source of a part of the document's text; none if they have nothing in common.
    pub fn source_place(&self, span: TextSpan) -> Option<SourcePlace> {
        let start = span.start.max(self.span.start);
        let end = span.end.min(self.span.end);
        let within = (start < end).then(|| start - self.span.start..end - self.span.start)?;
        self.source.as_ref()?.place(&self.text, within)
    }
}

/// Longest context line, in bytes. It is short because the embedder's window belongs to the text.
pub const CONTEXT_LINE_BYTES_MAX: usize = 160;
/// Longest context line that ends with the header of a table, in bytes: without the names of its columns a row
/// says little.
pub const TABLE_CONTEXT_LINE_BYTES_MAX: usize = 400;

/// Longest header line of a table that is kept, in bytes.
const TABLE_HEADER_BYTES_MAX: usize = 360;

/// Whether a heading is the header line of a table.
pub fn is_table_header(heading: &str) -> bool {
    heading.starts_with('|')
}

/// The header line of a table as a heading: on one line without needless white space, and bounded.
pub fn table_header(line: &str) -> String {
    let mut header = line.split_whitespace().collect::<Vec<_>>().join(" ");
    header.truncate(header.floor_char_boundary(TABLE_HEADER_BYTES_MAX));
    header
}

/// Whether a line is the row of dashes below the header of a table.
pub fn is_table_delimiter(line: &str) -> bool {
    line.contains('-') && line.starts_with('|') && line.bytes().all(|byte| b"|-: \t\r".contains(&byte))
}

/// The header of the table whose rows a position of a text is among: of a line that begins with `|` and has, above
/// other such lines, a header and a row of dashes.
pub fn table_header_above(text: &str, line_start: usize) -> Option<String> {
    if !text.get(line_start..)?.starts_with('|') {
        return None;
    }
    let above = text[..line_start].strip_suffix('\n')?;
    let mut rows = above.rsplit('\n').take_while(|line| line.starts_with('|'));
    // The two uppermost lines of the table, from below.
    let mut below = rows.next()?;
    let mut topmost = None;
    for line in rows {
        below = topmost.replace(line).unwrap_or(below);
    }
    topmost.filter(|_| is_table_delimiter(below)).map(table_header)
}

/// The line put before a chunk's text when it is embedded: title and headings.
///
/// Empty when there is neither. At most [`CONTEXT_LINE_BYTES_MAX`] bytes, or
/// [`TABLE_CONTEXT_LINE_BYTES_MAX`]: outer headings go first, then the line is cut at a character border.
pub fn context_line(title: Option<&str>, heading: &[String]) -> String {
    let mut parts: Vec<&str> = title.into_iter().chain(heading.iter().map(String::as_str)).collect();
    // A document often repeats its title as the first heading.
    parts.dedup();
    let bytes_max = match heading.last() {
        Some(last) if is_table_header(last) => TABLE_CONTEXT_LINE_BYTES_MAX,
        _ => CONTEXT_LINE_BYTES_MAX,
    };
    // Three bytes for " > "; one separator too many is counted, which is harmless.
    let whole_bytes = |parts: &[&str]| parts.iter().map(|part| part.len() + 3).sum::<usize>();
    // The title stays until it is the only part besides the innermost heading.
    while parts.len() > 1 && whole_bytes(&parts) > bytes_max {
        parts.remove(usize::from(parts.len() > 2));
    }
    let mut line = parts.join(" > ");
    line.truncate(line.floor_char_boundary(bytes_max));
    line
}

/// The text that is embedded for a chunk: context line, a line break, the span.
pub fn embedded_text(title: Option<&str>, heading: &[String], text: &str) -> String {
    let line = context_line(title, heading);
    if line.is_empty() { text.trim().to_owned() } else { format!("{line}\n{}", text.trim()) }
}

#[cfg(test)]
mod tests {
    use super::{is_table_delimiter, table_header_above};

    #[test]
    fn header_stands_above_the_rows() {
        let text = "Text.\n| a  | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n";
        let at = |row: &str| text.find(row).expect("a row");
        let header = Some("| a | b |".to_owned());
        assert_eq!(table_header_above(text, at("| 3")), header);
        assert_eq!(table_header_above(text, at("| 1")), header);
        assert_eq!(table_header_above(text, at("|---")), None, "the dashes are no row");
        assert_eq!(table_header_above(text, at("| a")), None);
        assert_eq!(table_header_above(text, 0), None);
        assert_eq!(table_header_above("| 1 |\n| 2 |\n| 3 |\n", 12), None, "no dashes, no header");
    }

    #[test]
    fn dashes_are_told_from_rows() {
        assert!(is_table_delimiter("| --- | :-: |") && is_table_delimiter("|-|"));
        assert!(!is_table_delimiter("| - a |") && !is_table_delimiter("---") && !is_table_delimiter("| : |"));
    }
}
