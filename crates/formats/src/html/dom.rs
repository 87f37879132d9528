//! The tree of a page: an arena that html5ever's tree builder fills.
//!
//! Nodes are numbers, links are numbers, nothing is freed and nothing recurses. Every element knows the bytes
//! of the tag that made it, every text node the bytes of the source that it stands for: text that was decoded
//! is cut into nodes where it differs from its source. The content of a `template` is no child of its element.

use std::ops::Range;

use html5ever::{Attribute, LocalName};

/// The document, above `<html>`.
pub(super) const HTML_DOCUMENT_NODE: usize = 0;
const NO_NODE: u32 = u32::MAX;

/// What a node is.
#[derive(Debug)]
pub(super) enum HtmlNodeContent {
    /// The document, a comment, or what holds the content of a template.
    Other,
    /// An element.
    Element(HtmlElement),
    /// Text.
    Text(HtmlTextPiece),
}

/// An element with those of its attributes that this module reads.
#[derive(Debug)]
pub(super) struct HtmlElement {
    /// Lower-case name.
    pub(super) name: LocalName,
    /// Whether it is HTML, not SVG or `MathML`.
    pub(super) is_html: bool,
    /// Attributes in their order.
    pub(super) attributes: Vec<Attribute>,
}

/// Text that either equals its source or stands for it as a whole.
#[derive(Debug, Clone)]
pub(super) struct HtmlTextPiece {
    /// The bytes of the source.
    pub(super) source: Range<usize>,
    /// The text, where it differs from the source.
    pub(super) decoded: Option<Box<str>>,
}

impl HtmlTextPiece {
    /// The text.
    pub(super) fn text<'a>(&'a self, source: &'a str) -> &'a str {
        self.decoded.as_deref().unwrap_or_else(|| &source[self.source.clone()])
    }
}

#[derive(Debug)]
struct HtmlNode {
    parent: u32,
    first_child: u32,
    last_child: u32,
    previous: u32,
    next: u32,
    tag: Range<usize>,
    content: HtmlNodeContent,
}

/// The tree.
#[derive(Debug, Default)]
pub(super) struct HtmlDom {
    nodes: Vec<HtmlNode>,
}

fn known(node: u32) -> Option<usize> {
    (node != NO_NODE).then_some(node as usize)
}

/// Nodes are numbered with 32 bits: the feeder stops before a page has as many.
fn number(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(NO_NODE)
}

impl HtmlDom {
    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn parent(&self, node: usize) -> Option<usize> {
        known(self.nodes[node].parent)
    }

    pub(super) fn first_child(&self, node: usize) -> Option<usize> {
        known(self.nodes[node].first_child)
    }

    pub(super) fn next_sibling(&self, node: usize) -> Option<usize> {
        known(self.nodes[node].next)
    }

    pub(super) fn previous_sibling(&self, node: usize) -> Option<usize> {
        known(self.nodes[node].previous)
    }

    pub(super) fn children(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.first_child(node), |&child| self.next_sibling(child))
    }

    /// Parents, from the nearest.
    pub(super) fn ancestors(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.parent(node), |&above| self.parent(above))
    }

    /// The node behind `node` in document order below `root`; `descend` says whether its children count.
    pub(super) fn following(&self, node: usize, root: usize, descend: bool) -> Option<usize> {
        if descend && let Some(child) = self.first_child(node) {
            return Some(child);
        }
        let mut at = node;
        while at != root {
            if let Some(next) = self.next_sibling(at) {
                return Some(next);
            }
            at = self.parent(at)?;
        }
        None
    }

    /// `root` and what is below it, in document order.
    pub(super) fn subtree(&self, root: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(root), move |&node| self.following(node, root, true))
    }

    pub(super) fn content(&self, node: usize) -> &HtmlNodeContent {
        &self.nodes[node].content
    }

    pub(super) fn element(&self, node: usize) -> Option<&HtmlElement> {
        match &self.nodes[node].content {
            HtmlNodeContent::Element(element) => Some(element),
            _ => None,
        }
    }

    /// The name of an HTML element; empty for everything else.
    pub(super) fn name(&self, node: usize) -> &str {
        self.element(node).filter(|element| element.is_html).map_or("", |element| &element.name)
    }

    /// Whether an element has any attributes.
    pub(super) fn has_attributes(&self, node: usize) -> bool {
        self.element(node).is_some_and(|element| !element.attributes.is_empty())
    }

    pub(super) fn attribute(&self, node: usize, name: &str) -> Option<&str> {
        let attributes = &self.element(node)?.attributes;
        attributes.iter().find(|attribute| &*attribute.name.local == name).map(|found| &*found.value)
    }

    /// The words of the `class` attribute.
    pub(super) fn classes(&self, node: usize) -> impl Iterator<Item = &str> {
        self.attribute(node, "class").unwrap_or_default().split_ascii_whitespace()
    }

    /// The bytes of the tag that made an element, or the place of one if the tag is very long.
    pub(super) fn tag(&self, node: usize) -> Range<usize> {
        self.nodes[node].tag.clone()
    }

    pub(super) fn element_mut(&mut self, node: usize) -> Option<&mut HtmlElement> {
        match &mut self.nodes[node].content {
            HtmlNodeContent::Element(element) => Some(element),
            _ => None,
        }
    }

    pub(super) fn create(&mut self, content: HtmlNodeContent, tag: Range<usize>) -> usize {
        let created = self.nodes.len();
        self.nodes.push(HtmlNode {
            parent: NO_NODE,
            first_child: NO_NODE,
            last_child: NO_NODE,
            previous: NO_NODE,
            next: NO_NODE,
            tag,
            content,
        });
        created
    }

    pub(super) fn detach(&mut self, node: usize) {
        let HtmlNode { parent, previous, next, .. } = self.nodes[node];
        match known(previous) {
            Some(previous) => self.nodes[previous].next = next,
            None if parent != NO_NODE => self.nodes[parent as usize].first_child = next,
            None => {}
        }
        match known(next) {
            Some(next) => self.nodes[next].previous = previous,
            None if parent != NO_NODE => self.nodes[parent as usize].last_child = previous,
            None => {}
        }
        let node = &mut self.nodes[node];
        (node.parent, node.previous, node.next) = (NO_NODE, NO_NODE, NO_NODE);
    }

    pub(super) fn append_child(&mut self, parent: usize, child: usize) {
        self.detach(child);
        let last = self.nodes[parent].last_child;
        self.nodes[child].parent = number(parent);
        self.nodes[child].previous = last;
        match known(last) {
            Some(last) => self.nodes[last].next = number(child),
            None => self.nodes[parent].first_child = number(child),
        }
        self.nodes[parent].last_child = number(child);
    }

    pub(super) fn insert_before(&mut self, sibling: usize, child: usize) {
        self.detach(child);
        let HtmlNode { parent, previous, .. } = self.nodes[sibling];
        self.nodes[child].parent = parent;
        self.nodes[child].previous = previous;
        self.nodes[child].next = number(sibling);
        self.nodes[sibling].previous = number(child);
        match known(previous) {
            Some(previous) => self.nodes[previous].next = number(child),
            None if parent != NO_NODE => self.nodes[parent as usize].first_child = number(child),
            None => {}
        }
    }
}
