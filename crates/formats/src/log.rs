//! Logs: escape sequences of terminals go, and a record stays together with its stack trace.
//!
//! A record begins with a line that is not indented and begins with a date, a time, a level, an address or the
//! brace of a JSON object; lines behind it belong to it. A text without records is plain.

use crate::parsed_text::{ParsedText, StructureMark, StructureMarkKind, TextStructure};
use crate::source_map::MappedText;
use crate::terminal_text::{control_bytes, is_control};
use crate::unix_lines::{line_ranges, parse_unix_lines};

const LEVELS: [&str; 14] = [
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARNING", "WARN", "ERROR", "ERR", "FATAL", "CRITICAL", "CRIT",
    "SEVERE", "PANIC", "ALERT",
];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads a log.
pub fn parse_log(source: &str) -> ParsedText {
    parse_unix_lines(source, parse)
}

fn parse(source: &str) -> ParsedText {
    let mut out = MappedText::default();
    let mut copied = 0;
    while let Some(found) = source.as_bytes()[copied..].iter().position(|&byte| is_control(byte)) {
        let at = copied + found;
        out.copy(source, copied..at);
        copied = at + control_bytes(&source[at..]).max(1);
    }
    out.copy(source, copied..source.len());
    let (text, map) = out.finish();
    let mut marks = Vec::new();
    let mut records = 0;
    let mut after_blank = true;
    for range in line_ranges(&text, 0) {
        let line = &text[range.clone()];
        if line.trim().is_empty() {
            after_blank = true;
            continue;
        }
        let kind = if is_record_start(line) {
            records += 1;
            StructureMarkKind::Item
        } else if after_blank && !line.starts_with([' ', '\t']) && records == 0 {
            StructureMarkKind::Block
        } else {
            StructureMarkKind::Line
        };
        after_blank = false;
        marks.push(StructureMark { at: range.start, kind });
    }
    let structure = if records == 0 { TextStructure::Plain } else { TextStructure::Marked(marks) };
    ParsedText { text, map, structure, ..ParsedText::default() }
}

/// Whether a line begins a record.
fn is_record_start(line: &str) -> bool {
    if line.starts_with("{\"") {
        return true;
    }
    // `<13>` is the priority of syslog.
    let line = match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((priority, rest))
            if (1..=3).contains(&priority.len()) && has_shape(priority, &"ddd"[..priority.len()]) =>
        {
            rest
        }
        _ => line,
    };
    let line = line.trim_start_matches(['[', '(', '"']);
    let named = ["time=", "ts=", "level=", "timestamp=", "t=", "lvl=", "at="];
    begins_with_time(line)
        || begins_with_level(line)
        || begins_with_address(line)
        || named.iter().any(|name| line.starts_with(name))
}

/// Whether a text begins as a shape says: `d` is a digit, `-` a separator of dates, anything else itself.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() >= shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            b'-' => matches!(byte, b'-' | b'/' | b'.'),
            other => byte == other,
        })
}

fn begins_with_time(line: &str) -> bool {
    let shapes = [
        "dddd-dd-dd",
        "dd-dd-dddd",
        "dd:dd:dd",
        "d:dd:dd",
        "dd/dd/dd dd:dd",
        "dddddddd dd:dd:dd",
        "ddddddddTdd",
        "dddddddddd.d",
        "dddddddddd ",
        "ddddddddddddd ",
        "dddddd dd:dd:dd",
    ];
    if shapes.iter().any(|shape| has_shape(line, shape)) {
        return true;
    }
    let (word, rest) = line.split_once([' ', '-', '/']).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    if DAYS.contains(&word.trim_end_matches(',')) {
        return MONTHS.iter().any(|month| rest.starts_with(month)) || digits(rest) > 0;
    }
    if MONTHS.contains(&word) {
        return digits(rest) > 0;
    }
    (1..=2).contains(&word.len())
        && digits(word) == word.len()
        && MONTHS.iter().any(|month| rest.starts_with(month))
}

fn begins_with_level(line: &str) -> bool {
    // `W0512 12:34:56` is what glog and klog write.
    if line.starts_with(['I', 'W', 'E', 'F']) && has_shape(&line[1..], "dddd dd:dd:dd") {
        return true;
    }
    let word = &line[..line.bytes().take_while(u8::is_ascii_alphabetic).count()];
    let rest = &line[word.len()..];
    let ends = rest.is_empty() || rest.starts_with([' ', ':', ']', '\t', '[', '|', ')']);
    // In lower case a word at the start of a sentence is no level.
    let bracketed = rest.starts_with([']', ':']);
    ends && LEVELS.iter().any(|level| *level == word || bracketed && level.eq_ignore_ascii_case(word))
}

/// Whether a line begins as an access log does: an IP address, a space, and `-` or a user.
fn begins_with_address(line: &str) -> bool {
    let Some((word, rest)) = line.split_once(' ') else { return false };
    word.parse::<std::net::IpAddr>().is_ok() && rest.contains('[')
}
