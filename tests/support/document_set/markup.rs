//! Pages, mail and RTF.

use std::fmt::Write as _;

use super::{LanguageText, MadePart, halves, joined, plain_text, xml};

/// A page of these parts.
pub(crate) fn html(text: &LanguageText, parts: &[MadePart]) -> String {
    let (body, notes) = html_parts(parts);
    let title = xml(text.title);
    let style = "<style>p { margin: 0 } .hidden { display: none }</style><script>let unseen = 1;</script>";
    format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title>{style}</head>\n<body>\n\
         <main>{body}{notes}<p hidden>invisible</p></main>\n</body></html>\n",
        text.code
    )
}

/// The elements of parts, and of their notes.
pub(crate) fn html_parts(parts: &[MadePart]) -> (String, String) {
    let (mut body, mut notes) = (String::new(), String::new());
    for part in parts {
        match part {
            MadePart::Heading(level, text) => {
                writeln!(body, "<h{level}>{}</h{level}>", inline(text, false)).unwrap();
            }
            MadePart::Paragraph(text) => writeln!(body, "<p>{}</p>", inline(text, false)).unwrap(),
            MadePart::List(items) => {
                let items: String =
                    joined(items.iter().map(|item| format!("<li>{}</li>", inline(item, true))));
                writeln!(body, "<ul>{items}</ul>").unwrap();
            }
            MadePart::Table(rows) => {
                let row = |(index, row): (usize, &Vec<String>)| {
                    let name = if index == 0 { "th" } else { "td" };
                    let cells: String =
                        joined(row.iter().map(|cell| format!("<{name}>{}</{name}>", xml(cell))));
                    format!("<tr>{cells}</tr>")
                };
                writeln!(body, "<table>{}</table>", joined(rows.iter().enumerate().map(row))).unwrap();
            }
            MadePart::Noted(text, note) => {
                writeln!(body, "<p>{}</p>", inline(text, false)).unwrap();
                writeln!(notes, "<p>{}</p>", inline(note, false)).unwrap();
            }
        }
    }
    (body, notes)
}

/// A text whose second half is bold.
fn inline(text: &str, within_word: bool) -> String {
    let (first, second) = halves(text, within_word);
    format!("{}<b>{}</b>", xml(first), xml(second))
}

/// A message whose text is these parts, twice: as text and as a page.
pub(crate) fn eml(text: &LanguageText, parts: &[MadePart]) -> (Vec<u8>, String) {
    let body = plain_text(parts);
    let (page, notes) = html_parts(parts);
    let mail = format!(
        "From: Marta Oliver <marta@example.org>\r\nTo: Board <board@example.org>\r\nDate: Tue, 3 Mar 2026 10:15:00 \
         +0100\r\nSubject: {}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"part\"\r\n\r\n\
         --part\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}\
         --part\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}\
         --part--\r\n",
        encoded_words(text.title),
        quoted_printable(&body),
        quoted_printable(&format!("<html><body>{page}{notes}</body></html>\n"))
    );
    let head = "Marta Oliver <marta@example.org>\nBoard <board@example.org>\nTue, 3 Mar 2026 10:15:00 +0100";
    (mail.into_bytes(), format!("{head}\n{}\n{body}", text.title))
}

/// A header's text (RFC 2047, encoding Q), a word for each few characters.
fn encoded_words(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let word = |part: &[char]| {
        let mut word = String::new();
        for byte in part.iter().collect::<String>().bytes() {
            write!(word, "={byte:02X}").unwrap();
        }
        format!("=?UTF-8?Q?{word}?=")
    };
    characters.chunks(8).map(word).collect::<Vec<_>>().join("\r\n ")
}

fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut length = 0;
        for byte in line.bytes() {
            let shown = match byte {
                b' '..=b'<' | b'>'..=b'~' => char::from(byte).to_string(),
                other => format!("={other:02X}"),
            };
            if length + shown.len() > 72 {
                out.push_str("=\r\n");
                length = 0;
            }
            length += shown.len();
            out.push_str(&shown);
        }
        out.push_str("\r\n");
    }
    out
}

/// An RTF file of these parts.
pub(crate) fn rtf(parts: &[MadePart]) -> Vec<u8> {
    let mut body = String::new();
    for part in parts {
        match part {
            MadePart::Heading(level, text) => {
                writeln!(
                    body,
                    r"\pard\s{level}\outlinelevel{} {{\b\fs32 {}}}\par",
                    level - 1,
                    runs(text, false)
                )
                .unwrap();
            }
            MadePart::Paragraph(text) => writeln!(body, r"\pard\plain {}\par", runs(text, false)).unwrap(),
            MadePart::List(items) => {
                for item in items {
                    writeln!(
                        body,
                        r"\pard\plain\fi-360\li720 {{\pntext\bullet\tab}}{}\par",
                        runs(item, true)
                    )
                    .unwrap();
                }
            }
            MadePart::Table(rows) => {
                for row in rows {
                    let cells: String =
                        joined(row.iter().map(|cell| format!(r"\pard\intbl {}\cell ", runs(cell, false))));
                    writeln!(body, r"\trowd\cellx3000\cellx6000\cellx9000 {cells}\row").unwrap();
                }
            }
            MadePart::Noted(text, note) => {
                writeln!(
                    body,
                    r"\pard\plain {}{{\super\chftn{{\footnote\pard\plain {}}}}}\par",
                    runs(text, false),
                    runs(note, false)
                )
                .unwrap();
            }
        }
    }
    let head = r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Times New Roman;}}{\info{\title Made}}\uc1";
    format!("{head}\n{body}}}\n").into_bytes()
}

/// Two runs.
fn runs(text: &str, within_word: bool) -> String {
    let (first, second) = halves(text, within_word);
    format!(r"{}{{\b {}}}", escaped(first), escaped(second))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b'\\' | b'{' | b'}')) => write!(out, "\\{}", char::from(byte)).unwrap(),
            Ok(byte @ b' '..=b'~') => out.push(char::from(byte)),
            // Signed, as the format has it.
            _ => write!(out, "\\u{}?", unit.cast_signed()).unwrap(),
        }
    }
    out
}
