//! Plain text between marker lines.
//!
//! A marker line starts with `=` and a tag of digits. No text of the context contains `=` followed by
//! the tag, so no text can forge a marker. The last line is the bare marker. The tag is derived from
//! the texts: equal contexts have equal bytes.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::hidden_characters::inert_line;
use super::markdown::write_citation;
use super::{DocumentHeader, PassageLabel};
use crate::domain::ids::FieldHasher;

/// A tag grows by three digits at a time: they are one token in the common vocabularies.
const DIGITS_STEP: u64 = 1000;

/// Derives from the texts the shortest tag that none of them contains.
pub(super) fn derive_tag(texts: &[Cow<str>]) -> String {
    let seed = texts
        .iter()
        .fold(FieldHasher::new("contexture plain tag v1"), |fields, text| fields.field(text.as_bytes()))
        .finish();
    let mut mark = String::from("=");
    let mut step = 0_u64;
    // Ends: a tag longer than every text is contained in none.
    loop {
        mark.push_str(&tag_digits(&seed, step));
        if !texts.iter().any(|text| text.contains(&mark)) {
            return mark;
        }
        step += 1;
    }
}

fn tag_digits(seed: &[u8; 32], step: u64) -> String {
    let hash =
        FieldHasher::new("contexture plain tag digits v1").field(seed).field(&step.to_le_bytes()).finish();
    // Eight bytes are enough: the bias of the remainder is far below one digit, and nothing secret
    // depends on it.
    let number = hash.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("{:03}", number % DIGITS_STEP)
}

pub(super) fn open_document(out: &mut String, mark: &str, header: &DocumentHeader) {
    let _ = writeln!(out, "{mark} {} v{}", inert_line(header.id), header.version);
    if header.starts_section && !header.section.is_empty() {
        let _ = writeln!(out, "{mark}# {}", inert_line(header.section));
    }
}

pub(super) fn open_passage(out: &mut String, mark: &str, label: &PassageLabel) {
    out.push_str(mark);
    write_citation(out, label);
    out.push('\n');
}

pub(super) fn close(out: &mut String, mark: &str) {
    out.push_str(mark);
    out.push('\n');
}
