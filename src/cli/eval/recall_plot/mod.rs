//! A plot of recall by budget, as SVG 1.1.
//!
//! The budget axis is logarithmic to base 2, with a tick at each budget. Every curve has a colour
//! (after Okabe and Ito, 2008, darkened to be read as text), a dash and a marker of its own, and its name
//! at its end, moved apart where ends are close. White is drawn behind, so it reads on dark
//! pages. Texts are escaped. At most [`STYLES`] curves look different; further ones repeat.

mod labels;
mod scale;

use std::fmt::Write as _;

use crate::cli::markup::escape_xml;
use crate::cli::text_format;
use scale::{BOTTOM, HEIGHT, LEFT, RIGHT, RecallPlotScale, STYLES, TOP, WIDTH, dash_array};

pub(crate) use scale::RecallCurve;

/// Minimum distance of numbers on the budget axis, in pixels.
const TICK_DISTANCE: f64 = 44.0;

/// Draws the curves with a title.
pub(crate) fn draw_recall_plot(title: &str, curves: &[RecallCurve]) -> String {
    let scale = RecallPlotScale::from_curves(curves);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <title>{0}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"30\" font-size=\"16\">{0}</text>\n",
        escape_xml(title)
    );
    draw_recall_axis(&mut svg, &scale);
    draw_budget_axis(&mut svg, &scale, curves);
    // The first curve is drawn last, above the others.
    for (index, curve) in curves.iter().enumerate().rev() {
        draw_curve(&mut svg, &scale, curve, &STYLES[index % STYLES.len()]);
    }
    labels::draw_labels(&mut svg, &scale, curves);
    svg.push_str("</svg>\n");
    svg
}

/// A grid line and a number for each tenth.
fn draw_recall_axis(svg: &mut String, scale: &RecallPlotScale) {
    for tenth in 0..=10_u8 {
        let recall = f64::from(tenth) / 10.0;
        // With slack, because a tenth is not exact in binary.
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

/// A tick for each budget, and its number if there is room.
fn draw_budget_axis(svg: &mut String, scale: &RecallPlotScale, curves: &[RecallCurve]) {
    let _ = writeln!(svg, "<path d=\"M{LEFT} {BOTTOM}H{RIGHT}\" stroke=\"#222\"/>");
    // So that the first tick always has a number.
    let mut numbered = f64::NEG_INFINITY;
    for (budget, _) in curves.first().iter().flat_map(|curve| &curve.points) {
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

fn draw_curve(svg: &mut String, scale: &RecallPlotScale, curve: &RecallCurve, style: &(&str, &str, &str)) {
    let (colour, dashes, marker) = style;
    let places: Vec<(f64, f64)> =
        curve.points.iter().map(|(budget, recall)| (scale.across(*budget), scale.down(*recall))).collect();
    let corners: Vec<String> = places.iter().map(|(across, down)| format!("{across:.1},{down:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
         stroke-dasharray=\"{}\"/>",
        corners.join(" "),
        dash_array(dashes)
    );
    for (across, down) in places {
        let _ = writeln!(
            svg,
            "<path d=\"{marker}\" transform=\"translate({across:.1} {down:.1})\" fill=\"{colour}\" \
             stroke=\"#fff\"/>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{RecallCurve, draw_recall_plot};

    fn curve(name: &str, recalls: &[f64]) -> RecallCurve {
        let budgets = std::iter::successors(Some(125), |budget| Some(budget * 2));
        RecallCurve { name: name.to_owned(), points: budgets.zip(recalls.iter().copied()).collect() }
    }

    /// Every element is closed by its own name, attributes are quoted, nothing is left open.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some(at) = rest.find('<') {
            assert!(!rest[..at].contains('>'), "{}", &rest[..at]);
            let end = at + rest[at..].find('>').expect("an end");
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            assert!(!tag.contains("NaN") && !tag.contains("inf"), "{tag}");
            let name = tag.trim_matches('/').split_whitespace().next().unwrap_or_default();
            match (tag.starts_with('/'), tag.ends_with('/')) {
                (true, _) => assert_eq!(open.pop(), Some(name)),
                (false, false) => open.push(name),
                (false, true) => {}
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn a_picture_is_well_formed_and_names_its_lines() {
        let curves = [curve("assembler", &[0.5, 0.7, 0.9]), curve("mmr <&\"\u{1}>", &[0.4, 0.6, 0.9])];
        let svg = draw_recall_plot("recall & budget", &curves);
        assert_well_formed(&svg);
        assert!(svg.starts_with("<svg ") && svg.contains("fill=\"#fff\""));
        for text in ["recall &amp; budget", ">assembler<", ">mmr &lt;&amp;&quot;&gt;<", ">125<", ">500<"] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }

    #[test]
    fn odd_figures_draw_too() {
        for curves in
            [vec![], vec![curve("one", &[0.0])], vec![curve("full", &[1.0, 1.0])], vec![curve("none", &[])]]
        {
            assert_well_formed(&draw_recall_plot("", &curves));
        }
    }
}
