//! Recall against budget as a picture: SVG 1.1, written by hand.
//!
//! Budgets stand on a logarithmic axis to base 2 with a tick at each. Every line has a colour
//! (after Okabe and Ito, 2008, darkened to be read as text), a dash and a marker of its own, and its name
//! at its end, moved apart where ends are close. White is drawn behind, so it reads on dark
//! pages. Texts are escaped. At most [`STYLES`] lines look different; further ones repeat.

mod axes;
mod labels;

use std::fmt::Write as _;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 412.0;
/// Colour, dashes, and the corners of the marker.
const STYLES: [(&str, &str, &str); 6] = [
    ("#0072b2", "", "M-5-5H5V5H-5Z"),
    ("#d55e00", "8 4", "M0-6L6 5H-6Z"),
    ("#007a58", "2 3", "M0-6L6 0L0 6L-6 0Z"),
    ("#a0487a", "10 3 2 3", "M0 6L6-5H-6Z"),
    ("#8a6d00", "4 4", "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"),
    ("#000000", "12 4", "M-6-2H6V2H-6Z"),
];

/// What one packer reached, by ascending budget.
pub(crate) struct RecallCurve {
    /// Its name.
    pub(crate) name: String,
    /// Budget in tokens and recall.
    pub(crate) points: Vec<(usize, f64)>,
}

/// Where figures stand in the picture.
struct RecallPlotScale {
    first: f64,
    last: f64,
    lowest: f64,
}

/// Draws the lines under a title.
pub(crate) fn draw_recall_plot(title: &str, lines: &[RecallCurve]) -> String {
    let scale = RecallPlotScale::from_curves(lines);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <title>{0}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"30\" font-size=\"16\">{0}</text>\n",
        escape_xml(title)
    );
    axes::draw_recall_axis(&mut svg, &scale);
    axes::draw_budget_axis(&mut svg, &scale, lines);
    // The first line is drawn last, above the others.
    for (index, line) in lines.iter().enumerate().rev() {
        draw_curve(&mut svg, &scale, line, &STYLES[index % STYLES.len()]);
    }
    labels::draw_labels(&mut svg, &scale, lines);
    svg.push_str("</svg>\n");
    svg
}

impl RecallPlotScale {
    #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    fn from_curves(lines: &[RecallCurve]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points);
        let budgets = || points().map(|(budget, _)| *budget as f64);
        let least = points().map(|(_, recall)| *recall).fold(1.0, f64::min);
        Self {
            first: budgets().fold(f64::INFINITY, f64::min),
            last: budgets().fold(1.0, f64::max),
            // At least a tenth is shown, and a tenth below the lowest figure where there is room.
            lowest: ((least * 10.0 - 0.5).floor() / 10.0).clamp(0.0, 0.9),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    fn across(&self, budget: usize) -> f64 {
        let octaves = (self.last / self.first).log2();
        if octaves > 0.0 {
            LEFT + 16.0 + (budget as f64 / self.first).log2() / octaves * (RIGHT - LEFT - 32.0)
        } else {
            f64::midpoint(LEFT, RIGHT)
        }
    }

    fn down(&self, recall: f64) -> f64 {
        BOTTOM - (recall - self.lowest) / (1.0 - self.lowest) * (BOTTOM - TOP)
    }
}

fn draw_curve(svg: &mut String, scale: &RecallPlotScale, line: &RecallCurve, style: &(&str, &str, &str)) {
    let (colour, dashes, marker) = style;
    let places: Vec<(f64, f64)> =
        line.points.iter().map(|(budget, recall)| (scale.across(*budget), scale.down(*recall))).collect();
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

fn dash_array(dashes: &str) -> &str {
    if dashes.is_empty() { "none" } else { dashes }
}

/// Text that XML can hold; what it cannot is left out.
pub(crate) fn escape_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{FFFE}' | '\u{FFFF}' => {}
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{RecallCurve, draw_recall_plot};

    fn line(name: &str, recalls: &[f64]) -> RecallCurve {
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
        let lines = [line("assembler", &[0.5, 0.7, 0.9]), line("mmr <&\"\u{1}>", &[0.4, 0.6, 0.9])];
        let svg = draw_recall_plot("recall & budget", &lines);
        assert_well_formed(&svg);
        assert!(svg.starts_with("<svg ") && svg.contains("fill=\"#fff\""));
        for text in ["recall &amp; budget", ">assembler<", ">mmr &lt;&amp;&quot;&gt;<", ">125<", ">500<"] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }

    #[test]
    fn odd_figures_draw_too() {
        for lines in
            [vec![], vec![line("one", &[0.0])], vec![line("full", &[1.0, 1.0])], vec![line("none", &[])]]
        {
            assert_well_formed(&draw_recall_plot("", &lines));
        }
    }
}
