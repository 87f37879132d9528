//! Atoms: the sentences and lines of the candidates, the smallest parts that are selected.
//!
//! Candidates of one document version that overlap or touch form a *region*. Their text is joined
//! byte for byte, and atoms tile it. An atom ends at the end of a sentence, at the end of a line
//! that is not merely wrapped, and wherever a candidate starts or ends. So a candidate is a run of
//! whole atoms, and bytes that two candidates share belong to one atom: overlap is paid once.
//! Short sentences stay together ([`ATOM_BYTES_MIN`]). Text is never cut inside a code fence,
//! before an indented line or a closing bracket, or after a Markdown heading. A row of a table is an
//! atom of its own, and the header of a table, with the dashes below it, another; a passage that begins
//! with a row has the header in its heading ([`heading_at`]).

use std::borrow::Cow;
use std::ops::Range;

use super::candidates::{RankedCandidate, heading_at, in_document_order};
use crate::domain::chunk::{TextSpan, is_table_delimiter, is_table_header};
use crate::domain::sentences::{is_wrapped_line, sentence_ends_from};

/// Fewest bytes of an atom. Chosen on the two evaluation sets of the README: recall is flat from 80
/// to 160.
const ATOM_BYTES_MIN: usize = 120;
/// The last atom of a candidate joins the one before if it has fewer bytes.
const TAIL_BYTES_MIN: usize = 72;
/// Most bytes from a full stop to the end of its sentence: closing quotes, brackets and white space.
/// A search that starts this far ahead misses no sentence end.
const CLOSERS_BYTES_MAX: usize = 16;

/// A part of a region.
#[derive(Debug, Clone)]
pub(super) struct TextAtom {
    pub(super) region: usize,
    /// Number of its document version.
    pub(super) group: usize,
    /// Where it stands in the document.
    pub(super) span: TextSpan,
    /// Index of the best candidate that covers it.
    pub(super) item: usize,
    /// How well it answers the question, relative to the best atom; at most 1.
    pub(super) relevance: f64,
    /// What it adds to the objective.
    pub(super) gain: f64,
    /// The atom whose text it repeats, if any.
    pub(super) repeats: Option<usize>,
    /// The heading of a passage that begins with it, where that is not its candidate's.
    pub(super) heading: Option<String>,
}

/// Candidates of one document version with no gap between them.
pub(super) struct ContiguousRegion<'a> {
    pub(super) text: Cow<'a, str>,
    /// Offset of its first byte in the document.
    pub(super) start: usize,
    pub(super) atoms: Range<usize>,
}

/// All atoms, ordered by region and offset.
pub(super) struct AtomizedCandidates<'a> {
    pub(super) atoms: Vec<TextAtom>,
    pub(super) regions: Vec<ContiguousRegion<'a>>,
}

impl AtomizedCandidates<'_> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.atoms.len()
    }

    /// Number of document versions.
    pub(super) fn groups(&self) -> usize {
        self.atoms.iter().map(|atom| atom.group + 1).max().unwrap_or(0)
    }

    /// The heading of a passage that begins with an atom.
    pub(super) fn heading<'s>(&'s self, items: &'s [RankedCandidate], index: usize) -> &'s str {
        let atom = &self.atoms[index];
        atom.heading.as_deref().unwrap_or(&items[atom.item].heading)
    }

    #[inline]
    pub(super) fn text(&self, index: usize) -> &str {
        let atom = &self.atoms[index];
        self.slice(atom.region, atom.span)
    }

    /// Text of a part of a region; the span is in bytes of the document.
    #[inline]
    pub(super) fn slice(&self, region: usize, span: TextSpan) -> &str {
        let ContiguousRegion { text, start, .. } = &self.regions[region];
        &text[span.start - start..span.end - start]
    }

    /// Whether an atom and the next one touch.
    #[inline]
    pub(super) fn touches_next(&self, index: usize) -> bool {
        self.atoms.get(index + 1).is_some_and(|next| next.region == self.atoms[index].region)
    }

    /// Whether an atom and the one before touch.
    #[inline]
    pub(super) fn touches_previous(&self, index: usize) -> bool {
        index > 0 && self.touches_next(index - 1)
    }
}

/// Cuts the live candidates into atoms and sets each candidate's range of atoms.
pub(super) fn cut_into_atoms<'a>(items: &mut [RankedCandidate<'a>]) -> AtomizedCandidates<'a> {
    let order = in_document_order(items);
    let mut all = AtomizedCandidates { atoms: Vec::new(), regions: Vec::new() };
    let mut from = 0;
    while from < order.len() {
        let mut end = items[order[from]].chunk.span.end;
        let mut to = from + 1;
        while to < order.len() && joins_region(&items[order[from]], end, &items[order[to]]) {
            end = end.max(items[order[to]].chunk.span.end);
            to += 1;
        }
        add_region(&mut all, items, &order[from..to]);
        from = to;
    }
    all
}

fn joins_region(first: &RankedCandidate, end: usize, next: &RankedCandidate) -> bool {
    first.group == next.group && next.chunk.span.start <= end
}

/// Adds one region. `members` are in document order and leave no gap.
fn add_region<'a>(all: &mut AtomizedCandidates<'a>, items: &mut [RankedCandidate<'a>], members: &[usize]) {
    let start = items[members[0]].chunk.span.start;
    let text = join_texts(items, members);
    let mut edges: Vec<usize> = members
        .iter()
        .flat_map(|index| [items[*index].chunk.span.start, items[*index].chunk.span.end])
        .map(|edge| edge - start)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let first_atom = all.atoms.len();
    let region = all.regions.len();
    // Between two edges the set of covering candidates is constant, so an atom belongs to all of them or
    // to none.
    for edge in edges.windows(2) {
        let segment = TextSpan { start: start + edge[0], end: start + edge[1] };
        let covers = |index: &&usize| {
            let span = items[**index].chunk.span;
            span.start <= segment.start && segment.end <= span.end
        };
        // Indices are ranks: the lowest is the best candidate.
        let Some(item) = members.iter().filter(covers).min().copied() else { continue };
        let chunk = items[item].chunk;
        // Of a part that begins within its chunk it is not known.
        let fence = chunk.open_fence.as_deref().filter(|_| segment.start == chunk.span.start);
        for piece in split_pieces(&text[edge[0]..edge[1]], fence) {
            let is_row = text[edge[0] + piece.start..].starts_with('|');
            let heading = is_row.then(|| heading_at(chunk, segment.start + piece.start));
            all.atoms.push(TextAtom {
                region,
                group: items[item].group,
                heading: heading.filter(|heading| *heading != items[item].heading),
                span: TextSpan { start: segment.start + piece.start, end: segment.start + piece.end },
                item,
                relevance: 0.0,
                gain: 0.0,
                repeats: None,
            });
        }
    }
    // Atoms ascend within the region and end at the candidate's edges: two binary searches find its range.
    let atoms = first_atom..all.atoms.len();
    for index in members {
        let span = items[*index].chunk.span;
        let own = &all.atoms[atoms.clone()];
        items[*index].atoms = first_atom + own.partition_point(|atom| atom.span.start < span.start)
            ..first_atom + own.partition_point(|atom| atom.span.start < span.end);
    }
    all.regions.push(ContiguousRegion { text, start, atoms });
}

/// The joined text of candidates without a gap. What they share is equal: `merge` rejected the rest.
fn join_texts<'a>(items: &[RankedCandidate<'a>], members: &[usize]) -> Cow<'a, str> {
    let first = items[members[0]].chunk;
    let mut text = Cow::Borrowed(first.text.as_str());
    let mut end = first.span.end;
    for index in &members[1..] {
        let chunk = items[*index].chunk;
        if chunk.span.end > end {
            // The slice cannot split a character: the shared bytes are equal, and `text` ends at a boundary.
            text.to_mut().push_str(&chunk.text[end - chunk.span.start..]);
            end = chunk.span.end;
        }
    }
    text
}

/// Ranges that tile a text, which is not empty. `open_fence` is the fence of the block of code that it begins in.
fn split_pieces(text: &str, open_fence: Option<&str>) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    let mut code = FenceState::new(open_fence);
    let mut line_start = 0;
    // End of the next sentence, as far as it is known. It is kept between lines, so each sentence is
    // searched for once.
    let mut sentence = 0;
    while line_start < text.len() {
        let line_end = memchr::memchr(b'\n', &text.as_bytes()[line_start..])
            .map_or(text.len(), |length| line_start + length + 1);
        let line = &text[line_start..line_end];
        let is_fence = code.read_line(line);
        let earliest = |start: usize| (start + ATOM_BYTES_MIN).max(line_start + 1);
        if !code.is_open() && !is_fence && earliest(start) < line_end && !is_rigid_line(line) {
            loop {
                if sentence < earliest(start) {
                    sentence = next_sentence_end(text, earliest(start));
                }
                if sentence >= line_end {
                    break;
                }
                pieces.push(start..sentence);
                start = sentence;
            }
        }
        // The line of a fence belongs to the code: the opening one is not cut off, nor the closing one.
        if line_end < text.len() && !code.is_open() {
            let enough = line_end - start >= ATOM_BYTES_MIN;
            let ends = match row_ending(&text[start..], text, line, line_end) {
                Some(ends) => ends,
                None => enough && may_end_atom(text, line, line_end),
            };
            if ends {
                pieces.push(start..line_end);
                start = line_end;
            }
        }
        line_start = line_end;
    }
    // A short rest would be an atom that says little for the price of a label. A row says what it says.
    let rest = &text[start..];
    match pieces.last_mut() {
        Some(last)
            if rest.trim().len() < TAIL_BYTES_MIN
                && !is_table_header(rest)
                && !text[last.start..].starts_with('|') =>
        {
            last.end = text.len();
        }
        _ => pieces.push(start..text.len()),
    }
    pieces
}

/// Whether an atom ends with a line of a table, or the blank lines behind it, that is not the last of the text; none
/// for any other line. `atom` begins where the atom does.
fn row_ending(atom: &str, text: &str, line: &str, line_end: usize) -> Option<bool> {
    let next = &text[line_end..];
    // Blank lines stay with the row before them; a header with the dashes below it.
    let before_dashes = || is_table_delimiter(next.lines().next().unwrap_or_default());
    let is_of_table = line.starts_with('|') || (line.trim().is_empty() && atom.starts_with('|'));
    is_of_table.then(|| !next.starts_with('\n') && !before_dashes())
}

/// Whether a text is inside of a fenced block of code (`CommonMark` 0.31, section 4.5).
struct FenceState {
    /// Sign and length of the opening fence.
    open: Option<(char, usize)>,
}

impl FenceState {
    fn new(open_fence: Option<&str>) -> Self {
        Self { open: open_fence.and_then(fence_of) }
    }

    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Reads the next line; returns whether it opens or closes a block.
    fn read_line(&mut self, line: &str) -> bool {
        let Some((sign, length)) = fence_of(line) else { return false };
        match self.open {
            None => self.open = Some((sign, length)),
            Some((open, least)) => {
                let closes =
                    sign == open && length >= least && line.trim().chars().all(|found| found == sign);
                if !closes {
                    return false;
                }
                self.open = None;
            }
        }
        true
    }
}

/// Sign and length of the fence that a line begins with.
fn fence_of(line: &str) -> Option<(char, usize)> {
    let line = line.trim_start();
    let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let length = line.chars().take_while(|found| *found == sign).count();
    (length >= 3).then_some((sign, length))
}

/// The first sentence end at or after `from`; the end of the text if there is none.
fn next_sentence_end(text: &str, from: usize) -> usize {
    let stops_from = from.saturating_sub(CLOSERS_BYTES_MAX);
    sentence_ends_from(text, stops_from).find(|end| *end >= from).unwrap_or(text.len())
}

/// Whether an atom may end with a line that is not the last.
fn may_end_atom(text: &str, line: &str, line_end: usize) -> bool {
    let next = &text[line_end..];
    let wraps = is_wrapped_line(text.as_bytes(), line_end - 1);
    // Blank lines stay with the text before them, a heading with the text after it.
    !wraps && !next.starts_with('\n') && !line.starts_with('#') && !is_rigid_line(next)
}

/// Whether a line stays with the one before and is not cut: indented, a closing bracket or a table row.
fn is_rigid_line(line: &str) -> bool {
    line.starts_with("  ") || line.starts_with(['\t', '|', '}', ')', ']'])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ATOM_BYTES_MIN, split_pieces};
    use crate::domain::sentences::sentence_ends;

    fn cut_into_atoms(text: &str) -> Vec<&str> {
        split_pieces(text, None).into_iter().map(|piece| &text[piece]).collect()
    }

    #[test]
    fn sentences_are_kept_whole_and_short_ones_together() {
        let long = "This sentence is long enough to stand alone, since it goes on and on until it has more \
                    than a hundred and twenty bytes. ";
        let text = format!("{long}{long}Short. {long}");
        assert_eq!(cut_into_atoms(&text), [long.to_owned(), long.to_owned(), format!("Short. {long}")]);
    }

    #[test]
    fn code_is_not_cut() {
        let code = format!("```rust\n{}```\n", "let one = two. Three();\n".repeat(20));
        assert_eq!(cut_into_atoms(&code), [code.as_str()]);
        let function = format!("fn run() {{\n{}}}\n", "    call(\"one. Two\");\n".repeat(20));
        assert_eq!(cut_into_atoms(&function), [function.as_str()]);
    }

    #[test]
    fn rows_of_a_table_stand_alone() {
        let text = "| Plan | Seats |\n|---|---|\n| A. B | 1 |\n| C | 2 |\n\nA text behind the table.\n";
        let (header, rows) = ("| Plan | Seats |\n|---|---|\n", ["| A. B | 1 |\n", "| C | 2 |\n\n"]);
        assert_eq!(cut_into_atoms(text)[..3], [header, rows[0], rows[1]][..3]);
        assert_eq!(cut_into_atoms(&format!("{}{}", rows[0], rows[0])), [rows[0], rows[0]]);
    }

    #[test]
    fn text_behind_code_that_began_before_is_cut_off() {
        let prose = "This sentence stands behind the code, and is long enough to be an atom of its own, since it goes on and on.\n";
        let text =
            format!("let one = 1;\nlet two = 2;\n{}```\n\n{prose}{prose}", "let more = 3;\n".repeat(9));
        let pieces =
            |fence| split_pieces(&text, fence).into_iter().map(|piece| &text[piece]).collect::<Vec<_>>();
        assert!(pieces(Some("```"))[1].starts_with("This sentence"), "{:?}", pieces(Some("```")));
        let nested = text.replace("```", "```\n````");
        let found = split_pieces(&nested, Some("````"));
        assert!(nested[found[1].clone()].starts_with("This sentence"), "a shorter fence closes nothing");
    }

    #[test]
    fn pieces_tile_the_text() {
        for text in ["x", " ", "\n\n", "a. B. C.", &"word ".repeat(200), &"One two. Three! ".repeat(50)] {
            assert_eq!(cut_into_atoms(text).concat(), text);
        }
    }

    #[test]
    fn sentences_end_where_a_walk_over_the_whole_text_ends_them() {
        let sentence =
            "He said (\"why not?\"), e.g. in part 3.10 of it, and left.\" Then \u{201C}nothing.\u{201D} ";
        for text in
            [sentence.repeat(9), sentence.repeat(9).replace(". ", ".  ... "), "A! b? C. d.".repeat(40)]
        {
            let ends: BTreeSet<usize> = sentence_ends(&text).collect();
            let mut pieces = split_pieces(&text, None);
            pieces.pop();
            for piece in pieces {
                assert_eq!(ends.range(piece.start + ATOM_BYTES_MIN..).next(), Some(&piece.end));
            }
        }
    }
}
