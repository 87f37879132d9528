//! What becomes of documents: the ledger's log of visible versions, and its dead letters, as a stream.
//!
//! Both are durable and have positions, so whoever follows can come back and goes on where it was, on any
//! process of the ledger. A version that a newer one overtakes before it is visible has no event. A caller is
//! told of what its groups may read. Where nothing says who may, only administrators are told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::StoreOperations;
use super::document_views::sees_deletion;
use crate::operations::api::{EventsApi, caller_collection};
use crate::operations::messages::event::{DocumentEventKind, DocumentOutcomeEvent};
use crate::operations::messages::page::{cursor_after, entry_of_cursor};
use contexture_core::domain::ids::{CollectionKey, GenerationNumber};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ingest::submit::unknown_collection_refusal;
use contexture_core::ingest::{IngestProgress, StageResources};
use contexture_core::ports::ledger::{CollectionRecord, DeadLetterFilter, Ledger};

/// Events read at once.
const PAGE_EVENTS: usize = 256;
/// Longest time between two looks at the ledger.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two looks, because each costs queries.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

#[async_trait]
impl EventsApi for StoreOperations {
    async fn document_events(
        &self,
        caller: &Principal,
        collection: &str,
        after: Option<&str>,
    ) -> Result<BoxStream<'static, Result<DocumentOutcomeEvent, Refusal>>, Refusal> {
        caller.require(AccessScope::Read)?;
        let record = self.existing(&caller_collection(caller, collection)?).await?;
        let ledger = &*self.stages.ledger;
        let position = match after {
            Some(cursor) => EventPosition::from_cursor(cursor)?.in_collection(ledger, &record).await?,
            None => EventPosition {
                visible: ledger.log_extent(&record.key).await?.end,
                dead: 0,
                dead_since_ms: self.stages.clock.now_ms(),
                generation: record.generation,
            },
        };
        let following = EventFollower {
            stages: self.stages.clone(),
            progress: self.stages.counters.watch(),
            caller: caller.clone(),
            key: record.key,
            position,
            waiting: VecDeque::new(),
        };
        let events = stream::unfold(Some(following), |following| async {
            let mut following = following?;
            match following.next().await {
                Ok(event) => Some((Ok(event), Some(following))),
                // The collection is gone, or the ledger is away: the caller is told, and comes back.
                Err(refusal) => Some((Err(refusal), None)),
            }
        });
        Ok(events.boxed())
    }
}

/// How far a reader is: the log's position, and the last dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EventPosition {
    visible: u64,
    dead: u64,
    /// Letters before this time are older than the first look, and are not told. Behind a letter, numbers
    /// alone decide: the clocks of processes differ.
    dead_since_ms: u64,
    /// The generation that served then.
    generation: GenerationNumber,
}

impl EventPosition {
    fn cursor(self) -> String {
        let Self { visible, dead, dead_since_ms, generation } = self;
        cursor_after(&format!("{visible}.{dead}.{dead_since_ms}.{generation}"))
    }

    fn from_cursor(cursor: &str) -> Result<Self, Refusal> {
        let refuse = || {
            Refusal::invalid("invalid_cursor", "after", "after is not the id of an event of this collection")
        };
        let entry = entry_of_cursor(cursor).map_err(|_| refuse())?;
        let numbers =
            entry.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().map_err(|_| refuse())?;
        let [visible, dead, dead_since_ms, generation] = numbers[..] else { return Err(refuse()) };
        let generation = GenerationNumber::try_from(generation).map_err(|_| refuse())?;
        Ok(Self { visible, dead, dead_since_ms, generation })
    }

    /// The same position in the collection as it is now; its beginning where the position is not of its log.
    async fn in_collection(self, ledger: &dyn Ledger, record: &CollectionRecord) -> Result<Self, Fault> {
        // A re-index keeps the log and the numbers of earlier generations. A collection that was dropped and
        // made anew has another log and new numbers.
        let is_known = self.generation == record.generation || {
            let built = ledger.generations(Some(&record.key)).await?;
            built.iter().any(|known| known.home.generation == self.generation)
        };
        let generation = record.generation;
        if is_known && self.visible <= ledger.log_extent(&record.key).await?.end {
            return Ok(Self { generation, ..self });
        }
        Ok(Self { visible: 0, dead: 0, dead_since_ms: 0, generation })
    }
}

/// Follows one collection.
struct EventFollower {
    stages: Arc<StageResources>,
    progress: watch::Receiver<IngestProgress>,
    caller: Principal,
    key: CollectionKey,
    position: EventPosition,
    waiting: VecDeque<DocumentOutcomeEvent>,
}

impl EventFollower {
    async fn next(&mut self) -> Result<DocumentOutcomeEvent, Refusal> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            self.progress.borrow_and_update();
            self.look().await?;
            if self.waiting.is_empty() {
                tokio::time::sleep(LOOK_PAUSE).await;
                // What ends in this process wakes at once; what other processes do is seen at the next look.
                if let Ok(Err(_closed)) = tokio::time::timeout(LOOK_INTERVAL, self.progress.changed()).await {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
            }
        }
    }

    async fn look(&mut self) -> Result<(), Refusal> {
        let ledger = &self.stages.ledger;
        let record = ledger.collection(&self.key).await?;
        let record = record.ok_or_else(|| unknown_collection_refusal(&self.key.collection))?;
        if record.generation != self.position.generation {
            self.position = self.position.in_collection(&**ledger, &record).await?;
        }
        let administers = self.caller.require(AccessScope::Admin).is_ok();
        let changes = ledger.changes(&self.key, self.position.visible, PAGE_EVENTS).await?;
        let keys: Vec<_> = changes.iter().map(|change| change.task.key.clone()).collect();
        let descriptions = ledger.descriptions(&keys).await?;
        for (change, description) in changes.into_iter().zip(descriptions) {
            self.position.visible = change.position;
            // Who may not read a document does not learn that it changed.
            let is_told = match description {
                Some(described) => described.acl.admits(self.caller.groups()),
                None if change.task.deletes => {
                    sees_deletion(&**ledger, &self.caller, &change.task.key).await?
                }
                None => administers,
            };
            if !is_told {
                continue;
            }
            let kind =
                if change.task.deletes { DocumentEventKind::Deleted } else { DocumentEventKind::Visible };
            self.waiting.push_back(DocumentOutcomeEvent {
                kind,
                cursor: self.position.cursor(),
                document_id: change.task.key.document_id.to_string(),
                version: change.task.key.version.get(),
                reason: None,
                at_ms: self.stages.clock.now_ms(),
            });
        }
        let filter = DeadLetterFilter {
            collection: Some(self.key.clone()),
            since_ms: (self.position.dead == 0).then_some(self.position.dead_since_ms),
            after_id: Some(self.position.dead),
            ..DeadLetterFilter::default()
        };
        let letters = ledger.dead(&filter, PAGE_EVENTS).await?;
        let keys: Vec<_> = letters.iter().map(|letter| letter.key.clone()).collect();
        let descriptions = ledger.descriptions(&keys).await?;
        for (letter, description) in letters.into_iter().zip(descriptions) {
            self.position.dead = letter.id;
            if !description.map_or(administers, |described| described.acl.admits(self.caller.groups())) {
                continue;
            }
            self.waiting.push_back(DocumentOutcomeEvent {
                kind: DocumentEventKind::Dead,
                cursor: self.position.cursor(),
                document_id: letter.key.document_id.to_string(),
                version: letter.key.version.get(),
                at_ms: letter.died_ms,
                reason: Some(letter.reason.into()),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::EventPosition;

    #[test]
    fn a_cursor_is_read_back() {
        let position = EventPosition { visible: 7, dead: 2, dead_since_ms: 1_700_000_000_000, generation: 3 };
        assert_eq!(EventPosition::from_cursor(&position.cursor()), Ok(position));
        for wrong in ["", "7", "NotACursor!", &super::cursor_after("1.2.3"), &super::cursor_after("a.b.c.d")]
        {
            assert!(EventPosition::from_cursor(wrong).is_err(), "{wrong}");
        }
    }
}
