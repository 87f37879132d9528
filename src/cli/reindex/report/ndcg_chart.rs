//! A chart of the nDCG of judged questions, one row each. The ring is generation A, the dot generation B.
//!
//! At most [`ROWS_MAX`] rows, of the questions that changed most, the largest gain first.

use std::fmt::Write as _;

use crate::cli::markup::{begin_svg, count_to_f64, escape_xml};
use crate::cli::text_format;
use contexture_lab::compare::GenerationComparison;
use contexture_lab::compare::report::{GenerationPair, QuestionComparison};

const ROWS_MAX: usize = 40;
const WIDTH: f64 = 960.0;
const LEFT: f64 = 380.0;
const RIGHT: f64 = 880.0;
const TOP: f64 = 36.0;
const ROW: f64 = 22.0;
/// Characters of a question beside its row.
const LABEL_CHARS_MAX: usize = 44;

/// The nDCG of one question in both generations.
struct NdcgChartRow<'a> {
    question: &'a str,
    ndcg: GenerationPair<f64>,
}

impl NdcgChartRow<'_> {
    fn change(&self) -> f64 {
        self.ndcg.b - self.ndcg.a
    }
}

/// Draws the questions whose nDCG changed.
pub(super) fn draw(page: &mut String, answered: &[&QuestionComparison], comparison: &GenerationComparison) {
    let judged = answered.iter().filter_map(|one| {
        let (_, sides) = one.answered()?;
        Some(NdcgChartRow {
            question: &one.question,
            ndcg: GenerationPair { a: sides.a.ndcg?, b: sides.b.ndcg? },
        })
    });
    let all: Vec<NdcgChartRow> = judged.collect();
    let total = all.len();
    let rows = most_changed(all);
    let depth = comparison.top_k;
    let GenerationPair { a, b } = comparison.generations;
    if rows.is_empty() {
        let _ = writeln!(page, "<p>No judged question has another nDCG@{depth} than before.</p>");
        return;
    }
    let _ = writeln!(
        page,
        "<figure>\n<figcaption>nDCG@{depth} of the {} of {} judged questions that changed most: \
         <span class=\"a\">○ generation {a}</span>, <span class=\"b\">● generation {b}</span></figcaption>",
        text_format::count(rows.len() as u64),
        text_format::count(total as u64)
    );
    let bottom = TOP + ROW * count_to_f64(rows.len());
    begin_svg(page, "nDCG of both generations per question", WIDTH, bottom + 12.0);
    for quarter in 0..=4_u8 {
        let share = f64::from(quarter) / 4.0;
        let place = across(share);
        let _ = writeln!(
            page,
            "<path class=\"grid\" d=\"M{place:.1} {TOP}V{bottom:.1}\"/>\
             <text class=\"soft\" x=\"{place:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share}</text>",
            TOP - 10.0
        );
    }
    for (number, row) in rows.iter().enumerate() {
        draw_row(page, TOP + ROW * (count_to_f64(number) + 0.5), row);
    }
    page.push_str("</svg>\n</figure>\n");
}

/// One question: both figures as a ring and a dot on a line, with the difference beside it.
fn draw_row(page: &mut String, down: f64, row: &NdcgChartRow<'_>) {
    let (of_a, of_b) = (across(row.ndcg.a), across(row.ndcg.b));
    // The ring is larger than the dot, so both are seen where they coincide.
    let class = if row.change() > 0.0 { "better" } else { "worse" };
    let _ = writeln!(
        page,
        "<g><title>{}: {:.3}, then {:.3}</title>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <path class=\"{class}\" d=\"M{of_a:.1} {down:.1}H{of_b:.1}\"/>\
         <circle class=\"dot-a\" cx=\"{of_a:.1}\" cy=\"{down:.1}\" r=\"5\"/>\
         <circle class=\"dot-b\" cx=\"{of_b:.1}\" cy=\"{down:.1}\" r=\"4\"/>\
         <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">{:+.2}</text></g>",
        escape_xml(&text_format::snippet(row.question, 200)),
        row.ndcg.a,
        row.ndcg.b,
        LEFT - 16.0,
        down + 4.5,
        escape_xml(&text_format::snippet(row.question, LABEL_CHARS_MAX)),
        RIGHT + 18.0,
        down + 4.0,
        row.change()
    );
}

/// The rows that changed most, at most [`ROWS_MAX`], sorted by gain.
fn most_changed(mut rows: Vec<NdcgChartRow<'_>>) -> Vec<NdcgChartRow<'_>> {
    rows.retain(|row| row.change().abs() > 1e-9);
    rows.sort_by(|one, two| two.change().abs().total_cmp(&one.change().abs()));
    // Cut by size of change first, so that large losses stay; only then sorted for reading.
    rows.truncate(ROWS_MAX);
    rows.sort_by(|one, two| two.change().total_cmp(&one.change()));
    rows
}

fn across(share: f64) -> f64 {
    LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
}

#[cfg(test)]
mod tests {
    use super::{GenerationPair, NdcgChartRow, ROWS_MAX, count_to_f64, most_changed};

    #[test]
    fn rows_are_those_that_changed_most_and_gains_come_first() {
        let row = |a: f64, b: f64| NdcgChartRow { question: "", ndcg: GenerationPair { a, b } };
        let rows = most_changed(vec![row(0.5, 0.5), row(0.5, 0.2), row(0.5, 0.6), row(0.0, 0.3)]);
        let changes: Vec<f64> = rows.iter().map(|row| (row.change() * 10.0).round()).collect();
        assert_eq!(changes, [3.0, 1.0, -3.0]);
        let many = (1..100).map(|at| row(0.0, count_to_f64(at) / 100.0)).collect();
        let rows = most_changed(many);
        assert_eq!(rows.len(), ROWS_MAX);
        assert!(rows.iter().all(|row| row.change() > 0.59));
    }
}
