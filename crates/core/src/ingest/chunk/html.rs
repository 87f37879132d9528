//! Converts HTML to Markdown-like text, token by token: no tree, no recursion, linear in the input.
//!
//! Headings become `#` lines, list items `-` or numbered lines, table rows `| a | b |` lines, and `pre` a fence.
//! Everything else is a paragraph or a line. Scripts, styles, templates and content for old browsers are
//! dropped, entities are decoded, and white space is collapsed. A line of text that Markdown would read as
//! structure gets a backslash.
//!
//! Missing end tags cost structure, never text, except that an open `template` hides what follows it, as in a
//! browser. Lists indent at most [`INDENTED_LISTS_MAX`] levels.

use html5gum::Tokenizer;
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};

use crate::domain::document::TITLE_BYTES_MAX;

/// Most levels of indented lists; deeper ones look like the last level.
const INDENTED_LISTS_MAX: usize = 8;
/// Spaces per level: more than any list marker, and less than Markdown needs for a code block.
const INDENT_SPACES: usize = 4;
/// Shortest fence around preformatted text.
const FENCE_BACKTICKS_MIN: usize = 3;

/// Converts a document; returns its text and its `<title>`.
pub(super) fn html_to_markdown(html: &str) -> (String, Option<String>) {
    let mut writer = MarkdownWriter::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: html5gum::Span<()>| -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name } => writer.open(name),
            CallbackEvent::EndTag { name } => writer.close(name),
            CallbackEvent::String { value } => writer.text(&String::from_utf8_lossy(value)),
            _ => {}
        }
        None
    });
    // Without a tree builder the tokenizer must switch by tag name, or it would parse scripts as markup.
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(html, emitter).for_each(drop);
    writer.finish()
}

/// The gap that is due before the next text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum PendingGap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

#[derive(Default)]
struct MarkdownWriter {
    out: String,
    gap: PendingGap,
    /// Marker to put before the next text: `## `, `- `.
    marker: String,
    /// One entry per open list; a number counts the items of an ordered one.
    lists: Vec<Option<usize>>,
    heading: bool,
    row: bool,
    preformatted: Option<String>,
    in_title: bool,
    title: String,
    /// Open elements whose content is not shown.
    hidden: usize,
}

impl MarkdownWriter {
    fn open(&mut self, name: &[u8]) {
        match name {
            _ if is_hidden_element(name) => self.hidden += 1,
            b"title" => self.in_title = true,
            b"br" => self.line_break(),
            b"pre" | b"listing" if self.preformatted.is_none() => {
                self.block(PendingGap::Paragraph);
                self.preformatted = Some(String::new());
            }
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => {
                self.block(PendingGap::Paragraph);
                self.heading = true;
                // The pattern allows only `h1` to `h6`, so the second byte is a digit.
                self.marker = format!("{} ", "#".repeat(usize::from(name[1] - b'0')));
            }
            b"ul" | b"ol" | b"menu" => {
                self.block(if self.lists.is_empty() { PendingGap::Paragraph } else { PendingGap::Line });
                self.lists.push((name == b"ol").then_some(0));
            }
            b"li" => self.item(),
            b"tr" => {
                self.block(PendingGap::Line);
                self.row = true;
            }
            b"td" | b"th" => self.cell(),
            b"hr" => {
                self.block(PendingGap::Paragraph);
                self.write("---");
                self.block(PendingGap::Paragraph);
            }
            _ => self.border(name),
        }
    }

    fn close(&mut self, name: &[u8]) {
        match name {
            // A stray end tag must not hide the rest of the document.
            _ if is_hidden_element(name) => self.hidden = self.hidden.saturating_sub(1),
            b"title" => self.in_title = false,
            b"pre" | b"listing" => self.end_preformatted(),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.block(PendingGap::Paragraph),
            b"ul" | b"ol" | b"menu" => {
                self.lists.pop();
                self.block(if self.lists.is_empty() { PendingGap::Paragraph } else { PendingGap::Line });
            }
            b"tr" => {
                if self.row && self.gap < PendingGap::Line && self.line_has_text() {
                    self.out.push_str(" |");
                }
                self.row = false;
                self.block(PendingGap::Line);
            }
            b"br" => self.line_break(),
            _ => self.border(name),
        }
    }

    fn text(&mut self, text: &str) {
        if self.in_title {
            self.title.push_str(text);
        } else if self.hidden > 0 {
            // Not shown.
        } else if let Some(preformatted) = &mut self.preformatted {
            preformatted.push_str(text);
        } else {
            for (index, word) in text.split(|character: char| character.is_ascii_whitespace()).enumerate() {
                if index > 0 {
                    self.gap = self.gap.max(PendingGap::Space);
                }
                if !word.is_empty() {
                    self.word(word);
                }
            }
        }
    }

    fn word(&mut self, word: &str) {
        let marked = !self.marker.is_empty();
        let starts_line = self.bridge();
        // Behind a marker the word is inside an item or a heading and cannot open a structure of its own.
        if starts_line && !marked && reads_as_structure(word) {
            self.out.push('\\');
        }
        self.out.push_str(word);
    }

    /// Writes text that does not come from the document.
    fn write(&mut self, text: &str) {
        self.bridge();
        self.out.push_str(text);
    }

    /// Writes the due gap and marker; returns whether a line starts here.
    fn bridge(&mut self) -> bool {
        if !self.out.is_empty() {
            match self.gap {
                PendingGap::None => {}
                PendingGap::Space => self.out.push(' '),
                PendingGap::Line => self.out.push('\n'),
                PendingGap::Paragraph => self.out.push_str("\n\n"),
            }
        }
        let starts_line = self.gap >= PendingGap::Line || self.out.is_empty();
        if starts_line {
            let marked_list = usize::from(!self.marker.is_empty() && !self.heading);
            let levels = self.lists.len().min(INDENTED_LISTS_MAX).saturating_sub(marked_list);
            self.out.extend(std::iter::repeat_n(' ', levels * INDENT_SPACES));
        }
        self.gap = PendingGap::None;
        self.out.push_str(&self.marker);
        self.marker.clear();
        starts_line
    }

    /// Whether the current line contains more than its indentation.
    fn line_has_text(&self) -> bool {
        self.gap < PendingGap::Line
            && self.out.bytes().next_back().is_some_and(|last| last != b'\n' && last != b' ')
    }

    /// Ends heading, marker and line.
    fn block(&mut self, gap: PendingGap) {
        self.heading = false;
        self.marker.clear();
        self.gap = self.gap.max(gap);
    }

    fn line_break(&mut self) {
        match &mut self.preformatted {
            Some(preformatted) => preformatted.push('\n'),
            None if self.heading => self.gap = self.gap.max(PendingGap::Space),
            None => self.gap = self.gap.max(PendingGap::Line),
        }
    }

    fn item(&mut self) {
        self.block(PendingGap::Line);
        self.marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{number}. ")
            }
            _ => "- ".to_owned(),
        };
    }

    fn cell(&mut self) {
        if self.heading || self.preformatted.is_some() {
            return;
        }
        if self.line_has_text() {
            self.gap = PendingGap::Space;
        }
        "| ".clone_into(&mut self.marker);
    }

    /// Handles the start or end of any other element.
    fn border(&mut self, name: &[u8]) {
        let gap = match name {
            b"div" | b"dt" | b"dd" | b"option" | b"summary" | b"caption" | b"legend" => PendingGap::Line,
            b"p" | b"section" | b"article" | b"header" | b"footer" | b"main" | b"nav" | b"aside"
            | b"blockquote" | b"figure" | b"figcaption" | b"form" | b"fieldset" | b"address" | b"dl"
            | b"details" | b"table" | b"body" | b"head" | b"center" | b"dialog" => PendingGap::Paragraph,
            _ => return,
        };
        if self.heading && gap == PendingGap::Line {
            self.gap = self.gap.max(PendingGap::Space);
        } else if self.marker.is_empty() || self.heading {
            self.block(gap);
        }
    }

    fn end_preformatted(&mut self) {
        let Some(preformatted) = self.preformatted.take() else { return };
        let text = preformatted.replace('\r', "\n");
        let text = text.strip_prefix('\n').unwrap_or(&text).trim_end();
        if text.trim().is_empty() {
            return;
        }
        // Longer than any run of backticks inside, so that the text cannot close the fence.
        let fence = "`".repeat(longest_run(text, '`').saturating_add(1).max(FENCE_BACKTICKS_MIN));
        self.marker.clear();
        if !self.out.is_empty() {
            self.out.push_str("\n\n");
        }
        self.out.push_str(&fence);
        self.out.push('\n');
        self.out.push_str(text);
        self.out.push('\n');
        self.out.push_str(&fence);
        self.gap = PendingGap::Paragraph;
    }

    fn finish(mut self) -> (String, Option<String>) {
        self.end_preformatted();
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        let mut title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        title.retain(|character| !character.is_control());
        title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
        (self.out, (!title.is_empty()).then_some(title))
    }
}

fn is_hidden_element(name: &[u8]) -> bool {
    matches!(
        name,
        b"script" | b"style" | b"template" | b"noscript" | b"iframe" | b"noembed" | b"noframes" | b"noframe"
    )
}

/// Whether a line that starts with this word would open a heading, a fence or raw HTML.
fn reads_as_structure(word: &str) -> bool {
    let markup =
        |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphabetic() || "!?/".contains(next));
    word.starts_with(['#', '='])
        || word.starts_with("```")
        || word.starts_with("~~~")
        || word.bytes().all(|byte| byte == b'-')
        || word.strip_prefix('<').is_some_and(markup)
}

fn longest_run(text: &str, wanted: char) -> usize {
    let mut longest = 0;
    let mut current = 0;
    for character in text.chars() {
        current = if character == wanted { current + 1 } else { 0 };
        longest = longest.max(current);
    }
    longest
}
