//! `contexture ingest` with a server: files are read here and processed there.
//!
//! One batch of files is in memory at a time. The run waits for its own versions only: others may submit to the
//! same collection all the time.

use std::collections::HashMap;
use std::path::PathBuf;

use tokio::time::Instant;

use super::batch_submitter::{BATCH_BYTES_MAX, BATCH_DOCUMENTS_MAX, IntakeTally};
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::ingest::{IngestSummary, NAMED_MAX, died_failure, print_summary, refused_files_failure};
use super::ingest_run::{checked_submission, interruption, read_file_batch};
use super::progress_meter::ProgressMeter;
use super::remote::{FollowedVersions, RemoteServer};
use super::scan::DocumentScan;
use super::server_choice::server_side_caller;
use super::signals::shutdown_signal;
use super::text_format;
use crate::config::ContextureConfig;
use crate::operations::CollectionsApi;
use crate::operations::messages::collection::CreateCollectionRequest;
use crate::operations::messages::document::IntakeName;
use contexture_core::domain::document::Submission;
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::domain::principal::Principal;

/// The state of one run.
pub(super) struct ServerIngest {
    server: RemoteServer,
    caller: Principal,
    collection: CollectionId,
    body_bytes_max: usize,
    scan: DocumentScan,
    pub(super) deadline: Option<Instant>,
    meter: ProgressMeter,
    tally: IntakeTally,
}

impl ServerIngest {
    pub(super) fn new(
        server: RemoteServer,
        collection: &CollectionId,
        config: &ContextureConfig,
        scan: DocumentScan,
        console: ConsoleOutput,
    ) -> Result<Self, CommandFailure> {
        Ok(Self {
            server,
            caller: server_side_caller()?,
            collection: collection.clone(),
            body_bytes_max: config.limits.body_bytes_max,
            meter: ProgressMeter::new("ingest", "documents", scan.files.len() as u64, console),
            scan,
            deadline: None,
            tally: IntakeTally::default(),
        })
    }

    /// Makes the collection unless it exists. Refuses a pipeline that differs from its own.
    pub(super) async fn create_collection(&self, pipeline: Option<&Pipeline>) -> Result<(), CommandFailure> {
        let request = CreateCollectionRequest {
            name: self.collection.to_string(),
            pipeline: pipeline.map(Pipeline::to_toml).transpose()?,
            settings: None,
        };
        self.server.create_collection(&self.caller, request).await?;
        Ok(())
    }

    /// Submits every file. With `wait`, also waits until all versions have ended, or until the deadline.
    pub(super) async fn work_and_report(
        mut self,
        wait: bool,
        started: Instant,
        console: ConsoleOutput,
    ) -> Result<CommandExitCode, CommandFailure> {
        let ids: Vec<String> = self.scan.files.iter().map(|file| file.id.as_str().to_owned()).collect();
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
        let mut files = std::mem::take(&mut self.scan.files).into_iter();
        let mut paths = HashMap::new();
        let mut batch: Vec<Submission> = Vec::new();
        let mut batch_bytes = 0;
        while files.len() > 0 {
            let (some, rest) = read_file_batch(files, self.body_bytes_max).await?;
            files = rest;
            for (file, body) in some {
                let (id, path) = (file.id.as_str().to_owned(), file.path.clone());
                let (caller, scan) = (&self.caller, &mut self.scan);
                let checked =
                    checked_submission(caller, &self.collection, scan, self.body_bytes_max, file, body);
                let Some(submission) = checked else { continue };
                paths.insert(id, path);
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
        if wait {
            let deadline = self.deadline;
            let accepted = self.tally.accepted + self.tally.unchanged;
            followed.wait(deadline, |open| self.meter.update(accepted.saturating_sub(open), "")).await?;
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
        for (submission, result) in self.server.submit_documents(self.collection.as_str(), batch).await? {
            let id = submission.document_id().as_str();
            let path = paths.remove(id).unwrap_or_else(|| PathBuf::from(id));
            match result {
                Ok(receipt) => {
                    self.tally.add_name(receipt.intake);
                    // An unchanged document may be in flight from an earlier run, which this one waits for, too.
                    if receipt.intake != IntakeName::Superseded {
                        followed.expect(id, receipt.version);
                    }
                }
                Err(refusal) => self.scan.refused.push((path, refusal.message)),
            }
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
        let Self { collection, scan, meter, tally, .. } = self;
        // A bar would overwrite the notes.
        drop(meter);
        let died = followed.died();
        let dead = died.len() as u64;
        let in_flight = followed.open().min(tally.accepted);
        let summary = IngestSummary {
            accepted: tally.accepted,
            visible: tally.accepted.saturating_sub(dead + in_flight),
            unchanged: tally.unchanged,
            dead,
            chunks: None,
            embedded: None,
            cached: None,
            seconds: text_format::rounded_seconds(started.elapsed()),
            resumed: 0,
            in_flight,
            skipped: scan.skips.total(),
            refused: scan.refused.len() as u64 + tally.outrun,
        };
        print_summary(&summary, collection.as_str(), &scan, console)?;
        if dead > 0 {
            let names = died.iter().take(NAMED_MAX);
            let names: Vec<String> =
                names.map(|(id, reason)| format!("{id} ({}: {})", reason.code, reason.detail)).collect();
            return Err(died_failure(dead, &names, collection.as_str()));
        }
        if summary.refused > 0 {
            return Err(refused_files_failure(&scan, summary.refused));
        }
        Ok(CommandExitCode::Done)
    }
}
