//! Figures of rankings, contexts and samples: pure, each with its definition and its source.
//!
//! [`metrics`] judges a ranking or a set of passages by what is known to be relevant, [`rankings`] and
//! [`contexts`] compare two of which neither is known to be right, and [`bootstrap`] tells
//! how far a mean difference could be chance.

pub mod bootstrap;
pub mod contexts;
pub mod metrics;
pub mod rankings;
