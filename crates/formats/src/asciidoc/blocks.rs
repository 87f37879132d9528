//! Delimited blocks of `AsciiDoc`: code, mathematics, frames and tables.

use super::{ADMONITIONS, AsciiDocWriter, PendingBlock, tables};
use crate::markdown::fence_around;
use crate::markup_fragment::write_pipe_table;
use crate::unix_lines::capitalised;

impl<'a> AsciiDocWriter<'a> {
    /// Takes a delimited block, or one of its delimiters.
    pub(super) fn delimited(&mut self, index: usize, shown: &'a str) -> Option<usize> {
        let range = self.lines[index].clone();
        if shown == "|===" || shown == ",===" || shown == "!===" {
            let end = self.find_end(index, shown)?;
            self.write_title(range.start);
            self.table(index, end, shown);
            return Some(end + 1);
        }
        let first = shown.as_bytes()[0];
        let uniform = shown.bytes().all(|byte| byte == first);
        if shown.starts_with("```") && !shown[3..].contains('`') {
            let end = self.find_end(index, "```")?;
            self.write_title(range.start);
            self.pending.attributes = "";
            self.fence(&shown[3..], index + 1, end);
            return Some(end + 1);
        }
        if !(uniform && shown.len() >= 4 || shown == "--") {
            return None;
        }
        match first {
            b'/' => Some(self.find_end(index, shown)? + 1),
            b'-' | b'.' if shown.len() >= 4 => {
                let end = self.find_end(index, shown)?;
                self.write_title(range.start);
                let language = self.source_language();
                self.fence(&language, index + 1, end);
                Some(end + 1)
            }
            b'+' => {
                let end = self.find_end(index, shown)?;
                let is_math = ["stem", "latexmath", "asciimath"]
                    .iter()
                    .any(|name| self.pending.attributes.starts_with(name));
                if is_math && end > index + 1 {
                    self.begin_block(range.start);
                    self.out.write("$$ ", range.clone());
                    self.out.copy(self.source, self.lines[index + 1].start..self.lines[end - 1].end);
                    self.out.write(" $$\n\n", self.lines[end].clone());
                }
                self.pending = PendingBlock::default();
                Some(end + 1)
            }
            b'=' | b'*' | b'_' | b'-' => {
                // Both delimiters of a frame go; what is known of it stands before its text.
                self.begin_block(range.start);
                let kind = self.pending.attributes.split([',', '#', '.', '%']).next().unwrap_or_default();
                if ADMONITIONS.contains(&kind) {
                    let kind = kind.to_ascii_lowercase();
                    self.out.write(&format!("**{}**\n\n", capitalised(&kind)), range.clone());
                }
                self.write_title(range.start);
                self.pending = PendingBlock::default();
                self.after_blank = true;
                Some(index + 1)
            }
            _ => None,
        }
    }

    fn find_end(&mut self, index: usize, delimiter: &'a str) -> Option<usize> {
        if self.open_ends.contains(&delimiter) {
            return None;
        }
        let end = (index + 1..self.lines.len()).find(|&at| self.shown(at) == delimiter);
        if end.is_none() {
            self.open_ends.push(delimiter);
        }
        end
    }

    /// The language of a `[source,…]` block.
    fn source_language(&mut self) -> String {
        let attributes = std::mem::take(&mut self.pending.attributes);
        let mut parts = attributes.split(',').map(str::trim);
        let style = parts.next().unwrap_or_default();
        let is_source = style.is_empty() && !attributes.is_empty() || style.starts_with("source");
        let language =
            parts.next().filter(|language| is_source && !language.contains(['=', '"', '%', '`', ' ']));
        let default = if is_source { self.attributes.get("source-language").cloned() } else { None };
        language.map(str::to_owned).or(default).unwrap_or_default()
    }

    pub(super) fn fence(&mut self, language: &str, from: usize, to: usize) {
        self.pending = PendingBlock::default();
        if from >= to {
            return;
        }
        let place = self.lines[from].start..self.lines[to - 1].end;
        let fence = fence_around(&self.source[place.clone()]);
        self.begin_block(place.start);
        self.out.write(&format!("{fence}{language}\n"), place.start..place.start);
        for at in from..to {
            let line = self.lines[at].clone();
            if !self.source[line.clone()].starts_with("include::") {
                self.out.copy(self.source, line.start..self.source.len().min(line.end + 1));
            }
        }
        if !self.out.as_str().ends_with('\n') {
            self.out.write("\n", place.end..place.end);
        }
        self.out.write(&format!("{fence}\n\n"), place.end..place.end);
    }

    fn table(&mut self, index: usize, end: usize, delimiter: &str) {
        let attributes = std::mem::take(&mut self.pending.attributes);
        if end <= index + 1 {
            return;
        }
        let is_csv = delimiter.starts_with(',')
            || attributes.contains("format=csv")
            || attributes.contains("format=\"csv\"");
        let separator = if is_csv { ',' } else { delimiter.chars().next().unwrap_or('|') };
        let lines = &self.lines[index + 1..end];
        let rows = tables::table_rows(self.source, lines, separator, is_csv, attributes, &self.attributes);
        let place = lines[0].start..lines[lines.len() - 1].end;
        self.begin_block(place.start);
        write_pipe_table(&mut self.out, self.source, &rows, "", &place);
        self.out.write("\n", place.end..place.end);
    }
}
