//! A file to text: encoding, format, parser, payloads, in this order.

use crate::delimited::parse_delimited;
use crate::diff::parse_diff;
use crate::encoding::{EncodingHint, UndecodableText, decode_text};
use crate::file_format::FileFormat;
use crate::front_matter::parse_front_matter;
use crate::html::{HtmlContent, HtmlOptions, parse_html};
use crate::ini::parse_ini;
use crate::json::{parse_json, parse_json_lines};
use crate::latex::parse_latex;
use crate::line_ends::normalise_line_ends;
use crate::log::parse_log;
use crate::mail_text::parse_mail_text;
use crate::mailbox::parse_mailbox;
use crate::markdown::parse_markdown;
use crate::notebook::parse_notebook;
use crate::org::parse_org;
use crate::parsed_text::{ParsedText, TextStructure};
use crate::payloads::strip_payloads;
use crate::restructured_text::parse_restructured_text;
use crate::source_excerpt::SourceLines;
use crate::sql::parse_sql;
use crate::subtitles::parse_subtitles;
use crate::toml::parse_toml;
use crate::xml::parse_xml;
use crate::yaml::parse_yaml;

/// Bytes at the start of a file that may tell its format.
const SNIFFED_BYTES: usize = 16 * 1024;

/// The text of a file.
#[derive(Debug)]
pub struct FileText {
    /// What its parser made of it.
    pub parsed: ParsedText,
    /// Its format.
    pub format: FileFormat,
    /// The lines of the source.
    pub lines: SourceLines,
    /// What precedes the source in the file; none if bytes of the source are not those of the file, because it is in
    /// another encoding than UTF-8.
    pub file_offset: Option<usize>,
}

/// Reads a file that is text. `name` is the file's name or path. `declared` is a media type; of its parameters
/// `charset` counts, and `content=everything` keeps the menus and footers of a page.
pub fn read_file_text(body: &[u8], declared: Option<&str>, name: &str) -> Result<FileText, UndecodableText> {
    let known = known_format(declared, name);
    let hint = match known {
        // A page without a name may declare its encoding as well.
        Some(FileFormat::Html) | None => EncodingHint::Html,
        Some(FileFormat::Xml) => EncodingHint::Xml,
        Some(_) => EncodingHint::Other,
    };
    let parameter = |name| declared.and_then(|declared| media_type_parameter(declared, name));
    let decoded = decode_text(body, parameter("charset").as_deref(), hint)?;
    let note = decoded.note();
    let format = known.or_else(|| FileFormat::sniff(&decoded.text)).unwrap_or(FileFormat::Plain);
    let lines = SourceLines::new(&decoded.text);
    let file_offset = decoded.source_is_utf8.then_some(decoded.bom_bytes);
    let everything = parameter("content").is_some_and(|content| content.eq_ignore_ascii_case("everything"));
    let content = if everything { HtmlContent::Everything } else { HtmlContent::Main };
    let html = HtmlOptions { content, ..HtmlOptions::default() };
    let mut parsed = strip_payloads(parse_text(decoded.text, format, name, &html));
    parsed.notes.extend(note);
    Ok(FileText { parsed, format, lines, file_offset })
}

/// The format of a file, as [`read_file_text`] decides it.
pub fn file_format_of(body: &[u8], declared: Option<&str>, name: &str) -> FileFormat {
    let sniffed = || FileFormat::sniff(&String::from_utf8_lossy(&body[..body.len().min(SNIFFED_BYTES)]));
    known_format(declared, name).or_else(sniffed).unwrap_or(FileFormat::Plain)
}

fn known_format(declared: Option<&str>, name: &str) -> Option<FileFormat> {
    let media_type = declared.map(|declared| declared.split(';').next().unwrap_or_default().trim());
    media_type.and_then(FileFormat::from_media_type).or_else(|| FileFormat::from_name(name))
}

/// Reads a text of this format.
fn parse_text(source: String, format: FileFormat, name: &str, html: &HtmlOptions) -> ParsedText {
    match format {
        FileFormat::Markdown | FileFormat::Mdx => parse_markdown(&source),
        FileFormat::Html => parse_html(&source, html),
        FileFormat::Notebook => parse_notebook(&source),
        FileFormat::RestructuredText => parse_restructured_text(&source),
        FileFormat::AsciiDoc => crate::asciidoc::parse_ascii_doc(&source),
        FileFormat::Org => parse_org(&source),
        FileFormat::Latex => parse_latex(&source),
        FileFormat::Csv | FileFormat::Tsv => parse_delimited(&source, Some(name)),
        FileFormat::Json => parse_json(&source),
        FileFormat::JsonLines => parse_json_lines(&source),
        FileFormat::Yaml => parse_yaml(&source),
        FileFormat::Toml => parse_toml(&source),
        FileFormat::Ini => parse_ini(&source),
        FileFormat::Xml => parse_xml(&source),
        FileFormat::Sql => parse_sql(&source),
        FileFormat::Log => parse_log(&source),
        FileFormat::SubRip | FileFormat::WebVtt => parse_subtitles(&source),
        FileFormat::Diff => parse_diff(&source),
        FileFormat::Mail => parse_mail_text(&source),
        FileFormat::Mailbox => parse_mailbox(&source),
        FileFormat::Plain => parse_front_matter(&source),
        FileFormat::Code(_) => {
            let (text, map) = normalise_line_ends(source);
            ParsedText { text, map, structure: TextStructure::Plain, ..ParsedText::default() }
        }
    }
}

/// A parameter of a media type (RFC 9110, section 8.3.1).
fn media_type_parameter(declared: &str, wanted: &str) -> Option<String> {
    declared.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case(wanted) && !value.is_empty()).then(|| value.to_owned())
    })
}
