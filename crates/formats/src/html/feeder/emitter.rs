//! What html5gum calls at every piece of a token: where it stands, and what it says.

use std::convert::Infallible;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Doctype, TagKind, Token, TokenSink};
use html5gum::{Emitter, Error, State};

use super::HtmlTreeFeeder;
use super::attributes::ATTRIBUTE_BYTES_MAX;

impl Emitter for &mut HtmlTreeFeeder<'_> {
    type Token = Infallible;

    fn set_last_start_tag(&mut self, last_start_tag: Option<&[u8]>) {
        self.last_start_tag.clear();
        self.last_start_tag.extend_from_slice(last_start_tag.unwrap_or_default());
    }

    fn emit_eof(&mut self) {
        self.flush_text();
        let _ = self.builder.process_token(Token::EOFToken, 1);
        self.builder.end();
    }

    fn emit_error(&mut self, _: Error) {}

    fn should_emit_errors(&mut self) -> bool {
        false
    }

    fn pop_token(&mut self) -> Option<Infallible> {
        None
    }

    fn emit_string(&mut self, decoded: &[u8]) {
        // A NUL is no text anywhere.
        if self.discard || decoded == b"\0" {
            return;
        }
        let bytes = self.source.as_bytes();
        let end = self.position.min(bytes.len());
        if let Some(start) = end.checked_sub(decoded.len())
            && (std::ptr::eq(&raw const bytes[start..end], decoded) || &bytes[start..end] == decoded)
            && start >= self.text_end
        {
            self.add_piece(decoded, start..end, true);
            return;
        }
        let start = self.text_end.min(end);
        // Characters that turn out to begin no reference or tag are emitted one byte late.
        let is_reference = decoded[0] == b'&' && memchr::memchr(b';', &bytes[start..end]).is_some();
        if bytes[start..].starts_with(decoded) && !is_reference {
            self.add_piece(decoded, start..start + decoded.len(), true);
        } else {
            self.add_piece(decoded, start..end, false);
        }
    }

    fn init_start_tag(&mut self) {
        self.tag_kind = TagKind::StartTag;
        self.tag_name.clear();
        self.attributes.clear();
        self.self_closing = false;
    }

    fn init_end_tag(&mut self) {
        self.tag_kind = TagKind::EndTag;
        self.tag_name.clear();
        self.attributes.clear();
        self.self_closing = false;
    }

    fn init_comment(&mut self) {}

    fn emit_current_tag(&mut self) -> Option<State> {
        self.handle_tag()
    }

    fn emit_current_comment(&mut self) {
        self.flush_text();
        self.text_end = self.position;
        // Comments matter to the tree builder only in that text on both sides is apart.
        if self.own.is_empty() {
            let _ = self.builder.process_token(Token::CommentToken(StrTendril::new()), 1);
        }
    }

    fn emit_current_doctype(&mut self) {
        self.flush_text();
        self.text_end = self.position;
        let doctype = std::mem::take(&mut self.doctype);
        let _ = self.builder.process_token(Token::DoctypeToken(doctype), 1);
    }

    fn set_self_closing(&mut self) {
        self.self_closing = true;
    }

    fn set_force_quirks(&mut self) {
        self.doctype.force_quirks = true;
    }

    fn push_tag_name(&mut self, name: &[u8]) {
        self.tag_name.extend_from_slice(name);
    }

    fn push_comment(&mut self, _: &[u8]) {}

    fn push_doctype_name(&mut self, name: &[u8]) {
        let name = String::from_utf8_lossy(name);
        self.doctype.name.get_or_insert_with(StrTendril::new).push_slice(&name);
    }

    fn init_doctype(&mut self) {
        self.doctype = Doctype::default();
    }

    fn init_attribute(&mut self) {
        self.flush_attribute();
    }

    fn push_attribute_name(&mut self, name: &[u8]) {
        self.attribute_name.extend_from_slice(name);
    }

    fn push_attribute_value(&mut self, value: &[u8]) {
        if self.attribute_value.len() < ATTRIBUTE_BYTES_MAX {
            self.attribute_value.extend_from_slice(value);
        }
    }

    fn set_doctype_public_identifier(&mut self, value: &[u8]) {
        self.doctype.public_id = Some(StrTendril::from_slice(&String::from_utf8_lossy(value)));
    }

    fn set_doctype_system_identifier(&mut self, value: &[u8]) {
        self.doctype.system_id = Some(StrTendril::from_slice(&String::from_utf8_lossy(value)));
    }

    fn push_doctype_public_identifier(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        self.doctype.public_id.get_or_insert_with(StrTendril::new).push_slice(&value);
    }

    fn push_doctype_system_identifier(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        self.doctype.system_id.get_or_insert_with(StrTendril::new).push_slice(&value);
    }

    fn start_open_tag(&mut self) {
        self.tag_start = self.position.saturating_sub(1);
    }

    fn current_is_appropriate_end_tag_token(&mut self) -> bool {
        self.tag_kind == TagKind::EndTag
            && !self.last_start_tag.is_empty()
            && self.last_start_tag == self.tag_name
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&mut self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }

    fn move_position(&mut self, offset: isize) {
        self.position = self.position.saturating_add_signed(offset);
    }
}
