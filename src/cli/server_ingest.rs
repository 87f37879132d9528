//! `contexture ingest` with a server: files are read here and processed there.
//!
//! One batch of files is in memory at a time. The run waits for its own versions only: others may submit to the
//! same collection all the time.

use std::collections::HashMap;
use std::path::PathBuf;

use tokio::time::Instant;

use super::batch_submitter::{BATCH_BYTES_MAX, BATCH_DOCUMENTS_MAX, IntakeTally, SubmittedFile};
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::file_intake::FileIntake;
use super::ingest_run::interruption;
use super::ingest_summary::{IngestSummary, NAMED_MAX, died_failure, print_summary, refused_files_failure};
use super::progress_meter::ProgressMeter;
use super::remote::{FollowedVersions, RemoteServer};
use super::server_choice::server_side_caller;
use super::signals::shutdown_signal;
use super::{drain, text_format};
use crate::operations::CollectionsApi;
use crate::operations::messages::collection::CreateCollectionRequest;
use crate::operations::messages::document::IntakeName;
use crate::operations::messages::source::FinishedSourceRun;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::domain::principal::Principal;

/// The state of one run.
pub(super) struct ServerIngest {
    server: RemoteServer,
    caller: Principal,
    collection: CollectionId,
    pub(super) intake: FileIntake,
    /// Whether documents of files that are gone are deleted.
    pub(super) prune: bool,
    pub(super) deadline: Option<Instant>,
    /// Versions that are tried again, by document.
    pub(super) replayed: Vec<(String, u64)>,
    meter: ProgressMeter,
    tally: IntakeTally,
    finished: Option<FinishedSourceRun>,
}

impl ServerIngest {
    pub(super) fn new(
        server: RemoteServer,
        collection: &CollectionId,
        intake: FileIntake,
        console: ConsoleOutput,
    ) -> Result<Self, CommandFailure> {
        Ok(Self {
            server,
            caller: server_side_caller()?,
            collection: collection.clone(),
            meter: ProgressMeter::new("ingest", "documents", intake.scan.files.len() as u64, console),
            intake,
            prune: false,
            deadline: None,
            replayed: Vec::new(),
            tally: IntakeTally::default(),
            finished: None,
        })
    }

    /// Submits every file. With `wait`, also waits until all versions have ended, or until the deadline.
    pub(super) async fn work_and_report(
        mut self,
        wait: bool,
        started: Instant,
        console: ConsoleOutput,
    ) -> Result<CommandExitCode, CommandFailure> {
        let ids: Vec<String> =
            self.intake.scan.files.iter().map(|file| file.id.as_str().to_owned()).collect();
        let mut followed =
            FollowedVersions::follow(&self.server, &self.caller, self.collection.as_str(), ids).await?;
        // Dropping the work is safe: what was accepted is durable.
        let worked = tokio::select! {
            worked = self.work(&mut followed, wait) => worked,
            () = shutdown_signal() => return Err(interruption(self.tally)),
        };
        worked?;
        self.report(&followed, started, console)
    }

    async fn work(&mut self, followed: &mut FollowedVersions, wait: bool) -> Result<(), CommandFailure> {
        // Taken out of `self`, because the loop below needs all of `self` mutably.
        let mut files = std::mem::take(&mut self.intake.scan.files).into_iter();
        let mut paths = HashMap::new();
        let mut batch: Vec<Submission> = Vec::new();
        let mut batch_bytes = 0;
        for (document_id, version) in std::mem::take(&mut self.replayed) {
            followed.expect(&document_id, version);
        }
        while files.len() > 0 {
            for (path, submission) in self.intake.next_batch(&mut files).await? {
                paths.insert(submission.document_id().as_str().to_owned(), path);
                if batch_bytes + submission.body().len() > BATCH_BYTES_MAX {
                    self.submit(std::mem::take(&mut batch), &mut paths, followed).await?;
                    batch_bytes = 0;
                }
                batch_bytes += submission.body().len();
                batch.push(submission);
                if batch.len() >= BATCH_DOCUMENTS_MAX {
                    self.submit(std::mem::take(&mut batch), &mut paths, followed).await?;
                    batch_bytes = 0;
                }
            }
        }
        self.submit(batch, &mut paths, followed).await?;
        if let Some(sync) = &self.intake.sync {
            self.finished = Some(sync.finish(&self.intake.scan, self.prune).await?);
        }
        if wait {
            if self.finished.as_ref().is_some_and(|finished| finished.deleted > 0) {
                let collection = self.collection.as_str();
                drain::wait_until_server_drained(&self.server, &self.caller, collection).await?;
            }
            let deadline = self.deadline;
            let accepted = self.tally.accepted + self.tally.unchanged;
            followed.wait(deadline, |open| self.meter.update(accepted.saturating_sub(open), "")).await?;
            let deleted = self.finished.as_ref().is_some_and(|finished| finished.deleted > 0);
            if let Some(sync) = &self.intake.sync
                && (self.tally.accepted > 0 || deleted)
            {
                // Once more, now that its versions have ended: so that the next run has nothing to ask about.
                sync.finish(&self.intake.scan, false).await?;
            }
        }
        Ok(())
    }

    async fn submit(
        &mut self,
        batch: Vec<Submission>,
        paths: &mut HashMap<String, PathBuf>,
        followed: &mut FollowedVersions,
    ) -> Result<(), CommandFailure> {
        if batch.is_empty() {
            return Ok(());
        }
        let collection = self.collection.as_str();
        let (deletions, documents): (Vec<_>, Vec<_>) = batch.into_iter().partition(Submission::deletes);
        let mut results = Vec::with_capacity(deletions.len() + documents.len());
        // The request for many documents takes no deletions; few files are empty now that were not.
        for deletion in deletions {
            let deleted = self.server.delete_document(collection, deletion.document_id().as_str()).await;
            results.push((deletion, deleted));
        }
        if !documents.is_empty() {
            results.extend(self.server.submit_documents(collection, documents).await?);
        }
        let mut submitted = Vec::with_capacity(results.len());
        for (submission, result) in results {
            let id = submission.document_id().as_str();
            let path = paths.remove(id).unwrap_or_else(|| PathBuf::from(id));
            match result {
                Ok(receipt) => {
                    self.tally.add_name(receipt.intake);
                    // An unchanged document may be in flight from an earlier run, which this one waits for, too.
                    if receipt.intake != IntakeName::Superseded {
                        let is_unchanged = receipt.intake == IntakeName::Duplicate;
                        let sync = self.intake.sync.as_ref();
                        // What died before this run is no death of this run.
                        if !(is_unchanged && sync.is_some_and(|sync| sync.knows_dead(id, receipt.version))) {
                            followed.expect(id, receipt.version);
                        }
                        submitted.push(SubmittedFile {
                            document_id: id.to_owned(),
                            version: receipt.version,
                            is_unchanged,
                        });
                    }
                }
                Err(refusal) => self.intake.scan.refused.push((path, refusal.message)),
            }
        }
        if let Some(sync) = &mut self.intake.sync {
            sync.report_submitted(submitted).await?;
        }
        followed.take_events();
        let done = (self.tally.accepted + self.tally.unchanged).saturating_sub(followed.open());
        self.meter.update(done, "");
        Ok(())
    }

    fn report(
        self,
        followed: &FollowedVersions,
        started: Instant,
        console: ConsoleOutput,
    ) -> Result<CommandExitCode, CommandFailure> {
        let Self { collection, intake, finished, meter, tally, .. } = self;
        // A bar would overwrite the notes.
        drop(meter);
        let died = followed.died();
        let dead = died.len() as u64;
        let in_flight = followed.open().min(tally.accepted);
        let sync = intake.sync.as_ref();
        let summary = IngestSummary {
            accepted: tally.accepted,
            visible: tally.accepted.saturating_sub(dead + in_flight),
            unchanged: tally.unchanged + sync.map_or(0, |sync| sync.unchanged),
            still_dead: sync.map_or(0, |sync| sync.still_dead.len() as u64),
            gone: finished.as_ref().map_or(0, |finished| finished.gone),
            pruned: finished.as_ref().map_or(0, |finished| finished.deleted),
            dead,
            chunks: None,
            embedded: None,
            cached: None,
            seconds: text_format::rounded_seconds(started.elapsed()),
            resumed: 0,
            in_flight,
            skipped: intake.scan.skips.total(),
            refused: intake.scan.refused.len() as u64 + tally.outrun,
        };
        print_summary(&summary, collection.as_str(), &intake, finished.as_ref(), console)?;
        if dead > 0 {
            let names = died.iter().take(NAMED_MAX);
            let names: Vec<String> =
                names.map(|(id, reason)| format!("{id} ({}: {})", reason.code, reason.detail)).collect();
            return Err(died_failure(dead, &names, collection.as_str()));
        }
        if summary.refused > 0 {
            return Err(refused_files_failure(&intake.scan, summary.refused));
        }
        Ok(CommandExitCode::Done)
    }
}

/// Makes the collection unless it exists. Refuses a pipeline that differs from its own.
pub(super) async fn create_collection(
    server: &RemoteServer,
    collection: &CollectionId,
    pipeline: Option<&Pipeline>,
) -> Result<(), CommandFailure> {
    let request = CreateCollectionRequest {
        name: collection.to_string(),
        pipeline: pipeline.map(Pipeline::to_toml).transpose()?,
        settings: None,
    };
    server.create_collection(&server_side_caller()?, request).await?;
    Ok(())
}
