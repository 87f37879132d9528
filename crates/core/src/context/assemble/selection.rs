//! A set of chosen atoms with its gain and its estimated tokens.
//!
//! Chosen atoms that touch form one passage. An addition opens a passage, extends one, or closes
//! the gap between two, which saves the framing of one.

use std::ops::Range;

use super::token_prices::TokenPriceTable;

/// Tokens of a passage's framing while it is not counted.
const FRAMING_TOKENS_GUESS: usize = 14;
/// Most tokens by which that guess may be too high.
const SLACK_TOKENS: usize = 6;

/// The chosen atoms.
#[derive(Clone)]
pub(super) struct AtomSelection {
    chosen: Vec<bool>,
    given_back: Vec<bool>,
    /// Number of passages of each document version.
    passages: Vec<usize>,
    /// Whether passages of one document are written together and share its header.
    grouped: bool,
    total_passages: usize,
    tokens: usize,
    gain: f64,
}

/// The effect of adding a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct SelectionDelta {
    pub(super) added: usize,
    pub(super) saved: usize,
    pub(super) gain: f64,
    /// Number of passages it extends or joins; 0 if it opens one.
    pub(super) joined: usize,
}

impl SelectionDelta {
    /// Tokens added minus tokens saved.
    pub(super) fn net(self) -> usize {
        self.added.saturating_sub(self.saved)
    }
}

impl AtomSelection {
    /// An empty selection.
    pub(super) fn new(prices: &TokenPriceTable, grouped: bool) -> Self {
        Self {
            chosen: vec![false; prices.atoms.len()],
            given_back: vec![false; prices.atoms.len()],
            passages: vec![0; prices.groups()],
            grouped,
            total_passages: 0,
            tokens: 0,
            gain: 0.0,
        }
    }

    /// Estimated tokens.
    #[inline]
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The objective.
    #[inline]
    pub(super) fn gain(&self) -> f64 {
        self.gain
    }

    #[inline]
    pub(super) fn is_chosen(&self, index: usize) -> bool {
        self.chosen[index]
    }

    pub(super) fn was_given_back(&self, index: usize) -> bool {
        self.given_back[index]
    }

    /// Whether a range may be added: part of it is new, and no part was given back.
    #[inline]
    pub(super) fn may_choose(&self, range: &Range<usize>) -> bool {
        range.clone().any(|index| !self.chosen[index]) && !range.clone().any(|index| self.given_back[index])
    }

    /// Passages of one document version.
    #[inline]
    pub(super) fn passages_of(&self, group: usize) -> usize {
        self.passages[group]
    }

    /// The effect of adding a range of one region. Tokens are counted if `counted`, else guessed.
    #[inline]
    pub(super) fn delta(
        &self,
        prices: &mut TokenPriceTable,
        range: &Range<usize>,
        counted: bool,
    ) -> SelectionDelta {
        let atoms = prices.atoms;
        let mut delta = SelectionDelta { added: 0, saved: 0, gain: 0.0, joined: 0 };
        for index in range.clone() {
            if self.chosen[index] {
                // A chosen run inside the range is one passage; one that reaches in from before the range is
                // counted below.
                let starts = index == range.start || !self.chosen[index - 1];
                delta.joined +=
                    usize::from(starts && !(index == range.start && self.touched_before(prices, range)));
            } else {
                delta.added += if counted { prices.body(index) } else { prices.known_tokens(index) };
                delta.gain += atoms.atoms[index].gain;
            }
        }
        delta.joined += usize::from(self.touched_before(prices, range));
        delta.joined += usize::from(self.touched_after(prices, range) && !self.chosen[range.end - 1]);
        let group = atoms.atoms[range.start].group;
        let opens_document = self.passages[group] == 0 || !self.grouped;
        if delta.joined == 0 {
            delta.added +=
                if counted { prices.label(range.start, opens_document) } else { FRAMING_TOKENS_GUESS };
            delta.added += if opens_document { prices.document(range.start) } else { 0 };
            delta.added += if self.total_passages == 0 { prices.context_framing() } else { 0 };
        } else if delta.joined > 1 {
            let label = if counted { prices.label(range.start, false) } else { FRAMING_TOKENS_GUESS };
            let document = if self.grouped { 0 } else { prices.document(range.start) };
            // Of several passages one remains, with its label.
            delta.saved += (delta.joined - 1) * (label + document);
        }
        delta
    }

    /// Whether a range cannot fit into what is left, so that counting it would be wasted.
    #[inline]
    pub(super) fn is_hopeless(
        &self,
        prices: &mut TokenPriceTable,
        range: &Range<usize>,
        left: usize,
    ) -> bool {
        let (mut text, mut known) = (0, 0);
        for index in range.clone().filter(|index| !self.chosen[*index]) {
            text += prices.optimistic_tokens(index);
            known += prices.known_tokens(index);
        }
        // A range joins at most one passage more than it has atoms, and saves the framing of all but one.
        // This cheap bound comes first; the exact effect costs a pass over the range.
        let document = if self.grouped { 0 } else { prices.document(range.start) };
        if text > left + SLACK_TOKENS + range.len() * (FRAMING_TOKENS_GUESS + document) {
            return true;
        }
        let delta = self.delta(prices, range, false);
        let framing = delta.added - known;
        (text + framing).saturating_sub(delta.saved + SLACK_TOKENS) > left
    }

    /// Adds a range whose effect is known.
    pub(super) fn choose(&mut self, prices: &TokenPriceTable, range: &Range<usize>, delta: SelectionDelta) {
        let group = prices.atoms.atoms[range.start].group;
        debug_assert!(delta.joined <= self.passages[group] + 1);
        self.passages[group] = self.passages[group] + 1 - delta.joined;
        self.total_passages = self.total_passages + 1 - delta.joined;
        self.tokens = (self.tokens + delta.added).saturating_sub(delta.saved);
        self.gain += delta.gain;
        self.chosen[range.clone()].fill(true);
    }

    /// Gives back the chosen atoms with the lowest gain per token until about `excess` tokens are free; at
    /// least one atom.
    pub(super) fn give_back(
        &mut self,
        prices: &mut TokenPriceTable,
        excess: usize,
        passages_per_document: usize,
    ) {
        let target = self.tokens.saturating_sub(excess);
        let density = |prices: &mut TokenPriceTable, index: usize| {
            gain_per_token(prices.atoms.atoms[index].gain, prices.body(index))
        };
        let mut worst: Vec<(f64, usize)> = (0..self.chosen.len())
            .filter(|index| self.chosen[*index])
            .map(|index| (density(prices, index), index))
            .collect();
        worst.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        let mut left = worst.len();
        while let Some((_, index)) = worst.pop() {
            self.given_back[index] = true;
            self.chosen[index] = false;
            left -= 1;
            // A full recount costs a pass over all atoms, so it is done once, after several atoms.
            let freed = prices.body(index);
            self.tokens = self.tokens.saturating_sub(freed);
            if self.tokens <= target || left == 0 {
                break;
            }
        }
        self.recount(prices);
        self.give_back_passages(prices, passages_per_document);
    }

    /// Gives back the passages with the lowest gain of documents that have too many: giving back atoms may
    /// have split some.
    fn give_back_passages(&mut self, prices: &mut TokenPriceTable, most: usize) {
        let gain = |run: &Range<usize>| run.clone().map(|index| prices.atoms.atoms[index].gain).sum::<f64>();
        let mut runs: Vec<(f64, Range<usize>)> =
            self.runs(prices).into_iter().map(|run| (gain(&run), run)).collect();
        runs.sort_by(|left, right| left.0.total_cmp(&right.0).then(right.1.start.cmp(&left.1.start)));
        for (_, run) in runs {
            let group = prices.atoms.atoms[run.start].group;
            if self.passages[group] > most {
                self.passages[group] -= 1;
                self.given_back[run.clone()].fill(true);
                self.chosen[run].fill(false);
            }
        }
        self.recount(prices);
    }

    /// Leaves one atom out.
    pub(super) fn leave_out(&mut self, prices: &mut TokenPriceTable, index: usize) {
        self.chosen[index] = false;
        self.recount(prices);
    }

    /// The passages: maximal ranges of chosen atoms, in order.
    pub(super) fn runs(&self, prices: &TokenPriceTable) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for index in (0..self.chosen.len()).filter(|index| self.chosen[*index]) {
            match runs.last_mut() {
                Some(run) if run.end == index && prices.atoms.touches_previous(index) => run.end = index + 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }

    fn recount(&mut self, prices: &mut TokenPriceTable) {
        let mut fresh = Self::new(prices, self.grouped);
        for run in self.runs(prices) {
            let delta = fresh.delta(prices, &run, true);
            fresh.choose(prices, &run, delta);
        }
        // What was given back stays closed, so that refilling cannot choose it again and loop.
        fresh.given_back = std::mem::take(&mut self.given_back);
        *self = fresh;
    }

    fn touched_before(&self, prices: &TokenPriceTable, range: &Range<usize>) -> bool {
        prices.atoms.touches_previous(range.start) && self.chosen[range.start - 1]
    }

    fn touched_after(&self, prices: &TokenPriceTable, range: &Range<usize>) -> bool {
        prices.atoms.touches_next(range.end - 1) && self.chosen[range.end]
    }
}

/// Gain for each token added.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
pub(super) fn gain_per_token(gain: f64, tokens: usize) -> f64 {
    gain / tokens.max(1) as f64
}
