//! Text for people: aligned tables, numbers with units, times.

use std::fmt::Write as _;
use std::time::Duration;

use contexture_core::domain::calendar::format_date_and_time;

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnAlignment {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// A header and rows in aligned columns, two spaces apart.
pub(crate) struct TextTable {
    columns: Vec<ColumnAlignment>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// An empty table with these columns.
    pub(crate) fn new(columns: &[(&str, ColumnAlignment)]) -> Self {
        Self {
            columns: columns.iter().map(|(_, align)| *align).collect(),
            rows: vec![columns.iter().map(|(name, _)| (*name).to_owned()).collect()],
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().collect();
        // A short row would move its cells under wrong headers.
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The table as lines of text.
    pub(crate) fn render(&self) -> String {
        // Characters, not bytes: names and ids may be in any script.
        let width_of = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|column| width_of(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(&widths).zip(&self.columns) {
                // Writing to a string cannot fail.
                let _ = match align {
                    ColumnAlignment::Left => write!(line, "{cell:<width$}  "),
                    ColumnAlignment::Right => write!(line, "{cell:>width$}  "),
                };
            }
            // The last cell is padded, too; the padding must not reach the output.
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Bytes in the largest unit that they fill: `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "for reading")]
pub(crate) fn bytes(number: u64) -> String {
    if number < 1024 {
        return format!("{number} B");
    }
    let mut left = number as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB"].into_iter();
    loop {
        match units.next() {
            Some(_) if left >= 1024.0 => left /= 1024.0,
            Some(unit) => return format!("{left:.1} {unit}"),
            None => return format!("{left:.1} TiB"),
        }
    }
}

/// A whole number with thousands separators: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun in singular or plural: `1 document`, `2 documents`.
pub(crate) fn count_with_noun(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A duration: `850 ms`, `3.2 s`, `2 min 10 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// Seconds rounded to three decimals, for JSON.
pub(crate) fn rounded_seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A time in UTC: `2024-02-29 12:00:00Z`.
pub(crate) fn utc_time(ms_since_epoch: u64) -> String {
    let (date, time) = format_date_and_time(ms_since_epoch);
    format!("{date} {time}Z")
}

/// The beginning of a text on one line, at most `chars_max` characters. Control characters are replaced, so
/// it cannot steer a terminal.
pub(crate) fn snippet(text: &str, chars_max: usize) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars_max) {
        None => line,
        Some((cut, _)) => format!("{}…", &line[..cut]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ColumnAlignment, TextTable, bytes, count, count_with_noun, duration, snippet, utc_time};

    #[test]
    fn bytes_have_their_unit() {
        let shown = [0, 1023, 1024, 1536, (1 << 20) - 1, 1 << 20, 5 << 30, 1 << 50].map(bytes);
        let expected =
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1024.0 KiB", "1.0 MiB", "5.0 GiB", "1024.0 TiB"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn columns_line_up() {
        let mut table = TextTable::new(&[("name", ColumnAlignment::Left), ("n", ColumnAlignment::Right)]);
        table.row(["a".to_owned(), "10".to_owned()]);
        table.row(["länger".to_owned(), "7".to_owned()]);
        assert_eq!(table.render(), "name     n\na       10\nlänger   7\n");
    }

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count_with_noun(1, "chunk"), "1 chunk");
        assert_eq!(count_with_noun(2000, "chunk"), "2,000 chunks");
        assert_eq!(duration(Duration::from_millis(850)), "850 ms");
        assert_eq!(duration(Duration::from_millis(3240)), "3.2 s");
        assert_eq!(duration(Duration::from_secs(130)), "2 min 10 s");
    }

    #[test]
    fn times_are_calendar_dates() {
        assert_eq!(utc_time(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc_time(1_709_208_000_000), "2024-02-29 12:00:00Z");
        assert_eq!(utc_time(1_735_689_599_999), "2024-12-31 23:59:59Z");
    }

    #[test]
    fn snippets_stay_on_one_line_and_cannot_steer_a_terminal() {
        assert_eq!(snippet("a\n\n  b\u{1b}[31mc", 100), "a b [31mc");
        assert_eq!(snippet("äöü", 2), "äö…");
    }
}
