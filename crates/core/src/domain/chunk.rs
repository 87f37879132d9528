//! Chunks: byte spans of a document's normalised text.

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
    /// The text of the span.
    pub text: String,
    /// The producer's description of the document.
    pub description: DocumentDescription,
}

/// Longest context line, in bytes. It is short because the embedder's window belongs to the text.
pub const CONTEXT_LINE_BYTES_MAX: usize = 160;

/// The line put before a chunk's text when it is embedded: title and headings.
///
/// Empty when there is neither. At most [`CONTEXT_LINE_BYTES_MAX`] bytes: outer headings go first, then
/// the line is cut at a character border.
pub fn context_line(title: Option<&str>, heading: &[String]) -> String {
    let mut parts: Vec<&str> = title.into_iter().chain(heading.iter().map(String::as_str)).collect();
    // A document often repeats its title as the first heading.
    parts.dedup();
    // Three bytes for " > "; one separator too many is counted, which is harmless.
    let whole_bytes = |parts: &[&str]| parts.iter().map(|part| part.len() + 3).sum::<usize>();
    // The title stays until it is the only part besides the innermost heading.
    while parts.len() > 1 && whole_bytes(&parts) > CONTEXT_LINE_BYTES_MAX {
        parts.remove(usize::from(parts.len() > 2));
    }
    let mut line = parts.join(" > ");
    line.truncate(line.floor_char_boundary(CONTEXT_LINE_BYTES_MAX));
    line
}

/// The text that is embedded for a chunk: context line, a line break, the span.
pub fn embedded_text(title: Option<&str>, heading: &[String], text: &str) -> String {
    let line = context_line(title, heading);
    if line.is_empty() { text.trim().to_owned() } else { format!("{line}\n{}", text.trim()) }
}
