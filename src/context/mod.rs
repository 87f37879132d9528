//! A query's way: retrieve, fuse, assemble, render.

pub mod answer;
pub mod request;

use crate::fault::{Refusal, RefusalKind};
use answer::{Answer, Ranking};
use request::{Assembly, Query};

/// Stand-in, to be dropped at the merge.
pub struct ContextEngine;

#[expect(clippy::unused_async, reason = "stand-in")]
impl ContextEngine {
    /// Packs a context.
    pub async fn assemble(&self, _query: Query, _assembly: Assembly) -> Result<Answer, Refusal> {
        Err(Refusal::new(RefusalKind::Internal, "not_wired", "", "stand-in"))
    }

    /// Ranks chunks.
    pub async fn search(&self, _query: Query) -> Result<Ranking, Refusal> {
        Err(Refusal::new(RefusalKind::Internal, "not_wired", "", "stand-in"))
    }
}
