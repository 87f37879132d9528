//! How good the choice is at worst.
//!
//! No set of atoms within the budget gains more than λ · budget + max Σ (gain − λ · cost), for
//! any price λ ≥ 0 of a token (Lagrangian relaxation; Fisher, 1981), if each cost is the least
//! that the atom, or the framing of a passage, adds to any context
//! ([`crate::ports::tokenizer::Tokenizer::count_and_least`]). The inner maximum is exact: along
//! each region a passage either goes on or starts anew, one pass for one λ. The bound is convex
//! in λ; [`ROUNDS`] halvings find its least value closely, and any value holds.

use super::atoms::Atoms;
use super::prices::{DIGITS_MAX, Prices};

/// Halvings of the interval of λ.
const ROUNDS: usize = 40;

/// Share of the best gain below which an atom counts as free, since counting it is not.
const NEGLIGIBLE_SHARE: f64 = 1e-3;

/// What each atom adds at least.
struct Least {
    gain: f64,
    body: f64,
    /// Framing of a passage that starts here.
    label: f64,
}

/// The share of the best possible gain that `achieved` is for certain, within 0 and 1;
/// `admits` tells which atoms may be chosen.
pub(super) fn share_of_optimum(
    prices: &Prices,
    admits: impl Fn(usize) -> bool,
    achieved: f64,
    budget: usize,
) -> f64 {
    let upper = upper(prices, admits, budget);
    if upper > 0.0 && achieved < upper { (achieved / upper).clamp(0.0, 1.0) } else { 1.0 }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn upper(prices: &Prices, admits: impl Fn(usize) -> bool, budget: usize) -> f64 {
    let atoms = prices.atoms;
    let best_gain = atoms.atoms.iter().map(|atom| atom.gain).fold(0.0, f64::max);
    let negligible = best_gain * NEGLIGIBLE_SHARE;
    let labels = prices.least_labels();
    let least: Vec<Least> = (0..atoms.len())
        .map(|index| {
            let gain = atoms.atoms[index].gain;
            let least = if gain >= negligible { prices.least_body(index) } else { 0 };
            if !admits(index) || least > budget {
                return Least { gain: 0.0, body: 0.0, label: 0.0 };
            }
            let digits = atoms.atoms[index].span.start.checked_ilog10().unwrap_or(0) as usize + 1;
            let label = labels[digits.min(DIGITS_MAX)] as f64;
            Least { gain, body: least as f64, label }
        })
        .collect();
    let budget = budget as f64;
    let values = |prices: [f64; 2]| {
        let beyond = unconstrained(atoms, &least, prices);
        [prices[0] * budget + beyond[0], prices[1] * budget + beyond[1]]
    };
    // Beyond the best gain per token nothing is worth its price, and the bound only grows.
    let densities = least.iter().map(|atom| atom.gain / atom.body.max(1.0));
    let (mut low, mut high) = (0.0, densities.fold(0.0, f64::max));
    let mut best = values([low, high]).into_iter().fold(f64::INFINITY, f64::min);
    for _ in 0..ROUNDS {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        let [at_left, at_right] = values([left, right]);
        best = best.min(at_left).min(at_right);
        if at_left <= at_right { high = right } else { low = left }
    }
    // Rounding of sums must not turn a bound into less than the truth.
    best * (1.0 + 1e-9)
}

/// The most that any set gains beyond what it costs, at each of two prices.
fn unconstrained(atoms: &Atoms, least: &[Least], prices: [f64; 2]) -> [f64; 2] {
    let mut total = [0.0; 2];
    for region in &atoms.regions {
        // Best so far with the atom before left out, and taken.
        let (mut apart, mut inside) = ([0.0; 2], [f64::NEG_INFINITY; 2]);
        for Least { gain, body, label } in &least[region.atoms.clone()] {
            for lane in 0..2 {
                let worth = gain - prices[lane] * body;
                let taken = worth + higher(inside[lane], apart[lane] - prices[lane] * label);
                apart[lane] = higher(apart[lane], inside[lane]);
                inside[lane] = taken;
            }
        }
        for lane in 0..2 {
            total[lane] += higher(apart[lane], inside[lane]);
        }
    }
    total
}

/// The higher of two numbers; unlike [`f64::max`] a single instruction, since it asks for no NaN.
fn higher(left: f64, right: f64) -> f64 {
    if left > right { left } else { right }
}
