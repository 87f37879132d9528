//! Environments of LaTeX: their beginnings and ends, code, the rows of tables and the items of lists.

use super::{LIST_DEPTH_MAX, LatexWriter, OpenLatexTable};
use crate::markdown::fence_around;
use crate::unix_lines::{capitalised, one_line, trimmed_range};

const VERBATIM: [&str; 8] =
    ["verbatim", "verbatim*", "lstlisting", "minted", "Verbatim", "alltt", "BVerbatim", "lstlisting*"];

const MATHEMATICS: [&str; 14] = [
    "equation",
    "equation*",
    "align",
    "align*",
    "gather",
    "gather*",
    "multline",
    "multline*",
    "eqnarray",
    "eqnarray*",
    "displaymath",
    "math",
    "alignat",
    "flalign",
];

const TABLES: [&str; 7] =
    ["tabular", "tabular*", "tabularx", "longtable", "tabulary", "supertabular", "tblr"];

/// Environments whose name says what their text is.
const NAMED: [&str; 12] = [
    "abstract",
    "theorem",
    "lemma",
    "proof",
    "definition",
    "corollary",
    "example",
    "remark",
    "proposition",
    "note",
    "exercise",
    "solution",
];

impl LatexWriter<'_> {
    pub(super) fn environment(&mut self, at: usize, behind: usize) -> usize {
        let Some(argument) = self.argument(behind) else { return behind };
        let source = self.source;
        let name = &source[argument.clone()];
        let start = argument.end + 1;
        let is_raw = VERBATIM.contains(&name) || MATHEMATICS.contains(&name) || name == "comment";
        if is_raw {
            let close = format!("\\end{{{name}}}");
            let found = memchr::memmem::find(&source.as_bytes()[start..self.end], close.as_bytes());
            let (inner_end, end) =
                found.map_or((self.end, self.end), |at| (start + at, start + at + close.len()));
            if VERBATIM.contains(&name) {
                self.fence(name, at, start, inner_end);
            } else if name != "comment" {
                let inner = trimmed_range(source, start..inner_end);
                self.begin_block(at);
                self.out.write("$$\n", at..start);
                self.out.copy(source, inner);
                self.out.write("\n$$\n\n", inner_end..end);
            }
            return end;
        }
        if TABLES.contains(&name) {
            self.begin_block(at);
            // Width and columns of the table are layout.
            let end = self.arguments_end(start);
            self.out.write("| ", at..end);
            self.table = Some(OpenLatexTable { rows: 0, cells: 1, row_start: self.out.len() - 2 });
            return end;
        }
        match name {
            "itemize" | "enumerate" | "description" => {
                if self.lists.is_empty() {
                    self.begin_block(at);
                }
                self.lists.push((name == "enumerate").then_some(0));
                self.option(start).map_or(start, |option| option.end + 1)
            }
            _ if NAMED.contains(&name) => {
                self.begin_block(at);
                let title = self.option(start);
                self.out.write(&format!("**{}", capitalised(name)), at..start);
                if let Some(title) = &title {
                    self.out.write(": ", title.start..title.start);
                    self.out.copy(source, title.clone());
                }
                self.out.write("**\n\n", start..start);
                title.map_or(start, |title| title.end + 1)
            }
            "figure" | "figure*" | "table" | "table*" | "minipage" | "wrapfigure" | "thebibliography"
            | "multicols" => {
                self.begin_block(at);
                self.arguments_end(start)
            }
            _ => self.option(start).map_or(start, |option| option.end + 1),
        }
    }

    fn fence(&mut self, name: &str, at: usize, start: usize, inner_end: usize) {
        let source = self.source;
        let option = self.option(start);
        let mut from = option.as_ref().map_or(start, |option| option.end + 1);
        let mut language = String::new();
        if let Some(option) = option.filter(|_| name.starts_with("lst")) {
            let value = source[option].split("language=").nth(1).unwrap_or_default();
            language = value
                .split([',', '}'])
                .next()
                .unwrap_or_default()
                .trim_matches(['{', ' '])
                .to_ascii_lowercase();
        }
        if name == "minted"
            && let Some(argument) = self.argument(from)
        {
            source[argument.clone()].clone_into(&mut language);
            from = argument.end + 1;
        }
        let from = from.min(inner_end);
        let from = from + usize::from(source[from..inner_end].starts_with('\n'));
        let inner = &source[from..inner_end];
        let kept = from + inner.trim_end().len();
        let fence = fence_around(inner);
        self.begin_block(at);
        self.out.write(&format!("{fence}{}\n", one_line(&language).replace('`', "")), at..from);
        self.out.copy(source, from..kept);
        self.out.write(&format!("\n{fence}\n\n"), kept..inner_end);
    }

    pub(super) fn environment_end(&mut self, behind: usize) -> usize {
        let Some(argument) = self.argument(behind) else { return behind };
        let name = &self.source[argument.clone()];
        let end = argument.end + 1;
        if matches!(name, "itemize" | "enumerate" | "description") {
            self.lists.pop();
            self.out.trim_end();
            self.out.write(if self.lists.is_empty() { "\n\n" } else { "\n" }, end..end);
        } else if TABLES.contains(&name) && self.table.is_some() {
            self.row_end(argument.start, argument.start);
            if let Some(table) = self.table.take() {
                self.out.truncate(table.row_start);
            }
            self.out.write("\n", end..end);
        } else if NAMED.contains(&name) || matches!(name, "figure" | "table" | "figure*" | "table*") {
            self.begin_block(end);
        }
        end
    }

    /// Ends a row of a table and begins the next.
    pub(super) fn row_end(&mut self, at: usize, end: usize) -> usize {
        let Some(table) = &mut self.table else { return end };
        let blank = self.out.as_str()[table.row_start..].trim_matches(['|', ' ', '\n']).is_empty();
        let start = table.row_start;
        let cells = std::mem::replace(&mut table.cells, 1);
        if blank {
            self.out.truncate(start);
        } else {
            table.rows += 1;
            let first = table.rows == 1;
            let kept = self.out.as_str().trim_end_matches(' ').len();
            self.out.truncate(kept);
            self.out.write(" |\n", at..end);
            if first {
                self.out.write(&format!("{}|\n", "|---".repeat(cells)), at..end);
            }
        }
        table.row_start = self.out.len();
        self.out.write("| ", end..end);
        let rest = &self.source[end..self.end.max(end)];
        end + rest.len() - rest.trim_start().len()
    }

    pub(super) fn multicolumn(&mut self, at: usize, behind: usize) -> usize {
        let Some(number) = self.argument(behind) else { return behind };
        let Some(layout) = self.argument(number.end + 1) else { return number.end + 1 };
        let columns = self.source[number].trim().parse().unwrap_or(1_usize).clamp(1, 64);
        if let Some(table) = &mut self.table {
            table.cells += columns - 1;
        }
        self.open(layout.end + 1, "", " |".repeat(columns - 1), at)
    }

    pub(super) fn item(&mut self, at: usize, behind: usize) -> usize {
        let depth = self.lists.len().clamp(1, LIST_DEPTH_MAX);
        let indent = self.list_indent(depth - 1);
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{number}. ")
            }
            _ => "- ".to_owned(),
        };
        let lists = self.out.as_str().trim_end().len();
        let first = self.out.as_str().ends_with("\n\n") || lists == 0;
        if !first
            || self.out.as_str()[..lists]
                .rsplit('\n')
                .next()
                .is_some_and(|line| line.trim_start().starts_with(['-', '1']))
        {
            self.out.trim_end();
            self.out.write("\n", at..at);
        }
        self.out.write(&indent, at..at);
        self.out.write(&marker, at..behind);
        let mut end = behind;
        if let Some(term) = self.option(behind) {
            self.out.write("**", term.start..term.start);
            self.out.copy(self.source, term.clone());
            self.out.write("**: ", term.end..term.end + 1);
            end = term.end + 1;
        }
        let rest = &self.source[end..self.end.max(end)];
        end + rest.len() - rest.trim_start().len()
    }
}
