//! Marks of elements, their titles, and the properties of the document.

use super::{LastChild, OpenElement, SECTION_DEPTH_MAX, XmlWriter};
use crate::key_sections::title_line;
use crate::parsed_text::{PropertyValue, StructureMark, StructureMarkKind};

/// Children and attributes that identify an element; the best first.
const IDENTIFYING_NAMES: [&str; 10] =
    ["title", "name", "label", "headline", "id", "key", "term", "loc", "code", "ref"];

impl XmlWriter<'_> {
    pub(super) fn mark(&mut self, opened: &mut OpenElement, at: usize, level: usize, is_section: bool) {
        let depth = u8::try_from(level + 1).unwrap_or(u8::MAX);
        let Some(parent) = self.open.last_mut() else {
            // The root's name alone says little, but it is the first part of the path.
            let title = opened.name.clone();
            self.marks.push(StructureMark { at, kind: StructureMarkKind::Section { depth, title } });
            opened.section = Some((self.marks.len() - 1, IDENTIFYING_NAMES.len()));
            return;
        };
        if is_section {
            parent.last_child = LastChild::Section;
            opened.section = Some((self.marks.len(), IDENTIFYING_NAMES.len()));
        }
        // A plain child behind a section would count as a part of it, so it begins one of its own.
        let begins_run = !is_section && parent.last_child == LastChild::Section && level < SECTION_DEPTH_MAX;
        if begins_run {
            parent.last_child = LastChild::Run;
        }
        let kind = if is_section || begins_run {
            StructureMarkKind::Section { depth, title: opened.name.clone() }
        } else {
            StructureMarkKind::Item
        };
        self.marks.push(StructureMark { at, kind });
    }

    /// Gives a section the title that a child or attribute holds, if it identifies better than the one before.
    pub(super) fn identify(
        &mut self,
        section: &mut Option<(usize, usize)>,
        name: &str,
        value: &str,
        element: &str,
    ) {
        let Some((mark, rank)) = section else { return };
        let Some(found) = IDENTIFYING_NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) else {
            return;
        };
        let value = title_line(value);
        if found < *rank
            && !value.is_empty()
            && let Some(StructureMark { kind: StructureMarkKind::Section { title, .. }, .. }) =
                self.marks.get_mut(*mark)
        {
            *title = format!("{element}: {value}");
            *rank = found;
        }
    }

    /// Takes the title and the like of the whole document: children of the root, or of the `channel` or `info`
    /// below it.
    pub(super) fn note_property(&mut self, name: &str, value: &str) {
        let outer = self.open.len() == 1
            || (self.open.len() == 2
                && ["channel", "info", "head", "header"].contains(&self.open[1].name.as_str()));
        if !outer || value.is_empty() {
            return;
        }
        match name {
            "title" if self.properties.title.is_none() => self.properties.title = Some(title_line(value)),
            "language" | "author" | "date" | "pubDate" | "updated" => {
                let key = if matches!(name, "pubDate" | "updated") { "date" } else { name };
                let value = PropertyValue::Text(title_line(value));
                self.properties.other.entry(key.to_owned()).or_insert(value);
            }
            _ => {}
        }
    }
}
