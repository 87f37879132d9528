//! Proves how good a selection is at worst: an upper bound of the best possible gain.
//!
//! No set of atoms within the budget gains more than λ · budget + max Σ (gain − λ · cost), for
//! any price λ ≥ 0 of a token (Lagrangian relaxation; Fisher, 1981). Each cost must be the least
//! that the atom, or the framing of a passage, adds to any context
//! ([`crate::ports::tokenizer::Tokenizer::count_and_least`]). The inner maximum is exact: along
//! each region a passage either continues or starts, one pass for each λ. The bound is convex in λ,
//! so a search narrows down its lowest value, [`PRICES_AT_ONCE`] prices at a time. Every λ gives a
//! valid bound, so the search may stop anywhere.

use super::atoms::AtomizedCandidates;
use super::token_prices::{DIGITS_MAX, TokenPriceTable};

/// Prices that are tried at once: their chains of additions are independent and run in parallel.
const PRICES_AT_ONCE: usize = 4;
/// How often the interval of λ is narrowed to 2 of [`PRICES_AT_ONCE`] + 1 parts: to a millionth in all.
const NARROWING_ROUNDS: usize = 15;

/// Share of the best gain below which an atom counts as free of cost: counting its tokens takes time.
const NEGLIGIBLE_SHARE: f64 = 1e-3;

/// The gain of an atom and the least that it costs.
struct MinimumAtomCost {
    gain: f64,
    body: f64,
    /// Framing of a passage that starts with it.
    label: f64,
}

/// Returns the proven share of `achieved` in the best possible gain, within 0 and 1. `admits` tells
/// which atoms may be chosen.
pub(super) fn share_of_optimum(
    prices: &TokenPriceTable,
    admits: impl Fn(usize) -> bool,
    achieved: f64,
    budget: usize,
) -> f64 {
    let upper = gain_upper_bound(prices, admits, budget);
    if upper > 0.0 && achieved < upper { (achieved / upper).clamp(0.0, 1.0) } else { 1.0 }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn gain_upper_bound(prices: &TokenPriceTable, admits: impl Fn(usize) -> bool, budget: usize) -> f64 {
    let atoms = prices.atoms;
    let best_gain = atoms.atoms.iter().map(|atom| atom.gain).fold(0.0, f64::max);
    let negligible = best_gain * NEGLIGIBLE_SHARE;
    let labels = prices.least_labels();
    let least: Vec<MinimumAtomCost> = (0..atoms.len())
        .map(|index| {
            let gain = atoms.atoms[index].gain;
            // A cost of 0 can only raise the bound, so it stays valid.
            let least = if gain >= negligible { prices.least_body(index) } else { 0 };
            if !admits(index) || least > budget {
                return MinimumAtomCost { gain: 0.0, body: 0.0, label: 0.0 };
            }
            // The label shows the byte offset: more digits, more tokens.
            let digits = atoms.atoms[index].span.start.checked_ilog10().unwrap_or(0) as usize + 1;
            let label = labels[digits.min(DIGITS_MAX)] as f64;
            MinimumAtomCost { gain, body: least as f64, label }
        })
        .collect();
    let budget = budget as f64;
    // At the highest gain per token nothing is worth its price. Beyond it the bound only grows.
    let densities = least.iter().map(|atom| atom.gain / atom.body.max(1.0));
    let (mut low, mut high) = (0.0, densities.fold(0.0, f64::max));
    let mut best = f64::INFINITY;
    for round in 0..=NARROWING_ROUNDS {
        let part = (high - low) / (PRICES_AT_ONCE + 1) as f64;
        // The first round tries both ends, the others only the inside of the interval.
        let tried = std::array::from_fn(|lane| match round {
            0 => high * lane as f64 / (PRICES_AT_ONCE - 1) as f64,
            _ => low + part * (lane + 1) as f64,
        });
        let beyond = relaxed_gains(atoms, &least, tried);
        let values: [f64; PRICES_AT_ONCE] = std::array::from_fn(|lane| tried[lane] * budget + beyond[lane]);
        let lowest =
            (0..PRICES_AT_ONCE).min_by(|one, other| values[*one].total_cmp(&values[*other])).unwrap_or(0);
        best = best.min(values[lowest]);
        // Convex: the lowest value lies between the neighbours of the lowest price tried.
        if round > 0 {
            (low, high) = ((tried[lowest] - part).max(0.0), tried[lowest] + part);
        }
    }
    // Rounding errors of the sums must not push the bound below the true value.
    best * (1.0 + 1e-9)
}

/// The highest gain minus cost of any set, for each of the prices.
fn relaxed_gains(
    atoms: &AtomizedCandidates,
    least: &[MinimumAtomCost],
    prices: [f64; PRICES_AT_ONCE],
) -> [f64; PRICES_AT_ONCE] {
    let mut total = [0.0; PRICES_AT_ONCE];
    for region in &atoms.regions {
        // Best value so far if the previous atom was left out, and if it was taken.
        let (mut apart, mut inside) = ([0.0; PRICES_AT_ONCE], [f64::NEG_INFINITY; PRICES_AT_ONCE]);
        for MinimumAtomCost { gain, body, label } in &least[region.atoms.clone()] {
            for lane in 0..PRICES_AT_ONCE {
                let worth = gain - prices[lane] * body;
                let taken = worth + higher(inside[lane], apart[lane] - prices[lane] * label);
                apart[lane] = higher(apart[lane], inside[lane]);
                inside[lane] = taken;
            }
        }
        for lane in 0..PRICES_AT_ONCE {
            total[lane] += higher(apart[lane], inside[lane]);
        }
    }
    total
}

/// The higher of two numbers. One instruction, unlike [`f64::max`], which handles NaN.
fn higher(left: f64, right: f64) -> f64 {
    if left > right { left } else { right }
}
