//! `SubRip` and `WebVTT` to paragraphs of text, each under a line with its time, `[00:01:05]`.
//!
//! Cues are joined until a sentence ends and 30 seconds have passed, or somebody stops speaking for four
//! seconds, or at 90 seconds. A paragraph is a section whose title is its time, so that a citation names it. Tags,
//! positions, numbers, `NOTE`, `STYLE` and `REGION` are dropped, as are lines that repeat the line before, as
//! rolling captions do. `<v Name>` becomes `Name: `.

use std::ops::Range;

use crate::parsed_text::{ParsedText, StructureMark, StructureMarkKind, TextStructure};
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::{line_ranges, parse_unix_lines, trimmed_range};

/// A paragraph ends with a sentence from here on.
const PARAGRAPH_MS: u64 = 30_000;
/// A paragraph ends with a cue from here on.
const PARAGRAPH_MS_MAX: u64 = 90_000;
/// Silence that ends a paragraph.
const SILENCE_MS: u64 = 4_000;
/// Longest tag.
const TAG_BYTES_MAX: usize = 128;

/// Reads subtitles; a text without times is plain.
pub fn parse_subtitles(source: &str) -> ParsedText {
    parse_unix_lines(source, parse)
}

fn parse(source: &str) -> ParsedText {
    let lines = line_ranges(source, 0);
    let mut writer = SubtitleWriter::new(source);
    let is_vtt = source.trim_start_matches('\u{feff}').starts_with("WEBVTT");
    let mut properties = PropertyCollector::default();
    let mut in_cue = false;
    let mut in_note = false;
    for (index, range) in lines.iter().enumerate() {
        let range = trimmed_range(source, range.clone());
        let line = &source[range.clone()];
        if let Some((from, to)) = cue_times(line) {
            writer.begin_cue(from, to, &range);
            (in_cue, in_note) = (true, false);
        } else if line.is_empty() {
            (in_cue, in_note) = (in_cue && !is_vtt, false);
        } else if is_vtt && index == 0 {
            let title = line.trim_start_matches('\u{feff}').trim_start_matches("WEBVTT");
            properties.add_text("title", title.trim_start_matches([' ', '\t', '-']));
            in_note = true;
        } else if is_vtt && !in_cue && ["NOTE", "STYLE", "REGION"].iter().any(|name| line.starts_with(name)) {
            in_note = true;
        } else if in_note && is_vtt {
            for (name, property) in [("Language:", "language"), ("Kind:", "kind")] {
                if let Some(value) = line.strip_prefix(name) {
                    properties.add_text(property, value);
                }
            }
        } else {
            let next = lines.get(index + 1).map_or("", |next| &source[next.clone()]);
            // The number or name of the next cue is no text.
            if in_cue && cue_times(next.trim()).is_none() {
                writer.cue_line(range);
            }
        }
    }
    if writer.cues == 0 {
        let mut out = MappedText::default();
        out.copy(source, 0..source.len());
        let (text, map) = out.finish();
        return ParsedText { text, map, ..ParsedText::default() };
    }
    if !writer.out.is_empty() {
        writer.out.write("\n", source.len()..source.len());
    }
    let (text, map) = writer.out.finish();
    let (properties, note) = properties.finish();
    let notes = note.into_iter().collect();
    ParsedText { text, map, structure: TextStructure::Marked(writer.marks), properties, notes }
}

struct SubtitleWriter<'a> {
    source: &'a str,
    out: MappedText,
    marks: Vec<StructureMark>,
    cues: usize,
    /// The current cue's start and the range of its times, until its first text.
    pending: Option<(u64, Range<usize>)>,
    paragraph_start: Option<u64>,
    last_end: u64,
    last_line: &'a str,
    speaker: &'a str,
}

impl<'a> SubtitleWriter<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            out: MappedText::default(),
            marks: Vec::new(),
            cues: 0,
            pending: None,
            paragraph_start: None,
            last_end: 0,
            last_line: "",
            speaker: "",
        }
    }

    fn begin_cue(&mut self, from: u64, to: u64, times: &Range<usize>) {
        self.cues += 1;
        let ends_sentence =
            self.out.as_str().ends_with(['.', '!', '?', '…', '。', '！', '？', '"', '”', '♪']);
        let ends = self.paragraph_start.is_none_or(|start| {
            let length = from.saturating_sub(start);
            from < start
                || from.saturating_sub(self.last_end) >= SILENCE_MS
                || length >= PARAGRAPH_MS && ends_sentence
                || length >= PARAGRAPH_MS_MAX
        });
        if ends {
            self.pending = Some((from, times.clone()));
            self.paragraph_start = Some(from);
        }
        self.last_end = to.max(from);
    }

    fn cue_line(&mut self, range: Range<usize>) {
        let line = &self.source[range.clone()];
        if line == self.last_line {
            return;
        }
        self.last_line = line;
        let mut begun = false;
        let mut at = range.start;
        while at < range.end {
            let special = |byte: &u8| matches!(byte, b'<' | b'{' | b'&');
            let next =
                self.source.as_bytes()[at..range.end].iter().position(special).map_or(range.end, |n| at + n);
            if next > at && (begun || !self.source[at..next].trim().is_empty()) {
                self.begin_text(&mut begun, at, line);
                self.out.copy(self.source, at..next);
            }
            at = next;
            if at == range.end {
                break;
            }
            at = self.special(at, range.end, &mut begun, line);
        }
    }

    /// Takes a tag, a position or an entity.
    fn special(&mut self, at: usize, end: usize, begun: &mut bool, line: &str) -> usize {
        let source = self.source;
        let near = &source[at..source.floor_char_boundary(end.min(at + TAG_BYTES_MAX))];
        if near.starts_with('&') {
            let entities =
                [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&lrm;", ""), ("&rlm;", "")];
            if let Some((entity, shown)) = entities.iter().find(|(entity, _)| near.starts_with(entity)) {
                self.begin_text(begun, at, line);
                self.out.write(shown, at..at + entity.len());
                return at + entity.len();
            }
        } else if near.starts_with("{\\") {
            if let Some(close) = near.find('}') {
                return at + close + 1;
            }
        } else if near[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
            && let Some(close) = near.find('>')
        {
            let tag = &near[1..close];
            if tag.starts_with("v ") || tag.starts_with("v.") {
                let name_at = tag.find(' ').map_or(tag.len(), |space| space + 1);
                let name = at + 1 + name_at..at + close;
                if self.speaker != &source[name.clone()] && !name.is_empty() {
                    self.speaker = &source[name.clone()];
                    self.begin_text(begun, at, line);
                    self.out.copy(source, name.clone());
                    self.out.write(": ", name.end..at + close + 1);
                }
            }
            return at + close + 1;
        }
        self.begin_text(begun, at, line);
        self.out.copy(source, at..at + 1);
        at + 1
    }

    fn begin_text(&mut self, begun: &mut bool, at: usize, line: &str) {
        if std::mem::replace(begun, true) {
            return;
        }
        if let Some((from, times)) = self.pending.take() {
            if !self.out.is_empty() {
                self.out.write("\n\n", times.start..times.start);
            }
            let seconds = from / 1000;
            let title = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            let stamp = format!("[{title}]\n");
            self.marks.push(StructureMark {
                at: self.out.len(),
                kind: StructureMarkKind::Section { depth: 1, title },
            });
            self.out.write(&stamp, times);
        } else if !self.out.is_empty() {
            let dialogue = line.starts_with(['-', '–', '—']);
            self.out.write(if dialogue { "\n" } else { " " }, at..at);
        }
    }
}

/// Start and end of a cue in milliseconds.
fn cue_times(line: &str) -> Option<(u64, u64)> {
    let (from, rest) = line.split_once("-->")?;
    let to = rest.split_whitespace().next()?;
    Some((time_ms(from.trim())?, time_ms(to)?))
}

fn time_ms(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once([',', '.']).unwrap_or((text, "0"));
    let mut seconds = 0_u64;
    let mut parts = 0;
    for part in clock.split(':') {
        let value: u64 = part.parse().ok().filter(|_| part.len() <= 4)?;
        seconds = seconds * 60 + value;
        parts += 1;
    }
    let fraction: u64 = fraction.get(..fraction.len().min(3))?.parse().ok()?;
    (2..=3).contains(&parts).then_some(seconds * 1000 + fraction)
}
