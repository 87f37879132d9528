//! Output formats and passage orders, by name.

use crate::fault::Refusal;

/// A built-in format of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextFormat {
    /// Headings, citations and fenced passages.
    #[default]
    Markdown,
    /// Elements with escaped text.
    Xml,
    /// One JSON object.
    Json,
    /// Text between marker lines.
    Plain,
}

impl ContextFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Markdown, Self::Xml, Self::Json, Self::Plain];

    /// Its name on the command line and in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Xml => "xml",
            Self::Json => "json",
            Self::Plain => "plain",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            Refusal::invalid(
                "unknown_format",
                "format",
                format!("unknown format '{name}'; known: markdown, xml, json, plain"),
            )
        })
    }
}

/// The order of passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PassageOrder {
    /// The best document first, its passages in document order.
    #[default]
    Document,
    /// The best passages first and last, the others between.
    Edges,
    /// The best passage first.
    Score,
}

impl PassageOrder {
    /// All orders.
    pub const ALL: [Self; 3] = [Self::Document, Self::Edges, Self::Score];

    /// Its name on the command line and in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Edges => "edges",
            Self::Score => "score",
        }
    }

    /// The order of that name.
    pub fn from_name(name: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|order| order.name() == name).ok_or_else(|| {
            Refusal::invalid(
                "unknown_order",
                "order",
                format!("unknown order '{name}'; known: document, edges, score"),
            )
        })
    }
}
