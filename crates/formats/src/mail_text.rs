//! Mail as RFC 5322 has it: a short head of From, To, Cc, Date and Subject, and the text of the message.
//!
//! Of alternatives the plain text counts, or else the HTML without its tags; parts of a mixed message follow one
//! another. Transfer encodings are decoded, names of attachments are listed, quoted replies stay. The map is exact where
//! the body is not encoded and line by line in quoted-printable; a body in base64 is one range. What does not begin with
//! headers is plain text. [`crate::enclosed_files`] takes the attachments out. Limits: 64 mentions of multipart, as
//! the parser of parts is recursive.

use std::ops::Range;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mailparse::body::Body;
use mailparse::{DispositionType, MailHeaderMap, ParsedMail};

use crate::markdown::clean_markdown;
use crate::parsed_text::{ParsedText, TextStructure};
use crate::property_collector::PropertyCollector;
use crate::source_map::MappedText;
use crate::unix_lines::{line_ranges, one_line, parse_unix_lines};

/// Most occurrences of `multipart/`, which bounds the nesting of parts.
const MULTIPART_MENTIONS_MAX: usize = 64;
/// Headers that are shown, with their properties.
const SHOWN_HEADERS: [(&str, &str); 5] =
    [("From", "from"), ("To", "to"), ("Cc", "cc"), ("Date", "date"), ("Subject", "title")];

/// Reads a mail.
pub fn parse_mail_text(source: &str) -> ParsedText {
    parse_unix_lines(source, parse)
}

fn parse(source: &str) -> ParsedText {
    // The first line of a mailbox is no header.
    let start = match source.split_once('\n') {
        Some((first, _)) if first.starts_with("From ") => first.len() + 1,
        _ => 0,
    };
    let Some(body_start) = headers_end(source, start) else { return plain(source, None) };
    if nests_too_deep(source.as_bytes()) {
        return plain(source, Some("a mail with many nested parts stays plain text"));
    }
    let Ok(mail) = mailparse::parse_mail(&source.as_bytes()[start..]) else {
        return plain(source, Some("the mail cannot be read and stays plain text"));
    };
    let mut out = MappedText::default();
    let mut properties = PropertyCollector::default();
    head(source, start..body_start, &mail, &mut out, &mut properties);
    let mut notes = Vec::new();
    let parts = shown_parts(&mail);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.trim_end();
            out.write("\n\n", source.len()..source.len());
        }
        body(source, part, &mut out);
    }
    if parts.is_empty() {
        notes.push("the mail has no text".to_owned());
    }
    let attachments: Vec<String> = mail.parts().filter_map(attachment_name).collect();
    if !attachments.is_empty() {
        out.trim_end();
        let end = source.len()..source.len();
        out.write(&format!("\n\nAttachments: {}\n", attachments.join(", ")), end);
    }
    let (text, map) = out.finish();
    let (properties, note) = properties.finish();
    notes.extend(note);
    ParsedText { text, map, structure: TextStructure::Plain, properties, notes }
}

fn plain(source: &str, note: Option<&str>) -> ParsedText {
    let mut out = MappedText::default();
    out.copy(source, 0..source.len());
    let (text, map) = out.finish();
    ParsedText { text, map, notes: note.map(str::to_owned).into_iter().collect(), ..ParsedText::default() }
}

/// Where the headers end, if the text begins with some that a mail has.
fn headers_end(source: &str, start: usize) -> Option<usize> {
    let mut known = 0;
    for line in line_ranges(source, start) {
        let shown = &source[line.clone()];
        if shown.is_empty() {
            return (known >= 2).then_some(line.end);
        }
        if shown.starts_with([' ', '\t']) && line.start > start {
            continue;
        }
        let (name, _) = shown.split_once(':')?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let usual = [
            "from",
            "to",
            "subject",
            "date",
            "message-id",
            "received",
            "mime-version",
            "return-path",
            "sender",
        ];
        known += usize::from(usual.contains(&name.to_ascii_lowercase().as_str()));
    }
    (known >= 2).then_some(source.len())
}

fn head(
    source: &str,
    headers: Range<usize>,
    mail: &ParsedMail<'_>,
    out: &mut MappedText,
    properties: &mut PropertyCollector,
) {
    for (name, property) in SHOWN_HEADERS {
        let Some(value) = mail.headers.get_first_value(name).map(|value| one_line(&value.replace('\0', "")))
        else {
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let place = header_range(source, headers.clone(), name).unwrap_or(headers.start..headers.start);
        out.write(name, place.start..place.start);
        out.write(": ", place.start..place.start);
        match source[place.clone()].find(&value) {
            Some(found) => out.copy(source, place.start + found..place.start + found + value.len()),
            None => out.write(&value, place.clone()),
        }
        out.write("\n", place.end..place.end);
        if property == "date" {
            let date = mailparse::dateparse(&value).ok().and_then(rfc3339);
            properties.add_text("date", date.as_deref().unwrap_or(&value));
        } else {
            properties.add_text(property, &value);
        }
        if property == "from" {
            properties.add_text("author", &value);
        }
    }
    if !out.is_empty() {
        out.write("\n", headers.end..headers.end);
    }
}

/// The range of a header with its continuation lines.
fn header_range(source: &str, headers: Range<usize>, name: &str) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    for line in line_ranges(&source[..headers.end], headers.start) {
        let shown = &source[line.clone()];
        match &mut found {
            Some(range) if shown.starts_with([' ', '\t']) => range.end = line.end,
            Some(_) => break,
            None => {
                let named =
                    shown.split_once(':').is_some_and(|(this, _)| this.trim().eq_ignore_ascii_case(name));
                found = named.then_some(line);
            }
        }
    }
    found
}

/// The parts that a reader of the mail sees, in their order.
fn shown_parts<'a>(mail: &'a ParsedMail<'a>) -> Vec<&'a ParsedMail<'a>> {
    let mut shown = Vec::new();
    collect_shown_parts(mail, &mut shown);
    shown
}

fn collect_shown_parts<'a>(part: &'a ParsedMail<'a>, shown: &mut Vec<&'a ParsedMail<'a>>) {
    let kind = part.ctype.mimetype.to_ascii_lowercase();
    if kind == "multipart/alternative" {
        let each: Vec<_> = part.subparts.iter().map(shown_parts).filter(|parts| !parts.is_empty()).collect();
        let says = |parts: &[&ParsedMail<'_>], kind: &str| {
            let of_kind = |part: &&&ParsedMail<'_>| part.ctype.mimetype.eq_ignore_ascii_case(kind);
            let words = |part: &&ParsedMail<'_>| {
                part.get_body().is_ok_and(|body| body.chars().any(char::is_alphanumeric))
            };
            parts.iter().filter(of_kind).any(words)
        };
        let plain = each.iter().find(|parts| says(parts, "text/plain"));
        let chosen = plain.or_else(|| each.iter().find(|parts| says(parts, "text/html"))).or(each.first());
        shown.extend(chosen.into_iter().flatten().copied());
    } else if !part.subparts.is_empty() {
        part.subparts.iter().for_each(|part| collect_shown_parts(part, shown));
    } else if matches!(kind.as_str(), "text/plain" | "text/html") && attachment_name(part).is_none() {
        shown.push(part);
    }
}

/// Whether a message has more nested parts than are read.
pub(crate) fn nests_too_deep(source: &[u8]) -> bool {
    let lower = source.to_ascii_lowercase();
    memchr::memmem::find_iter(&lower, "multipart/").count() > MULTIPART_MENTIONS_MAX
}

/// The name of a part that is a file of its own, or a message of its own.
pub(crate) fn attachment_name(part: &ParsedMail<'_>) -> Option<String> {
    let disposition = part.get_content_disposition();
    let name = disposition.params.get("filename").or_else(|| part.ctype.params.get("name"));
    let unnamed = if is_message(part) { "message.eml" } else { "attachment" };
    let is_attachment =
        disposition.disposition == DispositionType::Attachment || name.is_some() || is_message(part);
    let name = name.map(|name| one_line(&name.replace('\0', ""))).filter(|name| !name.is_empty());
    (is_attachment && part.subparts.is_empty()).then(|| name.unwrap_or_else(|| unnamed.to_owned()))
}

/// Whether a part is a forwarded message.
pub(crate) fn is_message(part: &ParsedMail<'_>) -> bool {
    let kind = part.ctype.mimetype.to_ascii_lowercase();
    matches!(kind.as_str(), "message/rfc822" | "message/global")
}

fn body(source: &str, part: &ParsedMail<'_>, out: &mut MappedText) {
    let raw = match part.get_body_encoded() {
        Body::Base64(body) | Body::QuotedPrintable(body) => body.get_raw(),
        Body::SevenBit(body) | Body::EightBit(body) => body.get_raw(),
        Body::Binary(body) => body.get_raw(),
    };
    // The body of a part is a slice of the source.
    let Some(offset) = (raw.as_ptr() as usize).checked_sub(source.as_ptr() as usize) else { return };
    let range = offset..offset + raw.len();
    let Some(raw) = source.get(range.clone()) else { return };
    let mut decoded = MappedText::default();
    let encoding = part.headers.get_first_value("Content-Transfer-Encoding").unwrap_or_default();
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => {
            let text = part
                .get_body()
                .unwrap_or_default()
                .replace("\r\n", "\n")
                .replace('\r', "\n")
                .replace('\0', "\u{fffd}");
            decoded.write(&text, range);
        }
        "quoted-printable" => {
            quoted_printable(source, range, declared_charset(&part.ctype.charset), &mut decoded);
        }
        _ => decoded.copy(source, range.start..range.start + raw.len()),
    }
    let (text, map) = decoded.finish();
    let (text, map) = if part.ctype.mimetype.eq_ignore_ascii_case("text/html") {
        let (clean, clean_map) = clean_markdown(&text, 0);
        (clean, clean_map.after(&map))
    } else {
        (text, map)
    };
    append(source, out, &text, &map);
}

/// Appends a text with its map, line by line.
fn append(source: &str, out: &mut MappedText, text: &str, map: &crate::source_map::SourceMap) {
    for piece in text.split_inclusive('\n') {
        let at = piece.as_ptr() as usize - text.as_ptr() as usize;
        let span = map.source_span(at..at + piece.len());
        if source.get(span.clone()) == Some(piece) {
            out.copy(source, span);
        } else {
            out.write(piece, span);
        }
    }
}

/// The charset that a part declares; none if it is ASCII, which is what the parser says where there is none.
fn declared_charset(name: &str) -> Option<&'static Encoding> {
    let name = name.trim();
    if name.eq_ignore_ascii_case("us-ascii") { None } else { Encoding::for_label(name.as_bytes()) }
}

/// Who declares nothing writes UTF-8, or else what Western Europe used to.
fn decoded(octets: &[u8], charset: Option<&'static Encoding>) -> String {
    let charset =
        charset.unwrap_or_else(|| if std::str::from_utf8(octets).is_ok() { UTF_8 } else { WINDOWS_1252 });
    let (text, _) = charset.decode_without_bom_handling(octets);
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}")
}

fn quoted_printable(
    source: &str,
    range: Range<usize>,
    charset: Option<&'static Encoding>,
    out: &mut MappedText,
) {
    let bytes = &source.as_bytes()[..range.end];
    let octet = |at: usize| -> Option<u8> {
        let digits = bytes.get(at + 1..at + 3)?;
        (bytes[at] == b'=').then(|| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
    };
    // Where the text goes on behind a line end that is none.
    let soft_end = |at: usize| -> Option<usize> {
        let rest = source[at..range.end].strip_prefix('=')?;
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        rest[blank..].starts_with('\n').then_some(at + 2 + blank)
    };
    let mut at = range.start;
    while at < range.end {
        let next = memchr::memchr(b'=', &bytes[at..]).map_or(range.end, |found| at + found);
        out.copy(source, at..next);
        at = next;
        if at == range.end {
            break;
        }
        if let Some(behind) = soft_end(at) {
            at = behind;
            continue;
        }
        // A line may end within a character.
        let mut octets = Vec::new();
        let (first, mut next) = (at, at);
        while next < range.end {
            if let Some(byte) = octet(next) {
                octets.push(byte);
                next += 3;
                at = next;
            } else if let Some(behind) = soft_end(next) {
                next = behind;
            } else {
                break;
            }
        }
        if octets.is_empty() {
            out.copy(source, at..at + 1);
            at += 1;
            continue;
        }
        out.write(&decoded(&octets, charset), first..at);
    }
}

/// Seconds since 1970 as a time in UTC.
fn rfc3339(seconds: i64) -> Option<String> {
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let shifted = days.checked_add(719_468)?;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}
