//! Documents that no reader here reads, to text: by a program or a server that the operator names.
//!
//! Contract: a conversion may take minutes, may cost money, and need not give the same text twice. So it is made
//! once for a version, before that version is cut for the first time, and its result is kept in the ledger beside
//! the body: every later reader has that text, in every process. Faults of the document are permanent, with the
//! converter's own words; a converter that is away costs no attempt. A call that is dropped ends what it started.

use async_trait::async_trait;

use crate::fault::Fault;

/// How the answer of a converter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConvertedFormat {
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
    /// A page.
    Html,
}

impl ConvertedFormat {
    /// All of them; their names are stored, so none changes.
    pub const ALL: [Self; 3] = [Self::Text, Self::Markdown, Self::Html];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// The format of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
        }
    }
}

/// What a converter made of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedText {
    /// How it is read.
    pub format: ConvertedFormat,
    /// The bytes as the converter gave them. A form feed in UTF-8 text ends a page.
    pub body: Vec<u8>,
}

/// A document for a converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentToConvert {
    /// Its bytes.
    pub body: Vec<u8>,
    /// The type that its bytes have; where they do not say, the declared one.
    pub media_type: String,
    /// Its id.
    pub name: String,
}

/// Makes text of documents.
#[async_trait]
pub trait DocumentConverter: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// How many documents it takes at once; at least one.
    fn documents_at_once(&self) -> usize;

    /// Converts a document.
    async fn convert(&self, document: DocumentToConvert) -> Result<ConvertedText, Fault>;
}
