//! The last step of assembly: the rendered text is counted and made to fit the budget.
//!
//! Estimates steer the selection; only the count of the final text decides. While the text exceeds
//! the budget, the atoms with the lowest gain per token are given back. Room that is left is filled
//! greedily, at most [`REFILLS_MAX`] times.

use super::greedy::{self, GreedyCriterion, SelectableRanges, SelectionLimits};
use super::selection::AtomSelection;
use super::token_prices::TokenPriceTable;
use super::{AssemblyInput, merge};
use crate::context::answer::{Citation, Passage};
use crate::context::render::{RenderedContext, plain_tag_in, render_with_tag};
use crate::context::request::AssemblyRequest;
use crate::ports::tokenizer::Tokenizer;

/// How often the room that the final count left is filled.
const REFILLS_MAX: usize = 2;
/// Least room in tokens that is worth filling: the framing of a passage takes about 14.
const REFILL_TOKENS_MIN: usize = 16;

/// Passages of an earlier answer that stay in front, unchanged.
pub(super) struct LeadingPassages<'a> {
    pub(super) passages: &'a [Passage],
    /// The tag of a plain context that starts with them.
    tag: Option<String>,
    pub(super) tokens: usize,
    /// Proven lower bound of their tokens in any context that starts with them.
    pub(super) tokens_least: usize,
}

impl<'a> LeadingPassages<'a> {
    pub(super) fn new(
        input: &'a AssemblyInput,
        assembly: &AssemblyRequest,
        tokenizer: &dyn Tokenizer,
    ) -> Self {
        let passages = input.kept.as_slice();
        if passages.is_empty() {
            return Self { passages, tag: None, tokens: 0, tokens_least: 0 };
        }
        let text = render_with_tag(passages, &assembly.style, input.tag.as_deref()).text;
        let tag = plain_tag_in(&text, &assembly.style).map(ToOwned::to_owned);
        let (tokens, tokens_least) = tokenizer.count_and_least(&text);
        Self { passages, tag, tokens, tokens_least }
    }
}

/// A selection, its passages and its rendered text, counted.
pub(super) struct PackedSelection {
    pub(super) selection: AtomSelection,
    pub(super) merged: merge::MergedPassages,
    pub(super) rendering: RenderedContext,
    pub(super) tokens: usize,
}

/// Renders and counts a selection. Gives back what exceeds the budget, then fills what is left.
pub(super) struct BudgetPacker<'a> {
    pub(super) leading: &'a LeadingPassages<'a>,
    pub(super) input: &'a AssemblyInput,
    pub(super) assembly: &'a AssemblyRequest,
    pub(super) also: &'a [Vec<Citation>],
    pub(super) limits: SelectionLimits,
    pub(super) tokenizer: &'a dyn Tokenizer,
}

impl BudgetPacker<'_> {
    /// Packs a selection. `options` makes the ranges that free room is filled from.
    pub(super) fn pack(
        &self,
        prices: &mut TokenPriceTable,
        chosen: AtomSelection,
        options: impl Fn() -> SelectableRanges,
    ) -> PackedSelection {
        let mut packed = self.render(prices, chosen);
        // Ends: every round gives back at least one atom, and the gain of an empty selection is 0.
        while packed.tokens > self.assembly.budget && packed.selection.gain() > 0.0 {
            let excess = packed.tokens - self.assembly.budget;
            let mut selection = packed.selection;
            selection.give_back(prices, excess, self.limits.passages_per_document);
            packed = self.render(prices, selection);
        }
        if packed.tokens > self.assembly.budget {
            // Not even the framing, or the passages in front, fit: the context is empty.
            let nothing = AtomSelection::new(prices, true);
            return PackedSelection {
                rendering: RenderedContext::default(),
                tokens: 0,
                ..self.render(prices, nothing)
            };
        }
        let mut all: Option<SelectableRanges> = None;
        for _ in 0..REFILLS_MAX {
            let left = self.assembly.budget - packed.tokens;
            if left < REFILL_TOKENS_MIN {
                break;
            }
            // The selection counts estimated tokens; what the real count left over is added to that estimate.
            let limits = SelectionLimits { tokens: packed.selection.tokens() + left, ..self.limits };
            let before = packed.selection.gain();
            let from = all.get_or_insert_with(&options);
            let selection = greedy::select_greedily(
                prices,
                from,
                packed.selection.clone(),
                GreedyCriterion::GainPerToken,
                limits,
            );
            if selection.gain() <= before {
                break;
            }
            // Estimates may be too low: the fuller context counts only if it fits.
            let fuller = self.render(prices, selection);
            if fuller.tokens > self.assembly.budget {
                break;
            }
            packed = fuller;
        }
        packed
    }

    fn render(&self, prices: &TokenPriceTable, selection: AtomSelection) -> PackedSelection {
        let before = self.leading.passages.len();
        let mut merged =
            merge::merge_into_passages(&selection, prices, self.also, self.assembly.order, before);
        for passage in &mut merged.passages {
            passage.section.clone_from(&self.input.section);
        }
        // The framing is rendered anew as a whole: the tag of a plain context depends on all texts.
        let rendering = if self.leading.passages.is_empty() {
            render_with_tag(&merged.passages, &self.assembly.style, None)
        } else {
            let all: Vec<Passage> = self.leading.passages.iter().chain(&merged.passages).cloned().collect();
            render_with_tag(&all, &self.assembly.style, self.leading.tag.as_deref())
        };
        let tokens = if rendering.text.is_empty() { 0 } else { self.tokenizer.count(&rendering.text) };
        PackedSelection { selection, merged, rendering, tokens }
    }
}
