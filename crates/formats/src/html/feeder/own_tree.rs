//! The tree where the tree builder must not build it.
//!
//! The tree builder walks its stack of open elements for most tags, and copies open formatting elements into
//! every block: hostile nesting takes it quadratic time or memory. So below [`OPEN_ELEMENTS_MAX`] open elements,
//! and for the rest of a page whose elements outnumber its tags, the feeder builds the tree itself: an element
//! is a child of the one opened last, and an end tag ends the nearest of its name. No text is lost by that.

use std::cell::Cell;

use html5ever::LocalName;
use html5ever::interface::Tracer;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{TagKind, Token, TokenSink};
use html5gum::State;

use super::HtmlTreeFeeder;
use crate::html::tree_sink::HtmlNodeHandle;

/// Most open elements and formatting elements that the tree builder may hold.
const OPEN_ELEMENTS_MAX: usize = 384;
/// From here on the stack is counted at every tag, below at every [`COUNTED_TAGS`]th.
const OPEN_ELEMENTS_MANY: usize = 192;
const COUNTED_TAGS: usize = 32;
/// Elements that the tree builder may make of one start tag, on average, and how many more at first.
const ELEMENTS_PER_TAG_MAX: usize = 4;
const ELEMENTS_AT_FIRST: usize = 10_000;
/// How many elements up an end tag looks for its start tag where the feeder builds the tree.
const END_TAG_REACH: usize = 64;

/// Counts what the tree builder holds.
struct HtmlHandleCounter(Cell<usize>);

impl Tracer for HtmlHandleCounter {
    type Handle = HtmlNodeHandle;

    fn trace_handle(&self, _: &HtmlNodeHandle) {
        self.0.set(self.0.get() + 1);
    }
}

impl HtmlTreeFeeder<'_> {
    /// Counts the stack of the tree builder now and then; whether it has grown too high.
    pub(super) fn is_too_deep(&mut self) -> bool {
        if self.builder.sink.elements() > ELEMENTS_PER_TAG_MAX * self.start_tags + ELEMENTS_AT_FIRST {
            self.own_for_good = true;
            return true;
        }
        if self.open_elements >= OPEN_ELEMENTS_MANY || self.start_tags.is_multiple_of(COUNTED_TAGS) {
            let counter = HtmlHandleCounter(Cell::new(0));
            self.builder.trace_handles(&counter);
            self.open_elements = counter.0.get();
        }
        self.open_elements >= OPEN_ELEMENTS_MAX
    }

    /// Handles a tag where the tree builder must not; whether it did.
    pub(super) fn handle_own_tag(&mut self, name: &LocalName) -> bool {
        if self.tag_kind == TagKind::EndTag {
            let reach = self.own.len().saturating_sub(END_TAG_REACH).max(1);
            let found = self.own.iter().skip(reach).rposition(|(open, _)| open == name);
            match found {
                Some(at) => self.own.truncate(reach + at),
                None if !self.own_for_good => self.own.clear(),
                None => {}
            }
            // Only the parent is left: the tree builder is asked again.
            if self.own.len() == 1 && !self.own_for_good {
                self.own.clear();
                return found.is_some();
            }
            return found.is_some() || self.own_for_good;
        }
        if self.own.is_empty() {
            // A comment goes where an element would, and tells where that is.
            let _ = self.builder.process_token(Token::CommentToken(StrTendril::new()), 1);
            self.own.push((LocalName::default(), self.builder.sink.comment_parent()));
            self.flattened = true;
        }
        let parent = self.own.last().map_or(0, |&(_, parent)| parent);
        let attributes = std::mem::take(&mut self.attributes);
        let created = self.builder.sink.append_element(parent, name.clone(), attributes);
        if !is_void(name) {
            self.own.push((name.clone(), created));
        }
        true
    }
}

/// The tokenizer's state behind a start tag, where the tree builder is not asked.
pub(super) fn own_next_state(name: &str) -> Option<State> {
    match name {
        "textarea" | "title" => Some(State::RcData),
        "plaintext" => Some(State::PlainText),
        "script" => Some(State::ScriptData),
        "style" | "iframe" | "xmp" | "noembed" | "noframes" | "noscript" => Some(State::RawText),
        _ => None,
    }
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
            | "keygen"
            | "basefont"
            | "bgsound"
            | "frame"
            | "image"
    )
}
