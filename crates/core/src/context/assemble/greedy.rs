//! The greedy choice, evaluated lazily, and swaps.
//!
//! Options are what may be added at once: an atom, an atom with its neighbours, a candidate, a
//! merged run of candidates, the retrieved part of a section. They overlap; what is chosen
//! already costs and gains nothing again. A heap holds every option under its gain, or its gain
//! per token added (Khuller et al., 1999), and the top one is looked at again when it comes up
//! (Minoux, 1978): counted, compared, chosen if what it adds fits into what is left. A choice
//! makes its neighbours cheaper, so they come up again.

use std::collections::BinaryHeap;
use std::ops::Range;

use super::atoms::AtomizedCandidates;
use super::candidates::RankedCandidate;
use super::selection::{AtomSelection, SelectionDelta, gain_per_token};
use super::token_prices::TokenPriceTable;

/// Atoms outside that may take the place of chosen ones, best first.
const SWAPS_MAX: usize = 32;

/// By what options are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GreedyCriterion {
    /// Gain for each token added.
    GainPerToken,
    /// Gain alone.
    Gain,
}

/// What may be added at once.
pub(super) struct SelectableRanges {
    /// By start, then end.
    ranges: Vec<Range<usize>>,
    /// By option: higher for shorter ones, then for earlier ones: the order that settles ties. Even.
    places: Vec<u64>,
    /// By atom: the first option that starts at it or behind.
    starting: Vec<usize>,
    /// Options by end.
    by_end: Vec<usize>,
    /// By atom: the first place in `by_end` of one that ends before it or behind.
    ending: Vec<usize>,
    /// By document version.
    of_group: Vec<Range<usize>>,
}

/// How far a choice may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct SelectionLimits {
    /// Estimated tokens.
    pub(super) tokens: usize,
    /// Passages of one document version.
    pub(super) passages_per_document: usize,
}

impl SelectableRanges {
    /// `admits` tells which atoms may be chosen.
    pub(super) fn from_atoms(
        atoms: &AtomizedCandidates,
        items: &[RankedCandidate],
        admits: impl Fn(usize) -> bool,
    ) -> Self {
        let count = atoms.len();
        // By atom: up to where all from it on may be chosen.
        let mut open_to = vec![0; count];
        for index in (0..count).rev() {
            let goes_on = open_to.get(index + 1).copied().filter(|to| *to > index + 1);
            open_to[index] = if admits(index) { goes_on.unwrap_or(index + 1) } else { index };
        }
        let is_open = |start: usize, end: usize| end <= open_to[start];
        let heading = |index: usize| &items[atoms.atoms[index].item].heading;
        let mut of_items: Vec<(usize, usize)> =
            items.iter().map(|item| (item.atoms.start, item.atoms.end)).filter(|own| own.0 < own.1).collect();
        of_items.sort_unstable();
        let mut of_items = of_items.into_iter().peekable();
        let mut all: Vec<(usize, usize)> = Vec::with_capacity(3 * count);
        for region in &atoms.regions {
            let from = all.len();
            let Range { start, end } = region.atoms;
            let mut add = |start: usize, end: usize| {
                if is_open(start, end) {
                    all.push((start, end));
                }
            };
            add(start, end);
            let mut section = start;
            for index in start..end {
                add(index, index + 1);
                add(index.saturating_sub(1).max(start), (index + 2).min(end));
                if index + 1 == end
                    || atoms.atoms[index].item != atoms.atoms[index + 1].item
                        && heading(index) != heading(index + 1)
                {
                    add(section, index + 1);
                    section = index + 1;
                }
            }
            while let Some((first, last)) = of_items.next_if(|own| own.0 < end) {
                add(first, last);
            }
            all[from..].sort_unstable();
        }
        all.dedup();
        Self::from_ranges(atoms, all.into_iter().map(|(start, end)| start..end).collect())
    }

    /// `ranges` are by start, then end.
    fn from_ranges(atoms: &AtomizedCandidates, ranges: Vec<Range<usize>>) -> Self {
        let mut of_group = vec![0..0; atoms.groups()];
        let (mut starting, mut ending) = (vec![0; atoms.len() + 2], vec![0; atoms.len() + 2]);
        for (number, Range { start, end }) in ranges.iter().enumerate() {
            starting[start + 1] += 1;
            ending[end + 1] += 1;
            // Atoms of one document version stand together.
            let group = &mut of_group[atoms.atoms[*start].group];
            let first = if group.end == 0 { number } else { group.start };
            *group = first..number + 1;
        }
        for index in 0..=atoms.len() {
            starting[index + 1] += starting[index];
            ending[index + 1] += ending[index];
        }
        let mut next = ending.clone();
        let mut by_end = vec![0; ranges.len()];
        for (number, range) in ranges.iter().enumerate() {
            by_end[next[range.end]] = number;
            next[range.end] += 1;
        }
        let places = ranges.iter().map(|range| !((range.len() as u64) << 32 | range.start as u64) << 1);
        Self { places: places.collect(), ranges, starting, by_end, ending, of_group }
    }

    /// Options that start at an atom or end before it.
    fn near(&self, atom: usize) -> impl Iterator<Item = usize> {
        let starting = self.starting[atom]..self.starting[atom + 1];
        let ending = &self.by_end[self.ending[atom]..self.ending[atom + 1]];
        starting.chain(ending.iter().copied())
    }
}

/// One place in the heap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GreedyHeapEntry {
    /// The bits of what options are compared by, which is above 0 and so has bits in its order.
    key: u64,
    /// The option's, and whether the key comes from counted tokens in the lowest bit.
    place: u64,
    option: usize,
}

impl GreedyHeapEntry {
    fn key(&self) -> f64 {
        f64::from_bits(self.key)
    }

    fn is_counted(&self) -> bool {
        self.place & 1 == 1
    }
}

/// Adds to `selection` until nothing more fits; whatever it adds gains something.
pub(super) fn select_greedily(
    prices: &mut TokenPriceTable,
    options: &SelectableRanges,
    mut selection: AtomSelection,
    rule: GreedyCriterion,
    limits: SelectionLimits,
) -> AtomSelection {
    let all = 0..options.ranges.len();
    let all = all.filter_map(|option| guessed_entry(prices, options, &selection, rule, option));
    let mut heap = BinaryHeap::from(all.collect::<Vec<GreedyHeapEntry>>());
    while let Some(top) = heap.pop() {
        let range = &options.ranges[top.option];
        if !selection.may_choose(range) {
            continue;
        }
        let left = limits.tokens.saturating_sub(selection.tokens());
        if !top.is_counted() && selection.is_hopeless(prices, range, left) {
            continue;
        }
        let delta = selection.delta(prices, range, true);
        if criterion_value(rule, delta) < top.key() || !top.is_counted() {
            if let Some(again) = heap_entry(options, rule, top.option, delta, true) {
                heap.push(again);
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
        let mut look_again = |option| {
            if let Some(again) = guessed_entry(prices, options, &selection, rule, option) {
                heap.push(again);
            }
        };
        if first {
            options.of_group[group].clone().for_each(&mut look_again);
        } else {
            options.near(range.start).chain(options.near(range.end)).for_each(&mut look_again);
        }
    }
    selection
}

fn criterion_value(rule: GreedyCriterion, delta: SelectionDelta) -> f64 {
    match rule {
        GreedyCriterion::Gain => delta.gain,
        GreedyCriterion::GainPerToken => gain_per_token(delta.gain, delta.net()),
    }
}

/// An option's place in the heap, with guessed tokens; none if it may not be chosen or gains nothing.
fn guessed_entry(
    prices: &mut TokenPriceTable,
    options: &SelectableRanges,
    selection: &AtomSelection,
    rule: GreedyCriterion,
    option: usize,
) -> Option<GreedyHeapEntry> {
    let range = &options.ranges[option];
    if !selection.may_choose(range) {
        return None;
    }
    heap_entry(options, rule, option, selection.delta(prices, range, false), false)
}

fn heap_entry(
    options: &SelectableRanges,
    rule: GreedyCriterion,
    option: usize,
    delta: SelectionDelta,
    counted: bool,
) -> Option<GreedyHeapEntry> {
    let place = options.places[option] | u64::from(counted);
    (delta.gain > 0.0).then(|| GreedyHeapEntry { key: criterion_value(rule, delta).to_bits(), place, option })
}

/// Lets single atoms outside take the place of chosen ones that gain less.
pub(super) fn improve_by_swaps(
    prices: &mut TokenPriceTable,
    options: &SelectableRanges,
    mut selection: AtomSelection,
    limits: SelectionLimits,
) -> AtomSelection {
    let mut outside: Vec<usize> = options
        .ranges
        .iter()
        .filter(|range| range.len() == 1 && selection.may_choose(range))
        .map(|range| range.start)
        .collect();
    let gain = |prices: &TokenPriceTable, index: usize| prices.atoms.atoms[index].gain;
    outside.sort_by(|left, right| gain(prices, *right).total_cmp(&gain(prices, *left)).then(left.cmp(right)));
    outside.truncate(SWAPS_MAX);
    for incoming in outside {
        let outgoing = (0..prices.atoms.len())
            .filter(|index| selection.is_chosen(*index) && gain(prices, *index) < gain(prices, incoming))
            .min_by(|left, right| gain(prices, *left).total_cmp(&gain(prices, *right)).then(left.cmp(right)));
        let Some(outgoing) = outgoing else { continue };
        let mut changed = selection.clone();
        changed.leave_out(prices, outgoing);
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
pub(super) fn close_repeat_gaps(
    prices: &mut TokenPriceTable,
    mut selection: AtomSelection,
    tokens: usize,
) -> AtomSelection {
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
