//! What a parser makes of a source: text, structure, properties and notes.

use std::collections::BTreeMap;

use crate::source_map::SourceMap;

/// The result of a parser.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParsedText {
    /// The normalised text: LF line ends, no NUL.
    pub text: String,
    /// The way from bytes of `text` to bytes of the source.
    pub map: SourceMap,
    /// How `text` is to be cut.
    pub structure: TextStructure,
    /// What the source says about itself.
    pub properties: TextProperties,
    /// What was left out or replaced, in words for the person who ingests the file. At most a handful.
    pub notes: Vec<String>,
}

/// How a text is to be cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TextStructure {
    /// `CommonMark` with tables: headings, lists, fences, tables.
    Markdown,
    /// Paragraphs, lines, sentences.
    #[default]
    Plain,
    /// The parser says where. Marks ascend by `at`; several may stand at one place.
    Marked(Vec<StructureMark>),
}

/// A place where a text may be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureMark {
    /// Byte of the normalised text; a character boundary, normally the start of a line.
    pub at: usize,
    /// What begins there.
    pub kind: StructureMarkKind,
}

/// What begins at a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StructureMarkKind {
    /// A section: it ends where the next section of the same or a smaller depth begins. Depths begin with 1
    /// and may be skipped. Its title becomes a part of the heading path of the chunks inside.
    Section {
        /// Nesting, from 1.
        depth: u8,
        /// On one line.
        title: String,
    },
    /// A block: a good place to cut.
    Block,
    /// An item: a record, row, entry or member.
    Item,
    /// A line: better than a sentence.
    Line,
}

/// What a source says about itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TextProperties {
    /// Its title, on one line.
    pub title: Option<String>,
    /// Everything else by name: `language`, `date`, `tags`, `author`, `description`, and what front matter and
    /// `<meta>` hold besides. Nested maps are flattened with dots.
    pub other: BTreeMap<String, PropertyValue>,
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyValue {
    /// Text; dates are text as they were written, if possible as RFC 3339.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// Texts, as tags are.
    Texts(Vec<String>),
}
