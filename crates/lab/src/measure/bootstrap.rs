//! The paired bootstrap: how far a mean difference could be chance.
//!
//! Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 12 and 13. The
//! differences of pairs are resampled with replacement [`RESAMPLES`] times. The 2.5th and the 97.5th
//! percentile of the means bound the interval. Random numbers come from `SplitMix64` (Steele, Lea and
//! Flood, 2014) with a fixed seed, so equal differences give equal intervals.

use serde::{Deserialize, Serialize};

use super::retrieval_metrics::mean;

/// Resamples for one interval.
const RESAMPLES: usize = 10_000;
/// The ranks, from 1, of the sorted means that bound 95 %.
const LOWEST: usize = RESAMPLES / 40;
const HIGHEST: usize = RESAMPLES - RESAMPLES / 40;
const SEED: u64 = 1993;

/// A mean and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootstrapInterval {
    /// The mean of the differences.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl BootstrapInterval {
    /// The mean of the differences between pairs and its interval. All 0 without any difference.
    pub fn from_differences(differences: &[f64]) -> Self {
        let mut numbers = SplitMix64(SEED);
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| mean(differences.iter().map(|_| differences[numbers.below(differences.len())])))
            .collect();
        means.sort_unstable_by(f64::total_cmp);
        Self { mean: mean(differences.iter().copied()), low: means[LOWEST - 1], high: means[HIGHEST - 1] }
    }

    /// The interval for a person, in hundredths: `+1.2 [-0.3, +2.7]`.
    pub fn text(&self) -> String {
        format!("{:+.1} [{:+.1}, {:+.1}]", self.mean * 100.0, self.low * 100.0, self.high * 100.0)
    }
}

/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let once = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        twice ^ (twice >> 31)
    }

    /// A number below the bound: the high word of a product (Lemire, 2019). His rejection step is left out:
    /// the bias that it removes is at most bound / 2⁶⁴.
    fn below(&mut self, bound: usize) -> usize {
        let scaled = (u128::from(self.draw()) * bound as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BootstrapInterval, SplitMix64};

    #[test]
    fn equal_runs_differ_by_nothing() {
        assert_eq!(
            BootstrapInterval::from_differences(&[0.0; 40]),
            BootstrapInterval { mean: 0.0, low: 0.0, high: 0.0 }
        );
        assert_eq!(
            BootstrapInterval::from_differences(&[]),
            BootstrapInterval { mean: 0.0, low: 0.0, high: 0.0 }
        );
    }

    #[test]
    fn a_constant_difference_is_certain() {
        assert_eq!(
            BootstrapInterval::from_differences(&[0.25; 17]),
            BootstrapInterval { mean: 0.25, low: 0.25, high: 0.25 }
        );
        assert_eq!(
            BootstrapInterval::from_differences(&[-0.5]),
            BootstrapInterval { mean: -0.5, low: -0.5, high: -0.5 }
        );
    }

    #[test]
    fn the_interval_is_that_of_the_normal_approximation() {
        // 400 differences of −1 and +1 in equal parts: the mean has a standard error of 1/20.
        let differences: Vec<f64> = (0..400).map(|at| if at % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let interval = BootstrapInterval::from_differences(&differences);
        assert!(interval.mean.abs() < 1e-12);
        assert!((interval.low + 1.96 / 20.0).abs() < 0.006, "{interval:?}");
        assert!((interval.high - 1.96 / 20.0).abs() < 0.006, "{interval:?}");
        assert_eq!(interval, BootstrapInterval::from_differences(&differences), "the seed is fixed");
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // The first outputs for seed 1234567 of the reference implementation.
        let mut numbers = SplitMix64(1_234_567);
        assert_eq!(numbers.draw(), 6_457_827_717_110_365_317);
        assert_eq!(numbers.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn texts_carry_their_signs() {
        let interval = BootstrapInterval { mean: 0.0124, low: -0.0031, high: 0.0271 };
        assert_eq!(interval.text(), "+1.2 [-0.3, +2.7]");
    }
}
