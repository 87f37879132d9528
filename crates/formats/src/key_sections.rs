//! Structure marks of data with keys: JSON, YAML, TOML.
//!
//! A container whose members stand on lines of their own is a section titled by its key, so a chunk's heading
//! path is the path of keys. Members that are no section are items. Three rules make that useful:
//!
//! * A container of at most [`SMALL_BYTES`] is not cut: what is marked inside becomes lines. Three limits of a
//!   worker belong together and to the worker's name.
//! * A section ends where the next one of its depth begins. A plain member behind a section would count as a
//!   part of it, so a run of such members is a section of its own, titled by their keys.
//! * An element of an array is titled by a member that identifies it, as `name` or `id`, or by its index.

use crate::parsed_text::{StructureMark, StructureMarkKind};

/// Containers up to this many bytes stay whole.
const SMALL_BYTES: usize = 200;
/// Deeper containers are no sections: nobody reads a heading path of so many titles.
const SECTION_DEPTH_MAX: u8 = 16;
/// Bytes of a title.
const TITLE_BYTES_MAX: usize = 120;
/// Keys in the title of a run of plain members.
const RUN_KEYS_MAX: usize = 3;
/// Bytes before a member on its line that are looked at.
const PREFIX_BYTES_MAX: usize = 256;
/// Members that identify an element of an array; the best first.
const IDENTIFYING_KEYS: [&str; 11] =
    ["name", "title", "id", "key", "slug", "sku", "code", "label", "uuid", "operationId", "path"];

/// What a member is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MemberLabel<'a> {
    /// A key of an object.
    Key(&'a str),
    /// A place in an array, from 0.
    Index(usize),
}

impl MemberLabel<'_> {
    fn title(self) -> String {
        match self {
            Self::Key(key) => title_line(key),
            Self::Index(index) => format!("[{index}]"),
        }
    }
}

/// Makes a title: on one line, not endless.
pub(crate) fn title_line(text: &str) -> String {
    // Words are taken only as long as there is room, since a key may be as long as the file.
    let mut title = String::new();
    for word in text.split_whitespace() {
        if title.len() + word.len() + 1 > TITLE_BYTES_MAX {
            let room = TITLE_BYTES_MAX.saturating_sub(title.len() + 1);
            let part = &word[..word.floor_char_boundary(room)];
            title.push_str(if title.is_empty() || part.is_empty() { "" } else { " " });
            title.push_str(part);
            title.push('…');
            return title;
        }
        title.push_str(if title.is_empty() { "" } else { " " });
        title.push_str(word);
    }
    title
}

/// Whether only indentation, dashes and opening brackets stand before a member on its line.
pub(crate) fn begins_line(before: &str) -> bool {
    before.len() <= PREFIX_BYTES_MAX && before.bytes().all(|byte| b" \t-?[{".contains(&byte))
}

/// An open container.
#[derive(Debug)]
struct OpenContainer {
    start: usize,
    /// First mark inside.
    first_mark: usize,
    /// Depth of sections inside.
    depth: u8,
    /// Whether a section has begun inside.
    crossed: bool,
    /// The section of a run of plain members, and its number of keys.
    run: Option<(usize, usize)>,
    /// The section's mark if a member may give its title, and the rank of the one that has.
    titled: Option<(usize, usize)>,
    /// Stands before that title.
    title_prefix: String,
}

/// Collects marks from the members of containers in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct KeySections {
    marks: Vec<StructureMark>,
    open: Vec<OpenContainer>,
}

impl KeySections {
    /// Opens the outermost container.
    pub(crate) fn open_root(&mut self, at: usize) {
        let depth = self.depth();
        self.push_open(at, depth, None);
    }

    /// Opens a container on lines of its own; its section is a mark that can be titled anew.
    pub(crate) fn open_section(&mut self, at: usize, label: MemberLabel<'_>) -> Option<usize> {
        let depth = self.depth();
        if let Some(parent) = self.open.last_mut() {
            parent.crossed = true;
            parent.run = None;
        }
        if depth > SECTION_DEPTH_MAX {
            self.push(at, StructureMarkKind::Item);
            self.push_open(at, depth, None);
            return None;
        }
        let mark = self.push(at, StructureMarkKind::Section { depth, title: label.title() });
        let titled = matches!(label, MemberLabel::Index(_)).then_some((mark, IDENTIFYING_KEYS.len()));
        self.push_open(at, depth + 1, titled);
        Some(mark)
    }

    /// Adds a member that is no section.
    pub(crate) fn plain_member(&mut self, at: usize, label: MemberLabel<'_>) {
        let Some(parent) = self.open.last() else { return };
        let (depth, run) = (parent.depth, parent.run);
        if !parent.crossed || depth > SECTION_DEPTH_MAX {
            self.push(at, StructureMarkKind::Item);
            return;
        }
        let Some((mark, keys)) = run else {
            let mark = self.push(at, StructureMarkKind::Section { depth, title: label.title() });
            if let Some(parent) = self.open.last_mut() {
                parent.run = Some((mark, 1));
            }
            return;
        };
        self.push(at, StructureMarkKind::Item);
        if let (StructureMarkKind::Section { title, .. }, true) =
            (&mut self.marks[mark].kind, keys <= RUN_KEYS_MAX)
        {
            title.push_str(", ");
            title.push_str(&if keys == RUN_KEYS_MAX { "…".to_owned() } else { label.title() });
        }
        if let Some(parent) = self.open.last_mut() {
            parent.run = Some((mark, keys + 1));
        }
    }

    /// Adds a good place to cut inside of a member.
    pub(crate) fn line(&mut self, at: usize) {
        self.push(at, StructureMarkKind::Line);
    }

    /// Tells the value of a plain member; it may identify the element of an array that is open.
    pub(crate) fn identify(&mut self, key: &str, value: &str) {
        let Some(OpenContainer { titled: Some((mark, rank)), title_prefix, .. }) = self.open.last_mut()
        else {
            return;
        };
        let Some(found) = IDENTIFYING_KEYS.iter().position(|known| known.eq_ignore_ascii_case(key)) else {
            return;
        };
        let fresh = title_line(value);
        if found < *rank && !fresh.is_empty() {
            *rank = found;
            let mark = *mark;
            let title = title_prefix.clone() + &fresh;
            self.set_title(mark, title);
        }
    }

    /// Gives a section another title.
    pub(crate) fn set_title(&mut self, mark: usize, fresh: String) {
        if let Some(StructureMark { kind: StructureMarkKind::Section { title, .. }, .. }) =
            self.marks.get_mut(mark)
        {
            *title = fresh;
        }
    }

    /// Says what stands before the title that a member gives to the innermost container.
    pub(crate) fn prefix_title(&mut self, prefix: &str) {
        if let Some(open) = self.open.last_mut() {
            open.title_prefix = format!("{prefix} ");
        }
    }

    /// Closes the innermost container. The outermost one is never too small to be cut.
    pub(crate) fn close(&mut self, end: usize) {
        let Some(closed) = self.open.pop() else { return };
        if !self.open.is_empty() && end.saturating_sub(closed.start) <= SMALL_BYTES {
            for mark in &mut self.marks[closed.first_mark..] {
                mark.kind = StructureMarkKind::Line;
            }
        }
    }

    /// The marks, ascending.
    pub(crate) fn finish(self) -> Vec<StructureMark> {
        self.marks
    }

    fn depth(&self) -> u8 {
        self.open.last().map_or(1, |open| open.depth)
    }

    fn push_open(&mut self, start: usize, depth: u8, titled: Option<(usize, usize)>) {
        let first_mark = self.marks.len();
        self.open.push(OpenContainer {
            start,
            first_mark,
            depth,
            crossed: false,
            run: None,
            titled,
            title_prefix: String::new(),
        });
    }

    fn push(&mut self, at: usize, kind: StructureMarkKind) -> usize {
        // A comment above a member may reach up to the line of the mark before.
        let at = self.marks.last().map_or(at, |last| at.max(last.at));
        self.marks.push(StructureMark { at, kind });
        self.marks.len() - 1
    }
}
