//! One run of `ingest`: reads files in batches, submits them, and waits until all versions have ended.
//!
//! The dry run uses the same reading and checking. One batch of files is in memory at a time.

use tokio::time::Instant;

use super::batch_submitter::{BatchSubmitter, IntakeTally};
use super::console::ConsoleOutput;
use super::exit::CommandFailure;
use super::file_intake::FileIntake;
use super::global_args::collection_key;
use super::progress_meter::ProgressMeter;
use super::{drain, text_format};
use crate::operations::messages::source::FinishedSourceRun;
use crate::wiring::{IngestProgress, ServiceStack};
use contexture_core::domain::ids::{CollectionId, CollectionKey};
use contexture_core::ports::ledger::VersionCounts;

/// The state of one run.
pub(super) struct IngestRun<'a> {
    pub(super) stack: &'a ServiceStack,
    pub(super) collection: CollectionKey,
    pub(super) intake: FileIntake,
    /// Whether documents of files that are gone are deleted.
    pub(super) prune: bool,
    pub(super) deadline: Option<Instant>,
    /// Counts of the collection before anything was done, replayed versions in flight; none: as they are when it begins.
    pub(super) before: Option<VersionCounts>,
    pub(super) meter: ProgressMeter,
    pub(super) tally: IntakeTally,
    pub(super) resumed: u64,
    /// What the run found gone; none where files are of no folder.
    pub(super) finished: Option<FinishedSourceRun>,
}

/// Counts of the collection: before the run, after the leftovers of earlier runs, and at the end.
pub(super) struct IngestRunCounts {
    pub(super) before: VersionCounts,
    pub(super) resumed: VersionCounts,
    pub(super) after: VersionCounts,
}

impl<'a> IngestRun<'a> {
    pub(super) fn new(
        stack: &'a ServiceStack,
        collection: &CollectionId,
        intake: FileIntake,
        console: ConsoleOutput,
    ) -> Self {
        let unchanged = intake.sync.as_ref().map_or(0, |sync| sync.unchanged);
        let files = intake.scan.files.len() as u64 + unchanged;
        Self {
            stack,
            collection: collection_key(stack, collection),
            meter: ProgressMeter::new("ingest", "documents", files, console),
            intake,
            prune: false,
            deadline: None,
            before: None,
            tally: IntakeTally::default(),
            resumed: 0,
            finished: None,
        }
    }

    /// Finishes leftovers of earlier runs, submits every file and, with `wait`, waits until all have ended.
    pub(super) async fn work(&mut self, wait: bool) -> Result<IngestRunCounts, CommandFailure> {
        let before = match self.before {
            Some(before) => before,
            None => self.stack.ledger.counts(&self.collection).await?,
        };
        let resumed =
            drain::wait_until_drained(self.stack, &self.collection, self.deadline, |_, counts, waits| {
                let left = text_format::count_with_noun(counts.in_flight, "document");
                self.meter.update(0, &format!("; {left} of an earlier run first{waits}"));
            })
            .await?;
        // Only what this process ended counts as resumed; the counters may still lag behind.
        self.resumed = drain::counters_after(self.stack, before.in_flight).await.settled;
        self.submit().await?;
        if let Some(sync) = &self.intake.sync {
            self.finished = Some(sync.finish(&self.intake.scan, self.prune).await?);
        }
        let after = if wait {
            let (accepted, unchanged, resumed) = (self.tally.accepted, self.unchanged(), self.resumed);
            let shared = self.stack.is_shared();
            drain::wait_until_drained(
                self.stack,
                &self.collection,
                self.deadline,
                |progress, counts, waits| {
                    // With a shared ledger other processes do the work, and the local counters stay at 0.
                    if shared {
                        self.meter.update(unchanged + accepted.saturating_sub(counts.in_flight), waits);
                    } else {
                        let said = format!("{}{waits}", progress_detail(progress));
                        self.meter.update(unchanged + progress.settled - resumed, &said);
                    }
                },
            )
            .await?
        } else {
            self.stack.ledger.counts(&self.collection).await?
        };
        if let Some(sync) = &self.intake.sync
            && self.changed_anything()
            && after.in_flight == 0
        {
            // Once more, now that its versions have ended: so that the next run has nothing to ask about.
            sync.finish(&self.intake.scan, false).await?;
        }
        Ok(IngestRunCounts { before, resumed, after })
    }

    /// Whether this run had anything accepted.
    fn changed_anything(&self) -> bool {
        self.tally.accepted > 0 || self.finished.as_ref().is_some_and(|finished| finished.deleted > 0)
    }

    async fn submit(&mut self) -> Result<(), CommandFailure> {
        let progress = self.stack.progress();
        let mut submitter = BatchSubmitter::new(self.stack);
        // Taken out of `self`, because the loop below needs all of `self` mutably.
        let mut files = std::mem::take(&mut self.intake.scan.files).into_iter();
        while files.len() > 0 {
            for (_, submission) in self.intake.next_batch(&mut files).await? {
                submitter.push(submission).await?;
                self.tally = submitter.tally();
                let now = *progress.borrow();
                // Unchanged files never end in the counters, so they count as done at once.
                self.meter.update(self.unchanged() + now.settled - self.resumed, &progress_detail(now));
            }
            self.report_receipts(&mut submitter).await?;
        }
        submitter.flush().await?;
        self.report_receipts(&mut submitter).await?;
        self.tally = submitter.tally();
        Ok(())
    }

    async fn report_receipts(&mut self, submitter: &mut BatchSubmitter<'_>) -> Result<(), CommandFailure> {
        let receipts = submitter.take_receipts();
        if let Some(sync) = &mut self.intake.sync {
            sync.report_submitted(receipts).await?;
        }
        Ok(())
    }

    /// Files that are as they were, read or not.
    pub(super) fn unchanged(&self) -> u64 {
        self.tally.unchanged + self.intake.sync.as_ref().map_or(0, |sync| sync.unchanged)
    }

    /// What to say when the process is asked to stop.
    pub(super) fn interruption(&self) -> CommandFailure {
        interruption(self.tally)
    }
}

/// What to say when the process is asked to stop.
pub(super) fn interruption(tally: IntakeTally) -> CommandFailure {
    CommandFailure::failed(
        "interrupted",
        format!(
            "interrupted: {} accepted and will stay so; run the same command again to go on",
            match tally.accepted {
                1 => "1 document is".to_owned(),
                accepted => format!("{} documents are", text_format::count(accepted)),
            }
        ),
    )
}

fn progress_detail(progress: IngestProgress) -> String {
    format!("; {}", text_format::count_with_noun(progress.chunks, "chunk"))
}
