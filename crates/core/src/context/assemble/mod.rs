//! Packs candidates into a context that never exceeds its budget.
//!
//! Candidates become *atoms*, sentences and lines that tile them ([`atoms`]); every atom gets a
//! gain ([`relevance`]) and a price in tokens of the rendered text, framing included
//! ([`token_prices`]). Objective: the sum of the chosen atoms' gains, under the budget. Options of
//! every size, from an atom to a section, are added greedily by gain per token and by gain (it
//! starts with the best single option); small sets are solved exactly; the best of the three is
//! improved by swaps. Atoms that touch become one passage.
//!
//! Token counts of pieces do not add up, so they only steer the choice; the final text is
//! counted, and while it is over, the lowest gains per token are given back. Documents come best
//! first, passages in document order, unless another order is asked for; ties go by score,
//! document id, offset. Equal input gives equal bytes, in whatever order candidates of equal
//! score arrive. Passages that an earlier answer had are kept in front, byte for byte.
//! Limits: `CANDIDATES_MAX` candidates; those beyond, by rank, are not considered.

mod atoms;
mod candidates;
mod duplicates;
mod exact_selection;
mod greedy;
mod merge;
mod optimality_bound;
mod relevance;
mod selection;
mod token_prices;
mod word_hashes;

use std::sync::Arc;

use super::answer::{AssembledContext, CandidateTrace, CandidateVerdict, Citation, Passage};
use super::render::{RenderedContext, plain_tag_in, render_with_tag};
use super::request::{AssemblyRequest, PassageOrder};
use crate::domain::chunk::Chunk;
use crate::ports::lexical::QuestionTerms;
use crate::ports::tokenizer::Tokenizer;
use atoms::AtomizedCandidates;
use candidates::RankedCandidate;
pub use candidates::chunk_heading;
use greedy::{GreedyCriterion, SelectableRanges, SelectionLimits};
pub use relevance::{RERANKED_TERM_SHARE, TERM_SHARE};
use selection::AtomSelection;
use token_prices::TokenPriceTable;

/// Most candidates that are considered.
pub const CANDIDATES_MAX: usize = 2000;
/// How many times the budget is looked at first.
const PROMISING_BUDGETS: usize = 3;
/// How often room that the final count left is filled again.
const REFILLS_MAX: usize = 2;
/// Room in tokens that is worth filling: a passage's framing has about 14.
const REFILL_TOKENS_MIN: usize = 16;

/// A chunk that may enter the context.
#[derive(Debug, Clone)]
pub struct ContextCandidate {
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// Its relevance; higher is better, what is not a positive number counts as 0.
    pub score: f32,
}

/// What there is to choose from.
#[derive(Clone, Default)]
pub struct AssemblyInput {
    /// Candidates, best first.
    pub candidates: Vec<ContextCandidate>,
    /// The question's terms; without them the scores alone decide.
    pub terms: Option<Arc<dyn QuestionTerms>>,
    /// Share of the terms in relevance, 0 to 1; [`TERM_SHARE`] for scores of retrieval, less
    /// where a reranker has read the texts.
    pub term_share: f64,
    /// Passages that stand in front and stay as they are.
    pub kept: Vec<Passage>,
    /// The tag that a plain context with them has.
    pub tag: Option<String>,
    /// The section that new passages belong to.
    pub section: String,
}

impl std::fmt::Debug for AssemblyInput {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AssemblyInput")
            .field("candidates", &self.candidates)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// Chooses, merges, orders, renders and counts.
pub fn assemble_context(
    input: &AssemblyInput,
    assembly: &AssemblyRequest,
    tokenizer: &dyn Tokenizer,
) -> AssembledContext {
    let mut items = candidates::rank_candidates(&input.candidates);
    merge::reject_inconsistent(&mut items);
    let also = duplicates::collapse_duplicates(&mut items);
    let mut atoms = atoms::cut_into_atoms(&mut items);
    duplicates::mark_repeats(&mut atoms);
    relevance::grade_atoms(&mut atoms, &items, input.terms.as_deref(), input.term_share);
    let closed = excluded_atoms(&atoms, &items, &input.kept, assembly);
    let admits = |index: usize| closed[index].is_none();

    let front = LeadingPassages::new(input, assembly, tokenizer);
    let mut prices = TokenPriceTable::new(&atoms, &items, &assembly.style, tokenizer);
    let limits = SelectionLimits {
        tokens: assembly.budget.saturating_sub(front.tokens),
        passages_per_document: assembly.passages_per_document_max.unwrap_or(usize::MAX),
    };
    let promising = promising_atoms(&prices, admits, limits.tokens);
    let options = SelectableRanges::from_atoms(&atoms, &items, |index| admits(index) && promising[index]);
    let chosen = best_selection(&mut prices, &options, admits, limits, assembly.order);
    let last_step = BudgetPacker { front: &front, input, assembly, also: &also, limits, tokenizer };
    let packed = last_step.pack(&mut prices, chosen, || SelectableRanges::from_atoms(&atoms, &items, admits));

    let gain = packed.selection.gain();
    let is_in = |index: usize| packed.selection.is_chosen(index) || atoms.atoms[index].gain <= 0.0;
    let everything = (0..atoms.len()).all(|index| !admits(index) || is_in(index));
    let bound = if everything {
        1.0
    } else {
        let room = assembly.budget.saturating_sub(front.tokens_least);
        optimality_bound::share_of_optimum(&prices, admits, gain, room)
    };
    let trace = trace_candidates(&prices, &packed, &closed, limits);
    let kept_gain = (0..atoms.len())
        .filter(|index| closed[*index] == Some(AtomExclusion::InFront))
        .map(|index| atoms.atoms[index].gain)
        .sum();
    let kept = if packed.rendering.text.is_empty() { &[] } else { input.kept.as_slice() };
    AssembledContext {
        context: packed.rendering.text,
        tokens: packed.tokens,
        ends: packed.rendering.ends,
        chunks: packed.united.chunks,
        passages: kept.iter().cloned().chain(packed.united.passages).collect(),
        bound,
        gain,
        kept_gain,
        trace,
    }
}

/// Why an atom may not be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtomExclusion {
    /// A passage in front has it.
    InFront,
    /// Its relevance is too low.
    BelowCutoff,
}

/// By atom, why it may not be chosen.
fn excluded_atoms(
    atoms: &AtomizedCandidates,
    items: &[RankedCandidate],
    kept: &[Passage],
    assembly: &AssemblyRequest,
) -> Vec<Option<AtomExclusion>> {
    let best = atoms.atoms.iter().map(|atom| atom.relevance).fold(0.0, f64::max);
    let lowest = assembly.cutoff.map_or(0.0, |share| share * best);
    let of = |atom: &atoms::TextAtom| {
        let chunk = items[atom.item].chunk;
        let has = |passage: &&Passage| {
            passage.document_id == chunk.document_id
                && passage.version == chunk.version
                && passage.span.start < atom.span.end
                && atom.span.start < passage.span.end
        };
        if kept.iter().any(|passage| has(&passage)) {
            return Some(AtomExclusion::InFront);
        }
        (atom.relevance < lowest).then_some(AtomExclusion::BelowCutoff)
    };
    atoms.atoms.iter().map(of).collect()
}

/// The atoms worth looking at first: those that gain most for their guessed tokens, up to a few
/// times the budget, and their neighbours. What is left of the budget is filled from all.
fn promising_atoms(prices: &TokenPriceTable, admits: impl Fn(usize) -> bool, tokens: usize) -> Vec<bool> {
    let count = prices.atoms.len();
    let density =
        |index: usize| selection::gain_per_token(prices.atoms.atoms[index].gain, prices.known(index) + 1);
    let mut order: Vec<(f64, usize)> =
        (0..count).filter(|index| admits(*index)).map(|index| (density(index), index)).collect();
    order.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    let mut promising = vec![false; count];
    let mut spent = 0;
    for (_, index) in order {
        if spent > PROMISING_BUDGETS * tokens {
            break;
        }
        spent += prices.known(index);
        promising[index.saturating_sub(1)..(index + 2).min(count)].fill(true);
    }
    promising
}

/// The best of what the rules and, for small sets, the exact search find, improved by swaps.
fn best_selection(
    prices: &mut TokenPriceTable,
    options: &SelectableRanges,
    admits: impl Fn(usize) -> bool,
    limits: SelectionLimits,
    order: PassageOrder,
) -> AtomSelection {
    let empty = AtomSelection::new(prices, order == PassageOrder::Document);
    let by_density =
        greedy::select_greedily(prices, options, empty.clone(), GreedyCriterion::GainPerToken, limits);
    let by_gain = greedy::select_greedily(prices, options, empty.clone(), GreedyCriterion::Gain, limits);
    let mut best = if by_gain.gain() > by_density.gain() { by_gain } else { by_density };
    if limits.passages_per_document == usize::MAX
        && let Some(exact) = exact_selection::select_exactly(prices, admits, limits.tokens, &empty)
        && exact.tokens() <= limits.tokens
        && exact.gain() > best.gain()
    {
        best = exact;
    }
    // A swap can split a passage.
    let swapped = if limits.passages_per_document == usize::MAX {
        greedy::improve_by_swaps(prices, options, best, limits)
    } else {
        best
    };
    greedy::close_repeat_gaps(prices, swapped, limits.tokens)
}

/// What stands in front and stays.
struct LeadingPassages<'a> {
    passages: &'a [Passage],
    /// The tag of a plain context that starts with them.
    tag: Option<String>,
    tokens: usize,
    /// The least they cost in any context that starts with them, proven.
    tokens_least: usize,
}

impl<'a> LeadingPassages<'a> {
    fn new(input: &'a AssemblyInput, assembly: &AssemblyRequest, tokenizer: &dyn Tokenizer) -> Self {
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

struct PackedSelection {
    selection: AtomSelection,
    united: merge::MergedPassages,
    rendering: RenderedContext,
    tokens: usize,
}

/// Renders and counts; gives back what is too much, fills what is left.
struct BudgetPacker<'a> {
    front: &'a LeadingPassages<'a>,
    input: &'a AssemblyInput,
    assembly: &'a AssemblyRequest,
    also: &'a [Vec<Citation>],
    limits: SelectionLimits,
    tokenizer: &'a dyn Tokenizer,
}

impl BudgetPacker<'_> {
    /// `options` makes what room is filled from.
    fn pack(
        &self,
        prices: &mut TokenPriceTable,
        chosen: AtomSelection,
        options: impl Fn() -> SelectableRanges,
    ) -> PackedSelection {
        let mut packed = self.render(prices, chosen);
        while packed.tokens > self.assembly.budget && packed.selection.gain() > 0.0 {
            let excess = packed.tokens - self.assembly.budget;
            let mut selection = packed.selection;
            selection.give_back(prices, excess, self.limits.passages_per_document);
            packed = self.render(prices, selection);
        }
        if packed.tokens > self.assembly.budget {
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
            let fuller = self.render(prices, selection);
            if fuller.tokens > self.assembly.budget {
                break;
            }
            packed = fuller;
        }
        packed
    }

    fn render(&self, prices: &TokenPriceTable, selection: AtomSelection) -> PackedSelection {
        let before = self.front.passages.len();
        let mut united =
            merge::merge_into_passages(&selection, prices, self.also, self.assembly.order, before);
        for passage in &mut united.passages {
            passage.section.clone_from(&self.input.section);
        }
        let rendering = if self.front.passages.is_empty() {
            render_with_tag(&united.passages, &self.assembly.style, None)
        } else {
            let all: Vec<Passage> = self.front.passages.iter().chain(&united.passages).cloned().collect();
            render_with_tag(&all, &self.assembly.style, self.front.tag.as_deref())
        };
        let tokens = if rendering.text.is_empty() { 0 } else { self.tokenizer.count(&rendering.text) };
        PackedSelection { selection, united, rendering, tokens }
    }
}

fn trace_candidates(
    prices: &TokenPriceTable,
    packed: &PackedSelection,
    closed: &[Option<AtomExclusion>],
    limits: SelectionLimits,
) -> Vec<CandidateTrace> {
    let atoms = &prices.atoms.atoms;
    let entry = |(number, item): (usize, &RankedCandidate)| {
        let own = item.atoms.clone();
        CandidateTrace {
            chunk_id: item.chunk.id,
            citation: Some(item.citation()),
            score: item.score,
            gain: own.clone().map(|index| atoms[index].gain).sum(),
            tokens: own.map(|index| prices.known(index)).sum(),
            kept_bytes: packed.united.kept_bytes[number],
            verdict: item
                .verdict
                .or(packed.united.verdicts[number])
                .unwrap_or_else(|| left_out_verdict(prices, item, packed, closed, limits)),
        }
    };
    prices.items.iter().enumerate().map(entry).collect()
}

/// Why nothing of a candidate is in the context.
fn left_out_verdict(
    prices: &TokenPriceTable,
    item: &RankedCandidate,
    packed: &PackedSelection,
    closed: &[Option<AtomExclusion>],
    limits: SelectionLimits,
) -> CandidateVerdict {
    let atoms = &prices.atoms.atoms;
    // Of chosen atoms, if any, the passage has shed all: they were blank.
    let own = || item.atoms.clone().filter(|index| !packed.selection.is_chosen(*index));
    if own().all(|index| closed[index] == Some(AtomExclusion::InFront)) {
        return CandidateVerdict::InPrefix;
    }
    let original = own().find_map(|index| atoms[index].repeats);
    if let Some(original) = original.filter(|_| own().all(|index| atoms[index].repeats.is_some())) {
        return CandidateVerdict::CoveredBy { of: prices.items[atoms[original].item].chunk.id };
    }
    if own().any(|index| packed.selection.was_given_back(index)) {
        return CandidateVerdict::GivenBack;
    }
    if own().all(|index| closed[index].is_some()) {
        return CandidateVerdict::BelowCutoff;
    }
    if packed.selection.passages_of(item.group) >= limits.passages_per_document {
        return CandidateVerdict::DocumentCap;
    }
    CandidateVerdict::OverBudget
}
