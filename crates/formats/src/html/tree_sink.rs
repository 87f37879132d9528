//! What html5ever's tree builder writes to: the arena of `dom`, with the places of tags and text.
//!
//! The tree builder splits text tokens at white space, drops parts of them and moves them in front of tables, but
//! keeps their order: a part is found again behind the one before it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::Range;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, ExpandedName, LocalName, Namespace, QualName, ns};

use super::dom::{HTML_DOCUMENT_NODE, HtmlDom, HtmlElement, HtmlNodeContent, HtmlTextPiece};

/// A node as the tree builder holds it: with its name, which the builder asks for all the time.
#[derive(Debug, Clone)]
pub(super) struct HtmlNodeHandle {
    node: usize,
    namespace: Namespace,
    local: LocalName,
}

/// The text token that the tree builder is working on, and how far it has placed it.
#[derive(Debug, Default)]
struct HtmlTextToken {
    text: StrTendril,
    /// Consecutive pieces: end in `text`, and what they stand for.
    pieces: Vec<(usize, HtmlTextPiece)>,
    placed: usize,
}

/// What html5ever's tree builder writes to.
#[derive(Debug)]
pub(super) struct HtmlTreeSink {
    dom: RefCell<HtmlDom>,
    tag: RefCell<Range<usize>>,
    token: RefCell<HtmlTextToken>,
    elements: Cell<usize>,
    comment_parent: Cell<usize>,
}

impl HtmlTreeSink {
    pub(super) fn new() -> Self {
        let mut dom = HtmlDom::default();
        dom.create(HtmlNodeContent::Other, 0..0);
        Self {
            dom: RefCell::new(dom),
            tag: RefCell::new(0..0),
            token: RefCell::default(),
            elements: Cell::new(0),
            comment_parent: Cell::new(HTML_DOCUMENT_NODE),
        }
    }

    /// Says which bytes the next tokens come from.
    pub(super) fn set_tag(&self, tag: Range<usize>) {
        *self.tag.borrow_mut() = tag;
    }

    /// Says what the next text token consists of. The pieces are taken; what is left in their place has none.
    pub(super) fn set_text(&self, text: StrTendril, pieces: &mut Vec<(usize, HtmlTextPiece)>) {
        let mut token = self.token.borrow_mut();
        token.pieces.clear();
        std::mem::swap(&mut token.pieces, pieces);
        (token.text, token.placed) = (text, 0);
    }

    /// Elements created so far.
    pub(super) fn elements(&self) -> usize {
        self.elements.get()
    }

    /// Nodes created so far.
    pub(super) fn nodes(&self) -> usize {
        self.dom.borrow().len()
    }

    /// Where the last comment was put.
    pub(super) fn comment_parent(&self) -> usize {
        self.comment_parent.get()
    }

    /// Adds an element without the tree builder.
    pub(super) fn append_element(&self, parent: usize, name: LocalName, attributes: Vec<Attribute>) -> usize {
        let tag = self.tag.borrow().clone();
        let mut dom = self.dom.borrow_mut();
        let element = HtmlElement { name, is_html: true, attributes };
        let created = dom.create(HtmlNodeContent::Element(element), tag);
        dom.append_child(parent, created);
        created
    }

    /// Adds text without the tree builder.
    pub(super) fn append_piece(&self, parent: usize, piece: HtmlTextPiece) {
        let mut dom = self.dom.borrow_mut();
        let created = dom.create(HtmlNodeContent::Text(piece), 0..0);
        dom.append_child(parent, created);
    }

    /// Creates the text nodes of a part of the current token and places each with `place`.
    fn place_text(&self, text: &str, mut place: impl FnMut(&mut HtmlDom, usize)) {
        let token = &mut *self.token.borrow_mut();
        let dom = &mut *self.dom.borrow_mut();
        let mut add = |piece: HtmlTextPiece| {
            let node = dom.create(HtmlNodeContent::Text(piece), 0..0);
            place(dom, node);
        };
        // The tree builder splits tokens and drops parts, but keeps their order.
        let rest = &token.text[token.placed..];
        let found = [0, 1]
            .into_iter()
            .find(|&skipped| rest.get(skipped..).is_some_and(|rest| rest.starts_with(text)));
        let Some(skipped) = found.or_else(|| rest.find(text)) else {
            add(HtmlTextPiece { source: self.tag.borrow().clone(), decoded: Some(text.into()) });
            return;
        };
        let from = token.placed + skipped;
        let to = from + text.len();
        token.placed = to;
        let first = token.pieces.partition_point(|(end, _)| *end <= from);
        let mut start = first.checked_sub(1).map_or(0, |before| token.pieces[before].0);
        for (end, piece) in &token.pieces[first..] {
            if start >= to {
                break;
            }
            let (left, right) = (from.max(start), to.min(*end));
            add(match &piece.decoded {
                Some(_) => HtmlTextPiece {
                    source: piece.source.clone(),
                    decoded: Some(token.text[left..right].into()),
                },
                None => HtmlTextPiece {
                    source: piece.source.start + (left - start)..piece.source.start + (right - start),
                    decoded: None,
                },
            });
            start = *end;
        }
    }

    /// Places a child, or the nodes of a text, with `place`.
    fn place(&self, child: NodeOrText<HtmlNodeHandle>, mut place: impl FnMut(&mut HtmlDom, usize)) {
        match child {
            NodeOrText::AppendNode(handle) => place(&mut self.dom.borrow_mut(), handle.node),
            NodeOrText::AppendText(text) => self.place_text(&text, place),
        }
    }

    fn plain_handle(node: usize) -> HtmlNodeHandle {
        HtmlNodeHandle { node, namespace: ns!(), local: LocalName::default() }
    }
}

impl TreeSink for HtmlTreeSink {
    type Handle = HtmlNodeHandle;
    type Output = HtmlDom;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> HtmlDom {
        self.dom.into_inner()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> HtmlNodeHandle {
        Self::plain_handle(HTML_DOCUMENT_NODE)
    }

    fn elem_name<'a>(&'a self, target: &'a HtmlNodeHandle) -> ExpandedName<'a> {
        ExpandedName { ns: &target.namespace, local: &target.local }
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> HtmlNodeHandle {
        self.elements.set(self.elements.get() + 1);
        let mut dom = self.dom.borrow_mut();
        let element = HtmlElement { name: name.local.clone(), is_html: name.ns == ns!(html), attributes };
        let node = dom.create(HtmlNodeContent::Element(element), self.tag.borrow().clone());
        if flags.template {
            // The content of a template stands apart, right behind it in the arena.
            dom.create(HtmlNodeContent::Other, 0..0);
        }
        HtmlNodeHandle { node, namespace: name.ns, local: name.local }
    }

    fn create_comment(&self, _: StrTendril) -> HtmlNodeHandle {
        Self::plain_handle(self.dom.borrow_mut().create(HtmlNodeContent::Other, 0..0))
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> HtmlNodeHandle {
        Self::plain_handle(self.dom.borrow_mut().create(HtmlNodeContent::Other, 0..0))
    }

    fn append(&self, parent: &HtmlNodeHandle, child: NodeOrText<HtmlNodeHandle>) {
        self.place(child, |dom, node| {
            dom.append_child(parent.node, node);
            if matches!(dom.content(node), HtmlNodeContent::Other) {
                self.comment_parent.set(parent.node);
            }
        });
    }

    fn append_based_on_parent_node(
        &self,
        element: &HtmlNodeHandle,
        previous: &HtmlNodeHandle,
        child: NodeOrText<HtmlNodeHandle>,
    ) {
        if self.dom.borrow().parent(element.node).is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &HtmlNodeHandle) -> HtmlNodeHandle {
        Self::plain_handle(target.node + 1)
    }

    fn same_node(&self, left: &HtmlNodeHandle, right: &HtmlNodeHandle) -> bool {
        left.node == right.node
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &HtmlNodeHandle, child: NodeOrText<HtmlNodeHandle>) {
        self.place(child, |dom, node| dom.insert_before(sibling.node, node));
    }

    fn add_attrs_if_missing(&self, target: &HtmlNodeHandle, attributes: Vec<Attribute>) {
        let mut dom = self.dom.borrow_mut();
        if let Some(element) = dom.element_mut(target.node) {
            for attribute in attributes {
                if element.attributes.iter().all(|known| known.name != attribute.name) {
                    element.attributes.push(attribute);
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &HtmlNodeHandle) {
        self.dom.borrow_mut().detach(target.node);
    }

    fn reparent_children(&self, node: &HtmlNodeHandle, new_parent: &HtmlNodeHandle) {
        let mut dom = self.dom.borrow_mut();
        while let Some(child) = dom.first_child(node.node) {
            dom.append_child(new_parent.node, child);
        }
    }

    fn allow_declarative_shadow_roots(&self, _: &HtmlNodeHandle) -> bool {
        false
    }
}
