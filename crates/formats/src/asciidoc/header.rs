//! The header of an `AsciiDoc` text: title, authors, revision and attributes, here and later in the text.

use super::AsciiDocWriter;
use crate::unix_lines::trimmed_range;

/// Most attributes that are kept for `{name}`, and longest value.
const ATTRIBUTES_MAX: usize = 256;
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// Attributes of the header that only say how to render.
const RENDERING: [&str; 22] = [
    "toc",
    "toclevels",
    "toc-title",
    "icons",
    "sectnums",
    "sectanchors",
    "sectlinks",
    "source-highlighter",
    "imagesdir",
    "experimental",
    "idprefix",
    "idseparator",
    "doctype",
    "numbered",
    "nofooter",
    "stem",
    "hide-uri-scheme",
    "partnums",
    "compat-mode",
    "attribute-missing",
    "stylesheet",
    "linkattrs",
];

impl<'a> AsciiDocWriter<'a> {
    /// Takes the title, the lines of authors and revision, and the attributes; returns the index behind.
    pub(super) fn header(&mut self) -> usize {
        let mut index = 0;
        while index < self.lines.len() {
            let shown = self.shown(index);
            if shown.starts_with(':') && self.attribute(shown, true)
                || shown.starts_with("//") && !shown.starts_with("////")
                || shown.is_empty()
            {
                index += 1;
            } else {
                break;
            }
        }
        let Some(title) = self.shown(index).strip_prefix("= ").map(str::trim) else { return index };
        self.properties.add_text("title", title);
        let range = self.lines[index].clone();
        self.out.write("# ", range.start..range.start + 2);
        self.emit(trimmed_range(self.source, range.start + 2..range.end));
        self.out.write("\n\n", range.end..range.end);
        index += 1;
        let mut plain_lines = 0;
        while index < self.lines.len() && !self.shown(index).is_empty() {
            let shown = self.shown(index);
            if shown.starts_with(':') && self.attribute(shown, true) || shown.starts_with("//") {
                index += 1;
                continue;
            }
            if !shown.starts_with(|c: char| c.is_alphanumeric()) || plain_lines > 1 || shown.contains("::") {
                break;
            }
            if plain_lines == 0 {
                for author in shown.split(';') {
                    let (name, mail) = author.split_once('<').unwrap_or((author, ""));
                    self.properties.add_text("author", &name.trim().replace('_', " "));
                    self.properties.add_text("email", mail.trim_end_matches('>'));
                }
            } else {
                let (version, rest) = shown.split_once(',').unwrap_or(("", shown));
                let (date, remark) = rest.split_once(": ").or(rest.split_once(':')).unwrap_or((rest, ""));
                self.properties.add_text("version", version.trim_start_matches(['v', 'V']));
                self.properties.add_text("date", date);
                self.properties.add_text("revremark", remark);
            }
            plain_lines += 1;
            index += 1;
        }
        index
    }

    /// Takes `:name: value`.
    pub(super) fn attribute(&mut self, shown: &'a str, in_header: bool) -> bool {
        let Some((name, value)) = shown[1..].split_once(':') else { return false };
        let bare = name.trim_start_matches('!').trim_end_matches('!');
        let is_name =
            !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !is_name || !(value.is_empty() || value.starts_with(' ')) {
            return false;
        }
        let value = value.trim();
        if bare.len() < name.len() {
            self.attributes.remove(bare);
        } else if self.attributes.len() < ATTRIBUTES_MAX && value.len() <= ATTRIBUTE_BYTES_MAX {
            self.attributes.insert(bare.to_ascii_lowercase(), value.to_owned());
            if in_header && !RENDERING.contains(&bare) {
                let name = match bare {
                    "revdate" => "date",
                    "revnumber" => "version",
                    "doctitle" => "title",
                    other => other,
                };
                self.properties.add_text(name, value);
            }
        }
        true
    }
}
