//! Short names for continuations, which a model or its host has to repeat: a continuation itself can have
//! many kilobytes.
//!
//! Kept in the memory of this process: at most [`HANDLES_MAX`] and [`HANDLE_BYTES_MAX`], each for
//! [`HANDLE_AGE_MAX`]. A handle is a hash of what it stands for, so the same answer has the same handle. It
//! works only for the caller who got it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use contexture_core::domain::ids::FieldHasher;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// Most handles that are kept.
const HANDLES_MAX: usize = 4096;
/// Most bytes of continuations that are kept.
const HANDLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a handle is kept after it was last given.
const HANDLE_AGE_MAX: Duration = Duration::from_hours(1);
/// Characters of a handle, five bits each: two of 4,096 are the same with a chance of 10⁻¹¹.
const HANDLE_CHARS: usize = 12;
/// Digits that are not mistaken for each other: Crockford's.
const HANDLE_DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What a handle stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptContinuation {
    /// The collection of the answer.
    pub(super) collection: String,
    /// Its continuation.
    pub(super) continuation: String,
}

struct HandleEntry {
    caller: Principal,
    kept: KeptContinuation,
    given: Instant,
}

impl HandleEntry {
    fn bytes(&self) -> usize {
        self.kept.continuation.len() + self.kept.collection.len()
    }
}

/// All handles of this process.
#[derive(Default)]
pub(super) struct ContinuationHandles {
    entries: Mutex<HashMap<String, HandleEntry>>,
}

impl ContinuationHandles {
    /// Returns the handle of a continuation.
    pub(super) fn give(&self, caller: &Principal, kept: KeptContinuation) -> String {
        let handle = handle_text(caller, &kept);
        let now = Instant::now();
        let entry = HandleEntry { caller: caller.clone(), kept, given: now };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| now - entry.given < HANDLE_AGE_MAX);
        entries.insert(handle.clone(), entry);
        let mut bytes: usize = entries.values().map(HandleEntry::bytes).sum();
        while entries.len() > HANDLES_MAX || bytes > HANDLE_BYTES_MAX {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.given);
            let Some(oldest) = oldest.map(|(handle, _)| handle.clone()) else { break };
            bytes -= entries.remove(&oldest).map_or(0, |entry| entry.bytes());
        }
        handle
    }

    /// Returns what a handle of this caller stands for.
    pub(super) fn find(&self, caller: &Principal, handle: &str) -> Result<KeptContinuation, Refusal> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(handle.trim()).filter(|entry| {
            // Somebody else's looks like one that there never was.
            entry.caller == *caller && entry.given.elapsed() < HANDLE_AGE_MAX
        });
        entry.map(|entry| entry.kept.clone()).ok_or_else(|| {
            let message = "there is no such continuation, or not any more; leave it out";
            Refusal::invalid("unknown_continuation", "continuation", message)
        })
    }
}

fn handle_text(caller: &Principal, kept: &KeptContinuation) -> String {
    let hasher = FieldHasher::new("contexture mcp continuation handle v1")
        .field(caller.tenant().as_str().as_bytes())
        .field(kept.collection.as_bytes())
        .field(kept.continuation.as_bytes());
    // Two callers of one tenant may see the same text and have different groups.
    let hash = caller.groups().iter().fold(hasher, |hasher, group| hasher.field(group.as_bytes())).finish();
    let digit = |byte: &u8| char::from(HANDLE_DIGITS[usize::from(byte & 31)]);
    hash.iter().take(HANDLE_CHARS).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use contexture_core::domain::ids::TenantId;

    fn caller(tenant: &str, group: &str) -> Principal {
        let tenant = TenantId::new(tenant).expect("a tenant");
        Principal::new(tenant, BTreeSet::from([group.to_owned()]), BTreeSet::new()).expect("a caller")
    }

    fn kept(continuation: &str) -> KeptContinuation {
        KeptContinuation { collection: "docs".to_owned(), continuation: continuation.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handle_is_short_and_works_for_its_caller_for_an_hour() {
        let handles = ContinuationHandles::default();
        let ann = caller("acme", "staff");
        let handle = handles.give(&ann, kept("places"));
        assert_eq!(handle.len(), HANDLE_CHARS);
        assert_eq!(handles.give(&ann, kept("places")), handle);
        assert_eq!(handles.find(&ann, &handle), Ok(kept("places")));
        for other in [caller("acme", "guests"), caller("other", "staff")] {
            assert_eq!(handles.find(&other, &handle).expect_err("not theirs").code, "unknown_continuation");
        }
        tokio::time::advance(HANDLE_AGE_MAX).await;
        assert!(handles.find(&ann, &handle).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_make_room() {
        let handles = ContinuationHandles::default();
        let ann = caller("acme", "staff");
        let first = handles.give(&ann, kept("first"));
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = handles.give(&ann, kept("second"));
        tokio::time::advance(Duration::from_secs(1)).await;
        handles.give(&ann, kept(&"x".repeat(HANDLE_BYTES_MAX - 20)));
        assert!(handles.find(&ann, &first).is_err());
        assert!(handles.find(&ann, &second).is_ok());
    }
}
