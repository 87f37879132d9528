//! Keywords, blocks between `#+BEGIN` and `#+END`, drawers and tables of Org mode.

use std::ops::Range;

use super::OrgWriter;
use super::inline::render_org_inline;
use crate::markdown::fence_around;
use crate::markup_fragment::{MarkupFragment, TABLE_COLUMNS_MAX, write_pipe_table};
use crate::parsed_text::PropertyValue;
use crate::unix_lines::{dedent_bytes, indent_columns, trimmed_range};

/// Longest drawer in lines.
const DRAWER_LINES_MAX: usize = 500;

impl OrgWriter<'_> {
    /// Takes a line that begins with `#+`.
    pub(super) fn keyword(&mut self, index: usize, keyword: &str) -> usize {
        let upper = keyword.get(..6.min(keyword.len())).unwrap_or_default().to_ascii_uppercase();
        if upper == "BEGIN_" {
            return self.block(index, &keyword[6..]);
        }
        let Some((name, value)) = keyword.split_once(':') else { return index + 1 };
        let value = value.trim();
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "title" | "author" | "date" | "email" | "language" | "description" | "keywords" | "subtitle"
            | "category" => {
                self.properties.add_text(&name, value);
            }
            "filetags" => {
                let tags = value.split([':', ' ']).filter(|tag| !tag.is_empty()).map(str::to_owned);
                self.properties.add("tags", PropertyValue::Texts(tags.collect()));
            }
            "caption" => {
                let range = self.lines[index].clone();
                self.begin_block(range.start);
                let start = range.start + self.source[range.clone()].find(':').map_or(0, |at| at + 1);
                self.emit(trimmed_range(self.source, start..range.end));
                self.out.write("\n\n", range.end..range.end);
            }
            _ => {}
        }
        index + 1
    }

    /// Takes a block from `#+BEGIN_…` to `#+END_…`.
    fn block(&mut self, index: usize, opening: &str) -> usize {
        let mut words = opening.split_whitespace();
        let kind = words.next().unwrap_or_default().to_ascii_uppercase();
        let end_name = format!("#+END_{kind}");
        // Other blocks are a frame around text.
        if !["SRC", "EXAMPLE", "EXPORT", "COMMENT", "QUOTE", "VERSE"].contains(&kind.as_str())
            || self.open_blocks.contains(&kind)
        {
            return index + 1;
        }
        let end = (index + 1..self.lines.len()).find(|&at| self.trimmed(at).eq_ignore_ascii_case(&end_name));
        let Some(end) = end else {
            self.open_blocks.push(kind);
            return index + 1;
        };
        self.at_start = false;
        match kind.as_str() {
            "SRC" | "EXAMPLE" => {
                let language = match words.next() {
                    Some(language) if kind == "SRC" && !language.starts_with([':', '-']) => {
                        language.replace('`', "")
                    }
                    _ => String::new(),
                };
                let lines = self.lines[index + 1..end].to_vec();
                let shown = lines.iter().filter(|line| !self.source[(*line).clone()].trim().is_empty());
                let columns = shown.map(|line| indent_columns(&self.source[line.clone()])).min().unwrap_or(0);
                self.fence(&language, &lines, columns);
            }
            "QUOTE" | "VERSE" => {
                let start = self.lines[index].start;
                self.begin_block(start);
                for at in index + 1..end {
                    let line = trimmed_range(self.source, self.lines[at].clone());
                    let verse = kind == "VERSE" && at + 1 < end;
                    self.out.write("> ", line.start..line.start);
                    self.emit(line);
                    let line_end = self.lines[at].end;
                    self.out.write(if verse { "\\\n" } else { "\n" }, line_end..line_end);
                }
                self.out.write("\n", self.lines[end].start..self.lines[end].end);
            }
            _ => {}
        }
        end + 1
    }

    pub(super) fn fence(&mut self, language: &str, lines: &[Range<usize>], columns: usize) {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
        let place = first.start..last.end;
        let fence = fence_around(&self.source[place.clone()]);
        self.begin_block(place.start);
        self.out.write(&format!("{fence}{language}\n"), place.start..place.start);
        for line in lines {
            let start = line.start + dedent_bytes(&self.source[line.clone()], columns);
            // A comma protects lines that would end the block.
            let rest = &self.source[start..line.end];
            let protected = rest.starts_with(",*") || rest.starts_with(",#+");
            self.out.copy(self.source, start + usize::from(protected)..line.end);
            self.out.write("\n", line.end..line.end);
        }
        self.out.write(&format!("{fence}\n\n"), place.end..place.end);
    }

    /// Takes a drawer; before the first headline it has properties.
    pub(super) fn drawer(&mut self, index: usize) -> Option<usize> {
        let limit = self.lines.len().min(index + DRAWER_LINES_MAX);
        let end = (index + 1..limit).find(|&at| {
            let shown = self.trimmed(at);
            shown.eq_ignore_ascii_case(":end:") || shown.starts_with("* ")
        });
        let end = end.filter(|&end| self.trimmed(end).eq_ignore_ascii_case(":end:"))?;
        if self.at_start && self.trimmed(index).eq_ignore_ascii_case(":properties:") {
            for at in index + 1..end {
                let entry = self.trimmed(at).strip_prefix(':').and_then(|entry| entry.split_once(':'));
                if let Some((name, value)) = entry {
                    self.properties.add_text(&name.to_lowercase(), value);
                }
            }
        }
        Some(end + 1)
    }

    pub(super) fn table(&mut self, index: usize) -> usize {
        let end = self.run_end(index, |shown| shown.starts_with('|'));
        let mut rows: Vec<Vec<MarkupFragment>> = Vec::new();
        for at in index..end {
            let line = trimmed_range(self.source, self.lines[at].clone());
            let shown = &self.source[line.clone()];
            if shown.starts_with("|-") {
                continue;
            }
            let inner = line.start + 1..line.end - usize::from(shown.len() > 1 && shown.ends_with('|'));
            let mut cells = Vec::new();
            let mut start = inner.start;
            for cell in self.source[inner.clone()].split('|').take(TABLE_COLUMNS_MAX) {
                cells.push(trimmed_range(self.source, start..start + cell.len()));
                start += cell.len() + 1;
            }
            let is_layout = |cell: &Range<usize>| {
                let cell = &self.source[cell.clone()];
                cell.is_empty() || matches!(cell, "/" | "<" | ">" | "<>" | "!") || is_alignment(cell)
            };
            let blank = cells.iter().all(Range::is_empty);
            if blank || !cells.iter().all(is_layout) {
                rows.push(cells.into_iter().map(|cell| render_org_inline(self.source, cell)).collect());
            }
        }
        let place = self.lines[index].start..self.lines[end - 1].end;
        self.begin_block(place.start);
        write_pipe_table(&mut self.out, self.source, &rows, "", &place);
        self.out.write("\n", place.end..place.end);
        end
    }
}

/// Whether a cell is `<l>`, `<r10>` or the like.
fn is_alignment(cell: &str) -> bool {
    let inner = cell.strip_prefix('<').and_then(|cell| cell.strip_suffix('>'));
    inner.is_some_and(|inner| {
        inner.trim_start_matches(['l', 'c', 'r']).bytes().all(|byte| byte.is_ascii_digit())
    })
}
