//! The version fence: which version of a document wins.
//!
//! One rule, used at intake against the ledger and at commit against the index (promise C9). A version
//! lower than the head is superseded. An equal one is a duplicate if its content is the same, and a
//! conflict if not. A higher one applies. A tombstone is a head like any other, so nothing in flight can
//! bring a deleted document back.

use super::ids::{ContentHash, Version};

/// What happens to a version that meets the head of its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceDecision {
    /// It becomes the head.
    Apply,
    /// It is the head already, with the same content.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_version_wins_and_equal_ones_are_told_apart_by_content() {
        let version = |number| Version::new(number).expect("a version");
        let content = |byte| ContentHash::from_bytes([byte; 32]);
        let head = Some((version(5), content(1)));
        for (candidate, hash, expected) in [
            (4, 1, FenceDecision::Superseded),
            (4, 2, FenceDecision::Superseded),
            (5, 1, FenceDecision::Duplicate),
            (5, 2, FenceDecision::Conflict),
            (6, 1, FenceDecision::Apply),
        ] {
            assert_eq!(check_version_fence(head, version(candidate), content(hash)), expected);
        }
        assert_eq!(check_version_fence(None, Version::FIRST, content(1)), FenceDecision::Apply);
    }
}
