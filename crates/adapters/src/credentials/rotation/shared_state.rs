//! What processes share about a refresh token, as JSON under one name.
//!
//! There is one [`RefreshTokenLineage`] for each of the two initial refresh tokens used last. So while a
//! new one is rolled out, processes with the old one do not overwrite what the new ones share.

use serde::{Deserialize, Serialize};

/// Most lineages that are kept.
const LINEAGES_MAX: usize = 2;

/// The whole state; the lineage changed last comes first.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct SharedTokenState {
    lines: Vec<RefreshTokenLineage>,
}

/// One initial refresh token and its successors. Times are the store's.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RefreshTokenLineage {
    /// BLAKE3 of the initial refresh token.
    initial: String,
    /// The token to use next.
    pub(super) refresh_token: String,
    pub(super) access: Option<SharedAccessToken>,
    /// Number of the last claim; grows with each.
    pub(super) claim: u64,
    /// Until then only the claimer uses the refresh token.
    pub(super) claimed_until_ms: u64,
}

/// The last access token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SharedAccessToken {
    pub(super) token: String,
    pub(super) begins_ms: u64,
    pub(super) expires_ms: Option<u64>,
}

/// The result of a refresh, with the claim and the refresh token that it came from.
#[derive(Clone)]
pub(super) struct CompletedRefresh {
    pub(super) claim: u64,
    pub(super) sent: String,
    pub(super) refresh_token: String,
    pub(super) access: SharedAccessToken,
}

impl SharedTokenState {
    /// Parses a state; empty if it cannot be parsed.
    pub(super) fn read(state: Option<&str>) -> Self {
        state.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Serializes the state with this lineage in front.
    pub(super) fn write(mut self, lineage: RefreshTokenLineage) -> Option<String> {
        self.lines.retain(|other| other.initial != lineage.initial);
        self.lines.insert(0, lineage);
        self.lines.truncate(LINEAGES_MAX);
        serde_json::to_string(&self).ok()
    }

    /// The lineage of this initial refresh token, which may be a new one.
    pub(super) fn lineage(&self, initial: &str) -> RefreshTokenLineage {
        // Hashed, so that the store does not keep tokens that are no longer needed.
        let hash = blake3::hash(initial.as_bytes()).to_hex().to_string();
        let known = self.lines.iter().find(|lineage| lineage.initial == hash).cloned();
        known.unwrap_or_else(|| RefreshTokenLineage {
            initial: hash,
            refresh_token: initial.to_owned(),
            access: None,
            claim: 0,
            claimed_until_ms: 0,
        })
    }
}

impl RefreshTokenLineage {
    /// The access token, if it is valid now and not `known`, which is to be replaced.
    pub(super) fn other_than(&self, known: Option<&str>, now_ms: u64) -> Option<&SharedAccessToken> {
        self.access.as_ref().filter(|access| {
            known != Some(access.token.as_str()) && access.expires_ms.is_none_or(|end_ms| now_ms < end_ms)
        })
    }

    /// Keeps others from refreshing for `length_ms`.
    pub(super) fn claim(&mut self, now_ms: u64, length_ms: u64) {
        self.claim += 1;
        self.claimed_until_ms = now_ms.saturating_add(length_ms);
    }

    /// Lets others refresh, if the claim is still this one.
    pub(super) fn release(&mut self, claim: u64) {
        if self.claim == claim {
            self.claimed_until_ms = 0;
        }
    }

    /// Takes over the result of a refresh. `false` if another process has replaced the refresh token
    /// since.
    pub(super) fn complete(&mut self, refreshed: &CompletedRefresh) -> bool {
        // Compares tokens, not claims: a claim may have expired while its call was on the way, and its
        // result still counts unless the token was replaced.
        if self.refresh_token != refreshed.sent {
            return false;
        }
        self.refresh_token.clone_from(&refreshed.refresh_token);
        self.access = Some(refreshed.access.clone());
        self.release(refreshed.claim);
        true
    }
}
