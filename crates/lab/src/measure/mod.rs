//! Figures of rankings, contexts and samples: pure, each with its definition and its source.
//!
//! [`retrieval_metrics`] judges a ranking or a set of passages by what is known to be relevant, [`ranking_similarity`] and
//! [`context_overlap`] compare two of which neither is known to be right, and [`bootstrap`] tells
//! how far a mean difference could be chance.

pub mod bootstrap;
pub mod context_overlap;
pub mod ranking_similarity;
pub mod retrieval_metrics;
