//! The laboratory: retrieval metrics, baselines, the comparison of two generations, the judgement of extracted text.

pub mod baselines;
pub mod compare;

pub mod measure {
    //! Measures of rankings, contexts and samples. They are pure functions; each has its definition and its
    //! source.
    //!
    //! [`retrieval_metrics`] judges a ranking or a set of passages by what is known to be relevant.
    //! [`ranking_similarity`] and [`context_overlap`] compare two of which neither is known to be right.
    //! [`text_agreement`] judges an extracted text by a known one.
    //! [`bootstrap`] tells how far a mean difference could be chance.

    pub mod bootstrap;
    pub mod context_overlap;
    pub mod ranking_similarity;
    pub mod retrieval_metrics;
    pub mod text_agreement;
}
