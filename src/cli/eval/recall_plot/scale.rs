//! The plot's geometry: edges in pixels, styles of curves, and the position of a figure.

pub(super) const WIDTH: f64 = 800.0;
pub(super) const HEIGHT: f64 = 480.0;
pub(super) const LEFT: f64 = 72.0;
pub(super) const RIGHT: f64 = 620.0;
pub(super) const TOP: f64 = 56.0;
pub(super) const BOTTOM: f64 = 412.0;
/// Colour, dashes, and path of the marker. Curves differ in all three, so they can be told apart in grey.
pub(super) const STYLES: [(&str, &str, &str); 6] = [
    ("#0072b2", "", "M-5-5H5V5H-5Z"),
    ("#d55e00", "8 4", "M0-6L6 5H-6Z"),
    ("#007a58", "2 3", "M0-6L6 0L0 6L-6 0Z"),
    ("#a0487a", "10 3 2 3", "M0 6L6-5H-6Z"),
    ("#8a6d00", "4 4", "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"),
    ("#000000", "12 4", "M-6-2H6V2H-6Z"),
];

/// The recall of one packer, by ascending budget.
pub(crate) struct RecallCurve {
    /// Its name.
    pub(crate) name: String,
    /// Budget in tokens and recall.
    pub(crate) points: Vec<(usize, f64)>,
}

/// Maps budgets and recalls to pixels.
pub(super) struct RecallPlotScale {
    first: f64,
    last: f64,
    /// The recall at the lower edge.
    pub(super) lowest: f64,
}

impl RecallPlotScale {
    #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    pub(super) fn from_curves(curves: &[RecallCurve]) -> Self {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let budgets = || points().map(|(budget, _)| *budget as f64);
        let least = points().map(|(_, recall)| *recall).fold(1.0, f64::min);
        Self {
            first: budgets().fold(f64::INFINITY, f64::min),
            last: budgets().fold(1.0, f64::max),
            // The axis shows at least one tenth. It starts a tenth below the lowest figure if there is room.
            lowest: ((least * 10.0 - 0.5).floor() / 10.0).clamp(0.0, 0.9),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    pub(super) fn across(&self, budget: usize) -> f64 {
        // A single budget has no octaves and stands in the middle.
        let octaves = (self.last / self.first).log2();
        if octaves > 0.0 {
            LEFT + 16.0 + (budget as f64 / self.first).log2() / octaves * (RIGHT - LEFT - 32.0)
        } else {
            f64::midpoint(LEFT, RIGHT)
        }
    }

    pub(super) fn down(&self, recall: f64) -> f64 {
        BOTTOM - (recall - self.lowest) / (1.0 - self.lowest) * (BOTTOM - TOP)
    }
}

/// The value of `stroke-dasharray`.
pub(super) fn dash_array(dashes: &str) -> &str {
    if dashes.is_empty() { "none" } else { dashes }
}
