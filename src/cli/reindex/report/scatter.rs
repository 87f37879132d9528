//! A scatter plot of the latency of each question in both generations.
//!
//! Both axes are the same: logarithmic, from the fastest to the slowest. Above the diagonal, generation B
//! was slower. At most [`POINTS_MAX`] questions are drawn, evenly chosen.

use std::fmt::Write as _;

use crate::cli::markup::{begin_svg, escape_xml};
use crate::cli::text_format;
use contexture_lab::compare::GenerationComparison;
use contexture_lab::compare::report::{GenerationPair, QuestionComparison};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 464.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 264.0;
const POINTS_MAX: usize = 2000;
/// Times below this are drawn as this, in ms, because a logarithm needs a positive number.
const MS_MIN: f64 = 0.01;

/// The scale of both axes.
struct LatencyScale {
    low: f64,
    high: f64,
}

/// Draws a point for each question and a mark for each percentile.
pub(super) fn draw(page: &mut String, answered: &[&QuestionComparison], comparison: &GenerationComparison) {
    let times: Vec<(GenerationPair<f64>, &QuestionComparison)> = answered
        .iter()
        .filter_map(|one| {
            let (_, sides) = one.answered()?;
            Some((GenerationPair { a: sides.a.ms.max(MS_MIN), b: sides.b.ms.max(MS_MIN) }, *one))
        })
        .collect();
    if times.is_empty() {
        return;
    }
    let scale = LatencyScale::from_times(times.iter().flat_map(|(ms, _)| [ms.a, ms.b]));
    let GenerationPair { a, b } = comparison.generations;
    let _ = writeln!(page, "<figure>\n<figcaption>Time of a context, question by question</figcaption>");
    begin_svg(page, "Latency of both generations per question", WIDTH, HEIGHT);
    for tick in scale.ticks() {
        let (across, down) = (scale.across(tick), scale.down(tick));
        let _ = writeln!(
            page,
            "<path class=\"grid\" d=\"M{LEFT} {down:.1}H{RIGHT}M{across:.1} {TOP}V{BOTTOM}\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>\
             <text class=\"soft\" x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            LEFT - 8.0,
            down + 4.0,
            BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        page,
        "<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}M{LEFT} {BOTTOM}L{RIGHT} {TOP}\"/>"
    );
    // The step is at least 1, because there are times here.
    for (ms, question) in times.iter().step_by(times.len().div_ceil(POINTS_MAX)) {
        let _ = writeln!(
            page,
            "<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{}: {:.1} ms, {:.1} ms</title></circle>",
            scale.across(ms.a),
            scale.down(ms.b),
            escape_xml(&text_format::snippet(&question.question, 80)),
            ms.a,
            ms.b
        );
    }
    let GenerationPair { a: of_a, b: of_b } = &comparison.latency_ms;
    for (name, a, b) in
        [("p50", of_a.p50, of_b.p50), ("p95", of_a.p95, of_b.p95), ("p99", of_a.p99, of_b.p99)]
    {
        let (across, down) = (scale.across(a), scale.down(b));
        let _ = writeln!(
            page,
            "<path class=\"mark\" d=\"M{across:.1} {:.1}l6 6l-6 6l-6-6z\"/>\
             <text class=\"halo\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            down - 6.0,
            across - 9.0,
            down - 3.0
        );
    }
    let _ = writeln!(
        page,
        "<text class=\"a\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">generation {a}, ms</text>\
         <text class=\"b\" transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">generation {b}, ms</text>\
         \n</svg>\n</figure>",
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 42.0,
        f64::midpoint(TOP, BOTTOM)
    );
}

impl LatencyScale {
    /// From a little below the shortest time to a little above the longest.
    fn from_times(times: impl Iterator<Item = f64> + Clone) -> Self {
        let low = times.clone().fold(f64::INFINITY, f64::min);
        let high = times.fold(MS_MIN, f64::max);
        Self { low: low / 1.25, high: high * 1.25 }
    }

    fn share(&self, ms: f64) -> f64 {
        let ms = ms.clamp(self.low, self.high);
        (ms / self.low).ln() / (self.high / self.low).ln()
    }

    fn across(&self, ms: f64) -> f64 {
        LEFT + self.share(ms) * (RIGHT - LEFT)
    }

    fn down(&self, ms: f64) -> f64 {
        BOTTOM - self.share(ms) * (BOTTOM - TOP)
    }

    /// 1, 2 and 5 of each decade within the scale.
    fn ticks(&self) -> Vec<f64> {
        // From the shortest time that is drawn, 0.01 ms, to over an hour.
        let decades = (-2..7).map(|power| 10_f64.powi(power));
        let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|of_ten| of_ten * decade));
        let within: Vec<f64> = ticks.filter(|tick| (self.low..=self.high).contains(tick)).collect();
        // With many decades, only the powers of ten are labelled.
        let stride = if within.len() > 9 { 3 } else { 1 };
        // Rounded, because negative powers of ten are not exact.
        within.into_iter().map(|tick| (tick * 100.0).round() / 100.0).step_by(stride).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{BOTTOM, LEFT, LatencyScale, RIGHT, TOP};

    #[test]
    fn times_stay_within_the_picture() {
        let scale = LatencyScale::from_times([3.0, 40.0, 7.0].into_iter());
        assert_eq!(scale.ticks(), [5.0, 10.0, 20.0, 50.0]);
        for ms in [0.0001, 3.0, 7.0, 40.0, 1e9] {
            assert!((LEFT..=RIGHT).contains(&scale.across(ms)), "{ms}");
            assert!((TOP..=BOTTOM).contains(&scale.down(ms)), "{ms}");
        }
        assert!(scale.across(7.0) < scale.across(40.0));
    }

    #[test]
    fn one_time_has_a_scale_too() {
        let scale = LatencyScale::from_times([5.0].into_iter());
        assert!((scale.across(5.0) - f64::midpoint(LEFT, RIGHT)).abs() < 1e-6);
    }

    #[test]
    fn many_decades_have_few_numbers() {
        let scale = LatencyScale::from_times([0.01, 10_000.0].into_iter());
        assert!(scale.ticks().len() <= 9, "{:?}", scale.ticks());
    }
}
