//! YAML and TOML front matter at the start of a text, turned into properties.
//!
//! YAML stands between `---` and `---` or `...`, TOML between two `+++`, both from the first line on. A first
//! `---` is a rule, and stays, if no line closes it, if what it closes is no map, or if its names are prose.
//! Front matter that cannot be read stays text, with a note. Limits: 64 KiB of front matter, maps nested
//! four deep; those of [`PropertyCollector`].

use crate::parsed_text::{ParsedText, PropertyValue, TextProperties, TextStructure};
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::parse_unix_lines;

/// Largest front matter.
const FRONT_MATTER_BYTES_MAX: usize = 64 << 10;
/// Deepest map that is flattened.
const FLATTENED_DEPTH_MAX: usize = 4;
/// Names one of which front matter has if a blank line follows its first line.
const USUAL_NAMES: [&str; 12] = [
    "title",
    "layout",
    "date",
    "tags",
    "author",
    "authors",
    "description",
    "lang",
    "slug",
    "id",
    "draft",
    "permalink",
];

/// A source whose front matter has been read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SplitFrontMatter {
    /// The byte where the rest of the source begins.
    pub body_start: usize,
    /// What the front matter says.
    pub properties: TextProperties,
    /// What was left out, or why there is no front matter where there seems to be one.
    pub notes: Vec<String>,
}

impl SplitFrontMatter {
    /// Ends a text that was written as Markdown: with one line feed, and with what front matter says before what the
    /// text says of itself. The source has `end` bytes.
    pub(crate) fn finish_markdown(
        self,
        mut out: MappedText,
        own: PropertyCollector,
        end: usize,
    ) -> ParsedText {
        out.trim_end();
        if !out.is_empty() {
            out.write("\n", end..end);
        }
        let (text, map) = out.finish();
        let (mut properties, note) = own.finish();
        properties.other.extend(self.properties.other);
        properties.title = self.properties.title.or(properties.title);
        let notes = self.notes.into_iter().chain(note).collect();
        ParsedText { text, map, structure: TextStructure::Markdown, properties, notes }
    }
}

/// Takes front matter off a text of any format; the rest is plain text.
pub fn parse_front_matter(source: &str) -> ParsedText {
    parse_unix_lines(source, |source| {
        let split = split_front_matter(source);
        let mut out = MappedText::default();
        out.copy(source, split.body_start..source.len());
        let (text, map) = out.finish();
        ParsedText { text, map, properties: split.properties, notes: split.notes, ..ParsedText::default() }
    })
}

/// Reads the front matter of a text with LF or CRLF line ends.
pub fn split_front_matter(source: &str) -> SplitFrontMatter {
    let start = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let Some(found) = find_front_matter(source, start) else { return SplitFrontMatter::default() };
    let inner = &source[found.inner_start..found.inner_end];
    let mut collector = PropertyCollector::default();
    let read =
        if found.is_toml { read_toml(inner, &mut collector) } else { read_yaml(inner, &mut collector) };
    match read {
        FrontMatterReading::Read => {
            let (properties, note) = collector.finish();
            SplitFrontMatter { body_start: found.body_start, properties, notes: note.into_iter().collect() }
        }
        FrontMatterReading::Prose => SplitFrontMatter::default(),
        FrontMatterReading::Broken(reason) => SplitFrontMatter {
            notes: vec![format!("the front matter cannot be read and stays text: {reason}")],
            ..SplitFrontMatter::default()
        },
    }
}

enum FrontMatterReading {
    Read,
    Prose,
    Broken(String),
}

struct FoundFrontMatter {
    is_toml: bool,
    inner_start: usize,
    inner_end: usize,
    body_start: usize,
}

fn find_front_matter(source: &str, start: usize) -> Option<FoundFrontMatter> {
    let first_end = memchr::memchr(b'\n', &source.as_bytes()[start..])? + start;
    let is_toml = match source[start..first_end].trim_end() {
        "---" => false,
        "+++" => true,
        _ => return None,
    };
    let inner_start = first_end + 1;
    let mut line_start = inner_start;
    while line_start < source.len() && line_start - start <= FRONT_MATTER_BYTES_MAX {
        let line_end = memchr::memchr(b'\n', &source.as_bytes()[line_start..])
            .map_or(source.len(), |end| line_start + end);
        let closes = match source[line_start..line_end].trim_end() {
            "---" | "..." => !is_toml,
            "+++" => is_toml,
            _ => false,
        };
        if closes {
            let body_start = source.len().min(line_end + 1);
            return Some(FoundFrontMatter { is_toml, inner_start, inner_end: line_start, body_start });
        }
        line_start = line_end + 1;
    }
    None
}

fn read_toml(inner: &str, collector: &mut PropertyCollector) -> FrontMatterReading {
    match inner.parse::<toml::Table>() {
        Ok(table) => {
            for (name, value) in &table {
                add_toml(name, value, 1, collector);
            }
            FrontMatterReading::Read
        }
        Err(error) => FrontMatterReading::Broken(crate::unix_lines::one_line(error.message())),
    }
}

fn add_toml(name: &str, value: &toml::Value, depth: usize, collector: &mut PropertyCollector) {
    match value {
        toml::Value::Table(_) if depth >= FLATTENED_DEPTH_MAX => collector.leave_out(),
        toml::Value::Table(table) => {
            for (inner, value) in table {
                add_toml(&format!("{name}.{inner}"), value, depth + 1, collector);
            }
        }
        toml::Value::Array(values) => {
            let texts = values.iter().filter_map(|value| match value {
                toml::Value::Table(table) => table.get("name").and_then(toml_scalar),
                other => toml_scalar(other),
            });
            add_list(name, values.len(), texts.collect(), collector);
        }
        toml::Value::Integer(number) => {
            #[expect(clippy::cast_precision_loss, reason = "properties have one type of numbers")]
            collector.add(name, PropertyValue::Number(*number as f64));
        }
        toml::Value::Float(number) => collector.add(name, PropertyValue::Number(*number)),
        toml::Value::Boolean(truth) => collector.add(name, PropertyValue::Bool(*truth)),
        toml::Value::String(text) => collector.add_text(name, text),
        toml::Value::Datetime(date) => collector.add_text(name, &date.to_string()),
    }
}

fn toml_scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Table(_) | toml::Value::Array(_) => None,
        other => Some(other.to_string()),
    }
}

fn read_yaml(inner: &str, collector: &mut PropertyCollector) -> FrontMatterReading {
    if inner.trim().is_empty() {
        return FrontMatterReading::Read;
    }
    let map = match serde_yaml_ng::from_str::<serde_yaml_ng::Value>(inner) {
        Ok(serde_yaml_ng::Value::Mapping(map)) => map,
        Ok(serde_yaml_ng::Value::Null) => return FrontMatterReading::Read,
        Err(error) if inner.lines().any(is_yaml_entry) => {
            return FrontMatterReading::Broken(crate::unix_lines::one_line(&error.to_string()));
        }
        Ok(_) | Err(_) => return FrontMatterReading::Prose,
    };
    let names = || map.keys().filter_map(yaml_scalar);
    let prose = names().any(|name| name.split_whitespace().count() > 3);
    let blank_first = inner.lines().next().is_some_and(|line| line.trim().is_empty());
    if prose || blank_first && !names().any(|name| USUAL_NAMES.contains(&name.as_str())) {
        return FrontMatterReading::Prose;
    }
    for (name, value) in &map {
        if let Some(name) = yaml_scalar(name) {
            add_yaml(&name, value, 1, collector);
        }
    }
    FrontMatterReading::Read
}

/// Whether a line is `name:` or `name: value`, as front matter has it.
fn is_yaml_entry(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, value)| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && (value.is_empty() || value.starts_with([' ', '\r']))
    })
}

fn add_yaml(name: &str, value: &serde_yaml_ng::Value, depth: usize, collector: &mut PropertyCollector) {
    use serde_yaml_ng::Value;
    match value {
        Value::Null => {}
        Value::Bool(truth) => collector.add(name, PropertyValue::Bool(*truth)),
        Value::Number(number) => match number.as_f64() {
            Some(number) => collector.add(name, PropertyValue::Number(number)),
            None => collector.leave_out(),
        },
        Value::String(text) => collector.add_text(name, text),
        Value::Tagged(tagged) if !matches!(tagged.value, Value::Tagged(_)) => {
            add_yaml(name, &tagged.value, depth, collector);
        }
        Value::Mapping(map) if depth < FLATTENED_DEPTH_MAX => {
            for (inner, value) in map {
                if let Some(inner) = yaml_scalar(inner) {
                    add_yaml(&format!("{name}.{inner}"), value, depth + 1, collector);
                }
            }
        }
        Value::Mapping(_) | Value::Tagged(_) => collector.leave_out(),
        Value::Sequence(values) => {
            let texts = values.iter().filter_map(|value| match value {
                Value::Mapping(map) => map.get("name").and_then(yaml_scalar),
                other => yaml_scalar(other),
            });
            add_list(name, values.len(), texts.collect(), collector);
        }
    }
}

fn add_list(name: &str, values: usize, texts: Vec<String>, collector: &mut PropertyCollector) {
    if texts.len() < values {
        collector.leave_out();
    }
    collector.add(name, PropertyValue::Texts(texts));
}

fn yaml_scalar(value: &serde_yaml_ng::Value) -> Option<String> {
    use serde_yaml_ng::Value;
    match value {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}
