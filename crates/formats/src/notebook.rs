//! Jupyter notebooks (nbformat 3 and 4) to Markdown: cells in order, code in fences, outputs as short text.
//!
//! Of outputs there are stream text, errors as `Name: value`, and of a rich output its plain text, Markdown or,
//! last, HTML; pictures are left out. All outputs of a cell have 2,000 characters at most. The result is cleaned
//! as other Markdown is. The title is that of the metadata or the first heading. What is no notebook is plain
//! text, with a note. The map is exact inside of cells; an output stands for its string in the JSON.
//!
//! Here are the file and its cells; `outputs` has what they show, `json_string` how strings are read in place.

mod json_string;
mod outputs;

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::front_matter::{SplitFrontMatter, split_front_matter};
use crate::markdown::{clean_markdown, fence_around, missing_fence};
use crate::parsed_text::{ParsedText, PropertyValue, TextStructure};
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::terminal_text::shown_on_terminal;
use crate::unix_lines::{one_line, parse_unix_lines};
use json_string::{JsonStringPiece, JsonStringPieces, decoded};

/// Most characters of the outputs of a cell.
const OUTPUT_CHARACTERS_MAX: usize = 2000;
/// Cell magics that name a language.
const MAGICS: [(&str, &str); 8] = [
    ("%%bash", "bash"),
    ("%%sh", "bash"),
    ("%%sql", "sql"),
    ("%%html", "html"),
    ("%%javascript", "javascript"),
    ("%%js", "javascript"),
    ("%%R", "r"),
    ("%%latex", "latex"),
];

#[derive(Deserialize)]
struct NotebookFile<'a> {
    #[serde(borrow, default)]
    cells: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    worksheets: Option<Vec<NotebookWorksheet<'a>>>,
    #[serde(default)]
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct NotebookWorksheet<'a> {
    #[serde(borrow, default)]
    cells: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct NotebookCell<'a> {
    cell_type: String,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    level: Option<usize>,
    #[serde(borrow, default)]
    outputs: Option<Vec<&'a RawValue>>,
}

/// Reads a notebook.
pub fn parse_notebook(source: &str) -> ParsedText {
    let trimmed = source.trim_start_matches('\u{feff}');
    let file = serde_json::from_str::<NotebookFile<'_>>(trimmed).map_err(|error| error.to_string());
    let cells = file.and_then(|file| {
        let worksheets =
            file.worksheets.map(|sheets| sheets.into_iter().flat_map(|sheet| sheet.cells).collect());
        let cells = file.cells.or(worksheets).ok_or("it has no cells".to_owned())?;
        Ok((cells, file.metadata.unwrap_or_default()))
    });
    let (cells, metadata) = match cells {
        Ok(found) => found,
        Err(reason) => {
            let mut parsed = parse_unix_lines(source, |source| {
                let mut out = MappedText::default();
                out.copy(source, 0..source.len());
                let (text, map) = out.finish();
                ParsedText { text, map, ..ParsedText::default() }
            });
            parsed
                .notes
                .push(format!("the notebook cannot be read and is plain text: {}", one_line(&reason)));
            return parsed;
        }
    };
    let names = ["/language_info/name", "/kernelspec/language", "/kernel_info/name"];
    let language = names.iter().find_map(|name| metadata.pointer(name)?.as_str()).unwrap_or_default();
    let mut writer = NotebookWriter {
        source,
        language: language.split(char::is_whitespace).next().unwrap_or_default(),
        out: MappedText::default(),
        properties: PropertyCollector::default(),
        heading: None,
        cut_outputs: 0,
        unread: 0,
    };
    writer.metadata(&metadata);
    for (index, cell) in cells.iter().enumerate() {
        match serde_json::from_str::<NotebookCell<'_>>(cell.get()) {
            Ok(cell) => writer.cell(index, &cell),
            Err(_) => writer.unread += 1,
        }
    }
    writer.finish()
}

struct NotebookWriter<'a> {
    source: &'a str,
    language: &'a str,
    out: MappedText,
    properties: PropertyCollector,
    heading: Option<String>,
    cut_outputs: usize,
    unread: usize,
}

impl<'a> NotebookWriter<'a> {
    fn metadata(&mut self, metadata: &serde_json::Value) {
        if let Some(title) = metadata.get("title").and_then(|title| title.as_str()) {
            self.properties.add_text("title", title);
        }
        let authors = metadata.get("authors").and_then(|authors| authors.as_array());
        let names = authors
            .into_iter()
            .flatten()
            .filter_map(|author| author.as_str().or_else(|| author.get("name")?.as_str()).map(str::to_owned));
        self.properties.add("authors", PropertyValue::Texts(names.collect()));
        self.properties.add_text("programming_language", self.language);
    }

    fn cell(&mut self, index: usize, cell: &NotebookCell<'a>) {
        let Some(literals) = cell.source.or(cell.input).map(|value| self.literals(value)) else { return };
        let text = decoded(self.source, &literals);
        let Some(first) = literals.first().filter(|_| !text.trim().is_empty()) else {
            return self.outputs(cell);
        };
        let place = first.start..first.start;
        match cell.cell_type.as_str() {
            "code" => {
                self.begin_block(&place);
                let fence = fence_around(&text);
                let first_line = text.lines().next().unwrap_or_default();
                let magic = MAGICS.iter().find(|(magic, _)| first_line.split(' ').next() == Some(magic));
                let language = cell.language.as_deref().unwrap_or(self.language);
                let language =
                    magic.map_or(language, |(_, language)| language).replace(['`', '\n', '\r', '\0'], "");
                self.out.write(&format!("{fence}{language}\n"), place);
                self.write_literals(&literals);
                self.end_line();
                let end = literals.last().map_or(0, |last| last.end);
                self.out.write(&fence, end..end);
                self.outputs(cell);
            }
            "heading" => {
                self.begin_block(&place);
                let level = cell.level.unwrap_or(1).clamp(1, 6);
                self.out.write(&format!("{} ", "#".repeat(level)), place.clone());
                let text = shown_on_terminal(&one_line(&text));
                self.out.write(&text, place);
                self.heading.get_or_insert(text);
            }
            kind => {
                let front = if kind == "raw" && index == 0 {
                    split_front_matter(&text)
                } else {
                    SplitFrontMatter::default()
                };
                if front.body_start > 0 {
                    if let Some(title) = &front.properties.title {
                        self.properties.add_text("title", title);
                    }
                    for (name, value) in front.properties.other {
                        self.properties.add(&name, value);
                    }
                    return;
                }
                self.begin_block(&place);
                self.write_literals(&literals);
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let title =
                    headings.map(|line| line.trim_start_matches('#')).find(|rest| rest.starts_with(' '));
                if let Some(title) = title.filter(|_| kind == "markdown") {
                    self.heading.get_or_insert(one_line(title.trim_end_matches(['#', ' '])));
                }
                if let Some(fence) = missing_fence(&text) {
                    self.end_line();
                    self.out.write(&fence, place);
                }
            }
        }
    }

    /// The ranges of the string literals of a multi-line text: a string or a list of strings.
    fn literals(&self, value: &'a RawValue) -> Vec<Range<usize>> {
        let parts = match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            Ok(parts) => parts,
            Err(_) => vec![value],
        };
        let strings = parts.into_iter().filter(|part| part.get().starts_with('"'));
        strings
            .map(|part| {
                // Both are slices of the same text.
                let start = part.get().as_ptr() as usize - self.source.as_ptr() as usize;
                start..start + part.get().len()
            })
            .collect()
    }

    fn begin_block(&mut self, place: &Range<usize>) {
        self.out.trim_end();
        if !self.out.is_empty() {
            self.out.write("\n\n", place.clone());
        }
    }

    fn end_line(&mut self) {
        if !self.out.as_str().ends_with('\n') {
            self.out.write("\n", 0..0);
        }
    }

    fn write_literals(&mut self, literals: &[Range<usize>]) {
        for literal in literals {
            for piece in JsonStringPieces::new(self.source, literal) {
                match piece {
                    JsonStringPiece::Copied(range) => self.out.copy(self.source, range),
                    JsonStringPiece::Escaped('\r', _) => {}
                    JsonStringPiece::Escaped(character, range) => {
                        let shown = if character == '\0' { char::REPLACEMENT_CHARACTER } else { character };
                        self.out.write(shown.encode_utf8(&mut [0; 4]), range);
                    }
                }
            }
        }
    }

    fn finish(mut self) -> ParsedText {
        if let Some(heading) = self.heading.take() {
            self.properties.add_text("title", &heading);
        }
        self.out.trim_end();
        if !self.out.is_empty() {
            self.out.write("\n", self.source.len()..self.source.len());
        }
        let (text, map) = self.out.finish();
        let (text, clean_map) = clean_markdown(&text, 0);
        let (properties, note) = self.properties.finish();
        let mut notes: Vec<String> = note.into_iter().collect();
        if self.cut_outputs > 0 {
            let cells = self.cut_outputs;
            notes.push(format!("outputs of {cells} cells were cut at {OUTPUT_CHARACTERS_MAX} characters"));
        }
        if self.unread > 0 {
            notes.push(format!("{} cells cannot be read and were left out", self.unread));
        }
        ParsedText { text, map: clean_map.after(&map), structure: TextStructure::Markdown, properties, notes }
    }
}
