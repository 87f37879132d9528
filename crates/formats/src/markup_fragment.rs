//! Inline text that is rendered before it is known where it goes, and the Markdown tables made of it.

use std::ops::Range;

use crate::source_map::MappedText;

/// Most cells of a table row.
pub(crate) const TABLE_COLUMNS_MAX: usize = 256;

#[derive(Debug, Clone)]
struct FragmentPiece {
    source: Range<usize>,
    /// What is shown, if it is not the source itself.
    written: Option<String>,
}

/// Rendered inline text.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarkupFragment {
    pieces: Vec<FragmentPiece>,
}

impl MarkupFragment {
    /// Appends a range of the source.
    pub(crate) fn copy(&mut self, range: Range<usize>) {
        match self.pieces.last_mut() {
            Some(last) if last.written.is_none() && last.source.end == range.start => {
                last.source.end = range.end;
            }
            _ if range.is_empty() => {}
            _ => self.pieces.push(FragmentPiece { source: range, written: None }),
        }
    }

    /// Appends text that stands for a range of the source.
    pub(crate) fn write(&mut self, text: &str, source: Range<usize>) {
        if !text.is_empty() {
            self.pieces.push(FragmentPiece { source, written: Some(text.to_owned()) });
        }
    }

    /// Appends another fragment.
    pub(crate) fn append(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// Whether only white space is shown.
    pub(crate) fn is_blank(&self, source: &str) -> bool {
        self.shown(source).all(|(text, _)| text.trim().is_empty())
    }

    fn shown<'a>(&'a self, source: &'a str) -> impl Iterator<Item = (&'a str, &'a FragmentPiece)> {
        self.pieces.iter().map(move |piece| match &piece.written {
            Some(text) => (text.as_str(), piece),
            None => (&source[piece.source.clone()], piece),
        })
    }

    /// Writes the text; indentation behind line ends is replaced by a prefix.
    pub(crate) fn emit(&self, source: &str, out: &mut MappedText, prefix: &str) {
        self.emit_lines(source, out, Some(prefix), false);
    }

    fn emit_lines(&self, source: &str, out: &mut MappedText, prefix: Option<&str>, in_cell: bool) {
        for (text, piece) in self.shown(source) {
            let place = |from: usize, to: usize| match piece.written {
                None => piece.source.start + from..piece.source.start + to,
                Some(_) => piece.source.clone(),
            };
            let mut at = 0;
            while at < text.len() {
                let special = |byte: &u8| *byte == b'\n' || in_cell && *byte == b'|';
                let next =
                    text.as_bytes()[at..].iter().position(special).map_or(text.len(), |found| at + found);
                match piece.written {
                    None => out.copy(source, place(at, next)),
                    Some(_) => out.write(&text[at..next], place(at, next)),
                }
                at = next;
                if at == text.len() {
                    break;
                }
                if text.as_bytes()[at] == b'|' {
                    let escaped = out.as_str().ends_with('\\');
                    out.write(if escaped { "|" } else { "\\|" }, place(at, at + 1));
                    at += 1;
                    continue;
                }
                let behind =
                    at + 1 + (text[at + 1..].len() - text[at + 1..].trim_start_matches([' ', '\t']).len());
                match prefix {
                    Some(prefix) => {
                        out.write("\n", place(at, at + 1));
                        out.write(prefix, place(at, behind));
                    }
                    None => out.write(" ", place(at, behind)),
                }
                at = behind;
            }
        }
    }
}

/// Writes rows as a Markdown table whose first row is its head, with a line end behind it.
pub(crate) fn write_pipe_table(
    out: &mut MappedText,
    source: &str,
    rows: &[Vec<MarkupFragment>],
    prefix: &str,
    place: &Range<usize>,
) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0).min(TABLE_COLUMNS_MAX);
    if columns == 0 {
        return;
    }
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.write(prefix, place.end..place.end);
        }
        for cell in row.iter().take(columns) {
            out.write("| ", place.start..place.start);
            cell.emit_lines(source, out, None, true);
            out.write(" ", place.start..place.start);
        }
        out.write(&"| ".repeat(columns - row.len().min(columns)), place.start..place.start);
        out.write("|\n", place.start..place.start);
        if index == 0 {
            out.write(&format!("{prefix}{}|\n", "|---".repeat(columns)), place.start..place.start);
        }
    }
}
