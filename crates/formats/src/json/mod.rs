//! JSON (RFC 8259) and JSON lines, with comments and trailing commas as editors' settings have them.
//!
//! The text is the source's, but for three things. A container that stands on one long line is laid out: its
//! members on lines of their own, containers of at most [`WHOLE_BYTES`] whole. `\u00fc` is shown as the character
//! it is, since nobody searches for escapes. Base64 and `data:` strings are shortened to `"<base64, 12,345 bytes>"`.
//!
//! Marks are those of `key_sections`. Several values one after another, on lines or not, are records like the
//! elements of an array. Of JSON lines, a record that is broken stays as it is; a broken document is plain text.
//! Two passes without recursion: the first (`scan`) checks and finds the ends of containers, the second (`writer`)
//! writes; `strings` decodes strings.

mod scan;
mod strings;
mod writer;

use crate::line_ends::with_normal_line_ends;
use crate::parsed_text::{ParsedText, TextStructure};
use crate::source_map::SourceMap;
use scan::{JsonContainer, scan_values};
use writer::JsonWriter;

/// Containers up to this many bytes stay on one line when their parent is laid out.
const WHOLE_BYTES: usize = 120;

/// Reads a JSON document.
pub fn parse_json(source: &str) -> ParsedText {
    with_normal_line_ends(source, |text| match scan_values(text, 0..text.len()) {
        Ok((1, containers)) => write_document(text, containers),
        Ok((0, _)) => plain_text(text, "no JSON value; read as plain text".to_owned()),
        Ok((_, containers)) => write_records(text, containers),
        Err(at) => {
            let (line, column) = line_and_column(text, at);
            let note = format!("not valid JSON at line {line}, column {column}; read as plain text");
            plain_text(text, note)
        }
    })
}

/// Reads JSON lines (NDJSON): one record a line, or records one after another.
pub fn parse_json_lines(source: &str) -> ParsedText {
    with_normal_line_ends(source, |text| match scan_values(text, 0..text.len()) {
        Ok((0, _)) => plain_text(text, "no JSON value; read as plain text".to_owned()),
        Ok((_, containers)) => write_records(text, containers),
        Err(_) => write_lines(text),
    })
}

fn write_document(text: &str, containers: Vec<JsonContainer>) -> ParsedText {
    let mut writer = JsonWriter::new(text);
    writer.write_values(0..text.len(), containers);
    writer.finish(Vec::new())
}

fn write_records(text: &str, containers: Vec<JsonContainer>) -> ParsedText {
    let mut writer = JsonWriter::new(text);
    writer.open_records();
    writer.write_values(0..text.len(), containers);
    writer.finish(Vec::new())
}

/// Writes records of which some are broken.
fn write_lines(text: &str) -> ParsedText {
    let mut writer = JsonWriter::new(text);
    writer.open_records();
    let mut broken = 0;
    let mut first = String::new();
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let range = start..start + line.len();
        start = range.end;
        match scan_values(text, range.clone()) {
            Ok((_, containers)) => writer.write_values(range, containers),
            Err(at) => {
                broken += 1;
                if broken == 1 {
                    let column = text[range.start..at].chars().count() + 1;
                    first = format!("line {}, column {column}", number + 1);
                }
                writer.copy_line(range);
            }
        }
    }
    if broken * 2 > text.lines().count() {
        return plain_text(text, format!("not valid JSON lines at {first}; read as plain text"));
    }
    let records = if broken == 1 { "1 record is".to_owned() } else { format!("{broken} records are") };
    writer.finish(vec![format!("{records} not valid JSON, the first at {first}; kept as they are")])
}

fn plain_text(text: &str, note: String) -> ParsedText {
    ParsedText {
        text: text.to_owned(),
        map: SourceMap::identity(text.len()),
        structure: TextStructure::Plain,
        notes: vec![note],
        ..ParsedText::default()
    }
}

/// Returns the line and the column of a byte, both from 1; columns count characters.
pub(crate) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |found| found + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
