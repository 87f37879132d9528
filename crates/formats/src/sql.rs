//! SQL scripts and dumps: a block per statement, with the comments before it; the text is as it is.
//!
//! `CREATE`, `ALTER`, `INSERT`, `COMMENT ON` and the like open a section named by their object. Rows of an
//! `INSERT` and of a `COPY … FROM stdin` are items. Semicolons inside of strings, quoted names, dollar quotes,
//! comments, and of `BEGIN … END` in a routine or trigger end no statement; `DELIMITER` and `GO` are known.

use std::ops::Range;

use crate::parsed_text::{ParsedText, StructureMark, StructureMarkKind, TextStructure};
use crate::source_map::MappedText;
use crate::unix_lines::{line_ranges, parse_unix_lines};

/// Words of a statement that are read to find its object.
const HEAD_WORDS_MAX: usize = 16;
/// Longest dollar tag.
const DOLLAR_TAG_BYTES_MAX: usize = 64;

/// Reads SQL.
pub fn parse_sql(source: &str) -> ParsedText {
    parse_unix_lines(source, |source| {
        let mut scan = SqlScanner {
            source,
            at: 0,
            // In the dialect of MySQL a backslash escapes a quote.
            backslashes: source.contains('`') || source.contains("ENGINE="),
            delimiter: ";",
            marks: Vec::new(),
            section: String::new(),
        };
        while scan.at < source.len() {
            scan.statement();
        }
        let mut out = MappedText::default();
        out.copy(source, 0..source.len());
        let (text, map) = out.finish();
        let marks = with_lines(&text, scan.marks);
        ParsedText { text, map, structure: TextStructure::Marked(marks), ..ParsedText::default() }
    })
}

/// Adds a mark for every other line.
fn with_lines(text: &str, marks: Vec<StructureMark>) -> Vec<StructureMark> {
    let mut all = Vec::with_capacity(marks.len());
    let mut marks = marks.into_iter().peekable();
    for line in line_ranges(text, 0) {
        let mut begun = false;
        while let Some(mark) = marks.next_if(|mark| mark.at < line.start) {
            all.push(mark);
        }
        while let Some(mark) = marks.next_if(|mark| mark.at == line.start) {
            all.push(mark);
            begun = true;
        }
        if !begun && !line.is_empty() {
            all.push(StructureMark { at: line.start, kind: StructureMarkKind::Line });
        }
    }
    all.extend(marks);
    all
}

struct SqlScanner<'a> {
    source: &'a str,
    at: usize,
    backslashes: bool,
    delimiter: &'a str,
    marks: Vec<StructureMark>,
    section: String,
}

/// A word or a quoted name.
struct SqlWord<'a> {
    text: &'a str,
    end: usize,
}

impl<'a> SqlScanner<'a> {
    /// Takes a statement with the comments and white space before it.
    fn statement(&mut self) {
        let source = self.source;
        let mut first = None;
        loop {
            let rest = &source[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            if self.at >= source.len() {
                break;
            }
            first.get_or_insert(self.at);
            if let Some(end) = self.comment_end(self.at) {
                self.at = end;
                continue;
            }
            if source[self.at..].starts_with(self.delimiter) {
                self.at += self.delimiter.len();
                continue;
            }
            break;
        }
        let Some(first) = first else { return };
        let first = self.line_start(first);
        if self.at >= source.len() {
            return self.mark(first, StructureMarkKind::Block);
        }
        let line = self.line_end(self.at);
        let shown = source[self.at..line].trim_end();
        if let Some(delimiter) = strip_word(shown, "DELIMITER").filter(|delimiter| !delimiter.is_empty()) {
            self.delimiter = delimiter;
            self.at = line;
            return;
        }
        // Commands of psql, and the word that ends a batch of T-SQL.
        if shown.starts_with('\\') || shown.eq_ignore_ascii_case("go") {
            self.at = line;
            return;
        }
        let words = self.head_words();
        self.open_section(first, &words);
        self.mark(first, StructureMarkKind::Block);
        let is = |index: usize, word: &str| {
            words.get(index).is_some_and(|found| found.text.eq_ignore_ascii_case(word))
        };
        let routine = is(0, "CREATE") || is(0, "ALTER");
        let routine = routine
            && words.iter().take(6).any(|word| {
                ["FUNCTION", "PROCEDURE", "PROC", "TRIGGER", "EVENT"]
                    .iter()
                    .any(|kind| word.text.eq_ignore_ascii_case(kind))
            });
        let rows = is(0, "INSERT") || is(0, "REPLACE") || is(0, "VALUES");
        let copied = is(0, "COPY");
        let head = self.at;
        self.body(routine, rows);
        if copied && source[head..self.at].to_ascii_lowercase().contains("from stdin") {
            self.copied_rows();
        }
    }

    /// Goes behind the end of the statement.
    fn body(&mut self, routine: bool, rows: bool) {
        let source = self.source;
        let bytes = source.as_bytes();
        let mut parentheses = 0_usize;
        let mut blocks = 0_usize;
        let mut in_values = false;
        let mut last_word = "";
        while self.at < bytes.len() {
            if source[self.at..].starts_with(self.delimiter) && (self.delimiter != ";" || blocks == 0) {
                self.at += self.delimiter.len();
                return;
            }
            if let Some(end) = self.quoted_end(self.at).or_else(|| self.comment_end(self.at)) {
                self.at = end;
                continue;
            }
            let byte = bytes[self.at];
            if byte == b'(' {
                if in_values && parentheses == 0 {
                    let before = &source[self.line_start(self.at)..self.at];
                    let place = if before.trim().is_empty() { self.at - before.len() } else { self.at };
                    self.mark(place, StructureMarkKind::Item);
                }
                parentheses += 1;
            } else if byte == b')' {
                parentheses = parentheses.saturating_sub(1);
            } else if byte.is_ascii_alphabetic() || byte == b'_' {
                let end = self.word_end(self.at);
                let word = &source[self.at..end];
                let is = |name: &str| word.eq_ignore_ascii_case(name);
                in_values |= rows && parentheses == 0 && is("VALUES");
                if routine && (is("BEGIN") || is("CASE") && !last_word.eq_ignore_ascii_case("END")) {
                    blocks += 1;
                } else if routine && is("END") {
                    let next = source[end..].trim_start();
                    let inner = ["IF", "LOOP", "WHILE", "REPEAT", "FOR"];
                    if !inner.iter().any(|name| strip_word(next, name).is_some()) {
                        blocks = blocks.saturating_sub(1);
                    }
                } else if is("GO") && self.is_alone(self.at..end) {
                    self.at = end;
                    return;
                }
                last_word = word;
                self.at = end;
                continue;
            }
            self.at += source[self.at..].chars().next().map_or(1, char::len_utf8);
        }
    }

    /// Takes the lines of data behind `COPY … FROM stdin;`.
    fn copied_rows(&mut self) {
        self.at = (self.line_end(self.at) + 1).min(self.source.len());
        while self.at < self.source.len() {
            let end = self.line_end(self.at);
            let done = self.source[self.at..end].trim_end() == "\\.";
            if !done {
                self.mark(self.at, StructureMarkKind::Item);
            }
            self.at = (end + 1).min(self.source.len());
            if done {
                return;
            }
        }
    }

    fn mark(&mut self, at: usize, kind: StructureMarkKind) {
        // Two statements on a line begin a block once.
        let fits = self.marks.last().is_none_or(|last| last.at < at || last.at == at && last.kind != kind);
        if fits {
            self.marks.push(StructureMark { at, kind });
        }
    }

    fn open_section(&mut self, at: usize, words: &[SqlWord<'_>]) {
        let name = object_name(words);
        if name != self.section {
            self.section.clone_from(&name);
            self.mark(at, StructureMarkKind::Section { depth: 1, title: name });
        }
    }

    /// The first words of the statement; names with dots are one.
    fn head_words(&self) -> Vec<SqlWord<'a>> {
        let source = self.source;
        let mut words: Vec<SqlWord<'a>> = Vec::new();
        let mut at = self.at;
        while words.len() < HEAD_WORDS_MAX && at < source.len() {
            if let Some(end) = self.comment_end(at) {
                at = end;
                continue;
            }
            let byte = source.as_bytes()[at];
            let end = match byte {
                b'"' | b'`' => self.quoted_end(at).unwrap_or(source.len()),
                b'[' => source[at..].find(']').map_or(source.len(), |end| at + end + 1),
                b' ' | b'\t' | b'\n' => {
                    at += 1;
                    continue;
                }
                _ if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => self.word_end(at),
                _ => break,
            };
            match words.last_mut() {
                Some(last) if last.text.ends_with('.') => {
                    last.text = &source[last.end - last.text.len()..end];
                    last.end = end;
                }
                _ => words.push(SqlWord { text: &source[at..end], end }),
            }
            at = end;
            if source[at..].starts_with('.') {
                at += 1;
                if let Some(last) = words.last_mut() {
                    last.text = &source[last.end - last.text.len()..at];
                    last.end = at;
                }
            }
        }
        words
    }

    fn word_end(&self, at: usize) -> usize {
        let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
        at + self.source.as_bytes()[at..].iter().take_while(is_word).count()
    }

    /// Where the string, quoted name or dollar quote at a byte ends.
    fn quoted_end(&self, at: usize) -> Option<usize> {
        let bytes = self.source.as_bytes();
        let quote = bytes[at];
        if quote == b'$' {
            let limit = bytes.len().min(at + DOLLAR_TAG_BYTES_MAX);
            let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
            let tag_end = at + 1 + bytes[at + 1..limit].iter().take_while(word).count();
            if bytes.get(tag_end) != Some(&b'$') || bytes[at + 1].is_ascii_digit() {
                return None;
            }
            let tag = &bytes[at..=tag_end];
            let found = memchr::memmem::find(&bytes[tag_end + 1..], tag);
            return Some(found.map_or(bytes.len(), |found| tag_end + 1 + found + tag.len()));
        }
        if !matches!(quote, b'\'' | b'"' | b'`') {
            return None;
        }
        let escapes = self.backslashes || at > 0 && matches!(bytes[at - 1], b'E' | b'e');
        let mut next = at + 1;
        while next < bytes.len() {
            if bytes[next] == b'\\' && escapes && quote != b'`' {
                next += 2;
            } else if bytes[next] == quote {
                // A doubled quote begins the next string at once, which is the same here.
                return Some(next + 1);
            } else {
                next += 1;
            }
        }
        Some(bytes.len())
    }

    fn comment_end(&self, at: usize) -> Option<usize> {
        let rest = &self.source[at..];
        if rest.starts_with("--") || rest.starts_with('#') && self.line_start(at) == at {
            return Some(self.line_end(at));
        }
        if let Some(inner) = rest.strip_prefix("/*") {
            return Some(inner.find("*/").map_or(self.source.len(), |end| at + end + 4));
        }
        None
    }

    fn is_alone(&self, word: Range<usize>) -> bool {
        self.source[self.line_start(word.start)..self.line_end(word.end)].trim().len() == word.len()
    }

    /// Start of the line, if only white space stands before; else the byte itself.
    fn line_start(&self, at: usize) -> usize {
        let before = self.source[..at].trim_end_matches([' ', '\t']);
        if before.is_empty() || before.ends_with('\n') { before.len() } else { at }
    }

    fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.source.as_bytes()[at..]).map_or(self.source.len(), |end| at + end)
    }
}

/// What follows a word at the start of a text.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
    let rest = &text[head.len()..];
    (!rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')).then(|| rest.trim())
}

/// The object of a statement, without quotes; empty if it has none.
fn object_name(words: &[SqlWord<'_>]) -> String {
    let kinds = [
        "TABLE",
        "VIEW",
        "FUNCTION",
        "PROCEDURE",
        "PROC",
        "TRIGGER",
        "TYPE",
        "SEQUENCE",
        "DOMAIN",
        "COLUMN",
        "EVENT",
    ];
    let skipped = ["IF", "NOT", "EXISTS", "ONLY", "INTO", "CONCURRENTLY", "IGNORE", "OVERWRITE"];
    let word = |index: usize| words.get(index).map_or("", |word| word.text);
    let is_any = |text: &str, names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    let start = if is_any(word(0), &["INSERT", "REPLACE", "COPY", "UPDATE", "DELETE"]) {
        1
    } else if is_any(word(0), &["CREATE", "ALTER", "COMMENT", "TRUNCATE"]) {
        // An index belongs to its table.
        let index = words.iter().position(|word| word.text.eq_ignore_ascii_case("INDEX"));
        let named = |name: &str| words.iter().position(|word| word.text.eq_ignore_ascii_case(name));
        match index.filter(|&at| at <= 2).and_then(|_| named("ON")) {
            Some(on) => on + 1,
            None => match words.iter().take(8).position(|word| is_any(word.text, &kinds)) {
                Some(kind) => kind + 1,
                None => return String::new(),
            },
        }
    } else {
        return String::new();
    };
    let mut found =
        words.iter().skip(start).filter(|word| !is_any(word.text, &skipped) && !is_any(word.text, &["FROM"]));
    let name = found.next().map_or("", |word| word.text);
    let name: String = name.chars().filter(|c| !matches!(c, '"' | '`' | '[' | ']')).collect();
    // A comment on a column belongs to its table.
    match name.rsplit_once('.') {
        Some((table, _)) if is_any(word(2), &["COLUMN"]) => table.to_owned(),
        _ => crate::unix_lines::one_line(&name),
    }
}
