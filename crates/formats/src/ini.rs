//! Lines of keys and values: INI, `.properties`, `.env`, units of systemd, settings of Git.
//!
//! No standard covers them all, so the text is the source's and only two kinds of lines are marked: `[section]`
//! begins a section, and `key = value`, `key: value` or `key value` begins an item. Comments, with `#`, `;` or
//! `!`, belong to the line below. Indented lines and lines behind a `\` continue the one above.

use crate::key_sections::{KeySections, MemberLabel};
use crate::line_ends::with_normal_line_ends;
use crate::parsed_text::{ParsedText, StructureMark, TextStructure};
use crate::source_map::SourceMap;

/// Reads lines of keys and values.
pub fn parse_ini(source: &str) -> ParsedText {
    with_normal_line_ends(source, |text| ParsedText {
        text: text.to_owned(),
        map: SourceMap::identity(text.len()),
        structure: TextStructure::Marked(mark_lines(text)),
        ..ParsedText::default()
    })
}

fn mark_lines(text: &str) -> Vec<StructureMark> {
    let mut sections = KeySections::default();
    sections.open_root(0);
    let mut in_section = false;
    let mut comment_at: Option<usize> = None;
    let mut continued = false;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let content = line.trim();
        let continues_above = std::mem::replace(&mut continued, content.ends_with('\\'));
        if content.is_empty() {
            comment_at = None;
        } else if continues_above {
            // A part of the value above.
        } else if content.starts_with(['#', ';', '!']) {
            comment_at.get_or_insert(at);
        } else if let Some(title) = content.strip_prefix('[').and_then(|rest| Some(&rest[..rest.rfind(']')?]))
        {
            if std::mem::replace(&mut in_section, true) {
                sections.close(at);
            }
            sections.open_section(comment_at.take().unwrap_or(at), MemberLabel::Key(title));
        } else if !line.starts_with([' ', '\t']) || content.contains('=') {
            let key = content.split(['=', ':']).next().unwrap_or_default().trim();
            sections.plain_member(comment_at.take().unwrap_or(at), MemberLabel::Key(key));
        }
    }
    if in_section {
        sections.close(text.len());
    }
    sections.finish()
}
