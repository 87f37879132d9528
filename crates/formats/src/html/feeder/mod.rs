//! Tokens with their places, from html5gum to html5ever's tree builder.
//!
//! html5gum reads the page (`source_reader`) and knows where its tokens stand (`emitter` takes them), html5ever knows
//! what browsers make of them. Text is handed on with the list of its pieces, copied or decoded; attributes that
//! nothing reads are dropped (`attributes`). Where the tree builder would take too long, the feeder builds the tree
//! itself (`own_tree`).

mod attributes;
mod emitter;
mod own_tree;
mod source_reader;

use std::borrow::Cow;
use std::ops::Range;

use html5ever::interface::TreeSink;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{Doctype, Tag, TagKind, Token, TokenSink, TokenSinkResult};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{Attribute, LocalName};
use html5gum::{State, Tokenizer};

use super::dom::{HtmlDom, HtmlTextPiece};
use super::tree_sink::{HtmlNodeHandle, HtmlTreeSink};
use own_tree::own_next_state;
use source_reader::HtmlSourceReader;

/// Longest tag whose bytes count; of a longer one only the place does.
const TAG_BYTES_MAX: usize = 512;
/// Most nodes of a page; what follows is not read.
const NODES_MAX: usize = 50_000_000;

/// Parses a page with LF line ends; the second value says whether it was nested too deeply for a browser.
pub(super) fn build_html_dom(source: &str) -> (HtmlDom, bool) {
    let sink = HtmlTreeSink::new();
    let options = TreeBuilderOpts { drop_doctype: true, ..TreeBuilderOpts::default() };
    let mut feeder = HtmlTreeFeeder {
        source,
        builder: TreeBuilder::new(sink, options),
        position: 0,
        tag_start: 0,
        text: Vec::new(),
        pieces: Vec::new(),
        text_end: 0,
        discard: false,
        tag_kind: TagKind::EndTag,
        tag_name: Vec::new(),
        self_closing: false,
        attributes: Vec::new(),
        attribute_name: Vec::new(),
        attribute_value: Vec::new(),
        last_start_tag: Vec::new(),
        doctype: Doctype::default(),
        own: Vec::new(),
        own_for_good: false,
        flattened: false,
        start_tags: 0,
        open_elements: 0,
    };
    let Ok(()) = Tokenizer::new_with_emitter(HtmlSourceReader::new(source), &mut feeder).finish();
    let HtmlTreeFeeder { builder, flattened, .. } = feeder;
    (builder.sink.finish(), flattened)
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about the tokens so far")]
struct HtmlTreeFeeder<'a> {
    source: &'a str,
    builder: TreeBuilder<HtmlNodeHandle, HtmlTreeSink>,
    position: usize,
    tag_start: usize,
    /// The text since the last token, unless it is one stretch of the page, and its pieces by their end in it.
    text: Vec<u8>,
    pieces: Vec<(usize, HtmlTextPiece)>,
    /// Where the source of the text so far ends.
    text_end: usize,
    /// Whether text is of an element that is never read.
    discard: bool,
    tag_kind: TagKind,
    tag_name: Vec<u8>,
    self_closing: bool,
    attributes: Vec<Attribute>,
    attribute_name: Vec<u8>,
    attribute_value: Vec<u8>,
    last_start_tag: Vec<u8>,
    doctype: Doctype,
    /// Open elements that the feeder has put into the tree itself, under their common parent.
    own: Vec<(LocalName, usize)>,
    own_for_good: bool,
    flattened: bool,
    start_tags: usize,
    open_elements: usize,
}

impl HtmlTreeFeeder<'_> {
    /// Adds a part of the text. As long as all of it is one stretch of the page, only its place is kept.
    fn add_piece(&mut self, decoded: &[u8], source: Range<usize>, copied: bool) {
        self.text_end = source.end;
        let alone = self.text.is_empty();
        match self.pieces.last_mut() {
            Some((last_end, last)) if copied && last.decoded.is_none() && last.source.end == source.start => {
                last.source.end = source.end;
                *last_end += decoded.len();
            }
            last => {
                let end = last.map_or(0, |(end, _)| *end) + decoded.len();
                if let Some((_, first)) = self.pieces.first().filter(|_| alone) {
                    self.text.extend_from_slice(&self.source.as_bytes()[first.source.clone()]);
                }
                // The text itself is cut out of the token later.
                let piece = HtmlTextPiece { source, decoded: (!copied).then(Box::default) };
                self.pieces.push((end, piece));
            }
        }
        if !(copied && self.pieces.len() == 1) {
            self.text.extend_from_slice(decoded);
        }
    }

    fn flush_text(&mut self) {
        let Some((_, first)) = self.pieces.first() else { return };
        if self.pieces.last().is_none_or(|(end, _)| *end == 0) {
            self.pieces.clear();
            return;
        }
        let source = self.source;
        let decoded = if self.text.is_empty() {
            let stretch = source.get(first.source.clone());
            let lossy = || String::from_utf8_lossy(&source.as_bytes()[first.source.clone()]);
            stretch.map_or_else(lossy, Cow::Borrowed)
        } else {
            String::from_utf8_lossy(&self.text)
        };
        let whole_characters = matches!(decoded, Cow::Borrowed(_))
            && self.pieces.iter().all(|(end, _)| decoded.is_char_boundary(*end));
        if !whole_characters {
            let range =
                source.floor_char_boundary(first.source.start)..source.ceil_char_boundary(self.text_end);
            let piece = HtmlTextPiece { source: range, decoded: Some(Box::default()) };
            self.pieces.clear();
            self.pieces.push((decoded.len(), piece));
        }
        if let Some(&(_, parent)) = self.own.last() {
            let mut start = 0;
            for (end, mut piece) in self.pieces.drain(..) {
                if piece.decoded.is_some() {
                    piece.decoded = Some(decoded[start..end].into());
                }
                self.builder.sink.append_piece(parent, piece);
                start = end;
            }
            self.text.clear();
            return;
        }
        let text = StrTendril::from_slice(&decoded);
        self.text.clear();
        self.builder.sink.set_text(text.clone(), &mut self.pieces);
        let _ = self.builder.process_token(Token::CharacterTokens(text), 1);
    }

    fn handle_tag(&mut self) -> Option<State> {
        self.flush_text();
        self.flush_attribute();
        let end = if self.position - self.tag_start > TAG_BYTES_MAX { self.tag_start } else { self.position };
        self.builder
            .sink
            .set_tag(self.source.floor_char_boundary(self.tag_start)..self.source.floor_char_boundary(end));
        self.text_end = self.position;
        let name = match std::str::from_utf8(&self.tag_name) {
            Ok(name) => LocalName::from(name),
            Err(_) => LocalName::from(String::from_utf8_lossy(&self.tag_name)),
        };
        let start = self.tag_kind == TagKind::StartTag;
        self.discard = false;
        if start {
            self.start_tags += 1;
            std::mem::swap(&mut self.last_start_tag, &mut self.tag_name);
        }
        if self.builder.sink.nodes() > NODES_MAX {
            self.attributes.clear();
            return None;
        }
        let own = !self.own.is_empty() || (start && (self.own_for_good || self.is_too_deep()));
        let state = if own && self.handle_own_tag(&name) {
            if start { own_next_state(&name) } else { None }
        } else {
            let attrs = std::mem::take(&mut self.attributes);
            let tag = Tag {
                kind: self.tag_kind,
                name: name.clone(),
                self_closing: self.self_closing,
                attrs,
                had_duplicate_attributes: false,
            };
            match self.builder.process_token(Token::TagToken(tag), 1) {
                TokenSinkResult::Continue | TokenSinkResult::EncodingIndicator(_) => None,
                TokenSinkResult::Script(_) => Some(State::Data),
                TokenSinkResult::Plaintext => Some(State::PlainText),
                TokenSinkResult::RawData(RawKind::Rcdata) => Some(State::RcData),
                TokenSinkResult::RawData(RawKind::Rawtext) => Some(State::RawText),
                TokenSinkResult::RawData(_) => Some(State::ScriptData),
            }
        };
        self.discard =
            state.is_some() && matches!(&*name, "script" | "noscript" | "iframe" | "noembed" | "noframes");
        state
    }
}
