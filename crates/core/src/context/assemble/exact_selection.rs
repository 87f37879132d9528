//! Exact selection for small sets: a 0/1 knapsack by dynamic programming.
//!
//! Atoms are visited in order. A state holds the tokens spent, whether the document is open and
//! whether the previous atom was taken, so framing is paid exactly where a passage starts. The
//! result is optimal for the estimated prices, in O(atoms · budget). It runs only if that is at
//! most [`CELLS_MAX`], about two milliseconds. A limit on cells, not on time, keeps the answer to
//! equal input equal.

use super::selection::AtomSelection;
use super::token_prices::TokenPriceTable;

/// Most atoms times budget tokens.
const CELLS_MAX: usize = 200_000;
/// Number of states: the document has no passage yet (closed); it has one, and the previous atom was
/// left out (apart) or taken (inside).
const STATES: usize = 3;
const CLOSED: usize = 0;
const APART: usize = 1;
const INSIDE: usize = 2;

/// Returns the best selection within `tokens`, if the set is small enough. `admits` tells which atoms
/// may be chosen.
pub(super) fn select_exactly(
    prices: &mut TokenPriceTable,
    admits: impl Fn(usize) -> bool,
    tokens: usize,
    empty: &AtomSelection,
) -> Option<AtomSelection> {
    let atoms = prices.atoms;
    // Checked before anything is counted or allocated.
    if atoms.len().checked_mul(tokens + 1)? > CELLS_MAX {
        return None;
    }
    // What frames the whole context is paid beforehand; the rows hold the rest of the budget.
    let width = tokens.checked_sub(prices.context_framing())? + 1;
    let mut rows = vec![f64::NEG_INFINITY; STATES * width];
    rows[CLOSED * width] = 0.0;
    // For each atom, state and tokens: the state before in the low two bits, in the third whether the atom
    // was taken. One byte for a cell keeps the table under a megabyte.
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
                // Atoms of a document stand together: at the first of the next one its header is unpaid.
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
                    // Touching atoms extend the passage, whose framing is paid.
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
    // Walks back from the best cell. Prices are memoized, so the same costs come off as went on.
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
            debug_assert!(spent >= prices.body(index) + framing);
            spent -= prices.body(index) + framing;
        }
        state = before;
    }
    // Chosen through the selection's own arithmetic, so that its totals can be compared with the greedy ones.
    let mut selection = empty.clone();
    for index in (0..atoms.len()).filter(|index| taken[*index]) {
        let range = index..index + 1;
        let delta = selection.delta(prices, &range, true);
        selection.choose(prices, &range, delta);
    }
    Some(selection)
}

/// Writes a value into its cell if it is better than what is there.
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

/// The state and tokens of the best value; of equal values the one with the fewest tokens.
fn best_cell(rows: &[f64], width: usize) -> (usize, usize) {
    let mut best = (0, 0);
    for spent in 0..width {
        for state in 0..STATES {
            // Strictly better only: of equal values the first, cheapest one stays.
            if rows[state * width + spent] > rows[best.0 * width + best.1] {
                best = (state, spent);
            }
        }
    }
    best
}
