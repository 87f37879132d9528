//! The exact choice for small sets, by dynamic programming.
//!
//! Atoms are taken in order; a state is the tokens spent, whether the document is opened and
//! whether the atom before was taken, so framing is paid where a passage starts and nowhere
//! else. Optimal for the estimated prices: O(atoms · budget). It runs when that is at most
//! [`CELLS_MAX`], about two milliseconds, so that the same input always gives the same answer; a
//! box in time would not.

use super::selection::AtomSelection;
use super::token_prices::TokenPriceTable;

/// Most atoms times tokens.
const CELLS_MAX: usize = 200_000;
/// The document has no passage yet; it has, and the atom before was left out; was taken.
const STATES: usize = 3;
const CLOSED: usize = 0;
const APART: usize = 1;
const INSIDE: usize = 2;

/// The best choice within `tokens`, if the set is small enough; `admits` tells which atoms may
/// be chosen.
pub(super) fn select_exactly(
    prices: &mut TokenPriceTable,
    admits: impl Fn(usize) -> bool,
    tokens: usize,
    empty: &AtomSelection,
) -> Option<AtomSelection> {
    let atoms = prices.atoms;
    if atoms.len().checked_mul(tokens + 1)? > CELLS_MAX {
        return None;
    }
    let width = tokens.checked_sub(prices.once())? + 1;
    let mut rows = vec![f64::NEG_INFINITY; STATES * width];
    rows[CLOSED * width] = 0.0;
    // For each atom, state and tokens: the state before, and whether the atom was taken.
    let mut trail = vec![0_u8; atoms.len() * STATES * width];
    let mut previous_group = None;
    for index in 0..atoms.len() {
        let group = atoms.atoms[index].group;
        let new_group = previous_group.is_some_and(|before| before != group);
        previous_group = Some(group);
        let touches = atoms.touches_previous(index);
        let may = admits(index);
        let (body, gain) = if may { (prices.body(index), atoms.atoms[index].gain) } else { (0, 0.0) };
        let (first, label) = if may {
            (prices.document(index) + prices.label(index, true), prices.label(index, false))
        } else {
            (0, 0)
        };
        let mut next = vec![f64::NEG_INFINITY; STATES * width];
        for spent in 0..width {
            for state in 0..STATES {
                let value = rows[state * width + spent];
                if value == f64::NEG_INFINITY {
                    continue;
                }
                let here = if new_group { CLOSED } else { state };
                let skipped = if here == INSIDE { APART } else { here };
                relax_cell(
                    &mut next,
                    &mut trail[index * STATES * width..],
                    width,
                    (skipped, spent),
                    value,
                    state,
                    false,
                );
                let framing = match here {
                    CLOSED => first,
                    INSIDE if touches => 0,
                    _ => label,
                };
                let cost = body + framing;
                if may && spent + cost < width {
                    let to = (INSIDE, spent + cost);
                    relax_cell(
                        &mut next,
                        &mut trail[index * STATES * width..],
                        width,
                        to,
                        value + gain,
                        state,
                        true,
                    );
                }
            }
        }
        rows = next;
    }
    let (mut state, mut spent) = best_cell(&rows, width);
    let mut taken = vec![false; atoms.len()];
    for index in (0..atoms.len()).rev() {
        let mark = trail[index * STATES * width + state * width + spent];
        taken[index] = mark & 4 != 0;
        let before = usize::from(mark & 3);
        if taken[index] {
            let starts_group = index == 0 || atoms.atoms[index - 1].group != atoms.atoms[index].group;
            let here = if starts_group { CLOSED } else { before };
            let framing = match here {
                CLOSED => prices.document(index) + prices.label(index, true),
                INSIDE if atoms.touches_previous(index) => 0,
                _ => prices.label(index, false),
            };
            spent -= prices.body(index) + framing;
        }
        state = before;
    }
    let mut selection = empty.clone();
    for index in (0..atoms.len()).filter(|index| taken[*index]) {
        let range = index..index + 1;
        let delta = selection.delta(prices, &range, true);
        selection.choose(prices, &range, delta);
    }
    Some(selection)
}

fn relax_cell(
    next: &mut [f64],
    trail: &mut [u8],
    width: usize,
    (state, spent): (usize, usize),
    value: f64,
    before: usize,
    taken: bool,
) {
    let cell = state * width + spent;
    if value > next[cell] {
        next[cell] = value;
        trail[cell] = u8::try_from(before).unwrap_or(0) | if taken { 4 } else { 0 };
    }
}

/// The state and tokens of the best value, the fewest tokens first.
fn best_cell(rows: &[f64], width: usize) -> (usize, usize) {
    let mut best = (0, 0);
    for spent in 0..width {
        for state in 0..STATES {
            if rows[state * width + spent] > rows[best.0 * width + best.1] {
                best = (state, spent);
            }
        }
    }
    best
}
