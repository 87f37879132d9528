//! The figures of a set: for each type of file and for all, as JSON and as a table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::extraction_run::{FileFigures, ReadingOutcome};
use crate::cli::text_format::{self, ColumnAlignment, TextTable};

/// The figures of a set. The field names are a contract.
#[derive(Debug, Serialize)]
pub(super) struct ExtractionReport {
    all: TypeFigures,
    types: BTreeMap<String, TypeFigures>,
}

/// The figures of the files of one type.
#[derive(Debug, Serialize)]
struct TypeFigures {
    files: usize,
    text: usize,
    empty: usize,
    error: usize,
    /// Files without text by the reason.
    errors: BTreeMap<String, usize>,
    /// Files with a known text. Those that were not read have an F1 of 0.
    judged: usize,
    f1: Option<Distribution>,
    order: Option<Distribution>,
    processor_seconds: Option<Distribution>,
    wall_seconds: Option<Distribution>,
    peak_resident_bytes: Option<Distribution>,
}

/// How values are distributed. Percentiles are those of nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Distribution {
    mean: f64,
    median: f64,
    p95: f64,
    min: f64,
    max: f64,
}

impl ExtractionReport {
    /// The figures over these files.
    pub(super) fn new(files: &[FileFigures]) -> Self {
        let mut by_type: BTreeMap<String, Vec<&FileFigures>> = BTreeMap::new();
        for figures in files {
            by_type.entry(figures.ending.clone()).or_default().push(figures);
        }
        let types = by_type.into_iter().map(|(ending, files)| (ending, TypeFigures::new(&files))).collect();
        Self { all: TypeFigures::new(&files.iter().collect::<Vec<_>>()), types }
    }

    /// The figures for a person.
    pub(super) fn text(&self) -> String {
        use ColumnAlignment::{Left, Right};
        let columns =
            ["text", "empty", "error", "judged", "F1", "median", "order", "CPU ms", "p95", "MiB", "max"];
        let mut titles = vec![("type", Left), ("files", Right)];
        titles.extend(columns.map(|column| (column, Right)));
        let mut table = TextTable::new(&titles);
        let named = self.types.iter().map(|(ending, figures)| (ending.as_str(), figures));
        for (name, figures) in named.chain([("all", &self.all)]) {
            table.row(figures.cells(name));
        }
        let reasons = self.all.errors.iter().map(|(code, count)| format!("{code} {count}"));
        let reasons: Vec<String> = reasons.collect();
        let without = if reasons.is_empty() {
            String::new()
        } else {
            format!("\nWithout text: {}.", reasons.join(", "))
        };
        format!(
            "{}\nF1 and order are means over judged files; CPU and MiB are medians, and what is highest.{without}\n",
            table.render()
        )
    }
}

impl TypeFigures {
    fn new(files: &[&FileFigures]) -> Self {
        let ended = |outcome| files.iter().filter(|figures| figures.outcome == outcome).count();
        let mut errors = BTreeMap::new();
        for code in files.iter().filter_map(|figures| figures.error.clone()) {
            *errors.entry(code).or_default() += 1;
        }
        let over = |value: fn(&FileFigures) -> Option<f64>| {
            Distribution::of(files.iter().filter_map(|figures| value(figures)).collect())
        };
        Self {
            files: files.len(),
            text: ended(ReadingOutcome::Text),
            empty: ended(ReadingOutcome::Empty),
            error: ended(ReadingOutcome::Error),
            errors,
            judged: files.iter().filter(|figures| figures.judged.is_some()).count(),
            f1: over(|figures| Some(figures.judged?.f1)),
            order: over(|figures| figures.judged?.order),
            processor_seconds: over(|figures| figures.processor_seconds),
            wall_seconds: over(|figures| figures.wall_seconds),
            peak_resident_bytes: over(|figures| figures.peak_resident_bytes.map(to_f64)),
        }
    }

    fn cells(&self, name: &str) -> Vec<String> {
        let shown =
            |figure: Option<Distribution>, value: fn(Distribution) -> f64, unit: f64, digits: usize| {
                figure.map_or_else(|| "-".to_owned(), |figure| format!("{:.digits$}", value(figure) / unit))
            };
        let count = |number: usize| text_format::count(number as u64);
        let mut cells = vec![name.to_owned()];
        cells.extend([self.files, self.text, self.empty, self.error, self.judged].map(count));
        cells.push(shown(self.f1, |f1| f1.mean, 1.0, 3));
        cells.push(shown(self.f1, |f1| f1.median, 1.0, 3));
        cells.push(shown(self.order, |order| order.mean, 1.0, 3));
        cells.push(shown(self.processor_seconds, |seconds| seconds.median, 1e-3, 1));
        cells.push(shown(self.processor_seconds, |seconds| seconds.p95, 1e-3, 1));
        cells.push(shown(self.peak_resident_bytes, |bytes| bytes.median, 1_048_576.0, 0));
        cells.push(shown(self.peak_resident_bytes, |bytes| bytes.max, 1_048_576.0, 0));
        cells
    }
}

impl Distribution {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        let (min, max) = (*values.first()?, *values.last()?);
        let mean = values.iter().sum::<f64>() / to_f64(values.len() as u64);
        Some(Self { mean, median: at(50), p95: at(95), min, max })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::Distribution;

    #[test]
    fn distributions_by_hand() {
        let values = (1..=20).rev().map(f64::from).collect();
        let expected = Distribution { mean: 10.5, median: 10.0, p95: 19.0, min: 1.0, max: 20.0 };
        assert_eq!(Distribution::of(values), Some(expected));
        assert_eq!(Distribution::of(Vec::new()), None);
        let one = Distribution { mean: 3.0, median: 3.0, p95: 3.0, min: 3.0, max: 3.0 };
        assert_eq!(Distribution::of(vec![3.0]), Some(one));
    }
}
