//! How good the choice is at worst.
//!
//! No set of candidates within the budget gains more than the fractional relaxation of the
//! knapsack in which each candidate costs a lower bound of the tokens it adds (Dantzig,
//! 1957). That lower bound is its words less one: the vocabularies we read for never join two
//! words with a letter or a digit across white space, and joining two chunks can join two
//! words. Candidates that overlap another are taken as free.

use super::Item;
use super::prices::Prices;
use super::select::Selection;
use super::unite::{in_document_order, overlaps};

/// The share of the best possible gain that the selection has for certain, within 0 and 1.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
pub(super) fn share_of_optimum(items: &[Item], selection: &Selection, prices: &Prices, budget: usize) -> f64 {
    let live = |index: &usize| items[*index].verdict.is_none();
    if (0..items.len()).filter(live).all(|index| selection.is_chosen(index)) {
        return 1.0;
    }
    let overlapped = overlapped(items);
    let mut costs: Vec<(f64, usize)> = (0..items.len())
        .filter(live)
        .map(|index| {
            let cost = if overlapped[index] { 0 } else { prices.words(index).saturating_sub(1) };
            (items[index].gain, cost)
        })
        .filter(|(_, cost)| *cost <= budget)
        .collect();
    let density = |(gain, cost): &(f64, usize)| if *cost == 0 { f64::INFINITY } else { gain / *cost as f64 };
    costs.sort_by(|left, right| density(right).total_cmp(&density(left)));

    let mut upper = 0.0;
    let mut left = budget;
    for (gain, cost) in costs {
        if cost > left {
            upper += gain * left as f64 / cost as f64;
            break;
        }
        upper += gain;
        left -= cost;
    }
    if upper > 0.0 { (selection.gain() / upper).min(1.0) } else { 1.0 }
}

/// Which candidates share bytes with another that may be chosen.
fn overlapped(items: &[Item]) -> Vec<bool> {
    let mut overlapped = vec![false; items.len()];
    let mut furthest: Option<usize> = None;
    for index in in_document_order(items, |item| item.verdict.is_none()) {
        let before = furthest.filter(|before| overlaps(&items[*before], &items[index]));
        if let Some(before) = before {
            overlapped[before] = true;
            overlapped[index] = true;
        }
        if before.is_none_or(|before| items[before].chunk.span.end < items[index].chunk.span.end) {
            furthest = Some(index);
        }
    }
    overlapped
}
