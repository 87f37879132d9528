//! Lazy greedy selection, and swaps.
//!
//! An option is a range of atoms that may be added at once: an atom, an atom with its neighbours, a
//! candidate, a region, the retrieved part of a section. Options overlap; atoms that are already
//! chosen cost and gain nothing again. A heap holds every option by its gain, or by its gain per
//! token added (Khuller et al., 1999). Keys may be stale: the top option is evaluated again when it
//! is popped (Minoux, 1978), and chosen if its key still holds and its tokens fit. A choice makes
//! neighbouring options cheaper, so these are pushed again.

use std::collections::BinaryHeap;
use std::ops::Range;

use super::atoms::AtomizedCandidates;
use super::candidates::RankedCandidate;
use super::selection::{AtomSelection, SelectionDelta, gain_per_token};
use super::token_prices::TokenPriceTable;

/// Most atoms that are tried as replacements for chosen ones, best first.
const SWAPS_MAX: usize = 32;

/// How options are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GreedyCriterion {
    /// Gain for each token added.
    GainPerToken,
    /// Gain alone.
    Gain,
}

/// The ranges of atoms that may be added at once, and indices over them.
pub(super) struct SelectableRanges {
    /// By start, then end.
    ranges: Vec<Range<usize>>,
    /// By option: breaks ties, higher for shorter options, then for earlier ones. The lowest bit is free.
    places: Vec<u64>,
    /// By atom: the first option that starts at it or later.
    starting: Vec<usize>,
    /// Options ordered by their end.
    by_end: Vec<usize>,
    /// By atom: the first index in `by_end` of an option that ends at its start or later.
    ending: Vec<usize>,
    /// By document version: its options.
    of_group: Vec<Range<usize>>,
}

/// Limits of a selection.
#[derive(Debug, Clone, Copy)]
pub(super) struct SelectionLimits {
    /// Estimated tokens.
    pub(super) tokens: usize,
    /// Passages of one document version.
    pub(super) passages_per_document: usize,
}

impl SelectableRanges {
    /// Lists the options. `admits` tells which atoms may be chosen.
    pub(super) fn from_atoms(
        atoms: &AtomizedCandidates,
        items: &[RankedCandidate],
        admits: impl Fn(usize) -> bool,
    ) -> Self {
        let count = atoms.len();
        // By atom: the end of the run of admitted atoms that starts at it.
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

    /// Builds the indices. `ranges` are sorted by start, then end.
    fn from_ranges(atoms: &AtomizedCandidates, ranges: Vec<Range<usize>>) -> Self {
        let mut of_group = vec![0..0; atoms.groups()];
        let (mut starting, mut ending) = (vec![0; atoms.len() + 2], vec![0; atoms.len() + 2]);
        for (number, Range { start, end }) in ranges.iter().enumerate() {
            starting[start + 1] += 1;
            ending[end + 1] += 1;
            // Atoms of one document version are contiguous, so its options are, too.
            let group = &mut of_group[atoms.atoms[*start].group];
            let first = if group.end == 0 { number } else { group.start };
            *group = first..number + 1;
        }
        // A counting sort: prefix sums of the counts are the first index of each atom.
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
        // Length in the upper half, start in the lower, inverted: the heap yields the greatest first. The
        // shift frees the bit that `heap_entry` sets; atoms are far fewer than 2^31.
        let places = ranges.iter().map(|range| !((range.len() as u64) << 32 | range.start as u64) << 1);
        Self { places: places.collect(), ranges, starting, by_end, ending, of_group }
    }

    /// Options that start at an atom or end right before it.
    fn near(&self, atom: usize) -> impl Iterator<Item = usize> {
        let starting = self.starting[atom]..self.starting[atom + 1];
        let ending = &self.by_end[self.ending[atom]..self.ending[atom + 1]];
        starting.chain(ending.iter().copied())
    }
}

/// One option in the heap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GreedyHeapEntry {
    /// The bits of the key. Positive floats and their bits have the same order, so integers compare.
    key: u64,
    /// The tie-breaker of the option; the lowest bit is set if the key comes from counted tokens.
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

/// Adds to `selection` until nothing more fits. Every addition has a positive gain.
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
        // Counting tokens is the expensive part: an option that cannot fit is dropped before it is counted.
        let left = limits.tokens.saturating_sub(selection.tokens());
        if !top.is_counted() && selection.is_hopeless(prices, range, left) {
            continue;
        }
        let delta = selection.delta(prices, range, true);
        // The key was a guess, or got worse since it was pushed: it goes back with its true value.
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
        // The first passage of a document pays for its header, so all options of the document get cheaper.
        // Later ones only make adjacent options cheaper.
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

/// An option's heap entry with guessed tokens; none if it may not be chosen or gains nothing.
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

/// Replaces chosen atoms with single atoms outside that gain more, where they fit.
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
        // On a copy: leaving an atom out can split a passage and cost more than it frees.
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

/// Closes gaps between passages that consist of repetitions only, while there is room. They gain
/// nothing, but a text reads better whole.
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
