//! Interval algebra: spans of one document version become disjoint passages.
//!
//! Spans that overlap or touch are one passage, its text joined byte for byte. Blank lines at
//! both ends are cut and the span with them, so a passage's text is exactly its span's bytes.
//! Candidates whose text contradicts their span, or an overlapping candidate, are rejected
//! first: joining could otherwise invent text.

use super::select::Selection;
use super::{Citation, Item, Verdict};
use crate::context::answer::Passage;
use crate::domain::chunk::Span;

/// Passages in the order of the context, and what became of the chosen candidates.
pub(super) struct United {
    pub(super) passages: Vec<Passage>,
    /// By candidate; none for those not chosen.
    pub(super) verdicts: Vec<Option<Verdict>>,
}

/// A passage in the making.
struct Run {
    passage: Passage,
    group: usize,
    /// Best candidate of it.
    best: usize,
    members: Vec<usize>,
}

/// Marks candidates that cannot be joined with the rest of their document.
pub(super) fn reject_inconsistent(items: &mut [Item]) {
    for item in items.iter_mut() {
        let Span { start, end } = item.chunk.span;
        if end.checked_sub(start) != Some(item.chunk.text.len()) {
            item.verdict = Some(Verdict::Inconsistent);
        }
    }
    let mut furthest: Option<usize> = None;
    for index in in_document_order(items, |item| item.verdict.is_none()) {
        let item = &items[index];
        if let Some(before) = furthest.map(|at| &items[at]).filter(|before| overlaps(before, item)) {
            if !agree(before, item) {
                items[index].verdict = Some(Verdict::Inconsistent);
                continue;
            }
            if item.chunk.span.end <= before.chunk.span.end {
                continue;
            }
        }
        furthest = Some(index);
    }
}

/// Whether two candidates share bytes of one document version.
pub(super) fn overlaps(left: &Item, right: &Item) -> bool {
    let (first, second) = (left.chunk.span, right.chunk.span);
    left.group == right.group && first.start < second.end && second.start < first.end
}

/// Whether the bytes they share are equal; `before` starts first.
fn agree(before: &Item, item: &Item) -> bool {
    let skip = item.chunk.span.start - before.chunk.span.start;
    let tail = &before.chunk.text.as_bytes()[skip..];
    let shared = tail.len().min(item.chunk.text.len());
    tail[..shared] == item.chunk.text.as_bytes()[..shared]
}

/// Numbers of the wanted candidates by document and offset.
pub(super) fn in_document_order(items: &[Item], wanted: impl Fn(&Item) -> bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).filter(|index| wanted(&items[*index])).collect();
    order.sort_by_key(|index| (items[*index].group, items[*index].chunk.span, *index));
    order
}

/// Joins the chosen candidates; the best document comes first.
pub(super) fn unite(selection: &Selection, also: &[Vec<Citation>]) -> United {
    let items = selection.items();
    let mut runs: Vec<Run> = Vec::new();
    for index in selection.in_document_order() {
        match runs.last_mut().filter(|run| touches(run, &items[index])) {
            Some(run) => extend(run, index, &items[index]),
            None => runs.push(begin(index, &items[index])),
        }
    }
    let mut best_of_group = vec![usize::MAX; items.len()];
    for run in &runs {
        best_of_group[run.group] = best_of_group[run.group].min(run.best);
    }
    // Candidates are numbered by score, document and offset, so this order settles every tie.
    runs.sort_by_key(|run| (best_of_group[run.group], run.passage.span.start));

    let mut verdicts = vec![None; items.len()];
    let mut passages = Vec::with_capacity(runs.len());
    for (index, mut run) in runs.into_iter().enumerate() {
        let passage = index + 1;
        for member in &run.members {
            verdicts[*member] = Some(Verdict::MergedInto { passage });
            run.passage.also.extend_from_slice(&also[*member]);
        }
        verdicts[run.best] = Some(Verdict::Kept { passage });
        run.passage.also.sort();
        run.passage.also.dedup();
        trim(&mut run.passage);
        passages.push(run.passage);
    }
    United { passages, verdicts }
}

fn begin(index: usize, item: &Item) -> Run {
    let passage = Passage {
        document_id: item.chunk.document_id.clone(),
        version: item.chunk.version,
        span: item.chunk.span,
        heading: item.heading.clone(),
        score: item.score,
        text: item.chunk.text.clone(),
        also: Vec::new(),
    };
    Run { passage, group: item.group, best: index, members: vec![index] }
}

fn touches(run: &Run, item: &Item) -> bool {
    run.group == item.group && item.chunk.span.start <= run.passage.span.end
}

fn extend(run: &mut Run, index: usize, item: &Item) {
    let Span { start, end } = item.chunk.span;
    if end > run.passage.span.end {
        // Equal bytes on both sides: where the run ends is a character border here, too.
        run.passage.text.push_str(&item.chunk.text[run.passage.span.end - start..]);
        run.passage.span.end = end;
    }
    if index < run.best {
        run.best = index;
        run.passage.score = item.score;
    }
    run.members.push(index);
}

/// Cuts blank lines before and white space after the text; the first line keeps its indent.
fn trim(passage: &mut Passage) {
    let blank = passage.text.len() - passage.text.trim_start().len();
    let cut = passage.text[..blank].rfind('\n').map_or(0, |line_feed| line_feed + 1);
    passage.text.truncate(passage.text.trim_end().len());
    passage.text.drain(..cut);
    passage.span =
        Span { start: passage.span.start + cut, end: passage.span.start + cut + passage.text.len() };
}
