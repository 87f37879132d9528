//! Scans source code by its syntax tree.
//!
//! A node that starts a line is a cut: top-level items first, then members of types, then blocks inside them,
//! then lines. Comments and attributes stay with the item that follows. Named items open sections, so that a
//! chunk knows its function and its type.
//!
//! Limits: text above [`CODE_BYTES_MAX`], or text that costs the parser more than its steps, is cut at blank
//! lines and lines. Steps are counted, not timed, so the same text gives the same chunks. Only
//! [`NESTED_CUTS_MAX`] levels of nodes are visited, and only nodes above [`NODE_BYTES_MIN`] are entered.

use std::ops::ControlFlow;

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree, TreeCursor};

use super::boundary::{BoundaryLevel, ROOT_SECTION, TextOutline, scan_lines, scan_plain_text};

/// Largest text that is parsed.
pub(super) const CODE_BYTES_MAX: usize = 4 << 20;
/// Smallest node whose children are visited.
const NODE_BYTES_MIN: usize = 200;
/// Deepest level of cuts: items, members, and two of blocks.
const NESTED_CUTS_MAX: usize = 4;
/// Depth of the deepest visited node. It bounds the recursion.
const TREE_DEPTH_MAX: usize = 64;
/// Progress reports that any parse may make. The parser reports once in 100 steps. Together with one report
/// for every [`BYTES_PER_REPORT`] bytes this suffices for 1.5 MB of valid Rust, C or Python.
const REPORTS_MIN: usize = 1000;
/// Bytes that allow one further progress report.
const BYTES_PER_REPORT: usize = 32;

/// A language whose grammar is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CodeLanguage {
    Rust,
    Python,
    JavaScript,
    TypeScript,
    Tsx,
    Go,
    Java,
    C,
}

impl CodeLanguage {
    fn grammar(self) -> tree_sitter::Language {
        match self {
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::Go => tree_sitter_go::LANGUAGE.into(),
            Self::Java => tree_sitter_java::LANGUAGE.into(),
            Self::C => tree_sitter_c::LANGUAGE.into(),
        }
    }
}

/// Adds the cuts and sections of a source file.
pub(super) fn scan_code(text: &str, language: CodeLanguage, outline: &mut TextOutline) {
    let everything = 0..text.len();
    match parse_code(text, language) {
        Some(tree) => {
            let mut scan = CodeScanner { text, outline, attached: None };
            scan.children(
                &mut tree.walk(),
                TreeWalkState { cuts: 0, cut_at: None, depth: 0, section: ROOT_SECTION },
            );
            scan_lines(text, std::slice::from_ref(&everything), outline);
        }
        // Too large, or the parser exceeded its steps: lines are better than no cuts.
        None => scan_plain_text(text, outline),
    }
}

fn parse_code(text: &str, language: CodeLanguage) -> Option<Tree> {
    if text.len() > CODE_BYTES_MAX {
        return None;
    }
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()).ok()?;
    let mut reports_left = REPORTS_MIN + text.len() / BYTES_PER_REPORT;
    let mut progress = |_: &ParseState| {
        reports_left = reports_left.saturating_sub(1);
        if reports_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let bytes = text.as_bytes();
    // The parser also asks at the end of the text; the empty slice tells it so.
    parser.parse_with_options(&mut |offset, _| bytes.get(offset..).unwrap_or_default(), None, Some(options))
}

/// State of the walk: number of cuts above and the last of them, depth, and section.
#[derive(Clone, Copy)]
struct TreeWalkState {
    cuts: usize,
    cut_at: Option<usize>,
    depth: usize,
    section: usize,
}

struct CodeScanner<'a> {
    text: &'a str,
    outline: &'a mut TextOutline,
    /// The comments and attributes just passed: start of the first line, and end of the last.
    attached: Option<(usize, usize)>,
}

impl CodeScanner<'_> {
    /// Visits the children of the cursor's node. The recursion ends at [`TREE_DEPTH_MAX`].
    fn children(&mut self, cursor: &mut TreeCursor<'_>, place: TreeWalkState) {
        if place.depth >= TREE_DEPTH_MAX || !cursor.goto_first_child() {
            return;
        }
        loop {
            let node = cursor.node();
            if node.is_named() {
                self.node(cursor, node, place);
            }
            if !cursor.goto_next_sibling() {
                break;
            }
        }
        cursor.goto_parent();
    }

    fn node(&mut self, cursor: &mut TreeCursor<'_>, node: Node<'_>, place: TreeWalkState) {
        let starts_line = line_start(self.text, node.start_byte());
        if is_attachment(node.kind()) {
            if let Some(start) = starts_line {
                let first = self.attached_to(start).unwrap_or(start);
                self.attached = Some((first, node.end_byte()));
            }
            return;
        }
        let large = node.end_byte() - node.start_byte() >= NODE_BYTES_MIN;
        let mut inside = TreeWalkState { depth: place.depth + 1, ..place };
        let mut sectioned = false;
        let cut = starts_line.map(|start| self.attached_to(start).unwrap_or(start));
        // A wrapper, such as a decorated definition, starts where its item starts and must not count twice.
        if let Some(at) = cut.filter(|_| cut != place.cut_at) {
            self.outline.cut(at, cut_level(place.cuts, node.kind()));
            inside.cuts += 1;
            inside.cut_at = cut;
            if let Some(name) = item_name(node, self.text).filter(|_| large || place.cuts == 0) {
                inside.section = self.outline.enter(at, name, place.section);
                sectioned = true;
            }
        }
        // Comments belong only to the node right behind them.
        self.attached = None;
        if large && inside.cuts < NESTED_CUTS_MAX {
            self.children(cursor, inside);
        }
        // Behind the item the enclosing section applies again. The walk is in text order, so turns ascend.
        if sectioned {
            self.outline.turns.push((node.end_byte(), place.section));
        }
    }

    /// Returns the start of the comments that end right above `start`.
    fn attached_to(&self, start: usize) -> Option<usize> {
        let (first, end) = self.attached?;
        let between = self.text.get(end..start)?;
        (between.trim().is_empty() && between.matches('\n').count() <= 1).then_some(first)
    }
}

fn cut_level(cuts_above: usize, kind: &str) -> BoundaryLevel {
    match cuts_above {
        0 => BoundaryLevel::Block,
        _ if is_member(kind) => BoundaryLevel::Item,
        _ => BoundaryLevel::Inner,
    }
}

/// Whether a kind of node is a named part of a file or type, and not a statement of a function.
fn is_member(kind: &str) -> bool {
    ["_item", "_definition", "_declaration"].iter().any(|end| kind.ends_with(end))
        && !["let_", "lexical", "variable", "var_"].iter().any(|part| kind.contains(part))
}

/// Whether a kind of node belongs to the next node: comments, attributes, decorators.
fn is_attachment(kind: &str) -> bool {
    kind.ends_with("comment") || matches!(kind, "attribute_item" | "decorator")
}

/// Returns the name of an item: its `name`, the `type` of a Rust `impl`, or that of a C `declarator`.
fn item_name<'a>(node: Node<'_>, text: &'a str) -> Option<&'a str> {
    let kind = node.kind();
    let is_item =
        ["_item", "_definition", "_declaration", "_statement"].iter().any(|end| kind.ends_with(end));
    if !is_item || ["import", "field", "expression"].iter().any(|part| kind.contains(part)) {
        return None;
    }
    // Decorators and `export` wrap the item that has the name.
    let node = node
        .child_by_field_name("definition")
        .or_else(|| node.child_by_field_name("declaration"))
        .unwrap_or(node);
    let mut named = node
        .child_by_field_name("name")
        .or_else(|| node.child_by_field_name("declarator"))
        .or_else(|| node.child_by_field_name("type").filter(|_| kind == "impl_item"))?;
    // C declarators nest: a pointer to a function with parameters has its name innermost.
    for _ in 0..TREE_DEPTH_MAX {
        let Some(inner) = named.child_by_field_name("declarator") else { break };
        named = inner;
    }
    text.get(named.byte_range())
}

/// Returns the start of the line of `at`, if only indentation precedes it.
fn line_start(text: &str, at: usize) -> Option<usize> {
    let before = text[..at].trim_end_matches([' ', '\t']);
    (before.is_empty() || before.ends_with('\n')).then_some(before.len())
}
