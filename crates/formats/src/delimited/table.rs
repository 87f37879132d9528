//! Records to the lines of a Markdown table.

use super::DelimitedCell;
use crate::parsed_text::{ParsedText, TextStructure};
use crate::source_map::MappedText;

/// Line numbers named in a note.
const LINES_NAMED: usize = 3;

/// Writes a Markdown table.
pub(super) struct TableWriter<'a> {
    text: &'a str,
    out: MappedText,
    columns: usize,
    /// Whether the header stands.
    begun: bool,
    records: usize,
    ragged: usize,
    ragged_lines: Vec<usize>,
    counted_bytes: usize,
    counted_lines: usize,
}

impl<'a> TableWriter<'a> {
    pub(super) fn new(text: &'a str, columns: usize) -> Self {
        Self {
            text,
            out: MappedText::default(),
            columns,
            begun: false,
            records: 0,
            ragged: 0,
            ragged_lines: Vec::new(),
            counted_bytes: 0,
            counted_lines: 0,
        }
    }

    pub(super) fn write_generated_header(&mut self, columns: usize, at: usize) {
        for column in 1..=columns {
            self.out.write(&format!("| column {column} "), at..at);
        }
        self.out.write("|\n", at..at);
        self.columns = columns;
        self.write_delimiter_line(at);
    }

    fn write_delimiter_line(&mut self, at: usize) {
        let line = "| --- ".repeat(self.columns) + "|\n";
        self.out.write(&line, at..at);
        self.begun = true;
    }

    pub(super) fn write_record(&mut self, record: &[DelimitedCell]) {
        let Some(last) = record.last() else { return };
        let end = last.range.end;
        if self.begun {
            self.note_ragged(record);
        }
        for cell in record {
            self.out.write("| ", cell.range.start..cell.range.start);
            let before = self.out.len();
            self.write_cell(cell);
            if !self.begun && self.out.len() == before {
                let number = record.iter().position(|known| known.range == cell.range).unwrap_or(0) + 1;
                self.out.write(&format!("column {number}"), cell.range.clone());
            }
            self.out.write(" ", cell.range.end..cell.range.end);
        }
        for _ in record.len()..self.columns {
            self.out.write("| ", end..end);
        }
        self.out.write("|\n", end..end);
        self.records += 1;
        if !self.begun {
            self.columns = record.len();
            self.write_delimiter_line(end);
        }
    }

    /// Writes the content of a cell on one line.
    fn write_cell(&mut self, cell: &DelimitedCell) {
        let mut range = cell.range.clone();
        if cell.quoted {
            range = range.start + 1..range.end - 1;
        }
        let inner = &self.text[range.clone()];
        range.start += inner.len() - inner.trim_start().len();
        range.end = range.start + inner.trim().len();
        let bytes = self.text.as_bytes();
        let mut done = range.start;
        while let Some(found) = bytes[done..range.end].iter().position(|byte| b"|\"\n\t".contains(byte)) {
            let at = done + found;
            self.out.copy(self.text, done..at);
            done = at + 1;
            match bytes[at] {
                b'|' => {
                    self.out.write("\\", at..at);
                    self.out.copy(self.text, at..at + 1);
                }
                b'"' => {
                    if cell.quoted && done < range.end && bytes[done] == b'"' {
                        done += 1;
                    }
                    self.out.write("\"", at..done);
                }
                _ => {
                    while done < range.end && bytes[done].is_ascii_whitespace() {
                        done += 1;
                    }
                    self.out.write(" ", at..done);
                }
            }
        }
        self.out.copy(self.text, done..range.end);
    }

    fn note_ragged(&mut self, record: &[DelimitedCell]) {
        if record.len() == self.columns {
            return;
        }
        self.ragged += 1;
        if self.ragged_lines.len() < LINES_NAMED {
            let start = record[0].range.start;
            let fresh = &self.text.as_bytes()[self.counted_bytes..start];
            self.counted_lines += memchr::memchr_iter(b'\n', fresh).count();
            self.counted_bytes = start;
            self.ragged_lines.push(self.counted_lines + 1);
        }
    }

    pub(super) fn finish(mut self) -> ParsedText {
        self.out.trim_end();
        let mut notes = Vec::new();
        if self.ragged > 0 {
            let lines: Vec<String> = self.ragged_lines.iter().map(ToString::to_string).collect();
            let more = if self.ragged > lines.len() { ", …" } else { "" };
            notes.push(format!(
                "{} of {} records have not {} cells as the header (line {}{more})",
                self.ragged,
                self.records,
                self.columns,
                lines.join(", ")
            ));
        }
        let (text, map) = self.out.finish();
        ParsedText { text, map, structure: TextStructure::Markdown, notes, ..ParsedText::default() }
    }
}
