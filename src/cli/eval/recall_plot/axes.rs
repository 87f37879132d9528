//! The two axes, with their numbers and what they mean.

use std::fmt::Write as _;

use super::{BOTTOM, LEFT, RIGHT, RecallCurve, RecallPlotScale, TOP};
use crate::cli::text_format;

/// Least distance of numbers on the budget axis, in pixels.
const TICK_DISTANCE: f64 = 44.0;

/// A grid line and a number for each tenth.
pub(super) fn draw_recall_axis(svg: &mut String, scale: &RecallPlotScale) {
    for tenth in 0..=10_u8 {
        let recall = f64::from(tenth) / 10.0;
        if recall < scale.lowest - 0.01 {
            continue;
        }
        let down = scale.down(recall);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {down:.1}H{RIGHT}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{recall:.1}</text>",
            LEFT - 8.0,
            down + 4.5
        );
    }
    let middle = f64::midpoint(TOP, BOTTOM);
    let _ = writeln!(
        svg,
        "<text transform=\"translate(24 {middle}) rotate(-90)\" text-anchor=\"middle\">recall of the relevant \
         bytes</text>"
    );
}

/// A tick for each budget, and its number where there is room.
pub(super) fn draw_budget_axis(svg: &mut String, scale: &RecallPlotScale, lines: &[RecallCurve]) {
    let _ = writeln!(svg, "<path d=\"M{LEFT} {BOTTOM}H{RIGHT}\" stroke=\"#222\"/>");
    let mut numbered = f64::NEG_INFINITY;
    for (budget, _) in lines.first().iter().flat_map(|line| &line.points) {
        let across = scale.across(*budget);
        let _ = writeln!(svg, "<path d=\"M{across:.1} {BOTTOM}v6\" stroke=\"#222\"/>");
        if across - numbered < TICK_DISTANCE {
            continue;
        }
        numbered = across;
        let number = text_format::count(*budget as u64);
        let _ = writeln!(
            svg,
            "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{number}</text>",
            BOTTOM + 22.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">budget in tokens, framing included</text>",
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 48.0
    );
}
