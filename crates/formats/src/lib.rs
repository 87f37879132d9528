//! Bytes of a file to normalised text, with its structure and the way back to the source.
//!
//! [`read::read_file_text`] does it all: encoding, format, parser, payloads. Every format is read by a pure function
//! from text to [`ParsedText`]: no files, no clock, no panics, linear in the input. The pieces, in reading order:
//!
//! * [`source_map`]: which bytes of the normalised text come from which bytes of the source, and a builder
//!   that writes both at once. Every parser writes through it. [`source_excerpt`]: the map of a part of a text in few
//!   bytes, with lines.
//!   `source_lines`: what places are counted in, and where they begin.
//! * [`parsed_text`]: what a parser returns: text, structure, properties, notes.
//! * [`encoding`]: bytes to text. [`line_ends`]: one line end for all. [`file_format`]: which format a file is in.
//! * [`html`]: pages, as their reader sees them.
//! * [`front_matter`]: YAML and TOML at the start of any text, as properties.
//! * [`markdown`], [`notebook`], [`restructured_text`], [`asciidoc`], [`org`], [`latex`]: markup to cleaned Markdown.
//! * [`delimited`], [`json`], [`yaml`], [`toml`], [`ini`], [`xml`]: tables and data with keys; `key_sections` makes
//!   the marks of keys.
//! * [`subtitles`], [`log`], [`diff`], [`mail_text`], [`sql`]: texts of lines, with marks where they may be cut.
//!   [`mailbox`]: many messages in one file. [`mod@enclosed_files`]: attachments and messages as files of their own.
//! * [`payloads`]: takes encoded bytes out of any of them.

pub mod asciidoc;
pub mod delimited;
pub mod diff;
pub mod enclosed_files;
pub mod encoding;
pub mod file_format;
pub mod front_matter;
pub mod html;
pub mod ini;
pub mod json;
mod key_sections;
pub mod latex;
pub mod line_ends;
pub mod log;
pub mod mail_text;
pub mod mailbox;
pub mod markdown;
mod markup_fragment;
pub mod notebook;
pub mod org;
pub mod parsed_text;
pub mod payloads;
mod property_collector;
pub mod read;
pub mod restructured_text;
pub mod source_excerpt;
mod source_lines;
pub mod source_map;
pub mod sql;
pub mod subtitles;
mod terminal_text;
pub mod toml;
mod unix_lines;
pub mod xml;
pub mod yaml;

pub use asciidoc::parse_ascii_doc;
pub use delimited::parse_delimited;
pub use diff::parse_diff;
pub use enclosed_files::{EnclosedFile, EnclosedFileKind, EnclosedFiles, enclosed_files, may_enclose};
pub use encoding::{DecodedText, EncodingHint, UndecodableText, decode_text};
pub use file_format::{CodeFormat, FileFormat, is_known_binary_name};
pub use front_matter::{SplitFrontMatter, parse_front_matter, split_front_matter};
pub use html::{HtmlContent, HtmlOptions, parse_html};
pub use ini::parse_ini;
pub use json::{parse_json, parse_json_lines};
pub use latex::parse_latex;
pub use line_ends::normalise_line_ends;
pub use log::parse_log;
pub use mail_text::parse_mail_text;
pub use mailbox::{mailbox_messages, parse_mailbox};
pub use markdown::parse_markdown;
pub use notebook::parse_notebook;
pub use org::parse_org;
pub use parsed_text::{
    ParsedText, PropertyValue, StructureMark, StructureMarkKind, TextProperties, TextStructure,
};
pub use payloads::strip_payloads;
pub use read::{FileText, file_format_of, read_file_text};
pub use restructured_text::parse_restructured_text;
pub use source_excerpt::{SourceExcerpt, SourceLines, SourcePlace, SourceUnit};
pub use source_map::{MappedText, SourceMap};
pub use sql::parse_sql;
pub use subtitles::parse_subtitles;
pub use toml::parse_toml;
pub use xml::parse_xml;
pub use yaml::parse_yaml;
