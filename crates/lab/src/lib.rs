//! The laboratory: measures, baselines, and the comparison of two generations.

pub mod baselines;
pub mod compare;
pub mod measure;
