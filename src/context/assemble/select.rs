//! The greedy choice, evaluated lazily.
//!
//! A heap holds every candidate under its gain, or its gain per token. The top one is counted
//! when it comes up, and chosen when what it adds fits into what is left; else it is skipped
//! and the next one tried. A choice makes its neighbours cheaper, so they come up again.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::Item;
use super::prices::Prices;
use super::unite::in_document_order;
use crate::domain::chunk::Span;

/// Tokens of a passage's framing where it was not counted yet.
const FRAMING_TOKENS_GUESS: usize = 15;

/// By what candidates are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Gain for each token added.
    GainPerToken,
    /// Gain alone.
    Gain,
}

/// A set of chosen candidates and what it is estimated to cost.
#[derive(Clone)]
pub(super) struct Selection<'a> {
    items: &'a [Item<'a>],
    chosen: Vec<bool>,
    given_back: Vec<bool>,
    groups: Vec<Group<'a>>,
    passages: usize,
    backticks: usize,
    tokens: usize,
}

/// What is chosen of one document version.
#[derive(Clone, Default)]
struct Group<'a> {
    /// Disjoint, in order, not touching.
    runs: Vec<Span>,
    headings: Vec<&'a str>,
}

/// What choosing a candidate would change.
#[derive(Clone, Copy)]
struct Delta {
    added: usize,
    saved: usize,
}

impl Delta {
    fn net(self) -> usize {
        self.added.saturating_sub(self.saved)
    }
}

impl<'a> Selection<'a> {
    /// Nothing chosen.
    pub(super) fn new(items: &'a [Item<'a>]) -> Self {
        Self {
            items,
            chosen: vec![false; items.len()],
            given_back: vec![false; items.len()],
            groups: vec![Group::default(); items.len()],
            passages: 0,
            backticks: 0,
            tokens: 0,
        }
    }

    pub(super) fn items(&self) -> &'a [Item<'a>] {
        self.items
    }

    /// Estimated tokens.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Chosen candidates.
    pub(super) fn count(&self) -> usize {
        self.chosen.iter().filter(|chosen| **chosen).count()
    }

    /// The objective.
    pub(super) fn gain(&self) -> f64 {
        self.items.iter().zip(&self.chosen).filter(|(_, chosen)| **chosen).map(|(item, _)| item.gain).sum()
    }

    pub(super) fn is_chosen(&self, index: usize) -> bool {
        self.chosen[index]
    }

    pub(super) fn was_given_back(&self, index: usize) -> bool {
        self.given_back[index]
    }

    /// Chosen candidates by document and offset.
    pub(super) fn in_document_order(&self) -> Vec<usize> {
        let mut order = in_document_order(self.items, |_| true);
        order.retain(|index| self.chosen[*index]);
        order
    }

    /// Gives back the lowest gains until about `excess` tokens are free, at least one.
    pub(super) fn give_back(&mut self, prices: &mut Prices<'a>, excess: usize) {
        let mut chosen: Vec<usize> = (0..self.items.len()).filter(|index| self.chosen[*index]).collect();
        chosen.sort_by(|left, right| self.items[*right].gain.total_cmp(&self.items[*left].gain));
        let mut freed = 0;
        while freed < excess || freed == 0 {
            let Some(lowest) = chosen.pop() else { break };
            self.given_back[lowest] = true;
            freed += prices.body(lowest).max(1);
        }
        let mut rest =
            Selection { given_back: std::mem::take(&mut self.given_back), ..Self::new(self.items) };
        chosen.sort_unstable();
        for index in chosen {
            let delta = rest.delta(prices, index, true);
            rest.choose(prices, index, delta);
        }
        *self = rest;
    }

    fn may_choose(&self, index: usize) -> bool {
        self.items[index].verdict.is_none() && !self.chosen[index] && !self.given_back[index]
    }

    fn delta(&self, prices: &mut Prices<'a>, index: usize, counted: bool) -> Delta {
        let item = &self.items[index];
        let group = &self.groups[item.group];
        let touched = group.touched(item.chunk.span);
        let body = if !counted {
            prices.known(index)
        } else if group.covers_part(item.chunk.span) {
            group.uncovered(item.chunk.span).into_iter().map(|part| prices.part(index, part)).sum()
        } else {
            prices.body(index)
        };
        let mut added = body;
        let mut saved = 0;
        let mut passages = self.passages;
        if touched.is_empty() {
            added += if counted { self.framing(prices, index) } else { FRAMING_TOKENS_GUESS };
            passages += 1;
        } else {
            saved += (touched.len() - 1) * prices.label(index, false);
            passages -= touched.len() - 1;
        }
        let backticks = self.backticks.max(if counted { prices.backticks(index) } else { 0 });
        added += passages * prices.fence_surplus(backticks);
        saved += self.passages * prices.fence_surplus(self.backticks);
        Delta { added, saved }
    }

    /// What starts and ends the passage that this candidate would open.
    fn framing(&self, prices: &mut Prices<'a>, index: usize) -> usize {
        let item = &self.items[index];
        let group = &self.groups[item.group];
        let label = prices.label(index, !group.headings.contains(&item.heading.as_str()));
        let document = if group.runs.is_empty() { prices.document(index) } else { 0 };
        let once = if self.passages == 0 { prices.once() } else { 0 };
        label + document + once
    }

    /// Whether counting this candidate would be a waste, since it cannot fit.
    fn is_hopeless(&self, prices: &mut Prices<'a>, index: usize, left: usize) -> bool {
        let item = &self.items[index];
        let group = &self.groups[item.group];
        if group.covers_part(item.chunk.span) {
            return false;
        }
        let opens = group.touched(item.chunk.span).is_empty();
        let framing = if opens { self.framing(prices, index) } else { 0 };
        framing > left || prices.is_hopeless(index, left - framing)
    }

    fn choose(&mut self, prices: &Prices<'a>, index: usize, delta: Delta) {
        let item = &self.items[index];
        let group = &mut self.groups[item.group];
        let touched = group.touched(item.chunk.span);
        self.passages = self.passages + 1 - touched.len();
        group.unite(item.chunk.span);
        group.headings.push(&item.heading);
        self.backticks = self.backticks.max(prices.backticks(index));
        self.tokens = (self.tokens + delta.added).saturating_sub(delta.saved);
        self.chosen[index] = true;
    }
}

impl Group<'_> {
    /// Runs that overlap or touch a span.
    fn touched(&self, span: Span) -> std::ops::Range<usize> {
        let first = self.runs.partition_point(|run| run.end < span.start);
        let last = self.runs.partition_point(|run| run.start <= span.end);
        first..last
    }

    fn covers_part(&self, span: Span) -> bool {
        self.runs[self.touched(span)].iter().any(|run| run.start < span.end && span.start < run.end)
    }

    fn uncovered(&self, span: Span) -> Vec<Span> {
        let mut parts = Vec::new();
        let mut start = span.start;
        for run in &self.runs[self.touched(span)] {
            if run.start > start {
                parts.push(Span { start, end: run.start });
            }
            start = start.max(run.end);
        }
        if start < span.end {
            parts.push(Span { start, end: span.end });
        }
        parts
    }

    fn unite(&mut self, span: Span) {
        let touched = self.touched(span);
        let runs = &self.runs[touched.clone()];
        let start = runs.first().map_or(span.start, |run| run.start.min(span.start));
        let end = runs.last().map_or(span.end, |run| run.end.max(span.end));
        self.runs.splice(touched, [Span { start, end }]);
    }
}

/// One place in the heap.
struct Entry {
    key: f64,
    index: Reverse<usize>,
    /// Whether the key comes from counted tokens.
    counted: bool,
    /// Entries of an older round are void.
    round: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.total_cmp(&other.key).then_with(|| self.index.cmp(&other.index))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// Adds to `selection` until nothing more fits into `limit` estimated tokens.
pub(super) fn greedy<'a>(
    prices: &mut Prices<'a>,
    mut selection: Selection<'a>,
    rule: Rule,
    limit: usize,
) -> Selection<'a> {
    let items = selection.items;
    let mut rounds = vec![0_u32; items.len()];
    let mut heap: BinaryHeap<Entry> = BinaryHeap::with_capacity(items.len());
    for index in (0..items.len()).filter(|index| selection.may_choose(*index)) {
        heap.push(entry(prices, &selection, rule, index, false, 0));
    }
    while let Some(Entry { index: Reverse(index), counted, round, .. }) = heap.pop() {
        if selection.chosen[index] || round != rounds[index] {
            continue;
        }
        let left = limit.saturating_sub(selection.tokens);
        if !counted {
            if selection.is_hopeless(prices, index, left) {
                continue;
            }
            heap.push(entry(prices, &selection, rule, index, true, round));
            continue;
        }
        let delta = selection.delta(prices, index, true);
        if delta.net() > left {
            continue;
        }
        let is_first = selection.groups[items[index].group].runs.is_empty();
        selection.choose(prices, index, delta);
        for other in (0..items.len()).filter(|other| selection.may_choose(*other)) {
            if items[other].group == items[index].group && (is_first || meets(&items[other], &items[index])) {
                rounds[other] += 1;
                heap.push(entry(prices, &selection, rule, other, false, rounds[other]));
            }
        }
    }
    selection
}

fn entry<'a>(
    prices: &mut Prices<'a>,
    selection: &Selection<'a>,
    rule: Rule,
    index: usize,
    counted: bool,
    round: u32,
) -> Entry {
    let gain = selection.items[index].gain;
    let key = match rule {
        Rule::Gain => gain,
        Rule::GainPerToken => per_token(gain, selection.delta(prices, index, counted).net()),
    };
    Entry { key, index: Reverse(index), counted, round }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn per_token(gain: f64, tokens: usize) -> f64 {
    gain / tokens.max(1) as f64
}

fn meets(left: &Item, right: &Item) -> bool {
    left.chunk.span.start <= right.chunk.span.end && right.chunk.span.start <= left.chunk.span.end
}
