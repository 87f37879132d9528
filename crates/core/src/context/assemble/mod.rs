//! Packs candidates into a context that never exceeds its budget: a knapsack of sentences.
//!
//! Candidates are cut into *atoms*, the sentences and lines that tile them ([`atoms`]). Every atom
//! has a gain ([`relevance`]) and a price in tokens of the rendered text, framing included
//! ([`token_prices`]). The objective is the sum of the gains of the chosen atoms under the budget.
//! Ranges of every size, from an atom to a section, are added greedily, once by gain per token and
//! once by gain ([`greedy`]); small sets are also solved exactly ([`exact_selection`]). The best of
//! the three is improved by swaps. Atoms that touch become one passage ([`merge`]).
//!
//! Token counts of pieces do not add up, so they only steer the selection. The final text is
//! counted and made to fit ([`budget_packer`]). By default the best document comes first, with its
//! passages in document order. Ties are broken by score, document id and offset. Equal input gives
//! equal bytes, in whatever order candidates of equal score arrive. Passages of an earlier answer
//! stay in front, byte for byte. At most `CANDIDATES_MAX` candidates are considered, by rank.

mod atoms;
mod budget_packer;
mod candidates;
mod duplicates;
mod exact_selection;
mod greedy;
mod merge;
mod optimality_bound;
mod relevance;
mod selection;
mod text_fingerprint;
mod token_prices;

use std::sync::Arc;

use super::answer::{AssembledContext, CandidateTrace, CandidateVerdict, Passage};
use super::request::{AssemblyRequest, PassageOrder};
use crate::domain::chunk::Chunk;
use crate::domain::ids::CollectionId;
use crate::ports::lexical::QuestionTerms;
use crate::ports::tokenizer::Tokenizer;
use atoms::AtomizedCandidates;
use budget_packer::{BudgetPacker, LeadingPassages, PackedSelection};
use candidates::RankedCandidate;
pub use candidates::{chunk_heading, heading_at};
use greedy::{GreedyCriterion, SelectableRanges, SelectionLimits};
pub use relevance::{RERANKED_TERM_SHARE, TERM_SHARE};
use selection::AtomSelection;
use token_prices::TokenPriceTable;

/// Most candidates that are considered.
pub const CANDIDATES_MAX: usize = 2000;
/// The selection first looks at atoms worth this many budgets.
const PROMISING_BUDGETS: usize = 3;

/// A chunk that may enter the context.
#[derive(Debug, Clone)]
pub struct ContextCandidate {
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// Its relevance. Higher is better; anything but a positive number counts as 0.
    pub score: f32,
    /// Where it comes from, if the request names several collections.
    pub source: Option<Arc<CandidateSource>>,
}

/// One of several collections that candidates come from. A document is one only within its collection.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateSource {
    /// The collection.
    pub collection: CollectionId,
    /// Its weight beside the others. The scores of its candidates contain it already.
    pub weight: f64,
}

impl ContextCandidate {
    /// Its collection, if there are several.
    pub fn collection(&self) -> Option<&CollectionId> {
        self.source.as_ref().map(|source| &source.collection)
    }

    /// The weight of its collection; 1 if there is only one.
    pub fn weight(&self) -> f64 {
        self.source.as_ref().map_or(1.0, |source| source.weight)
    }
}

/// What assembly selects from.
#[derive(Clone, Default)]
pub struct AssemblyInput {
    /// Candidates, best first.
    pub candidates: Vec<ContextCandidate>,
    /// The question's terms. Without them the scores alone decide.
    pub terms: Option<Arc<dyn QuestionTerms>>,
    /// Share of the terms in relevance, 0 to 1: [`TERM_SHARE`] for scores of retrieval, less if a
    /// reranker has read the texts.
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

/// Selects, merges, orders, renders and counts.
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

    let leading = LeadingPassages::new(input, assembly, tokenizer);
    let mut prices = TokenPriceTable::new(&atoms, &items, &assembly.style, tokenizer);
    let limits = SelectionLimits {
        tokens: assembly.budget.saturating_sub(leading.tokens),
        passages_per_document: assembly.passages_per_document_max.unwrap_or(usize::MAX),
    };
    let promising = promising_atoms(&prices, admits, limits.tokens);
    let options = SelectableRanges::from_atoms(&atoms, &items, |index| admits(index) && promising[index]);
    let chosen = best_selection(&mut prices, &options, admits, limits, assembly.order);
    let budget_packer = BudgetPacker { leading: &leading, input, assembly, also: &also, limits, tokenizer };
    let mut packed =
        budget_packer.pack(&mut prices, chosen, || SelectableRanges::from_atoms(&atoms, &items, admits));

    packed.merged.describe(&items);

    let gain = packed.selection.gain();
    let is_in = |index: usize| packed.selection.is_chosen(index) || atoms.atoms[index].gain <= 0.0;
    // Nothing that gains anything was left out: optimal, whatever the relaxation can prove.
    let everything = (0..atoms.len()).all(|index| !admits(index) || is_in(index));
    let bound = if everything {
        1.0
    } else {
        let room = assembly.budget.saturating_sub(leading.tokens_least);
        optimality_bound::share_of_optimum(&prices, admits, gain, room)
    };
    let trace = trace_candidates(&prices, &packed, &closed, limits);
    let kept_gain = (0..atoms.len())
        .filter(|index| closed[*index] == Some(AtomExclusion::InFront))
        .map(|index| atoms.atoms[index].gain)
        .sum();
    // An empty context holds no passages, not even those in front.
    let kept = if packed.rendering.text.is_empty() { &[] } else { input.kept.as_slice() };
    AssembledContext {
        context: packed.rendering.text,
        tokens: packed.tokens,
        ends: packed.rendering.ends,
        chunks: packed.merged.chunks,
        passages: kept.iter().cloned().chain(packed.merged.passages).collect(),
        bound,
        gain,
        kept_gain,
        trace,
    }
}

/// Why an atom may not be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtomExclusion {
    /// A passage in front contains it, or part of it.
    InFront,
    /// Its relevance is too low.
    BelowCutoff,
}

/// For each atom, why it may not be chosen.
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
                && passage.collection.as_ref() == items[atom.item].collection()
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

/// The atoms to look at first: those with the highest gain per guessed token, up to a few budgets, and
/// their neighbours. Room that is left is filled from all atoms.
fn promising_atoms(prices: &TokenPriceTable, admits: impl Fn(usize) -> bool, tokens: usize) -> Vec<bool> {
    let count = prices.atoms.len();
    // One token more for each atom: free atoms do not divide by zero, and tiny ones do not win by rounding.
    let density = |index: usize| {
        selection::gain_per_token(prices.atoms.atoms[index].gain, prices.known_tokens(index) + 1)
    };
    let mut order: Vec<(f64, usize)> =
        (0..count).filter(|index| admits(*index)).map(|index| (density(index), index)).collect();
    order.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    let mut promising = vec![false; count];
    let mut spent = 0;
    for (_, index) in order {
        if spent > PROMISING_BUDGETS * tokens {
            break;
        }
        spent += prices.known_tokens(index);
        promising[index.saturating_sub(1)..(index + 2).min(count)].fill(true);
    }
    promising
}

/// Returns the best of both greedy selections and, for small sets, the exact one, improved by swaps.
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
    // Greedy by gain per token can miss one large passage; greedy by gain cannot. The better of both is at
    // least half of (1 - 1/e) of the optimum for additive costs (Khuller et al., 1999). The dynamic program
    // knows no limit on passages, so it is only asked where there is none.
    if limits.passages_per_document == usize::MAX
        && let Some(exact) = exact_selection::select_exactly(prices, admits, limits.tokens, &empty)
        && exact.tokens() <= limits.tokens
        && exact.gain() > best.gain()
    {
        best = exact;
    }
    // A swap can split a passage in two, and so break a limit on passages.
    let swapped = if limits.passages_per_document == usize::MAX {
        greedy::improve_by_swaps(prices, options, best, limits)
    } else {
        best
    };
    greedy::close_repeat_gaps(prices, swapped, limits.tokens)
}

/// One trace entry for each candidate.
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
            tokens: own.map(|index| prices.known_tokens(index)).sum(),
            kept_bytes: packed.merged.kept_bytes[number],
            verdict: item
                .verdict
                .or(packed.merged.verdicts[number])
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
    // Chosen atoms of a candidate without a verdict were blank: merging trimmed them off.
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
