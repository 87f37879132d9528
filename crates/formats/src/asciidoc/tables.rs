//! Tables of `AsciiDoc`: cells behind bars, on one line or on lines of their own.

use std::collections::BTreeMap;
use std::ops::Range;

use super::inline::render_ascii_doc_inline;
use crate::markup_fragment::{MarkupFragment, TABLE_COLUMNS_MAX};
use crate::unix_lines::trimmed_range;

/// A cell and over how many columns it goes.
struct AsciiDocCell {
    text: Range<usize>,
    columns: usize,
    copies: usize,
}

/// Reads the rows between the delimiters of a table.
pub(super) fn table_rows(
    source: &str,
    lines: &[Range<usize>],
    separator: char,
    is_csv: bool,
    options: &str,
    attributes: &BTreeMap<String, String>,
) -> Vec<Vec<MarkupFragment>> {
    let mut cells: Vec<AsciiDocCell> = Vec::new();
    let mut first_line_cells = None;
    for line in lines {
        let before = cells.len();
        if is_csv {
            csv_cells(source, line.clone(), &mut cells);
        } else {
            bar_cells(source, line.clone(), separator, &mut cells);
        }
        if cells.len() > before && first_line_cells.is_none() {
            first_line_cells = Some(cells[before..].iter().map(|cell| cell.columns * cell.copies).sum());
        }
    }
    let columns = declared_columns(options).or(first_line_cells).unwrap_or(1).clamp(1, TABLE_COLUMNS_MAX);
    let mut rows = Vec::new();
    let mut row: Vec<MarkupFragment> = Vec::new();
    for cell in cells {
        for _ in 0..cell.copies {
            row.push(render_ascii_doc_inline(source, trimmed_range(source, cell.text.clone()), attributes));
            let more = (cell.columns - 1).min(columns.saturating_sub(row.len()));
            row.extend(std::iter::repeat_with(MarkupFragment::default).take(more));
            if row.len() >= columns {
                rows.push(std::mem::take(&mut row));
            }
        }
    }
    if !row.is_empty() {
        rows.push(row);
    }
    rows
}

/// The number of columns of `cols="1,2a"`, `cols=3*` and the like.
fn declared_columns(options: &str) -> Option<usize> {
    let value = options.split_once("cols=")?.1;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => value.split([',', '%']).next().unwrap_or_default(),
    };
    let columns = value.split([',', ';']).map(|column| match column.trim().split_once('*') {
        Some((times, _)) => times.parse().unwrap_or(1_usize).min(TABLE_COLUMNS_MAX),
        None => 1,
    });
    Some(columns.sum())
}

fn csv_cells(source: &str, line: Range<usize>, cells: &mut Vec<AsciiDocCell>) {
    let mut start = line.start;
    let mut quoted = false;
    if source[line.clone()].trim().is_empty() {
        return;
    }
    for (at, byte) in source[line.clone()].bytes().enumerate() {
        quoted ^= byte == b'"';
        if byte == b',' && !quoted {
            cells.push(csv_cell(source, start..line.start + at));
            start = line.start + at + 1;
        }
    }
    cells.push(csv_cell(source, start..line.end));
}

fn csv_cell(source: &str, range: Range<usize>) -> AsciiDocCell {
    let mut text = trimmed_range(source, range);
    let shown = &source[text.clone()];
    if shown.len() > 1 && shown.starts_with('"') && shown.ends_with('"') {
        text = text.start + 1..text.end - 1;
    }
    AsciiDocCell { text, columns: 1, copies: 1 }
}

/// Adds the cells of a line; what stands before the first bar belongs to the cell before.
fn bar_cells(source: &str, line: Range<usize>, separator: char, cells: &mut Vec<AsciiDocCell>) {
    let shown = &source[line.clone()];
    let mut last_end = 0;
    for (at, bar) in shown.match_indices(separator) {
        if shown[..at].ends_with('\\') {
            continue;
        }
        let before = &shown[last_end..at];
        let spec_start = before.rfind([' ', '\t']).map_or(0, |space| space + 1);
        let spec = &before[spec_start..];
        let (columns, copies) = cell_spec(spec).unwrap_or((1, 1));
        let is_spec = cell_spec(spec).is_some() && (spec_start > 0 || last_end == 0);
        let text_end = if is_spec { last_end + spec_start } else { at };
        if let Some(cell) = cells.last_mut() {
            cell.text.end = (line.start + text_end).max(cell.text.start);
        }
        last_end = at + bar.len();
        let start = line.start + last_end;
        let (columns, copies) = if is_spec { (columns, copies) } else { (1, 1) };
        cells.push(AsciiDocCell { text: start..start, columns, copies });
    }
    if let Some(cell) = cells.last_mut() {
        cell.text.end = line.end;
    }
}

/// Reads `2+`, `.3+`, `3*`, `^.>s` and the like: columns, and copies of the cell.
fn cell_spec(spec: &str) -> Option<(usize, usize)> {
    if spec.len() > 12 {
        return None;
    }
    let (factor, style) = match spec.find(['+', '*']) {
        Some(at) => (&spec[..=at], &spec[at + 1..]),
        None => ("", spec),
    };
    let styled = style.bytes().all(|byte| {
        matches!(byte, b'<' | b'>' | b'^' | b'.' | b'a' | b'd' | b'e' | b'h' | b'l' | b'm' | b's')
    });
    if !styled || style.bytes().filter(u8::is_ascii_alphabetic).count() > 1 {
        return None;
    }
    if factor.is_empty() {
        return Some((1, 1));
    }
    let number = factor[..factor.len() - 1].split('.').next().unwrap_or_default();
    let all_digits = factor[..factor.len() - 1].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let count = number.parse().unwrap_or(1_usize).clamp(1, TABLE_COLUMNS_MAX);
    all_digits.then(|| if factor.ends_with('+') { (count, 1) } else { (1, count) })
}
