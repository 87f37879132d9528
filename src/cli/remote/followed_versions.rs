//! Waits until document versions have ended on a server: visible, superseded or dead.
//!
//! The collection's events say it for each version. A version that a newer one overtook has no event, a key may
//! not be allowed to read them, and a stream may break: so the counts of the collection are read as well, and
//! nothing in flight means that all have ended. Documents must be named before they are submitted, because
//! events may come before receipts.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::RemoteServer;
use crate::cli::drain::still_in_flight_refusal;
use crate::operations::messages::document::{DocumentDetails, ReasonView, VersionStateName};
use crate::operations::messages::event::{DocumentEventKind, DocumentOutcomeEvent};
use crate::operations::{CollectionsApi, DocumentsApi, EventsApi};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};

/// Time between two looks at the counts.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);
/// Time before a stream of events that broke is opened again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// Events that may wait for this command.
const EVENTS_WAITING_MAX: usize = 10_000;
/// Most documents that are asked for one by one, where no event told of them.
const ASKED_MAX: usize = 1000;

/// A document, the version that is waited for, and the last that ended.
#[derive(Debug, Default)]
struct FollowedDocument {
    expected: Option<u64>,
    ended: u64,
    /// Why the last one that ended is dead.
    reason: Option<ReasonView>,
}

impl FollowedDocument {
    fn is_open(&self) -> bool {
        self.expected.is_some_and(|expected| self.ended < expected)
    }
}

/// A document that was given up, and why.
pub(crate) type DiedDocument = (String, ReasonView);

/// Documents whose versions are waited for.
pub(crate) struct FollowedVersions {
    server: RemoteServer,
    caller: Principal,
    collection: String,
    documents: HashMap<String, FollowedDocument>,
    open: usize,
    events: mpsc::Receiver<DocumentOutcomeEvent>,
    reading: JoinHandle<()>,
    tells_events: bool,
}

impl FollowedVersions {
    /// Follows these documents of a collection from now on.
    pub(crate) async fn follow(
        server: &RemoteServer,
        caller: &Principal,
        collection: &str,
        document_ids: impl IntoIterator<Item = String>,
    ) -> Result<Self, Refusal> {
        let (told, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let opened = server.document_events(caller, collection, None).await;
        let (reading, tells_events) = match opened {
            Ok(stream) => {
                let (server, caller) = (server.clone(), caller.clone());
                let collection = collection.to_owned();
                let reading = async move {
                    let mut stream = stream;
                    let mut cursor = None;
                    loop {
                        while let Some(Ok(event)) = stream.next().await {
                            cursor = Some(event.cursor.clone());
                            if told.send(event).await.is_err() {
                                return;
                            }
                        }
                        sleep(REOPEN_PAUSE).await;
                        if let Ok(again) =
                            server.document_events(&caller, &collection, cursor.as_deref()).await
                        {
                            stream = again;
                        }
                    }
                };
                (tokio::spawn(reading), true)
            }
            // Whoever may write need not be allowed to read; the counts have to do.
            Err(refusal) if refusal.kind == RefusalKind::PermissionDenied => (tokio::spawn(async {}), false),
            Err(refusal) => return Err(refusal),
        };
        Ok(Self {
            server: server.clone(),
            caller: caller.clone(),
            collection: collection.to_owned(),
            documents: document_ids.into_iter().map(|id| (id, FollowedDocument::default())).collect(),
            open: 0,
            events,
            reading,
            tells_events,
        })
    }

    /// Waits for this version, too.
    pub(crate) fn expect(&mut self, document_id: &str, version: u64) {
        let document = self.documents.entry(document_id.to_owned()).or_default();
        let was_open = document.is_open();
        document.expected = Some(version);
        let is_open = document.is_open();
        self.open = self.open + usize::from(is_open) - usize::from(was_open);
    }

    /// Takes the events that have come, so that the server need not hold them.
    pub(crate) fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.end_version(event);
        }
    }

    /// Versions that have not ended.
    pub(crate) fn open(&self) -> u64 {
        self.open as u64
    }

    /// Documents whose version is dead, by id.
    pub(crate) fn died(&self) -> Vec<DiedDocument> {
        let died = self.documents.iter().filter(|(_, document)| document.expected == Some(document.ended));
        let mut died: Vec<DiedDocument> =
            died.filter_map(|(id, document)| Some((id.clone(), document.reason.clone()?))).collect();
        died.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        died
    }

    /// Waits until all have ended. Refuses with `still_in_flight` when `deadline` passes first. `show` is called
    /// with the number of those that have not ended.
    pub(crate) async fn wait(
        &mut self,
        deadline: Option<Instant>,
        mut show: impl FnMut(u64),
    ) -> Result<(), Refusal> {
        let mut counted = Instant::now();
        loop {
            self.take_events();
            show(self.open());
            if self.open == 0 {
                return Ok(());
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(still_in_flight_refusal(&self.collection, self.open()));
            }
            if counted.elapsed() >= COUNT_INTERVAL {
                let counts = self.server.collection(&self.caller, &self.collection).await?.counts;
                counted = Instant::now();
                if counts.in_flight == 0 {
                    return self.ask_for_the_rest().await;
                }
            }
            tokio::select! {
                event = self.events.recv(), if self.tells_events => match event {
                    Some(event) => self.end_version(event),
                    None => self.tells_events = false,
                },
                () = sleep(COUNT_INTERVAL) => {}
            }
        }
    }

    fn end_version(&mut self, event: DocumentOutcomeEvent) {
        let DocumentOutcomeEvent { kind, document_id, version, reason, .. } = event;
        // Events of other writers' documents are none of this command's.
        let Some(document) = self.documents.get_mut(&document_id) else { return };
        if version < document.ended {
            return;
        }
        let was_open = document.is_open();
        document.ended = version;
        document.reason = reason.filter(|_| kind == DocumentEventKind::Dead);
        self.open -= usize::from(was_open && !document.is_open());
    }

    /// Asks how versions ended that no event told of. All have.
    async fn ask_for_the_rest(&mut self) -> Result<(), Refusal> {
        let open = self.documents.iter().filter(|(_, document)| document.is_open());
        let open: Vec<(String, u64)> =
            open.filter_map(|(id, document)| Some((id.clone(), document.expected?))).collect();
        for (index, (document_id, expected)) in open.into_iter().enumerate() {
            let mut reason = None;
            if index < ASKED_MAX && self.tells_events {
                let details = DocumentDetails::default();
                let view =
                    self.server.document_view(&self.caller, &self.collection, &document_id, details).await;
                let versions = view.map(|view| view.versions).unwrap_or_default();
                let ended = versions.into_iter().find(|version| version.version == expected);
                reason = ended
                    .filter(|version| version.state == VersionStateName::Dead)
                    .and_then(|dead| dead.reason);
            }
            if let Some(document) = self.documents.get_mut(&document_id) {
                (document.ended, document.reason) = (expected, reason);
            }
        }
        self.open = 0;
        Ok(())
    }
}

impl Drop for FollowedVersions {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
