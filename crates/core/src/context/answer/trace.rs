//! What became of each candidate.

use serde::{Deserialize, Serialize};

use super::{Citation, chunk_id_text};
use crate::domain::ids::ChunkId;

/// The verdict on one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum CandidateVerdict {
    /// The best candidate of a passage, in whole or in part. If it is in several passages, the first is
    /// named.
    Kept {
        /// Number of the passage, from 1.
        passage: usize,
    },
    /// In a passage, in whole or in part, whose best candidate is another.
    MergedInto {
        /// Number of the passage, from 1.
        passage: usize,
    },
    /// Has the same text as another, white space aside.
    DuplicateOf {
        /// The candidate that stands for both.
        #[serde(with = "chunk_id_text")]
        of: ChunkId,
    },
    /// Has nearly the same text as another.
    NearDuplicateOf {
        /// The candidate that stands for both.
        #[serde(with = "chunk_id_text")]
        of: ChunkId,
    },
    /// Every sentence of it occurs, word for word, in another candidate.
    CoveredBy {
        /// The candidate that has the first of them.
        #[serde(with = "chunk_id_text")]
        of: ChunkId,
    },
    /// The context kept from the previous answer contains it.
    InPrefix,
    /// Did not fit into what was left of the budget.
    OverBudget,
    /// Less relevant than the cut-off.
    BelowCutoff,
    /// Its document has the most passages that the request allows.
    DocumentCap,
    /// Found, but the filter excludes its metadata in the snapshot.
    Filtered,
    /// Found, but no longer in the snapshot: its document was replaced or deleted.
    Superseded,
    /// Chosen, then given back when the final text was counted.
    GivenBack,
    /// Nothing but white space.
    Blank,
    /// Its text contradicts its span or an overlapping candidate.
    Inconsistent,
}

/// Why one candidate is or is not in the context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateTrace {
    /// The candidate.
    #[serde(with = "chunk_id_text")]
    pub chunk_id: ChunkId,
    /// Its place; unknown if the snapshot no longer has it.
    #[serde(flatten)]
    pub citation: Option<Citation>,
    /// Its score before assembly.
    pub score: f32,
    /// What the whole of it adds to the objective.
    pub gain: f64,
    /// Bytes of it that are in the context.
    pub kept_bytes: usize,
    /// Tokens it adds to the rendered text: counted if it was about to be chosen, else estimated from
    /// its embedder tokens.
    pub tokens: usize,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: CandidateVerdict,
}

impl CandidateTrace {
    /// The entry of a hit that could not be a candidate.
    pub fn dropped(
        chunk_id: ChunkId,
        citation: Option<Citation>,
        score: f32,
        verdict: CandidateVerdict,
    ) -> Self {
        Self { chunk_id, citation, score, gain: 0.0, kept_bytes: 0, tokens: 0, verdict }
    }
}
