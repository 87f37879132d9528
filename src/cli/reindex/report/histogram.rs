//! A histogram of questions by the share of documents that they keep.

use std::fmt::Write as _;

use crate::cli::markup::{begin_svg, count_to_f64};
use contexture_lab::compare::GenerationComparison;
use contexture_lab::compare::report::QuestionComparison;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 16.0;
const RIGHT: f64 = 464.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 264.0;
/// One bin per tenth, with both 0 and 1.
const BINS: usize = 11;

/// Draws a bar for each tenth.
pub(super) fn draw(page: &mut String, answered: &[&QuestionComparison], comparison: &GenerationComparison) {
    let overlaps = answered.iter().filter_map(|one| Some(one.answered()?.0.overlap));
    let bins = binned(overlaps);
    // At least 1, because bars are divided by it.
    let most = bins.iter().copied().max().unwrap_or(0).max(1);
    let depth = comparison.top_k;
    let _ =
        writeln!(page, "<figure>\n<figcaption>Questions by the share of documents they keep</figcaption>");
    begin_svg(page, "Distribution of the overlap of documents per question", WIDTH, HEIGHT);
    let step = (RIGHT - LEFT) / count_to_f64(BINS);
    for (bin, count) in bins.into_iter().enumerate() {
        let left = LEFT + step * count_to_f64(bin);
        let middle = left + step / 2.0;
        let height = (BOTTOM - TOP) * count_to_f64(count) / count_to_f64(most);
        let share = count_to_f64(bin) / 10.0;
        if count > 0 {
            let _ = writeln!(
                page,
                "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"2\"/>\
                 <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text>",
                left + 4.0,
                BOTTOM - height,
                step - 8.0,
                BOTTOM - height - 6.0
            );
        }
        let _ = writeln!(
            page,
            "<text class=\"soft\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share}</text>",
            BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        page,
        "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>\
         <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">overlap@{depth}, to the nearest tenth; \
         1 is unchanged</text>\n</svg>\n</figure>",
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 42.0
    );
}

/// Counts numbers between 0 and 1 by their nearest tenth.
fn binned(shares: impl Iterator<Item = f64>) -> [usize; BINS] {
    let mut bins = [0; BINS];
    for share in shares {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 10")]
        let bin = (share.clamp(0.0, 1.0) * 10.0).round() as usize;
        bins[bin] += 1;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::binned;

    #[test]
    fn shares_are_counted_by_their_nearest_tenth() {
        let bins = binned([0.0, 0.04, 0.3, 2.0 / 3.0, 0.95, 1.0, 1.0].into_iter());
        assert_eq!(bins, [2, 0, 0, 1, 0, 0, 0, 1, 0, 0, 3]);
    }
}
