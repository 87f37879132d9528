//! Files inside files: attachments of a mail, messages of a mailbox.
//!
//! Attachments come as they were before they were attached; forwarded messages are attachments. Left out are signatures,
//! which are for programs. Messages of a mailbox lose the `>` that was put before a `From ` at the start of a line.
//! Limits: 256 attachments of a mail, 100,000 messages of a mailbox.

use std::collections::HashMap;

use mailparse::{MailHeaderMap, ParsedMail};

use crate::file_format::FileFormat;
use crate::mail_text::{attachment_name, is_message, nests_too_deep};
use crate::mailbox::mailbox_messages;
use crate::unix_lines::one_line;

/// Most attachments of one mail.
const ATTACHMENTS_MAX: usize = 256;
/// Most messages of one mailbox.
const MESSAGES_MAX: usize = 100_000;
/// Longest name of a file inside another, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// Attachments that are for programs.
const SIGNATURE_TYPES: [&str; 4] = [
    "application/pgp-signature",
    "application/pkcs7-signature",
    "application/x-pkcs7-signature",
    "application/ms-tnef",
];

/// What a file inside another is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnclosedFileKind {
    /// A file that is attached to a mail.
    Attachment,
    /// A message of a mailbox.
    Message,
}

/// A file inside another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnclosedFile {
    /// What it is.
    pub kind: EnclosedFileKind,
    /// Its name: one line without path separators, at most 200 bytes, unique in the file that holds it. Of a message its
    /// Message-ID, or none.
    pub name: Option<String>,
    /// Its declared media type with its charset.
    pub media_type: Option<String>,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// The files inside one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnclosedFiles {
    /// In their order.
    pub files: Vec<EnclosedFile>,
    /// Files beyond the limits.
    pub beyond_limits: usize,
}

/// Whether a file of this format may have files inside; cheap.
pub fn may_enclose(body: &[u8], format: FileFormat) -> bool {
    // An attachment is a part, or the only thing in a mail.
    let multipart = || {
        let is_named = |slash: usize| slash >= 9 && body[slash - 9..slash].eq_ignore_ascii_case(b"multipart");
        memchr::memchr_iter(b'/', body).any(is_named)
    };
    let attached = || memchr::memmem::find(body, b"filename").is_some();
    format == FileFormat::Mailbox || (format == FileFormat::Mail && (multipart() || attached()))
}

/// The files inside a file of this format.
pub fn enclosed_files(body: &[u8], format: FileFormat) -> EnclosedFiles {
    let mut found = match format {
        FileFormat::Mailbox => match mailbox_messages(body) {
            messages if messages.is_empty() => attachments(body),
            messages => messages_of(body, messages),
        },
        FileFormat::Mail => attachments(body),
        _ => EnclosedFiles::default(),
    };
    make_names_unique(&mut found.files);
    found
}

fn attachments(body: &[u8]) -> EnclosedFiles {
    let mut found = EnclosedFiles::default();
    let body = match body.strip_prefix(b"From ").and_then(|_| memchr::memchr(b'\n', body)) {
        Some(end) => &body[end + 1..],
        None => body,
    };
    if nests_too_deep(body) {
        return found;
    }
    let Ok(mail) = mailparse::parse_mail(body) else { return found };
    for part in mail.parts() {
        let Some(name) = attachment_name(part) else { continue };
        let kind = part.ctype.mimetype.to_ascii_lowercase();
        if SIGNATURE_TYPES.contains(&kind.as_str()) {
            continue;
        }
        let Ok(bytes) = part.get_body_raw() else { continue };
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        if found.files.len() == ATTACHMENTS_MAX {
            found.beyond_limits += 1;
            continue;
        }
        found.files.push(EnclosedFile {
            kind: EnclosedFileKind::Attachment,
            name: Some(file_name(&name, part)),
            media_type: Some(media_type(part)),
            body: bytes,
        });
    }
    found
}

/// A name without folders. A message has the ending of one, so that it is read as one.
fn file_name(name: &str, part: &ParsedMail<'_>) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.trim().is_empty()).unwrap_or("attachment");
    let mut name: String = last.trim().chars().filter(|character| !character.is_control()).collect();
    let has_ending =
        |ending: &str| name.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(ending));
    if is_message(part) && !has_ending("eml") {
        name.push_str(".eml");
    }
    bounded_name(&name)
}

/// A name of at most [`NAME_BYTES_MAX`] bytes, with its ending.
fn bounded_name(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |at| &name[at..]);
    let ending = if ending.len() > 16 { "" } else { ending };
    let stem = &name[..name.floor_char_boundary(NAME_BYTES_MAX - ending.len())];
    format!("{stem}{ending}")
}

fn media_type(part: &ParsedMail<'_>) -> String {
    // The parser says `us-ascii` where nothing is said.
    match part.ctype.params.get("charset") {
        Some(charset) => format!("{}; charset={charset}", part.ctype.mimetype),
        None => part.ctype.mimetype.clone(),
    }
}

fn messages_of(body: &[u8], messages: Vec<std::ops::Range<usize>>) -> EnclosedFiles {
    let beyond_limits = messages.len().saturating_sub(MESSAGES_MAX);
    let files = messages.into_iter().take(MESSAGES_MAX).map(|range| {
        let message = unquote_separators(&body[range]);
        let headers = mailparse::parse_headers(&message).map(|(headers, _)| headers).unwrap_or_default();
        let id = headers.get_first_value("Message-ID").map(|id| one_line(&id));
        let name = id
            .map(|id| {
                let id = id.trim_start_matches('<').trim_end_matches('>');
                id.chars().filter(|character| !character.is_control()).collect::<String>()
            })
            .map(|id| bounded_name(&id.replace(['/', '\\'], "_")))
            .filter(|id| !id.is_empty());
        EnclosedFile {
            kind: EnclosedFileKind::Message,
            name,
            media_type: Some("message/rfc822".to_owned()),
            body: message,
        }
    });
    EnclosedFiles { files: files.collect(), beyond_limits }
}

/// A message without the `>` that keeps its lines from parting messages, as `mboxrd` has it.
fn unquote_separators(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let marks = line.iter().take_while(|byte| **byte == b'>').count();
        let is_quoted = marks > 0 && line[marks..].starts_with(b"From ");
        out.extend_from_slice(if is_quoted { &line[1..] } else { line });
    }
    out
}

/// Gives the second of two equal names a number.
fn make_names_unique(files: &mut [EnclosedFile]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for file in files {
        let Some(name) = &mut file.name else { continue };
        let count = seen.entry(name.to_lowercase()).or_default();
        *count += 1;
        if *count > 1 {
            let at = match file.kind {
                EnclosedFileKind::Attachment => name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len()),
                EnclosedFileKind::Message => name.len(),
            };
            name.insert_str(at, &format!(" ({count})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EnclosedFile, EnclosedFileKind, enclosed_files, may_enclose};
    use crate::file_format::FileFormat;

    const MAIL: &str = "From: a@a.example\r\nTo: b@b.example\r\nSubject: Parts\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"XX\"\r\n\r\n--XX\r\nContent-Type: text/plain\r\n\r\nSee both.\r\n\
        --XX\r\nContent-Type: text/csv; charset=iso-8859-1\r\nContent-Disposition: attachment; filename=\"C:\\\\list.csv\"\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nbmFtZSxuCkdy/N9lLDEK\r\n\
        --XX\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"list.csv\"\r\n\r\nname,n\r\nb,2\r\n\
        --XX\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@c.example\r\nSubject: Inner\r\n\r\nHello.\r\n\
        --XX\r\nContent-Type: application/pgp-signature; name=\"signature.asc\"\r\n\r\n-----BEGIN\r\n--XX--\r\n";

    fn names(files: &[EnclosedFile]) -> Vec<&str> {
        files.iter().map(|file| file.name.as_deref().unwrap_or("-")).collect()
    }

    #[test]
    fn attachments_are_as_they_were() {
        assert!(may_enclose(MAIL.as_bytes(), FileFormat::Mail));
        let found = enclosed_files(MAIL.as_bytes(), FileFormat::Mail);
        assert_eq!(names(&found.files), ["list.csv", "list (2).csv", "message.eml"]);
        assert_eq!(found.files[0].body, b"name,n\nGr\xfc\xdfe,1\n");
        assert_eq!(found.files[0].media_type.as_deref(), Some("text/csv; charset=iso-8859-1"));
        assert_eq!(found.files[1].media_type.as_deref(), Some("text/csv"));
        assert!(found.files[2].body.starts_with(b"From: c@c.example"));
        assert!(!may_enclose(b"From: a\nTo: b\n\nPlain.\n", FileFormat::Mail));
    }

    #[test]
    fn a_mail_with_too_many_parts_says_how_many_are_left() {
        let part = "--XX\nContent-Type: text/plain; name=\"n.txt\"\n\nwords\n";
        let mail = format!(
            "From: a\nTo: b\nContent-Type: multipart/mixed; boundary=XX\n\n{}--XX--\n",
            part.repeat(10_000)
        );
        let found = enclosed_files(mail.as_bytes(), FileFormat::Mail);
        assert_eq!((found.files.len(), found.beyond_limits), (256, 9744));
        assert_eq!(found.files[255].name.as_deref(), Some("n (256).txt"));
    }

    #[test]
    fn messages_of_a_mailbox_have_their_ids() {
        let mailbox = "From a@a.example Wed May  1 10:00:00 2024\nMessage-ID: <1@a>\nSubject: One\n\nFrom here it is text.\n\
            >From there, too.\n>>From\n\nFrom the start: 10:00 is no year.\n\nFrom - Thu May  2 10:00:00 2024\nMessage-ID: <1@a>\n\n\
            Two\n\nFrom b Thu May  2 10:00:00 2024\nSubject: Three\n\nText\n";
        let found = enclosed_files(mailbox.as_bytes(), FileFormat::Mailbox);
        assert_eq!(names(&found.files), ["1@a", "1@a (2)", "-"]);
        assert!(found.files.iter().all(|file| file.kind == EnclosedFileKind::Message));
        let first = String::from_utf8(found.files[0].body.clone()).expect("text");
        assert!(first.contains("\nFrom here it is text.\nFrom there, too.\n>>From\n"), "{first}");
        assert!(first.ends_with("no year.\n\n"), "{first}");
    }
}
