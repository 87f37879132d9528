//! The version fence: which version of a document wins.
//!
//! One rule, used at intake against the ledger and at commit against the index (promise C9):
//! lower than the head is superseded; equal with the same content is a duplicate; equal with
//! other content is a conflict; higher applies. A tombstone is a head like any other, so
//! nothing in flight can bring a deleted document back.

use super::ids::{ContentHash, Version};

/// What happens to a version that meets a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceDecision {
    /// It becomes the head.
    Apply,
    /// It is the head already.
    Duplicate,
    /// A newer version is the head.
    Superseded,
    /// The head has the same version and other content.
    Conflict,
}

/// Decides between the committed head, if any, and a candidate.
pub fn check_version_fence(
    head: Option<(Version, ContentHash)>,
    version: Version,
    content: ContentHash,
) -> FenceDecision {
    let Some((head_version, head_content)) = head else {
        return FenceDecision::Apply;
    };
    match version.cmp(&head_version) {
        std::cmp::Ordering::Greater => FenceDecision::Apply,
        std::cmp::Ordering::Less => FenceDecision::Superseded,
        std::cmp::Ordering::Equal if content == head_content => FenceDecision::Duplicate,
        std::cmp::Ordering::Equal => FenceDecision::Conflict,
    }
}
