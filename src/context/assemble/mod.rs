//! Packs candidates into a context that never exceeds its budget.
//!
//! Objective: the sum of the chosen candidates' gains; a gain is (score / best score)⁴ · √bytes.
//! Relevance falls steeply with the score and a longer text holds more of it: recall is flat
//! for exponents from 4 up, and 2 to 4 points lower for 1. Cost: tokens of the rendered text,
//! framing included. Greedy on gain per token and greedy on gain (it starts with the best
//! single candidate), the better one wins (Khuller et al., 1999); lazily (Minoux, 1978).
//!
//! Token counts of pieces do not add up, so they only steer the choice; the final text is
//! counted, and while it is over, the lowest gains are given back. Documents come best first,
//! passages in document order; ties go by score, document id, offset. Equal input gives equal
//! bytes, in whatever order candidates of equal score arrive.
//! Limits: `CANDIDATES_MAX` candidates; those beyond, by rank, are not considered.

mod bound;
mod duplicates;
mod prices;
mod select;
mod unite;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::{Assembled, Citation, TraceEntry, Verdict};
use super::render::{render, visible::visible};
use super::request::{Assembly, TOP_K_MAX};
use crate::domain::chunk::{Chunk, context_line};
use crate::ports::tokenizer::Tokenizer;
use prices::Prices;
use select::{Rule, Selection};

/// Most candidates that are considered.
pub const CANDIDATES_MAX: usize = TOP_K_MAX;
/// How steeply the value of a text falls with its relative score.
const SCORE_EXPONENT: i32 = 4;
/// How often room that the final count left is filled again.
const REFILLS_MAX: usize = 2;

/// A chunk that may enter the context.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The chunk.
    pub chunk: Arc<Chunk>,
    /// Its relevance; higher is better, what is not a positive number counts as 0.
    pub score: f32,
}

/// What there is to choose from.
#[derive(Debug, Clone, Default)]
pub struct AssemblyInput {
    /// Candidates, best first.
    pub candidates: Vec<Candidate>,
}

/// A candidate as the steps of assembly see it; their slices are in canonical order.
struct Item<'a> {
    chunk: &'a Chunk,
    score: f32,
    gain: f64,
    /// Number of its document version.
    group: usize,
    heading: String,
    visible: Cow<'a, str>,
    /// What became of it; none while it may be chosen.
    verdict: Option<Verdict>,
}

impl Item<'_> {
    fn citation(&self) -> Citation {
        Citation {
            document_id: self.chunk.document_id.clone(),
            version: self.chunk.version,
            span: self.chunk.span,
        }
    }
}

/// Chooses, merges, orders, renders and counts.
pub fn assemble(input: &AssemblyInput, assembly: &Assembly, tokenizer: &dyn Tokenizer) -> Assembled {
    let mut items = canonical(&input.candidates);
    unite::reject_inconsistent(&mut items);
    let also = duplicates::collapse(&mut items);
    let mut prices = Prices::new(&items, assembly.format, tokenizer);

    let by_density = select::greedy(&mut prices, Selection::new(&items), Rule::GainPerToken, assembly.budget);
    let by_gain = select::greedy(&mut prices, Selection::new(&items), Rule::Gain, assembly.budget);
    let better = if by_gain.gain() > by_density.gain() { by_gain } else { by_density };
    let packed = pack(&mut prices, better, assembly, &also, tokenizer);

    let bound = bound::share_of_optimum(&items, &packed.selection, &prices, assembly.budget);
    let trace = trace(&items, &packed.selection, &prices, &packed.united);
    Assembled {
        context: packed.context,
        tokens: packed.tokens,
        passages: packed.united.passages,
        bound,
        trace,
    }
}

struct Packed<'a> {
    selection: Selection<'a>,
    united: unite::United,
    context: String,
    tokens: usize,
}

impl<'a> Packed<'a> {
    fn new(
        selection: Selection<'a>,
        assembly: &Assembly,
        also: &[Vec<Citation>],
        tokenizer: &dyn Tokenizer,
    ) -> Self {
        let united = unite::unite(&selection, also);
        let context = render(&united.passages, assembly.format);
        let tokens = if context.is_empty() { 0 } else { tokenizer.count(&context) };
        Self { selection, united, context, tokens }
    }
}

/// Renders and counts; gives back what is too much, fills what is left.
fn pack<'a>(
    prices: &mut Prices<'a>,
    chosen: Selection<'a>,
    assembly: &Assembly,
    also: &[Vec<Citation>],
    tokenizer: &dyn Tokenizer,
) -> Packed<'a> {
    let mut packed = Packed::new(chosen, assembly, also, tokenizer);
    while packed.tokens > assembly.budget {
        let excess = packed.tokens - assembly.budget;
        let mut selection = packed.selection;
        selection.give_back(prices, excess);
        packed = Packed::new(selection, assembly, also, tokenizer);
    }
    for _ in 0..REFILLS_MAX {
        let left = assembly.budget - packed.tokens;
        let limit = packed.selection.tokens() + left;
        let selection = select::greedy(prices, packed.selection.clone(), Rule::GainPerToken, limit);
        if selection.count() == packed.selection.count() {
            break;
        }
        let fuller = Packed::new(selection, assembly, also, tokenizer);
        if fuller.tokens > assembly.budget {
            break;
        }
        packed = fuller;
    }
    packed
}

/// Candidates by score, document, version, offset: the order that settles every tie.
fn canonical(candidates: &[Candidate]) -> Vec<Item<'_>> {
    let score =
        |candidate: &Candidate| if candidate.score > 0.0 { candidate.score.min(f32::MAX) } else { 0.0 };
    let place = |chunk: &Chunk| (chunk.span, chunk.ordinal, chunk.id);
    let by_rank = |left: &&Candidate, right: &&Candidate| {
        score(right)
            .total_cmp(&score(left))
            .then_with(|| same_document(&left.chunk, &right.chunk))
            .then_with(|| place(&left.chunk).cmp(&place(&right.chunk)))
            .then_with(|| left.chunk.text.cmp(&right.chunk.text))
    };
    let mut ranked: Vec<&Candidate> = candidates.iter().collect();
    ranked.sort_by(by_rank);
    ranked.truncate(CANDIDATES_MAX);

    let best = ranked.first().map_or(0.0, |candidate| score(candidate));
    let groups = number_documents(&ranked);
    let with_group = ranked.into_iter().zip(groups);
    with_group.map(|(candidate, group)| item_of(candidate, score(candidate), best, group)).collect()
}

fn same_document(left: &Chunk, right: &Chunk) -> Ordering {
    left.document_id.cmp(&right.document_id).then(left.version.cmp(&right.version))
}

/// The number of each candidate's document version, counted in order of appearance.
fn number_documents(ranked: &[&Candidate]) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    let mut number_of = |candidate: &&Candidate| {
        let next = numbers.len();
        *numbers.entry((candidate.chunk.document_id.clone(), candidate.chunk.version)).or_insert(next)
    };
    ranked.iter().map(&mut number_of).collect()
}

fn item_of(candidate: &Candidate, score: f32, best: f32, group: usize) -> Item<'_> {
    let chunk = candidate.chunk.as_ref();
    let bytes = chunk.text.trim().len();
    Item {
        chunk,
        score: candidate.score,
        gain: gain(score, best, bytes),
        group,
        heading: heading(chunk),
        visible: visible(&chunk.text),
        verdict: (bytes == 0).then_some(Verdict::Blank),
    }
}

/// The heading line of a chunk: its headings, or the title where there are none; at most
/// [`crate::domain::chunk::CONTEXT_LINE_BYTES_MAX`] bytes.
pub fn heading(chunk: &Chunk) -> String {
    let title = chunk.description.title.as_deref().filter(|_| chunk.heading.is_empty());
    context_line(title, &chunk.heading)
}

#[expect(clippy::cast_precision_loss, reason = "texts are far below 2^52 bytes")]
fn gain(score: f32, best: f32, bytes: usize) -> f64 {
    if best > 0.0 {
        (f64::from(score) / f64::from(best)).powi(SCORE_EXPONENT) * (bytes as f64).sqrt()
    } else {
        0.0
    }
}

fn trace(items: &[Item], selection: &Selection, prices: &Prices, united: &unite::United) -> Vec<TraceEntry> {
    let entry = |(index, item): (usize, &Item)| TraceEntry {
        chunk_id: item.chunk.id,
        citation: item.citation(),
        score: item.score,
        gain: item.gain,
        tokens: prices.known(index),
        verdict: item.verdict.or(united.verdicts[index]).unwrap_or(if selection.was_given_back(index) {
            Verdict::GivenBack
        } else {
            Verdict::OverBudget
        }),
    };
    items.iter().enumerate().map(entry).collect()
}
