//! Places in a source, and where its lines, pages, slides or rows begin.

use serde::{Deserialize, Serialize};

/// What places of a source are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceUnit {
    /// Lines of a file that is text.
    #[default]
    Line,
    /// Pages, as a PDF has them.
    Page,
    /// Slides, in the order in which they are shown.
    Slide,
    /// Rows of a sheet, whose name is in the heading.
    Row,
}

impl SourceUnit {
    /// All of them; their places are stored, so none moves.
    pub const ALL: [Self; 4] = [Self::Line, Self::Page, Self::Slide, Self::Row];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Page => "page",
            Self::Slide => "slide",
            Self::Row => "row",
        }
    }

    /// Whether it is a line.
    pub fn is_line(&self) -> bool {
        *self == Self::Line
    }
}

/// Where the lines of a source begin. A line ends with LF, CRLF or CR. Of a source that is no text: where its pages,
/// slides or rows begin, in a count of its own.
#[derive(Debug)]
pub struct SourceLines {
    starts: Vec<usize>,
    unit: SourceUnit,
    /// The number of each, where they are not counted from 1.
    numbers: Vec<usize>,
}

impl SourceLines {
    /// Pages, slides or rows with these numbers. The source is taken to have a byte for each, in this order.
    pub fn of_places(unit: SourceUnit, numbers: Vec<usize>) -> Self {
        Self { starts: (0..numbers.len()).collect(), unit, numbers }
    }

    /// Reads the lines of a source.
    pub fn new(source: &str) -> Self {
        let bytes = source.as_bytes();
        let mut starts = vec![0];
        for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            // The CR of a CRLF ends no line of its own.
            if bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n') {
                starts.push(at + 1);
            }
        }
        Self { starts, unit: SourceUnit::Line, numbers: Vec::new() }
    }

    /// What is counted.
    pub fn unit(&self) -> SourceUnit {
        self.unit
    }

    /// The number of the line that a byte is in, from 1.
    pub fn line_of(&self, at: usize) -> usize {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        self.numbers.get(line - 1).copied().unwrap_or(line)
    }
}

/// A place in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlace {
    /// What is counted.
    #[serde(default, skip_serializing_if = "SourceUnit::is_line")]
    pub unit: SourceUnit,
    /// First line, page, slide or row, from 1.
    pub first_line: usize,
    /// The last one.
    pub last_line: usize,
    /// First byte and the byte behind the last, where the file is UTF-8 text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<(usize, usize)>,
}

impl SourcePlace {
    /// The smallest place that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let bytes = self.bytes.zip(other.bytes);
        Self {
            unit: self.unit,
            first_line: self.first_line.min(other.first_line),
            last_line: self.last_line.max(other.last_line),
            bytes: bytes.map(|(own, others)| (own.0.min(others.0), own.1.max(others.1))),
        }
    }
}
