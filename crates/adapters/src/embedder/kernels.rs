//! The element-wise steps of a BERT layer, on plain slices.
//!
//! The loops over `f32` have no branches, so that they vectorise on every target without unsafe code.
//! Errors against exact arithmetic: `exp` 2e-7 relative, `erf` 5e-7 absolute.

/// Adds `bias` to every row.
pub(super) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value += bias;
        }
    }
}

/// Adds `bias` to every row, then applies the exact (erf) GELU.
pub(super) fn add_bias_gelu(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            let input = *value + bias;
            *value = 0.5 * input * (1.0 + erf(input * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

/// Adds `bias` to every row, then replaces negative numbers with zero.
pub(super) fn add_bias_relu(rows: &mut [f32], bias: &[f32]) {
    add_bias(rows, bias);
    for value in rows {
        *value = value.max(0.0);
    }
}

/// Scales every row of `columns` numbers and replaces it with its softmax.
pub(super) fn softmax(rows: &mut [f32], columns: usize, scale: f32) {
    for row in rows.chunks_exact_mut(columns) {
        // The softmax does not change when all inputs shift; the largest becomes 0, so that `exp` cannot
        // overflow.
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in row.iter_mut() {
            *value = exp((*value - largest) * scale);
        }
        let inverse = 1.0 / lane_sum(row, |value| value);
        for value in row.iter_mut() {
            *value *= inverse;
        }
    }
}

/// The parameters of a layer normalisation.
#[derive(Debug)]
pub(super) struct LayerNorm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) epsilon: f32,
}

impl LayerNorm {
    /// Replaces every row with its layer normalisation.
    pub(super) fn apply(&self, rows: &mut [f32]) {
        let columns = self.weight.len();
        #[expect(clippy::cast_precision_loss, reason = "row widths are far below 2^24")]
        let inverse_columns = 1.0 / columns as f32;
        for row in rows.chunks_exact_mut(columns) {
            let mean = lane_sum(row, |value| value) * inverse_columns;
            let variance = lane_sum(row, |value| (value - mean) * (value - mean)) * inverse_columns;
            let inverse = 1.0 / (variance + self.epsilon).sqrt();
            for ((value, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
                *value = (*value - mean) * inverse * weight + bias;
            }
        }
    }

    /// Adds `bias` and `residual` to every row, then normalises.
    pub(super) fn add_and_apply(&self, rows: &mut [f32], bias: &[f32], residual: &[f32]) {
        for (row, residual) in rows.chunks_exact_mut(bias.len()).zip(residual.chunks_exact(bias.len())) {
            for ((value, bias), residual) in row.iter_mut().zip(bias).zip(residual) {
                *value += bias + residual;
            }
        }
        self.apply(rows);
    }
}

/// Partial sums of [`lane_sum`]: 16 of `f32` fill one AVX-512 register or two of AVX2.
const SUM_LANES: usize = 16;

/// Sums in [`SUM_LANES`] interleaved lanes. This vectorises, and adds in the same order on every machine.
fn lane_sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; SUM_LANES];
    let (blocks, rest) = values.as_chunks::<SUM_LANES>();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += term(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| term(*value)).sum::<f32>()
}

/// e^x for x ≤ 0, after Cephes `expf`: range reduction by ln 2, then a polynomial.
#[inline]
fn exp(input: f32) -> f32 {
    // Adding and subtracting 1.5·2^23 rounds to the nearest integer without a library call.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // e^-87 is about the smallest normal f32; below, the exponent would wrap.
    let input = input.max(-87.0);
    let shifted = input * std::f32::consts::LOG2_E + ROUND;
    // ln 2 in two parts: the high one times a small integer is exact, the low one corrects it.
    let whole = shifted - ROUND;
    let rest = input - whole * LN2_HIGH - whole * LN2_LOW;
    let polynomial = 1.987_569_1e-4;
    let polynomial = polynomial * rest + 1.398_199_9e-3;
    let polynomial = polynomial * rest + 8.333_452e-3;
    let polynomial = polynomial * rest + 4.166_579_6e-2;
    let polynomial = polynomial * rest + 1.666_666_5e-1;
    let polynomial = polynomial * rest + 0.5;
    let mantissa = polynomial * rest * rest + rest + 1.0;
    // The low bits of `shifted` hold the integer; wrapping drops the bits of ROUND.
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    mantissa * f32::from_bits(exponent)
}

/// The error function, by the rational approximation that Eigen and XLA use for `f32`.
#[inline]
fn erf(input: f32) -> f32 {
    // Beyond 4, erf rounds to ±1 in f32; the polynomials are fitted up to there.
    let input = input.clamp(-4.0, 4.0);
    let square = input * input;
    let above = -2.726_142_3e-10;
    let above = above * square + 2.770_681_4e-8;
    let above = above * square - 2.101_024e-6;
    let above = above * square - 5.692_506_5e-5;
    let above = above * square - 7.349_906e-4;
    let above = above * square - 2.954_6e-3;
    let above = above * square - 1.609_603_3e-2;
    let below = -1.456_607_2e-5;
    let below = below * square - 2.133_740_5e-4;
    let below = below * square - 1.682_827e-3;
    let below = below * square - 7.373_329e-3;
    let below = below * square - 1.426_473_9e-2;
    input * above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erf_exact(input: f64) -> f64 {
        // Maclaurin series; converges well for |x| ≤ 4.5 in f64.
        let (mut term, mut sum) = (input, input);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -input * input / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "test points are chosen in f64")]
    fn approximations_stay_within_their_stated_error() {
        for step in 0..=8_000_i32 {
            let input = f64::from(step) / 2_000.0 * if step % 2 == 0 { 1.0 } else { -1.0 };
            let error = (f64::from(erf(input as f32)) - erf_exact(f64::from(input as f32))).abs();
            assert!(error < 5e-7, "erf({input}) is off by {error}");
            let input = -f64::from(step) / 100.0;
            let exact = f64::from(input as f32).exp();
            let error = (f64::from(exp(input as f32)) - exact).abs();
            assert!(error <= 2e-7 * exact, "exp({input}) is off by {error}");
        }
    }

    #[test]
    fn softmax_rows_sum_to_one_and_survive_large_inputs() {
        let mut rows = vec![1e4, 1e4, -1e4, 0.0, 0.5, 1.0];
        softmax(&mut rows, 3, 1.0);
        assert!((rows[0] - 0.5).abs() < 1e-6 && rows[2].abs() < 1e-30);
        assert!((rows[3..].iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
