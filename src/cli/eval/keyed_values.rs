//! Figures by budget or by packer, in an order of their own, and the budgets themselves.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use contexture_core::context::request::BUDGET_TOKENS_MAX;
use contexture_core::fault::Refusal;
use contexture_lab::measure::retrieval_metrics::mean;

/// Maximum budgets of one run, because each costs a call per question.
pub(crate) const BUDGETS_MAX: usize = 32;

/// Values with keys, in a fixed order. Serialized as a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyedValues<K, V>(pub(crate) Vec<(K, V)>);

/// One value for each budget.
pub(crate) type ValueByBudget<V> = KeyedValues<usize, V>;
/// One value for each packer, by its name.
pub(crate) type ValueByPacker<V> = KeyedValues<&'static str, V>;

impl<K: Display, V: Serialize> Serialize for KeyedValues<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Entries are written in their order; a map type would sort packers by name.
        serializer.collect_map(self.0.iter().map(|(key, value)| (key.to_string(), value)))
    }
}

impl<K, V> FromIterator<(K, V)> for KeyedValues<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl<K, V> KeyedValues<K, V> {
    /// The values, in their order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

/// Token budgets, ascending and unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenBudgets(Vec<usize>);

impl TokenBudgets {
    /// Accepts 1 to [`BUDGETS_MAX`] numbers between 1 and [`BUDGET_TOKENS_MAX`].
    pub(crate) fn new(raw: &[i64]) -> Result<Self, Refusal> {
        let refuse = |message: String| Refusal::invalid("invalid_budget", "budgets", message);
        if raw.is_empty() || raw.len() > BUDGETS_MAX {
            return Err(refuse(format!("--budgets takes 1 to {BUDGETS_MAX} numbers")));
        }
        let mut budgets = Vec::with_capacity(raw.len());
        for number in raw {
            let budget =
                usize::try_from(*number).ok().filter(|budget| (1..=BUDGET_TOKENS_MAX).contains(budget));
            budgets.push(budget.ok_or_else(|| {
                refuse(format!("a budget must be between 1 and {BUDGET_TOKENS_MAX} tokens, not {number}"))
            })?);
        }
        budgets.sort_unstable();
        budgets.dedup();
        Ok(Self(budgets))
    }

    /// The budgets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    /// The means per budget over all questions.
    pub(crate) fn means<'a>(
        &self,
        measured: &(impl Iterator<Item = &'a ValueByBudget<f64>> + Clone),
    ) -> ValueByBudget<f64> {
        // By place instead of by key: every question was measured at the same budgets, in this order.
        let at = |place: usize| mean(measured.clone().map(|at_budget| at_budget.0[place].1));
        self.iter().enumerate().map(|(place, budget)| (budget, at(place))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyedValues, TokenBudgets, ValueByBudget};

    #[test]
    fn keys_stay_in_their_order() {
        let json =
            serde_json::to_string(&KeyedValues(vec![(500, 0.5), (1000, 0.75), (2000, 1.0)])).expect("JSON");
        assert_eq!(json, r#"{"500":0.5,"1000":0.75,"2000":1.0}"#);
    }

    #[test]
    fn budgets_ascend_and_are_checked() {
        let budgets = TokenBudgets::new(&[2000, 500, 2000]).expect("budgets");
        assert_eq!(budgets.iter().collect::<Vec<_>>(), [500, 2000]);
        for wrong in [&[][..], &[0], &[-1], &[500, 1_000_001], &[7; 33]] {
            assert_eq!(TokenBudgets::new(wrong).expect_err("a refusal").code, "invalid_budget", "{wrong:?}");
        }
    }

    #[test]
    fn means_are_taken_for_each_budget() {
        let budgets = TokenBudgets::new(&[10, 20]).expect("budgets");
        let measured: [ValueByBudget<f64>; 2] =
            [KeyedValues(vec![(10, 0.0), (20, 0.5)]), KeyedValues(vec![(10, 1.0), (20, 1.0)])];
        assert_eq!(budgets.means(&measured.iter()), KeyedValues(vec![(10, 0.5), (20, 0.75)]));
        assert_eq!(budgets.means(&[].iter()), KeyedValues(vec![(10, 0.0), (20, 0.0)]));
    }
}
