//! What the first records show: the delimiter, and whether the first record names the columns.

use std::borrow::Cow;
use std::collections::HashSet;

use super::cells::{DelimitedCells, cell_content};
use super::{COLUMNS_MAX, DelimitedCell};

/// Records at the start that decide about the delimiter and the header.
const SAMPLE_RECORDS: usize = 64;
/// Bytes at the start that are read for that, so that one endless record costs little.
const SAMPLE_BYTES: usize = 1 << 16;

/// Returns the delimiter that splits the sample into the most columns, most evenly.
pub(super) fn detect_delimiter(text: &str, start: usize, hinted: Option<u8>) -> Option<u8> {
    let mut best: Option<(usize, u8)> = None;
    // Of equals the first wins.
    for delimiter in [hinted.unwrap_or(b','), b',', b';', b'\t', b'|'] {
        let sample = sample_records(text, start, delimiter);
        let columns = sample.first().map_or(0, Vec::len);
        let widest = most_frequent_width(&sample);
        if widest < 2 {
            continue;
        }
        let even = sample.iter().filter(|record| record.len() == widest).count();
        // Prose has commas, too, but not the same number in each line.
        let share = even * 100 / sample.len();
        if share < 60 || (sample.len() < 2 && columns < 3) || is_prose(text, &sample, delimiter) {
            continue;
        }
        // Decimal commas split the records below a header that has none.
        let first_differs = usize::from(columns != widest) * 150;
        let hint = usize::from(hinted == Some(delimiter)) * 500;
        let score = (share * 10 + widest.min(50) * 4 + hint).saturating_sub(first_differs);
        if best.is_none_or(|(known, _)| score > known) {
            best = Some((score, delimiter));
        }
    }
    best.map(|(_, delimiter)| delimiter)
}

/// Whether a sample looks like sentences: a delimiter before a space nearly everywhere, and long cells.
fn is_prose(text: &str, sample: &[Vec<DelimitedCell>], delimiter: u8) -> bool {
    if delimiter == b'\t' || delimiter == b'|' {
        return false;
    }
    let cells = || sample.iter().flatten().filter(|cell| !cell.quoted);
    let (mut inner, mut spaced) = (0, 0);
    for cell in sample.iter().flat_map(|record| &record[1..]).filter(|cell| !cell.quoted) {
        let content = &text[cell.range.clone()];
        inner += usize::from(!content.is_empty());
        spaced += usize::from(content.starts_with(' '));
    }
    let words: usize = cells().map(|cell| text[cell.range.clone()].split_ascii_whitespace().count()).sum();
    let sentences =
        sample.iter().filter(|record| record.last().is_some_and(|cell| ends_sentence(text, cell)));
    inner > 0
        && spaced * 10 >= inner * 9
        && (sentences.count() * 2 > sample.len() || words > 5 * cells().count())
}

fn ends_sentence(text: &str, cell: &DelimitedCell) -> bool {
    text[cell.range.clone()].trim_end().ends_with(['.', '!', '?', ':'])
}

/// Returns the number of cells that most records have.
fn most_frequent_width(sample: &[Vec<DelimitedCell>]) -> usize {
    let mut widths: Vec<usize> = sample.iter().map(Vec::len).collect();
    widths.sort_unstable();
    let groups = widths.chunk_by(|left, right| left == right);
    groups.max_by_key(|group| group.len()).map_or(0, |group| group[0])
}

/// Reads the first records, without one that the sample cuts off.
pub(super) fn sample_records(text: &str, start: usize, delimiter: u8) -> Vec<Vec<DelimitedCell>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    for cell in DelimitedCells::new(text, start, delimiter) {
        let ends = cell.ends_record;
        let beyond = cell.range.end > start + SAMPLE_BYTES;
        record.push(cell);
        if ends {
            records.push(std::mem::take(&mut record));
        }
        if records.len() == SAMPLE_RECORDS || (beyond && !records.is_empty()) {
            break;
        }
        if record.len() > COLUMNS_MAX {
            break;
        }
    }
    records
}

/// Whether the first record names the columns.
pub(super) fn is_header(text: &str, sample: &[Vec<DelimitedCell>]) -> bool {
    let Some((first, rest)) = sample.split_first() else { return false };
    let names: Vec<Cow<'_, str>> = first.iter().map(|cell| cell_content(text, cell)).collect();
    let filled = names.iter().filter(|name| !name.trim().is_empty());
    if filled.clone().any(|name| is_value(name.trim())) || filled.clone().count() * 2 < names.len() {
        return false;
    }
    let distinct: HashSet<&str> = filled.clone().map(|name| name.trim()).collect();
    if distinct.len() < filled.count() {
        return false;
    }
    // Words above words, as in a list of two languages, count as a header, since most files have one.
    let repeated = rest.iter().flatten().filter(|cell| distinct.contains(cell_content(text, cell).trim()));
    repeated.count() * 4 <= rest.len().max(1) * first.len() || rest.is_empty()
}

/// Whether a cell holds a number, a date or the like, which no column is called.
fn is_value(cell: &str) -> bool {
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    let letters = cell.chars().filter(|character| character.is_alphabetic()).count();
    // Years head the columns of many statistics; they are names all the same.
    let year = cell.len() == 4 && digits == 4 && (cell.starts_with("19") || cell.starts_with("20"));
    (digits > 0 && letters == 0 && !year)
        || (cell.contains('@') && cell.contains('.'))
        || cell.contains("://")
}
