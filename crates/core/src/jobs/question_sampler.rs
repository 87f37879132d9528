//! A sample of the last questions, kept for comparisons.
//!
//! Off unless the configuration names a count. The last distinct questions of each collection are kept in
//! the shared state `questions/TENANT/COLLECTION`, within [`KEPT_BYTES_MAX`].
//!
//! Recording a question only takes a lock for a moment. Recorded questions are stored every
//! [`STORE_INTERVAL`] and when the process stops; a crash loses those in between. At most [`WAITING_MAX`]
//! wait to be stored. Further questions are dropped, and so are those longer than [`NOTED_BYTES_MAX`].
//! Questions are never logged.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::ids::CollectionKey;
use crate::fault::Fault;
use crate::ports::shared_states::SharedStateStore;

/// Most questions kept of a collection.
pub const SAMPLE_MAX: usize = 1000;
/// Longest question that is recorded, in bytes.
pub const NOTED_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of the stored questions of a collection, JSON included.
pub const KEPT_BYTES_MAX: usize = 128 * 1024;
/// Most questions that wait to be stored.
pub const WAITING_MAX: usize = 4096;
/// Time between two writes to the shared states.
pub const STORE_INTERVAL: Duration = Duration::from_secs(5);
/// Prefix of the names of the states.
const STATE_NAME_PREFIX: &str = "questions/";
const NO_QUESTIONS: &str = "[]";

/// Records questions.
pub struct QuestionSampler {
    states: Arc<dyn SharedStateStore>,
    count: usize,
    waiting: Mutex<PendingQuestions>,
}

/// Questions that wait to be stored.
#[derive(Default)]
struct PendingQuestions {
    collections: HashMap<CollectionKey, Vec<String>>,
    questions: usize,
}

impl QuestionSampler {
    /// Keeps the last `count` questions of each collection, at most [`SAMPLE_MAX`].
    pub fn new(states: Arc<dyn SharedStateStore>, count: usize) -> Self {
        Self { states, count: count.min(SAMPLE_MAX), waiting: Mutex::default() }
    }

    /// Records a question that was answered.
    pub fn note(&self, collection: &CollectionKey, question: &str) {
        if question.len() > NOTED_BYTES_MAX {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // The bound is over all collections: it limits memory, not the sample.
        if waiting.questions < WAITING_MAX {
            waiting.questions += 1;
            waiting.collections.entry(collection.clone()).or_default().push(question.to_owned());
        }
    }

    /// Stores recorded questions until `stop` is true, and once more then.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            // Elapsed, stopped or closed: what waits is stored in each case.
            let _ = tokio::time::timeout(STORE_INTERVAL, stop.wait_for(|stop| *stop)).await;
            if let Err(fault) = self.store().await {
                tracing::warn!(%fault, "sampled questions cannot be stored; some are lost");
            }
        }
    }

    /// Forgets the questions of a collection that wait to be stored.
    pub fn forget(&self, collection: &CollectionKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = waiting.collections.remove(collection).map_or(0, |questions| questions.len());
        waiting.questions -= forgotten;
    }

    /// Stores the questions recorded so far.
    pub async fn store(&self) -> Result<(), Fault> {
        // Taken before the writes: nobody waits for a lock during an await, and a failed write loses them.
        let pending = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for (collection, questions) in pending.collections {
            let count = self.count;
            let change = move |known: Option<&str>, _| Some(merge_questions(known, &questions, count));
            self.states.change(&state_name(&collection), Box::new(change)).await?;
        }
        Ok(())
    }
}

/// The stored questions of a collection, the oldest first.
pub async fn sampled_questions(
    states: &dyn SharedStateStore,
    collection: &CollectionKey,
) -> Result<Vec<String>, Fault> {
    let name = state_name(collection);
    let found = states.named(&name).await?;
    // `named` finds by prefix: the collection `notes` also finds `notes2`.
    let state = found.into_iter().find(|(known, _)| *known == name);
    Ok(state.map(|(_, state)| parse_questions(Some(&state))).unwrap_or_default())
}

/// Deletes all stored questions. The empty states stay, because states cannot be removed.
pub async fn forget_sampled_questions(states: &dyn SharedStateStore) -> Result<(), Fault> {
    for (name, state) in states.named(STATE_NAME_PREFIX).await? {
        if state != NO_QUESTIONS {
            states.change(&name, Box::new(|_, _| Some(NO_QUESTIONS.to_owned()))).await?;
        }
    }
    Ok(())
}

/// Deletes the stored questions of a collection. The empty state stays, because states cannot be removed.
pub async fn forget_collection_questions(
    states: &dyn SharedStateStore,
    collection: &CollectionKey,
) -> Result<(), Fault> {
    // Nothing is written where nothing was kept.
    let forget = |known: Option<&str>, _| known.map(|_| NO_QUESTIONS.to_owned());
    states.change(&state_name(collection), Box::new(forget)).await
}

fn state_name(collection: &CollectionKey) -> String {
    format!("{STATE_NAME_PREFIX}{}/{}", collection.tenant, collection.collection)
}

fn parse_questions(state: Option<&str>) -> Vec<String> {
    // A state that cannot be parsed is replaced: a sample is worth no fault.
    state.and_then(|state| serde_json::from_str(state).ok()).unwrap_or_default()
}

/// Appends new questions to known ones. Keeps the last `count` distinct ones that fit, the oldest first.
fn merge_questions(known: Option<&str>, new: &[String], count: usize) -> String {
    let known = parse_questions(known);
    let (mut seen, mut kept) = (HashSet::new(), Vec::new());
    let mut bytes = NO_QUESTIONS.len();
    // From the newest to the oldest, so that the first occurrence is the latest and bounds cut off the
    // oldest.
    for question in new.iter().rev().chain(known.iter().rev()) {
        if !seen.insert(question) {
            continue;
        }
        let text = serde_json::Value::from(question.as_str()).to_string();
        // One more for the comma.
        bytes += text.len() + 1;
        if kept.len() == count || bytes > KEPT_BYTES_MAX {
            break;
        }
        kept.push(text);
    }
    kept.reverse();
    format!("[{}]", kept.join(","))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use std::sync::Arc;

    use async_trait::async_trait;

    use super::{
        KEPT_BYTES_MAX, NO_QUESTIONS, NOTED_BYTES_MAX, QuestionSampler, WAITING_MAX, merge_questions,
        parse_questions,
    };
    use crate::domain::ids::{CollectionId, CollectionKey, TenantId};
    use crate::fault::Fault;
    use crate::ports::shared_states::{SharedStateChange, SharedStateStore};

    /// Discards every write.
    struct DiscardingStates;

    #[async_trait]
    impl SharedStateStore for DiscardingStates {
        async fn change(&self, _name: &str, _change: SharedStateChange) -> Result<(), Fault> {
            Ok(())
        }

        async fn named(&self, _prefix: &str) -> Result<Vec<(String, String)>, Fault> {
            Ok(Vec::new())
        }

        async fn now_ms(&self) -> Result<u64, Fault> {
            Ok(0)
        }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_until_it_is_stored() {
        let collection = CollectionKey {
            tenant: TenantId::new("t").unwrap(),
            collection: CollectionId::new("c").unwrap(),
        };
        let sampler = QuestionSampler::new(Arc::new(DiscardingStates), 10);
        let waiting = || sampler.waiting.lock().unwrap().questions;
        sampler.note(&collection, &"x".repeat(NOTED_BYTES_MAX + 1));
        assert_eq!(waiting(), 0);
        for number in 0..WAITING_MAX + 5 {
            sampler.note(&collection, &number.to_string());
        }
        assert_eq!(waiting(), WAITING_MAX);
        sampler.store().await.unwrap();
        assert_eq!(waiting(), 0);
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_question_that_is_asked_again_moves_to_the_end() {
        let first = merge_questions(None, &texts(&["a", "b", "a", "c"]), 10);
        assert_eq!(parse_questions(Some(&first)), texts(&["b", "a", "c"]));
        let next = merge_questions(Some(&first), &texts(&["b"]), 10);
        assert_eq!(parse_questions(Some(&next)), texts(&["a", "c", "b"]));
    }

    #[test]
    fn the_last_are_kept_within_count_and_bytes() {
        assert_eq!(
            parse_questions(Some(&merge_questions(None, &texts(&["a", "b", "c"]), 2))),
            texts(&["b", "c"])
        );
        assert_eq!(merge_questions(Some("[\"a\"]"), &[], 0), NO_QUESTIONS);
        let long: Vec<String> = (0..100).map(|number| format!("{number:04000}")).collect();
        let state = merge_questions(None, &long, 1000);
        assert!(state.len() <= KEPT_BYTES_MAX && state.len() > KEPT_BYTES_MAX - 5000, "{}", state.len());
        assert_eq!(parse_questions(Some(&state)).last(), long.last());
    }

    #[test]
    fn a_state_that_cannot_be_read_is_begun_anew() {
        assert_eq!(
            parse_questions(Some(&merge_questions(Some("nonsense"), &texts(&["a"]), 5))),
            texts(&["a"])
        );
    }
}
