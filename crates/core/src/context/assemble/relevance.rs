//! Relevance and gain of each atom.
//!
//! Relevance combines two signals: the score of the best candidate that covers the atom (what
//! both legs, and a reranker, found), and the question's terms in and around the atom. A term
//! weighs more the fewer candidates contain it: a term that names the whole topic occurs in all of
//! them and does not tell them apart. Terms in neighbouring atoms count by [`NEIGHBOUR_WEIGHTS`],
//! since the answer is seldom in the sentence that repeats the question. A term that names the document has
//! chosen it already, in retrieval: inside it the term marks titles and boilerplate, and counts little.
//!
//! Coverage saturates. Atoms are taken in the order of value per token, and each multiplies the
//! weight of its terms by [`NOVELTY_DECAY`] for the atoms after it. So the third passage on the same
//! terms is worth little, and one on a new term rises. This is the gain of α-nDCG (Clarke et al.,
//! "Novelty and diversity in information retrieval evaluation", SIGIR 2008), with the question's
//! terms as nuggets and BM25's saturation (Robertson and Zaragoza, 2009) as the grade. The gains are
//! fixed numbers in the end, so the objective is their sum.
//!
//! gain = relevance⁴ · √bytes: usefulness falls steeply with relevance, and a longer text holds
//! more of it. All constants were chosen on the two evaluation sets of the README; recall is flat
//! around each of them.

use std::collections::{BTreeMap, BTreeSet};

use super::atoms::{AtomizedCandidates, ContiguousRegion};
use super::candidates::RankedCandidate;
use crate::domain::document_name::document_name_words;
use crate::ports::lexical::QuestionTerms;

/// Share of the question's terms in relevance; the rest is the score of retrieval.
pub const TERM_SHARE: f64 = 0.4;
/// The same if a reranker has read the texts: it saw the terms, too.
pub const RERANKED_TERM_SHARE: f64 = 0.2;
/// Weight of the terms of neighbours at distance one and two.
const NEIGHBOUR_WEIGHTS: [f64; 2] = [0.5, 0.25];
/// Factor on a term's weight each time an atom with the term is taken.
const NOVELTY_DECAY: f64 = 0.85;
/// Atoms that discount terms. Those after them are worth too little to matter.
const DISCOUNTING_ATOMS_MAX: usize = 32;
/// Factor on the weight of a term that is in the name of the atom's document.
const NAME_TERM_FACTOR: f64 = 0.1;
/// How steeply the value of a text falls with its relevance.
const RELEVANCE_EXPONENT: i32 = 4;
/// BM25's saturation of a term's count.
const BM25_K1: f64 = 1.2;
/// BM25's share of length normalisation.
const BM25_B: f64 = 0.75;
/// Most terms of a question that are distinguished, the rarest ones: one bit each.
const QUESTION_TERMS_MAX: usize = 64;
/// Estimated tokens of framing, and bytes of a token, for the order in which atoms are taken.
const FRAMING_TOKENS: f64 = 14.0;
const BYTES_PER_TOKEN: f64 = 4.0;

/// Sets relevance and gain of every atom. An atom that repeats another gains nothing.
pub(super) fn grade_atoms(
    atoms: &mut AtomizedCandidates,
    items: &[RankedCandidate],
    terms: Option<&dyn QuestionTerms>,
    term_share: f64,
) {
    let sizes: Vec<f64> = (0..atoms.len()).map(|index| trimmed_bytes(atoms.text(index))).collect();
    let evidence = terms.and_then(|terms| TermEvidence::from_terms(atoms, items, terms, &sizes));
    // Without terms the score of retrieval is all there is, and counts in full.
    let share = if evidence.is_some() { term_share } else { 0.0 };
    let mut relevance: Vec<f64> =
        atoms.atoms.iter().map(|atom| (1.0 - share) * items[atom.item].share).collect();
    if let Some(evidence) = evidence {
        evidence.add(&mut relevance, atoms, share, &sizes);
    }
    for ((atom, relevance), size) in atoms.atoms.iter_mut().zip(relevance).zip(sizes) {
        atom.relevance = relevance;
        atom.gain = if atom.repeats.is_none() { text_gain(relevance, size) } else { 0.0 };
    }
}

fn text_gain(relevance: f64, size: f64) -> f64 {
    relevance.max(0.0).powi(RELEVANCE_EXPONENT) * size.sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "texts are far below 2^52 bytes")]
fn trimmed_bytes(text: &str) -> f64 {
    text.trim().len() as f64
}

/// How strongly the question's terms speak for each atom.
struct TermEvidence {
    /// Number of terms.
    width: usize,
    /// By atom, then term: the term's score as a share of the best atom's sum.
    values: Vec<f64>,
    /// By atom: one bit for every term in it.
    present: Vec<u64>,
}

impl TermEvidence {
    /// Scores the terms of every atom; none if no term occurs.
    fn from_terms(
        atoms: &AtomizedCandidates,
        items: &[RankedCandidate],
        terms: &dyn QuestionTerms,
        sizes: &[f64],
    ) -> Option<Self> {
        let counts = AtomTermCounts::count_terms(atoms, terms);
        let kept = counts.most_telling(items);
        let average = sizes.iter().sum::<f64>() / atom_count(sizes);
        let width = kept.len();
        let named = name_terms(items, terms);
        let mut own = vec![0.0; atoms.len() * width];
        let mut present = vec![0_u64; atoms.len()];
        for index in 0..atoms.len() {
            // BM25 with the atom as the document: long atoms contain a term more easily.
            let length = 1.0 - BM25_B + BM25_B * sizes[index] / average.max(1.0);
            for (place, (term, weight)) in kept.iter().enumerate() {
                let count = f64::from(counts.at(index, *term));
                if count > 0.0 {
                    let is_name = named.contains(&(atoms.atoms[index].group, *term));
                    let weight = if is_name { weight * NAME_TERM_FACTOR } else { *weight };
                    own[index * width + place] =
                        weight * count * (BM25_K1 + 1.0) / (count + BM25_K1 * length);
                    present[index] |= 1 << place;
                }
            }
        }
        // Neighbours count only within a region: beyond it other text may lie between.
        let mut values = own.clone();
        for ContiguousRegion { atoms: range, .. } in &atoms.regions {
            for index in range.clone() {
                for (distance, factor) in (1..).zip(NEIGHBOUR_WEIGHTS) {
                    let before = index.checked_sub(distance).filter(|near| range.contains(near));
                    let after = Some(index + distance).filter(|near| range.contains(near));
                    for near in before.into_iter().chain(after).filter(|near| present[*near] != 0) {
                        for place in 0..width {
                            values[index * width + place] += factor * own[near * width + place];
                        }
                    }
                }
            }
        }
        let best = values.chunks(width.max(1)).map(|row| row.iter().sum()).fold(0.0, f64::max);
        // Scaled by the best atom, so that both parts of relevance lie within 0 and 1.
        (best > 0.0).then(|| {
            for value in &mut values {
                *value /= best;
            }
            weigh_collections(&mut values, width, atoms, items);
            Self { width, values, present }
        })
    }

    /// Adds the terms' part to each atom's relevance. Atoms that are taken leave less to the others.
    fn add(&self, relevance: &mut [f64], atoms: &AtomizedCandidates, share: f64, sizes: &[f64]) {
        let row = |index: usize| &self.values[index * self.width..(index + 1) * self.width];
        for (index, relevance) in relevance.iter_mut().enumerate() {
            *relevance += share * row(index).iter().sum::<f64>();
        }
        let per_token = |size: &f64| text_gain(1.0, *size) / (size / BYTES_PER_TOKEN + FRAMING_TOKENS);
        let factors: Vec<f64> = sizes.iter().map(per_token).collect();
        let value = |relevance: f64, index: usize| text_gain(relevance, 1.0) * factors[index];
        // Taken and repeating atoms are out of the running.
        let mut values: Vec<f64> = (0..atoms.len())
            .map(|index| match atoms.atoms[index].repeats {
                None => value(relevance[index], index),
                Some(_) => f64::NEG_INFINITY,
            })
            .collect();
        let around: Vec<u64> = (0..atoms.len()).map(|index| term_bits(row(index))).collect();
        let mut weights = vec![1.0_f64; self.width];
        for _ in 0..DISCOUNTING_ATOMS_MAX {
            let Some(taken) = first_highest(&values) else { break };
            values[taken] = f64::NEG_INFINITY;
            // Only atoms with a term in common lose anything; the others are not touched.
            let mut lost = Vec::with_capacity(self.width);
            for term in (0..self.width).filter(|term| self.present[taken] >> term & 1 == 1) {
                lost.push((term, share * weights[term] * (1.0 - NOVELTY_DECAY)));
                weights[term] *= NOVELTY_DECAY;
            }
            for index in 0..atoms.len() {
                if around[index] & self.present[taken] == 0 || values[index] == f64::NEG_INFINITY {
                    continue;
                }
                let row = row(index);
                relevance[index] -= lost.iter().map(|(term, lost)| row[*term] * lost).sum::<f64>();
                values[index] = value(relevance[index], index);
            }
        }
    }
}

/// The terms of the question that are in a document's name, with the number of the document.
fn name_terms(items: &[RankedCandidate], terms: &dyn QuestionTerms) -> BTreeSet<(usize, usize)> {
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    for item in items {
        names.entry(item.group).or_insert_with(|| {
            let title = item.chunk.description.title.as_deref().unwrap_or_default();
            format!("{} {title}", document_name_words(item.chunk.document_id.as_str()))
        });
    }
    let texts: Vec<&str> = names.values().map(String::as_str).collect();
    let groups: Vec<usize> = names.keys().copied().collect();
    let mut found = BTreeSet::new();
    terms.find(&texts, &mut |text, _, term| {
        found.insert((groups[text], term));
    });
    found
}

/// Multiplies the values of each atom by the weight of its collection. The scores are weighted already, and a
/// weight means both signals.
fn weigh_collections(
    values: &mut [f64],
    width: usize,
    atoms: &AtomizedCandidates,
    items: &[RankedCandidate],
) {
    let heaviest = items.iter().map(RankedCandidate::weight).fold(0.0, f64::max);
    if items.iter().all(|item| item.weight() >= heaviest) {
        return;
    }
    for (row, atom) in values.chunks_mut(width).zip(&atoms.atoms) {
        let weight = items[atom.item].weight() / heaviest;
        for value in row {
            *value *= weight;
        }
    }
}

/// One bit for every positive value.
fn term_bits(values: &[f64]) -> u64 {
    values.iter().rev().fold(0, |bits, value| bits << 1 | u64::from(*value > 0.0))
}

/// Index of the first highest value; none if all are out.
fn first_highest(values: &[f64]) -> Option<usize> {
    let mut best = (f64::NEG_INFINITY, None);
    for (index, value) in values.iter().enumerate() {
        if *value > best.0 {
            best = (*value, Some(index));
        }
    }
    best.1
}

#[expect(clippy::cast_precision_loss, reason = "there are far fewer atoms than 2^52")]
fn atom_count(sizes: &[f64]) -> f64 {
    sizes.len().max(1) as f64
}

/// How often each term of the question occurs in each atom.
struct AtomTermCounts {
    terms: usize,
    counts: Vec<u32>,
}

impl AtomTermCounts {
    fn count_terms(atoms: &AtomizedCandidates, terms: &dyn QuestionTerms) -> Self {
        let width = terms.count();
        let mut counts = vec![0_u32; atoms.len() * width];
        let texts: Vec<&str> = atoms.regions.iter().map(|region| region.text.as_ref()).collect();
        // Hits come by region and offset, so one cursor over the atoms finds all of them.
        let mut at = (0, 0);
        terms.find(&texts, &mut |region, byte, term| {
            let ContiguousRegion { start, atoms: range, .. } = &atoms.regions[region];
            if at.0 != region || at.1 < range.start {
                at = (region, range.start);
            }
            while at.1 + 1 < range.end && atoms.atoms[at.1].span.end <= start + byte {
                at.1 += 1;
            }
            counts[at.1 * width + term] += 1;
        });
        Self { terms: width, counts }
    }

    fn at(&self, atom: usize, term: usize) -> u32 {
        self.counts[atom * self.terms + term]
    }

    /// The terms that tell candidates apart best, each with its weight, ordered by term number.
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer candidates than 2^52")]
    fn most_telling(&self, items: &[RankedCandidate]) -> Vec<(usize, f64)> {
        let live: Vec<&RankedCandidate> = items.iter().filter(|item| item.is_live()).collect();
        let mut with = vec![0_usize; self.terms];
        for item in &live {
            for (term, with) in with.iter_mut().enumerate() {
                *with += usize::from(item.atoms.clone().any(|atom| self.at(atom, term) > 0));
            }
        }
        // BM25's inverse document frequency, over the candidates instead of the collection.
        let weight = |with: usize| {
            let (all, with) = (live.len() as f64, with as f64);
            (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
        };
        let mut telling: Vec<(usize, f64)> = with
            .into_iter()
            .enumerate()
            .filter(|(_, with)| *with > 0)
            .map(|(term, with)| (term, weight(with)))
            .collect();
        telling.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        // One bit for each term has to fit into a u64.
        telling.truncate(QUESTION_TERMS_MAX);
        telling.sort_unstable_by_key(|(term, _)| *term);
        telling
    }
}
