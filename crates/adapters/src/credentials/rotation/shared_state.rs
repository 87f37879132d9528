//! What processes share about a refresh token, as JSON under one name.
//!
//! There is a [`RefreshTokenLineage`] for each of the two initial refresh tokens that were last used: while a new
//! one is rolled out, processes with the old one do not spoil what the new ones know.

use serde::{Deserialize, Serialize};

/// Initial refresh tokens that are remembered.
const LINEAGES_MAX: usize = 2;

/// The state; the line that was last claimed comes first.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct SharedTokenState {
    lines: Vec<RefreshTokenLineage>,
}

/// What became of one initial refresh token. Times are the store's.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RefreshTokenLineage {
    /// BLAKE3 of the initial refresh token.
    initial: String,
    /// The one to be used next.
    pub(super) refresh_token: String,
    pub(super) access: Option<SharedAccessToken>,
    /// Grows with each claim.
    pub(super) claim: u64,
    /// Until then nobody else uses the refresh token.
    pub(super) claimed_until_ms: u64,
}

/// The last access token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SharedAccessToken {
    pub(super) token: String,
    pub(super) begins_ms: u64,
    pub(super) expires_ms: Option<u64>,
}

/// What a refresh brought, and what it was brought for.
#[derive(Clone)]
pub(super) struct CompletedRefresh {
    pub(super) claim: u64,
    pub(super) sent: String,
    pub(super) refresh_token: String,
    pub(super) access: SharedAccessToken,
}

impl SharedTokenState {
    /// What stands in a state; nothing where that cannot be read.
    pub(super) fn read(state: Option<&str>) -> Self {
        state.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The state with this line in front.
    pub(super) fn write(mut self, line: RefreshTokenLineage) -> Option<String> {
        self.lines.retain(|other| other.initial != line.initial);
        self.lines.insert(0, line);
        self.lines.truncate(LINEAGES_MAX);
        serde_json::to_string(&self).ok()
    }

    /// The line of this initial refresh token, which may be a new one.
    pub(super) fn line(&self, initial: &str) -> RefreshTokenLineage {
        let hash = blake3::hash(initial.as_bytes()).to_hex().to_string();
        let known = self.lines.iter().find(|line| line.initial == hash).cloned();
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
    /// An access token that is good now and not the one that is to be replaced.
    pub(super) fn other_than(&self, known: Option<&str>, now_ms: u64) -> Option<&SharedAccessToken> {
        self.access.as_ref().filter(|access| {
            known != Some(access.token.as_str()) && access.expires_ms.is_none_or(|end_ms| now_ms < end_ms)
        })
    }

    /// Nobody else refreshes for so long.
    pub(super) fn claim(&mut self, now_ms: u64, length_ms: u64) {
        self.claim += 1;
        self.claimed_until_ms = now_ms.saturating_add(length_ms);
    }

    /// Lets others refresh, where the claim is still this one.
    pub(super) fn release(&mut self, claim: u64) {
        if self.claim == claim {
            self.claimed_until_ms = 0;
        }
    }

    /// Takes over what a refresh brought; false where the refresh token has been replaced by
    /// somebody else since.
    pub(super) fn take(&mut self, refreshed: &CompletedRefresh) -> bool {
        if self.refresh_token != refreshed.sent {
            return false;
        }
        self.refresh_token.clone_from(&refreshed.refresh_token);
        self.access = Some(refreshed.access.clone());
        self.release(refreshed.claim);
        true
    }
}
