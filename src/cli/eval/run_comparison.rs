//! Compares this run with another one, question by question.
//!
//! The other run is read from its `--per-question` file. Every number that both objects of a question have
//! is a metric. Its name is the path to it (`recall_at_budget.500`). For all of them, more is better.
//! Intervals come from the paired bootstrap. Questions of only one run are counted and left out. A run with
//! two questions of one id is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::files::read_json_lines;
use super::keyed_values::KeyedValues;
use crate::cli::text_format::{self, ColumnAlignment, TextTable};
use contexture_core::fault::Refusal;
use contexture_lab::measure::bootstrap::BootstrapInterval;
use contexture_lab::measure::retrieval_metrics::mean;

/// Differences below this count as equal: writing and reading a number may change it so much.
const EQUAL_WITHIN: f64 = 1e-9;

/// Numbers by the path to them in the object.
type MetricsByName = BTreeMap<String, f64>;

/// The metrics of a run by question id.
type MetricsByQuestion = BTreeMap<String, MetricsByName>;

/// Another run, read from its file.
pub(crate) struct OtherRun {
    file: String,
    questions: MetricsByQuestion,
}

/// Two runs side by side.
#[derive(Debug, Serialize)]
pub(crate) struct RunComparison {
    file: String,
    questions: usize,
    only_this: usize,
    only_other: usize,
    metrics: KeyedValues<String, PairedMetric>,
}

/// One metric of the questions that both runs have.
#[derive(Debug, PartialEq, Serialize)]
struct PairedMetric {
    this: f64,
    other: f64,
    difference: f64,
    low: f64,
    high: f64,
    better: usize,
    worse: usize,
    equal: usize,
}

impl OtherRun {
    /// Reads the file of another run.
    pub(crate) fn read(path: &Path) -> Result<Self, Refusal> {
        let records: Result<Vec<Value>, Refusal> = read_json_lines::<Value>(path)
            .and_then(Iterator::collect)
            .map_err(|refusal| comparison_refusal(&refusal.message));
        let questions = metrics_by_id(&records?)
            .map_err(|why| comparison_refusal(&format!("{}: {why}", path.display())))?;
        Ok(Self { file: path.display().to_string(), questions })
    }

    /// Refuses if an id is there twice, or if the runs have no question in common. Called before any question
    /// is asked.
    pub(crate) fn check_common_questions(&self, ids: &[&str]) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        // Pairing is by id, so a repeated one would be paired with the wrong question.
        if let Some(twice) = ids.iter().find(|id| !seen.insert(**id)) {
            return Err(comparison_refusal(&format!("question '{twice}' of this set is there twice")));
        }
        if ids.iter().any(|id| self.questions.contains_key(*id)) {
            return Ok(());
        }
        Err(self.nothing_in_common("question"))
    }

    /// Compares every metric that both runs have.
    pub(crate) fn compare(&self, this: &[Value]) -> Result<RunComparison, Refusal> {
        let these = metrics_by_id(this).map_err(|why| comparison_refusal(&why))?;
        let both: Vec<(&MetricsByName, &MetricsByName)> =
            these.iter().filter_map(|(id, metrics)| Some((metrics, self.questions.get(id)?))).collect();
        if both.is_empty() {
            return Err(self.nothing_in_common("question"));
        }
        let metrics = pair_metrics(&both);
        if metrics.0.is_empty() {
            return Err(self.nothing_in_common("metric"));
        }
        Ok(RunComparison {
            file: self.file.clone(),
            questions: both.len(),
            only_this: these.len() - both.len(),
            only_other: self.questions.len() - both.len(),
            metrics,
        })
    }

    fn nothing_in_common(&self, what: &str) -> Refusal {
        let message = format!("--against {}: it has no {what} that this run has, too", self.file);
        Refusal::invalid("nothing_in_common", "against", message)
    }
}

impl RunComparison {
    /// The comparison as text.
    pub(crate) fn text(&self) -> String {
        let left = [("metric", ColumnAlignment::Left)];
        let numbers = ["this", "other", "difference", "95 % interval", "better", "worse", "equal"];
        let columns: Vec<_> =
            left.into_iter().chain(numbers.map(|name| (name, ColumnAlignment::Right))).collect();
        let mut lines = TextTable::new(&columns);
        for (name, paired) in &self.metrics.0 {
            lines.row([
                name.clone(),
                format!("{:.4}", paired.this),
                format!("{:.4}", paired.other),
                format!("{:+.4}", paired.difference),
                format!("[{:+.4}, {:+.4}]", paired.low, paired.high),
                paired.share(paired.better),
                paired.share(paired.worse),
                paired.share(paired.equal),
            ]);
        }
        format!(
            "against {}: {} in both, {} only here, {} only there\n{}",
            self.file,
            text_format::count_with_noun(self.questions as u64, "question"),
            self.only_this,
            self.only_other,
            lines.render()
        )
    }
}

impl PairedMetric {
    fn from_pairs(pairs: &[(f64, f64)]) -> Self {
        let differences: Vec<f64> = pairs
            .iter()
            .map(|(this, other)| this - other)
            // Without this, rounding would count as better or worse.
            .map(|difference| if difference.abs() < EQUAL_WITHIN { 0.0 } else { difference })
            .collect();
        let count = |holds: fn(&f64) -> bool| differences.iter().filter(|value| holds(value)).count();
        let BootstrapInterval { mean: difference, low, high } =
            BootstrapInterval::from_differences(&differences);
        let (better, worse) = (count(|value| *value > 0.0), count(|value| *value < 0.0));
        Self {
            this: mean(pairs.iter().map(|(this, _)| *this)),
            other: mean(pairs.iter().map(|(_, other)| *other)),
            difference,
            low,
            high,
            better,
            worse,
            equal: differences.len() - better - worse,
        }
    }

    fn share(&self, part: usize) -> String {
        let whole = self.better + self.worse + self.equal;
        // Rounded to the nearest percent in whole numbers.
        format!("{} %", (part * 100 + whole / 2) / whole.max(1))
    }
}

/// Every metric that some question has in both runs. Single figures come before those at budgets.
fn pair_metrics(both: &[(&MetricsByName, &MetricsByName)]) -> KeyedValues<String, PairedMetric> {
    let mut pairs: BTreeMap<&String, Vec<(f64, f64)>> = BTreeMap::new();
    for (this, other) in both {
        for (name, value) in *this {
            if let Some(counterpart) = other.get(name) {
                pairs.entry(name).or_default().push((*value, *counterpart));
            }
        }
    }
    let mut metrics: Vec<(String, PairedMetric)> =
        pairs.into_iter().map(|(name, pairs)| (name.clone(), PairedMetric::from_pairs(&pairs))).collect();
    // Budgets are compared as numbers, because as text 1000 would stand before 500.
    metrics.sort_by_cached_key(|(name, _)| {
        let (group, last) = name.rsplit_once('.').unwrap_or(("", name));
        (name.matches('.').count(), group.to_owned(), last.parse::<u64>().ok(), last.to_owned())
    });
    KeyedValues(metrics)
}

fn metrics_by_id(records: &[Value]) -> Result<MetricsByQuestion, String> {
    let mut questions = MetricsByQuestion::new();
    for record in records {
        // Excerpt sets write `question_id`, BEIR sets write `query_id`.
        let id = record.get("question_id").or_else(|| record.get("query_id")).and_then(Value::as_str);
        let id = id.ok_or("an object without question_id or query_id; is it a file of --per-question?")?;
        let mut metrics = MetricsByName::new();
        collect_metrics(record, "", &mut metrics);
        if questions.insert(id.to_owned(), metrics).is_some() {
            return Err(format!("question '{id}' is there twice"));
        }
    }
    Ok(questions)
}

fn collect_metrics(value: &Value, metric_path: &str, metrics: &mut MetricsByName) {
    let Some(fields) = value.as_object() else {
        // Texts and arrays, such as the recorded ranking, are no metrics.
        metrics.extend(value.as_f64().map(|number| (metric_path.to_owned(), number)));
        return;
    };
    for (name, field) in fields {
        let dot = if metric_path.is_empty() { "" } else { "." };
        collect_metrics(field, &format!("{metric_path}{dot}{name}"), metrics);
    }
}

fn comparison_refusal(why: &str) -> Refusal {
    Refusal::invalid("invalid_comparison", "against", format!("--against: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{OtherRun, metrics_by_id};

    fn other(records: &[Value]) -> OtherRun {
        OtherRun { file: "other.jsonl".to_owned(), questions: metrics_by_id(records).expect("questions") }
    }

    fn record(id: &str, recall: f64, at_500: f64) -> Value {
        json!({"question_id": id, "recall": recall, "recall_at_budget": {"500": at_500, "1000": 1.0}})
    }

    #[test]
    fn a_run_equals_itself() {
        let records = [record("a", 0.1, 0.2), record("b", 1.0 / 3.0, 0.7)];
        let comparison = other(&records).compare(&records).expect("a comparison");
        assert_eq!(comparison.questions, 2);
        let names: Vec<&str> = comparison.metrics.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["recall", "recall_at_budget.500", "recall_at_budget.1000"]);
        for paired in comparison.metrics.values() {
            assert!((paired.difference, paired.low, paired.high) == (0.0, 0.0, 0.0), "{paired:?}");
            assert_eq!((paired.better, paired.worse, paired.equal), (0, 0, 2));
        }
    }

    #[test]
    fn questions_are_paired_by_id_and_the_rest_is_counted() {
        let this = [record("a", 0.75, 0.0), record("b", 0.25, 0.0), record("c", 1.0, 1.0)];
        let comparison =
            other(&[record("b", 0.5, 0.5), record("a", 0.25, 0.0)]).compare(&this).expect("a comparison");
        assert_eq!((comparison.questions, comparison.only_this, comparison.only_other), (2, 1, 0));
        let recall = &comparison.metrics.0[0].1;
        assert!((recall.this, recall.other, recall.difference) == (0.5, 0.375, 0.125), "{recall:?}");
        assert_eq!((recall.better, recall.worse, recall.equal), (1, 1, 0));
        assert!((recall.low, recall.high) == (-0.25, 0.5), "{recall:?}");
        let text = comparison.text();
        assert!(
            text.contains("against other.jsonl: 2 questions in both, 1 only here, 0 only there"),
            "{text}"
        );
        assert!(text.contains("recall_at_budget.500"), "{text}");
    }

    #[test]
    fn runs_without_anything_in_common_are_refused() {
        let run = other(&[record("a", 1.0, 1.0)]);
        assert_eq!(run.check_common_questions(&["b", "a"]), Ok(()));
        assert_eq!(run.check_common_questions(&["b", "c"]).expect_err("a refusal").code, "nothing_in_common");
        assert_eq!(
            run.check_common_questions(&["a", "a"]).expect_err("a refusal").code,
            "invalid_comparison"
        );
        let refusal = run.compare(&[record("b", 1.0, 1.0)]).expect_err("a refusal");
        assert_eq!(refusal.code, "nothing_in_common");
        let ranked = json!({"query_id": "b", "ndcg_at_10": 1.0, "ranking": ["x", 3]});
        let refusal = other(&[ranked]).compare(&[record("b", 1.0, 1.0)]).expect_err("a refusal");
        assert_eq!(refusal.code, "nothing_in_common");
        assert!(metrics_by_id(&[record("a", 1.0, 1.0), record("a", 1.0, 1.0)]).is_err());
        assert!(metrics_by_id(&[json!({"ndcg_at_10": 1.0})]).is_err());
    }
}
