//! Text inside of elements: words with single spaces, lines that count, entities.

use quick_xml::escape::resolve_html5_entity;

use super::XmlWriter;
use crate::parsed_text::{StructureMark, StructureMarkKind};
use crate::xml::attributes::character_of_reference;

impl XmlWriter<'_> {
    /// Makes room for text: behind a name a colon, between words a space.
    fn begin_text(&mut self, source: usize) {
        if self.content_starts.last() == Some(&self.out.len()) {
            let named = self.open.get(self.content_starts.len() - 1).is_none_or(|holder| holder.named);
            self.out.write(if named { ": " } else { "" }, source..source);
        } else if self.space && !self.out.as_str().ends_with(char::is_whitespace) {
            self.out.write(" ", source..source);
        }
        self.space = false;
    }

    pub(super) fn add_text(&mut self, at: usize, end: usize, is_cdata: bool) {
        let Some(open) = self.open.last() else { return };
        let content = &self.text[at..end];
        if content.trim().is_empty() {
            self.space |= !content.is_empty();
            return;
        }
        // White space around an element that holds only elements is layout.
        if (open.preserves || is_cdata) && content.trim().contains('\n') {
            self.add_preserved(at, end);
            return;
        }
        let mut word_at = at;
        for word in content.split_ascii_whitespace() {
            let start = word_at + self.text[word_at..end].find(word).unwrap_or(0);
            if start > word_at {
                self.space = true;
            }
            let gap = word_at..start;
            word_at = start + word.len();
            let single = self.space && self.text[gap.clone()] == *" " && !self.out.as_str().ends_with(' ');
            let begun = self.content_starts.last().is_some_and(|&start| self.out.len() > start);
            if single && begun {
                // One space is copied, which keeps the runs of the map together.
                self.out.copy(self.text, gap);
                self.space = false;
            } else {
                self.begin_text(start);
            }
            self.out.copy(self.text, start..word_at);
        }
        self.space = word_at < end;
    }

    /// Adds text whose lines count, below the name of its element.
    fn add_preserved(&mut self, at: usize, end: usize) {
        let content = &self.text[at..end];
        let from = at + content.len() - content.trim_start_matches('\n').len();
        let to = from + self.text[from..end].trim_end().len();
        let begins = self.content_starts.last() == Some(&self.out.len());
        let named =
            self.open.get(self.content_starts.len().saturating_sub(1)).is_none_or(|holder| holder.named);
        if begins && named {
            self.out.write(":\n", from..from);
            self.marks.push(StructureMark { at: self.out.len(), kind: StructureMarkKind::Line });
            self.space = false;
        } else {
            self.begin_text(from);
        }
        let mut line_at = from;
        for line in self.text[from..to].split_inclusive('\n') {
            if line_at > from {
                self.marks.push(StructureMark { at: self.out.len(), kind: StructureMarkKind::Line });
            }
            self.out.copy(self.text, line_at..line_at + line.len());
            line_at += line.len();
        }
        self.space = true;
    }

    pub(super) fn add_entity(&mut self, at: usize, end: usize) {
        if self.open.is_empty() {
            return;
        }
        let name = self.text[at..end].trim_start_matches('&').trim_end_matches(';');
        self.begin_text(at);
        if let Some(character) = character_of_reference(name) {
            let shown = character.encode_utf8(&mut [0; 4]).to_owned();
            self.out.write(if character.is_control() { " " } else { &shown }, at..end);
        } else if name.starts_with('#') {
            self.out.write("\u{FFFD}", at..end);
        } else if let Some(value) = resolve_html5_entity(name) {
            self.out.write(value, at..end);
        } else {
            self.unknown_entities += usize::from(self.text[at..end].ends_with(';'));
            self.out.copy(self.text, at..end);
        }
    }
}
