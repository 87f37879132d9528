//! Delimited values (CSV, TSV) to a Markdown table.
//!
//! Quoting is that of RFC 4180 as the csv-core crate reads it; the delimiter is a comma, semicolon, tab or
//! vertical bar, whichever splits the first records most evenly. Every record becomes one line; line ends in a
//! cell become spaces and `|` is escaped, so the table can be cut between any two lines. Each cell maps to its
//! place in the source. A line `sep=;` (Excel) names the delimiter and is dropped.
//!
//! The first record is the header if its cells are distinct, mostly not empty, and none is a number (but for a
//! year), a date or an address, or stands again and again below. A table without a header gets `column 1`,
//! `column 2`, …: a Markdown table cannot do without, and a data row as header would be repeated with every
//! chunk as if it named the others.
//!
//! Records with fewer cells than the header are filled up; cells beyond it get generated names. A quote that
//! never closes is read as a character. What splits into one column only is no table and stays plain text.
//! Beyond the text and its map memory is bounded by the largest cell and the first records.
//!
//! `cells` reads the cells, `sample` decides about delimiter and header, `table` writes.

mod cells;
mod sample;
mod table;

use std::ops::Range;

use crate::line_ends::with_normal_line_ends;
use crate::parsed_text::{ParsedText, TextStructure};
use crate::source_map::SourceMap;
use cells::DelimitedCells;
use sample::{detect_delimiter, is_header, sample_records};
use table::TableWriter;

/// Columns of a table; cells beyond are joined to the last.
const COLUMNS_MAX: usize = 4096;

/// Reads delimited values. Of `name_hint`, a file's name or media type, counts only whether it says that tabs
/// delimit.
pub fn parse_delimited(source: &str, name_hint: Option<&str>) -> ParsedText {
    with_normal_line_ends(source, |text| parse_table(text, name_hint))
}

/// A cell: where it stands, with its quotes, and whether it ends a record.
#[derive(Debug, Clone)]
struct DelimitedCell {
    range: Range<usize>,
    /// Whether quotes enclose it and escape quotes inside.
    quoted: bool,
    ends_record: bool,
}

fn parse_table(text: &str, name_hint: Option<&str>) -> ParsedText {
    let (declared, start) = separator_line(text);
    let hinted = name_hint.is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        matches!(name.rsplit('.').next(), Some("tsv" | "tab"))
            || name.starts_with("text/tab-separated-values")
    });
    let hinted = hinted.then_some(b'\t');
    let Some(delimiter) = declared.or_else(|| detect_delimiter(text, start, hinted)) else {
        return plain_text(text, "no delimiter splits the lines evenly; read as plain text");
    };
    let sample = sample_records(text, start, delimiter);
    let Some(first) = sample.first() else {
        return plain_text(text, "no record; read as plain text");
    };
    let has_header = is_header(text, &sample);
    let columns = sample.iter().map(Vec::len).max().unwrap_or(1).clamp(1, COLUMNS_MAX);
    let mut table = TableWriter::new(text, if has_header { first.len() } else { columns });
    if !has_header {
        table.write_generated_header(columns, first[0].range.start);
    }
    let mut record: Vec<DelimitedCell> = Vec::with_capacity(columns);
    for cell in DelimitedCells::new(text, start, delimiter) {
        let ends = cell.ends_record;
        match record.get_mut(COLUMNS_MAX - 1) {
            Some(last) => last.range.end = cell.range.end,
            None => record.push(cell),
        }
        if ends {
            table.write_record(&record);
            record.clear();
        }
    }
    table.finish()
}

/// Reads `sep=;` in the first line: the delimiter, and where the table begins.
fn separator_line(text: &str) -> (Option<u8>, usize) {
    let line_end = memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
    let line = text[..line_end].trim_matches(['"', ' ']);
    match line.strip_prefix("sep=").map(str::as_bytes) {
        Some(&[delimiter @ (b',' | b';' | b'\t' | b'|')]) => (Some(delimiter), text.len().min(line_end + 1)),
        _ => (None, 0),
    }
}

fn plain_text(text: &str, note: &str) -> ParsedText {
    ParsedText {
        text: text.to_owned(),
        map: SourceMap::identity(text.len()),
        structure: TextStructure::Plain,
        notes: vec![note.to_owned()],
        ..ParsedText::default()
    }
}
