//! The greedy choice, evaluated lazily, and swaps.
//!
//! Options are what may be added at once: an atom, an atom with its neighbours, a candidate, a
//! merged run of candidates, the retrieved part of a section. They overlap; what is chosen
//! already costs and gains nothing again. A heap holds every option under its gain, or its gain
//! per token added (Khuller et al., 1999), and the top one is looked at again when it comes up
//! (Minoux, 1978): counted, compared, chosen if what it adds fits into what is left. A choice
//! makes its neighbours cheaper, so they come up again.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;

use super::atoms::Atoms;
use super::items::Item;
use super::prices::Prices;
use super::selection::{Delta, Selection, per_token};

/// Atoms outside that may take the place of chosen ones, best first.
const SWAPS_MAX: usize = 32;

/// By what options are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Gain for each token added.
    GainPerToken,
    /// Gain alone.
    Gain,
}

/// What may be added at once.
pub(super) struct Options {
    ranges: Vec<Range<usize>>,
    /// By atom: options that start at it, end before it, or hold it.
    near: Vec<Vec<usize>>,
    /// By document version.
    of_group: Vec<Vec<usize>>,
}

/// How far a choice may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Estimated tokens.
    pub(super) tokens: usize,
    /// Passages of one document version.
    pub(super) passages_per_document: usize,
}

impl Options {
    /// `admits` tells which atoms may be chosen.
    pub(super) fn of(atoms: &Atoms, items: &[Item], admits: impl Fn(usize) -> bool) -> Self {
        let mut all: Vec<(usize, usize)> = Vec::with_capacity(3 * atoms.len());
        for region in &atoms.regions {
            let Range { start, end } = region.atoms;
            all.push((start, end));
            let mut section = start;
            for index in start..end {
                all.push((index, index + 1));
                all.push((index.saturating_sub(1).max(start), (index + 2).min(end)));
                let heading = |index: usize| &items[atoms.atoms[index].item].heading;
                if index + 1 == end || heading(index) != heading(index + 1) {
                    all.push((section, index + 1));
                    section = index + 1;
                }
            }
        }
        for item in items.iter().filter(|item| !item.atoms.is_empty()) {
            all.push((item.atoms.start, item.atoms.end));
        }
        all.sort_unstable();
        all.dedup();
        let groups = atoms.atoms.iter().map(|atom| atom.group + 1).max().unwrap_or(0);
        let mut options = Self {
            ranges: Vec::new(),
            near: vec![Vec::new(); atoms.len() + 1],
            of_group: vec![Vec::new(); groups],
        };
        for (start, end) in all {
            if !(start..end).all(&admits) {
                continue;
            }
            let number = options.ranges.len();
            options.ranges.push(start..end);
            options.of_group[atoms.atoms[start].group].push(number);
            options.near[start].push(number);
            options.near[end].push(number);
        }
        options
    }
}

/// One place in the heap.
struct Entry {
    key: f64,
    /// Shorter options first, then earlier ones: the order that settles ties.
    place: Reverse<(usize, usize)>,
    option: usize,
    /// Whether the key comes from counted tokens.
    counted: bool,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key
            .total_cmp(&other.key)
            .then_with(|| self.place.cmp(&other.place))
            .then_with(|| self.counted.cmp(&other.counted))
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

/// Adds to `selection` until nothing more fits; whatever it adds gains something.
pub(super) fn greedy(
    prices: &mut Prices,
    options: &Options,
    mut selection: Selection,
    rule: Rule,
    limits: Limits,
) -> Selection {
    let mut heap: BinaryHeap<Entry> = BinaryHeap::with_capacity(options.ranges.len());
    for option in 0..options.ranges.len() {
        push(&mut heap, prices, options, &selection, rule, option, false);
    }
    while let Some(top) = heap.pop() {
        let range = &options.ranges[top.option];
        if !selection.may_choose(range) {
            continue;
        }
        let left = limits.tokens.saturating_sub(selection.tokens());
        if !top.counted && selection.is_hopeless(prices, range, left) {
            continue;
        }
        let delta = selection.delta(prices, range, true);
        if key(rule, delta) < top.key || !top.counted {
            if delta.gain > 0.0 {
                push_entry(&mut heap, range, top.option, key(rule, delta), true);
            }
            continue;
        }
        let group = prices.atoms.atoms[range.start].group;
        let opens = delta.joined == 0;
        if delta.net() > left || (opens && selection.passages_of(group) >= limits.passages_per_document) {
            continue;
        }
        let first = selection.passages_of(group) == 0;
        selection.choose(prices, range, delta);
        let cheaper: Vec<usize> = if first {
            options.of_group[group].clone()
        } else {
            options.near[range.start].iter().chain(&options.near[range.end]).copied().collect()
        };
        for option in cheaper {
            push(&mut heap, prices, options, &selection, rule, option, false);
        }
    }
    selection
}

fn key(rule: Rule, delta: Delta) -> f64 {
    match rule {
        Rule::Gain => delta.gain,
        Rule::GainPerToken => per_token(delta.gain, delta.net()),
    }
}

fn push(
    heap: &mut BinaryHeap<Entry>,
    prices: &mut Prices,
    options: &Options,
    selection: &Selection,
    rule: Rule,
    option: usize,
    counted: bool,
) {
    let range = &options.ranges[option];
    if selection.may_choose(range) {
        let delta = selection.delta(prices, range, counted);
        if delta.gain > 0.0 {
            push_entry(heap, range, option, key(rule, delta), counted);
        }
    }
}

fn push_entry(heap: &mut BinaryHeap<Entry>, range: &Range<usize>, option: usize, key: f64, counted: bool) {
    heap.push(Entry { key, place: Reverse((range.len(), range.start)), option, counted });
}

/// Lets single atoms outside take the place of chosen ones that gain less.
pub(super) fn swap(
    prices: &mut Prices,
    options: &Options,
    mut selection: Selection,
    limits: Limits,
) -> Selection {
    let mut outside: Vec<usize> = options
        .ranges
        .iter()
        .filter(|range| range.len() == 1 && selection.may_choose(range))
        .map(|range| range.start)
        .collect();
    let gain = |prices: &Prices, index: usize| prices.atoms.atoms[index].gain;
    outside.sort_by(|left, right| gain(prices, *right).total_cmp(&gain(prices, *left)).then(left.cmp(right)));
    outside.truncate(SWAPS_MAX);
    for incoming in outside {
        let mut inside: Vec<usize> = (0..prices.atoms.len())
            .filter(|index| selection.is_chosen(*index) && gain(prices, *index) < gain(prices, incoming))
            .collect();
        inside.sort_by(|left, right| {
            gain(prices, *left).total_cmp(&gain(prices, *right)).then(left.cmp(right))
        });
        let Some(outgoing) = inside.first() else { continue };
        let mut changed = selection.clone();
        changed.leave_out(prices, *outgoing);
        let range = incoming..incoming + 1;
        let delta = changed.delta(prices, &range, true);
        let opens = delta.joined == 0;
        let group = prices.atoms.atoms[incoming].group;
        let capped = opens && changed.passages_of(group) >= limits.passages_per_document;
        if !capped && changed.tokens() + delta.net() <= limits.tokens {
            changed.choose(prices, &range, delta);
            if changed.gain() > selection.gain() {
                selection = changed;
            }
        }
    }
    selection
}

/// Closes gaps between passages that consist of nothing but repetitions, while there is room: they
/// gain nothing, but a text reads better whole.
pub(super) fn heal(prices: &mut Prices, mut selection: Selection, tokens: usize) -> Selection {
    for pair in selection.runs(prices).windows(2) {
        let gap = pair[0].end..pair[1].start;
        let atoms = &prices.atoms.atoms;
        let joins = !gap.is_empty()
            && atoms[pair[0].start].region == atoms[pair[1].start].region
            && gap.clone().all(|index| atoms[index].repeats.is_some());
        if joins {
            let delta = selection.delta(prices, &gap, true);
            if selection.tokens() + delta.net() <= tokens {
                selection.choose(prices, &gap, delta);
            }
        }
    }
    selection
}
