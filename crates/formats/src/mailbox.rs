//! Mailboxes (RFC 4155): messages one after another, each behind a line that begins with `From `.
//!
//! Such a line stands at the start or behind an empty line, and ends with a time and a year; so a line of a message
//! that begins with the word is none. Its text is one line that counts the messages: each message is a file of its own
//! ([`crate::enclosed_files`]). A mailbox without such a line is read as one mail.

use std::ops::Range;

use crate::mail_text::parse_mail_text;
use crate::parsed_text::{ParsedText, TextStructure};
use crate::source_map::MappedText;

/// Reads a mailbox.
pub fn parse_mailbox(source: &str) -> ParsedText {
    let messages = mailbox_messages(source.as_bytes()).len();
    if messages == 0 {
        return parse_mail_text(source);
    }
    let noun = if messages == 1 { "message" } else { "messages" };
    let mut out = MappedText::default();
    out.write(&format!("Mailbox of {messages} {noun}\n"), 0..source.len());
    let (text, map) = out.finish();
    ParsedText { text, map, structure: TextStructure::Plain, ..ParsedText::default() }
}

/// The messages of a mailbox, without the lines before them.
pub fn mailbox_messages(source: &[u8]) -> Vec<Range<usize>> {
    let mut messages: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    let mut after_empty = true;
    while start < source.len() {
        let end = memchr::memchr(b'\n', &source[start..]).map_or(source.len(), |found| start + found + 1);
        let line = source[start..end].trim_ascii_end();
        if after_empty && is_separator(line) {
            if let Some(last) = messages.last_mut() {
                last.end = start;
            }
            messages.push(end..source.len());
        }
        after_empty = line.is_empty();
        start = end;
    }
    messages.retain(|message| !source[message.clone()].trim_ascii().is_empty());
    messages
}

/// Whether a line parts two messages: `From`, a sender, and a time as `asctime` writes it.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let mut words = rest.split(|byte| *byte == b' ').skip(1);
    let is_time = |word: &&[u8]| {
        let mut parts = word.split(|byte| *byte == b':');
        let two_digits = |part: &[u8]| matches!(part.len(), 1 | 2) && part.iter().all(u8::is_ascii_digit);
        let count = parts.clone().count();
        (2..=3).contains(&count) && parts.all(two_digits)
    };
    let is_year = |word: &[u8]| word.len() == 4 && word.iter().all(u8::is_ascii_digit);
    words.by_ref().any(|word| is_time(&word)) && words.any(is_year)
}
