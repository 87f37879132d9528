//! The names of the curves, next to their ends.

use std::fmt::Write as _;

use super::scale::{BOTTOM, RIGHT, RecallCurve, RecallPlotScale, STYLES, TOP, dash_array};
use crate::cli::markup::escape_xml;

/// Minimum distance between two names, in pixels.
const NAME_DISTANCE: f64 = 18.0;

/// Draws names at the ends of their curves, moved apart where ends are close.
pub(super) fn draw_labels(svg: &mut String, scale: &RecallPlotScale, curves: &[RecallCurve]) {
    let end = |curve: &RecallCurve| {
        curve.points.last().map(|(budget, recall)| (scale.across(*budget), scale.down(*recall)))
    };
    // Styles are assigned before empty curves are dropped and ends are sorted, so that every label keeps the
    // style of its curve.
    let mut ends: Vec<_> = curves
        .iter()
        .zip(STYLES.iter().cycle())
        .filter_map(|(curve, style)| Some((end(curve)?, curve, style)))
        .collect();
    // Pixels count downwards, so the highest end comes first.
    ends.sort_by(|((_, left), ..), ((_, right), ..)| left.total_cmp(right));
    let downs: Vec<f64> = ends.iter().map(|((_, down), ..)| *down).collect();
    for (((across, down), curve, (colour, dashes, marker)), name_down) in
        ends.iter().zip(spread_apart(&downs))
    {
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {down:.1}L{:.1} {name_down:.1}\" stroke=\"#bbb\"/>\
             <path d=\"M{:.1} {name_down:.1}h32\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{}\"/>\
             <path d=\"{marker}\" transform=\"translate({:.1} {name_down:.1})\" fill=\"{colour}\" \
             stroke=\"#fff\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            across + 8.0,
            RIGHT + 8.0,
            RIGHT + 8.0,
            dash_array(dashes),
            RIGHT + 24.0,
            RIGHT + 48.0,
            name_down + 4.5,
            escape_xml(&curve.name)
        );
    }
}

/// Moves ascending positions at least [`NAME_DISTANCE`] apart. One pass moves them down, and a second one
/// moves up those below the plot.
fn spread_apart(wanted: &[f64]) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for place in wanted {
        let free = places.last().map_or(TOP, |before| before + NAME_DISTANCE);
        places.push(place.max(free));
    }
    let mut limit = BOTTOM;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - NAME_DISTANCE;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::{BOTTOM, NAME_DISTANCE, TOP, spread_apart};

    #[test]
    fn names_are_moved_apart_within_the_picture() {
        for wanted in [vec![60.0, 61.0, 61.0, 300.0], vec![400.0; 6], vec![TOP; 6], vec![100.0, 200.0]] {
            let places = spread_apart(&wanted);
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= NAME_DISTANCE), "{places:?}");
            assert!(places.iter().all(|place| (TOP..=BOTTOM).contains(place)), "{places:?}");
        }
        assert!(spread_apart(&[100.0, 200.0]) == [100.0, 200.0], "those that are far apart stay");
    }
}
