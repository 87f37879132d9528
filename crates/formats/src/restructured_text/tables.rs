//! Tables of reStructuredText, read and written: grid, simple, comma-separated and lists.

use std::ops::Range;

use super::RestWriter;
use super::inline::{RestNames, render_rest_inline};
use crate::markup_fragment::{MarkupFragment, TABLE_COLUMNS_MAX, write_pipe_table};
use crate::unix_lines::{dedent_bytes, trimmed_range};

/// Rows of cells.
pub(super) type RestTableRows = Vec<Vec<MarkupFragment>>;

/// Reads the rows of a table from its lines.
type TableReader = fn(&str, &[Range<usize>], &RestNames) -> RestTableRows;

impl RestWriter<'_> {
    pub(super) fn simple_table_end(&self, index: usize, to: usize) -> usize {
        let mut last = index + 1;
        let mut borders = 0;
        for line in index..to {
            if is_simple_border(self.shown(line)) {
                borders += 1;
                last = line + 1;
                // The last border is that before a blank line.
                if borders >= 2 && (line + 1 == to || self.is_blank(line + 1)) {
                    break;
                }
            }
        }
        last
    }

    pub(super) fn table(
        &mut self,
        index: usize,
        to: usize,
        is_row: fn(&str) -> bool,
        read: TableReader,
    ) -> usize {
        let end = (index..to).find(|&line| !is_row(self.shown(line))).unwrap_or(to);
        self.write_table(index, end, read)
    }

    pub(super) fn write_table(&mut self, from: usize, to: usize, read: TableReader) -> usize {
        let lines: Vec<Range<usize>> = self.lines[from..to]
            .iter()
            .map(|line| {
                self.source[..line.range.start]
                    .rfind('\n')
                    .map_or(0, |at| at + 1)
                    .max(line.range.start.saturating_sub(line.columns))..line.range.end
            })
            .collect();
        // Tables may be indented as a whole; their columns count from the first border.
        let indent = self.lines[from].columns;
        let lines: Vec<Range<usize>> = lines
            .into_iter()
            .map(|line| line.start + dedent_bytes(&self.source[line.clone()], indent)..line.end)
            .collect();
        let rows = read(self.source, &lines, &self.names);
        self.write_rows(&rows, lines[0].start..lines[lines.len() - 1].end);
        to
    }

    pub(super) fn write_rows(&mut self, rows: &RestTableRows, place: Range<usize>) {
        self.begin_block(place.start);
        let prefix = self.prefix.clone();
        write_pipe_table(&mut self.out, self.source, rows, &prefix, &place);
    }
}

/// The byte of a column of a line, in characters.
fn column_byte(line: &str, column: usize) -> usize {
    line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

fn join(cell: &mut MarkupFragment, source: &str, range: Range<usize>, names: &RestNames) {
    let range = trimmed_range(source, range);
    if range.is_empty() {
        return;
    }
    let more = !cell.is_blank(source);
    if more {
        cell.write(" ", range.start..range.start);
    }
    cell.append(render_rest_inline(source, range, names));
}

/// Whether a line is a border of a grid.
pub(super) fn is_grid_border(line: &str) -> bool {
    let line = line.trim();
    line.len() > 2
        && line.starts_with('+')
        && line.ends_with('+')
        && line.bytes().all(|b| matches!(b, b'+' | b'-' | b'='))
}

/// Reads the lines of a grid; cells over several rows or columns fill their first place.
pub(super) fn grid_rows(source: &str, lines: &[Range<usize>], names: &RestNames) -> RestTableRows {
    let first = &source[lines[0].clone()];
    let columns: Vec<usize> =
        first.char_indices().enumerate().filter(|(_, (_, c))| *c == '+').map(|(n, _)| n).collect();
    let columns = &columns[..columns.len().min(TABLE_COLUMNS_MAX)];
    let mut rows = RestTableRows::new();
    let mut row: Option<Vec<MarkupFragment>> = None;
    for range in lines {
        let line = &source[range.clone()];
        if is_grid_border(line) {
            rows.extend(row.take());
            continue;
        }
        let cells =
            row.get_or_insert_with(|| vec![MarkupFragment::default(); columns.len().saturating_sub(1)]);
        let mut open: Option<(usize, usize)> = None;
        for (index, &column) in columns.iter().enumerate() {
            let at = column_byte(line, column);
            let border = line[at..].starts_with(['|', '+']) || index + 1 == columns.len();
            if !border {
                continue;
            }
            if let Some((cell, start)) = open {
                let inner = start..at.max(start);
                let text = line[inner.clone()].trim();
                // A border inside of a row belongs to a cell over several rows.
                if !text.is_empty() && !text.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'+')) {
                    join(&mut cells[cell], source, range.start + inner.start..range.start + inner.end, names);
                }
            }
            let behind = at + line[at..].chars().next().map_or(0, char::len_utf8);
            open = (index + 1 < columns.len()).then_some((index, behind));
        }
    }
    rows.extend(row);
    rows
}

/// Whether a line is a border of a simple table.
pub(super) fn is_simple_border(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("==") && line.contains("= ") && line.bytes().all(|byte| matches!(byte, b'=' | b' '))
}

/// Reads the lines of a simple table, borders included.
pub(super) fn simple_rows(source: &str, lines: &[Range<usize>], names: &RestNames) -> RestTableRows {
    let border = &source[lines[0].clone()];
    let mut starts = Vec::new();
    let mut before = ' ';
    for (column, character) in border.chars().enumerate() {
        if character == '=' && before != '=' && starts.len() < TABLE_COLUMNS_MAX {
            starts.push(column);
        }
        before = character;
    }
    let mut rows = RestTableRows::new();
    for range in lines {
        let line = &source[range.clone()];
        let text = line.trim();
        if is_simple_border(line) || text.is_empty() || text.bytes().all(|byte| matches!(byte, b'-' | b' ')) {
            continue;
        }
        let bytes: Vec<usize> = starts.iter().map(|&start| column_byte(line, start)).collect();
        let cell = |index: usize| {
            let end = bytes.get(index + 1).copied().unwrap_or(line.len());
            range.start + bytes[index]..range.start + end.max(bytes[index])
        };
        let continues = starts.len() > 1 && source[cell(0)].trim().is_empty() && !rows.is_empty();
        if !continues {
            rows.push(vec![MarkupFragment::default(); starts.len()]);
        }
        if let Some(row) = rows.last_mut() {
            for (index, fragment) in row.iter_mut().enumerate() {
                join(fragment, source, cell(index), names);
            }
        }
    }
    rows
}

/// Reads comma-separated values; a value in quotes may go over lines.
pub(super) fn csv_rows(source: &str, range: Range<usize>, delimiter: u8, names: &RestNames) -> RestTableRows {
    let bytes = source.as_bytes();
    let mut rows = RestTableRows::new();
    let mut row = Vec::new();
    let mut at = range.start;
    while at < range.end {
        while at < range.end && matches!(bytes[at], b' ' | b'\t') {
            at += 1;
        }
        let quoted = at < range.end && bytes[at] == b'"';
        let mut cell = MarkupFragment::default();
        let start = at + usize::from(quoted);
        let mut end = start;
        while end < range.end {
            let doubled = quoted && bytes[end] == b'"' && bytes.get(end + 1) == Some(&b'"');
            if quoted && bytes[end] == b'"' && !doubled
                || !quoted && matches!(bytes[end], b'\n')
                || !quoted && bytes[end] == delimiter
            {
                break;
            }
            end += 1 + usize::from(doubled);
        }
        let end = end.min(range.end);
        join(&mut cell, source, start..end, names);
        at = end;
        while at < range.end && bytes[at] != delimiter && bytes[at] != b'\n' {
            at += 1;
        }
        if !(row.is_empty() && cell.is_blank(source) && bytes.get(at) == Some(&b'\n'))
            && row.len() < TABLE_COLUMNS_MAX
        {
            row.push(cell);
        }
        if (at >= range.end || bytes[at] == b'\n') && !row.is_empty() {
            rows.push(std::mem::take(&mut row));
        }
        at += 1;
    }
    if !row.is_empty() {
        rows.push(row);
    }
    rows
}

/// Reads a list of lists, as `list-table` has it.
pub(super) fn list_rows(source: &str, lines: &[Range<usize>], names: &RestNames) -> RestTableRows {
    let mut rows = RestTableRows::new();
    for range in lines {
        let mut text = trimmed_range(source, range.clone());
        let mut shown = &source[text.clone()];
        if shown == "*" || shown.starts_with("* ") {
            rows.push(Vec::new());
            text = trimmed_range(source, text.start + 1..text.end);
            shown = &source[text.clone()];
        }
        let Some(row) = rows.last_mut() else { continue };
        if (shown == "-" || shown.starts_with("- ")) && row.len() < TABLE_COLUMNS_MAX {
            row.push(MarkupFragment::default());
            text = text.start + 1..text.end;
        }
        if let Some(cell) = row.last_mut() {
            join(cell, source, text, names);
        }
    }
    rows
}
