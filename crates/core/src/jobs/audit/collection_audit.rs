//! One audit under way: its three phases, page by page, at a pace.

use std::time::Duration;

use tokio::time::Instant;

use super::report::{AuditFinding, AuditReport};
use super::suspects::{AuditSuspect, AuditSuspectQueue, INSPECTIONS_MAX, QueuedSuspect, SuspectVerdict};
use super::{documents, points};
use crate::domain::ids::{ChunkId, DocumentId};
use crate::fault::Fault;
use crate::ingest::{StageResources, log_follower};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::VersionRecord;

/// Documents, heads or points of one page.
pub const PAGE_ENTRIES_MAX: usize = 512;
/// Suspects that may wait at once. At this bound no further page is read.
const SUSPECTS_MAX: usize = 8 * PAGE_ENTRIES_MAX;

/// How fast an audit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPace {
    /// Documents, heads and points per second; 0 is no limit.
    pub entries_per_second: u32,
    /// Time before a suspect is inspected again. At least as long as the index may lag behind the log
    /// of the ledger.
    pub pause: Duration,
}

impl AuditPace {
    /// As fast as possible, without pauses. For a repair: a false alarm costs it a little work and does no
    /// harm.
    pub const UNBOUNDED: Self = Self { entries_per_second: 0, pause: Duration::ZERO };
}

/// How far an audit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditProgress {
    /// Documents, heads and points seen so far.
    pub done: u64,
    /// All of them, as counted at the start. Traffic may change their number.
    pub total: u64,
}

/// A phase, and the last entry it has read.
#[derive(Debug)]
enum AuditPhase {
    Documents { after: u64 },
    Heads { after: Option<DocumentId> },
    Points { after: Option<ChunkId> },
    End,
}

/// The audit of one collection. It yields findings page by page.
pub struct CollectionAudit<'a> {
    stages: &'a StageResources,
    open: &'a OpenCollection,
    pace: AuditPace,
    phase: AuditPhase,
    /// The end of the log at the start. Later changes are left to another audit, so this one ends under
    /// steady traffic.
    end: u64,
    /// Whether the phase has pages left.
    has_pages: bool,
    suspects: AuditSuspectQueue,
    documents: u64,
    unsettled: u64,
    progress: AuditProgress,
    began: Instant,
}

impl<'a> CollectionAudit<'a> {
    /// Starts at the beginning of the log.
    pub async fn new(
        stages: &'a StageResources,
        open: &'a OpenCollection,
        pace: AuditPace,
    ) -> Result<Self, Fault> {
        let extent = stages.ledger.log_extent(&open.record.key).await?;
        let lexical = open.lexical()?;
        let held = lexical.snapshot().counts()?;
        let points = open.vectors.count().await?;
        Ok(Self {
            stages,
            open,
            pace,
            phase: AuditPhase::Documents { after: 0 },
            end: extent.end,
            has_pages: true,
            suspects: AuditSuspectQueue::default(),
            documents: 0,
            unsettled: 0,
            progress: AuditProgress {
                done: 0,
                total: extent.documents + held.documents + held.tombstones + points,
            },
            began: Instant::now(),
        })
    }

    /// The next findings, never empty; none at the end. Calls `show` after every page.
    pub async fn next(
        &mut self,
        show: &mut (impl FnMut(AuditProgress) + Send),
    ) -> Result<Option<Vec<AuditFinding>>, Fault> {
        loop {
            // Due suspects come first: that bounds how many wait, and how long.
            let due = self.suspects.due();
            if due.is_some_and(|due| due <= Instant::now()) {
                let findings = self.inspect_due_suspects().await?;
                if !findings.is_empty() {
                    return Ok(Some(findings));
                }
            } else if self.has_pages && self.suspects.len() < SUSPECTS_MAX {
                self.read_page().await?;
                debug_assert!(self.suspects.len() < SUSPECTS_MAX + PAGE_ENTRIES_MAX, "one page more at most");
                show(self.progress);
                self.keep_pace().await;
            // Nothing to read, but suspects are left: the phase ends when they are decided.
            } else if let Some(due) = due {
                tokio::time::sleep_until(due).await;
            } else if !self.advance() {
                return Ok(None);
            }
        }
    }

    /// Adds how many documents were compared and how many suspects stayed undecided.
    pub fn add_totals(&self, report: &mut AuditReport) {
        report.documents += self.documents;
        report.unsettled += self.unsettled;
    }

    /// Goes to the next phase. False at the end.
    fn advance(&mut self) -> bool {
        self.phase = match self.phase {
            AuditPhase::Documents { .. } => AuditPhase::Heads { after: None },
            AuditPhase::Heads { .. } => AuditPhase::Points { after: None },
            AuditPhase::Points { .. } | AuditPhase::End => AuditPhase::End,
        };
        self.has_pages = !matches!(self.phase, AuditPhase::End);
        self.has_pages
    }

    /// Reads a page and inspects its entries for the first time.
    async fn read_page(&mut self) -> Result<(), Fault> {
        // Checked for every page: the stores of a generation that no longer serves may lag behind or be
        // deleted.
        self.require_same_generation().await?;
        let suspects: Vec<AuditSuspect> = match &mut self.phase {
            AuditPhase::Documents { after } => {
                let key = &self.open.record.key;
                let mut changes = self.stages.ledger.changes(key, *after, PAGE_ENTRIES_MAX).await?;
                // An update moves a document to the end of the log, where it may lie beyond the end of this
                // audit.
                changes.retain(|change| change.position <= self.end);
                let Some(last) = changes.last() else {
                    self.has_pages = false;
                    return Ok(());
                };
                *after = last.position;
                self.progress.done += changes.len() as u64;
                self.documents += changes.iter().filter(|change| !change.task.deletes).count() as u64;
                changes
                    .into_iter()
                    .map(|change| AuditSuspect::Document(change.task.key.document_id))
                    .collect()
            }
            AuditPhase::Heads { after } => {
                let page = documents::read_head_page(self.open, after.as_ref(), PAGE_ENTRIES_MAX).await?;
                let Some(last) = page.last() else {
                    self.has_pages = false;
                    return Ok(());
                };
                *after = Some(last.clone());
                self.progress.done += page.len() as u64;
                page.into_iter().map(AuditSuspect::Head).collect()
            }
            AuditPhase::Points { after } => {
                let Some(page) = points::read_point_page(self.open, *after, PAGE_ENTRIES_MAX).await? else {
                    self.has_pages = false;
                    return Ok(());
                };
                *after = Some(page.last);
                self.progress.done += page.count as u64;
                let owner = |owner: Option<(DocumentId, _)>| owner.map(|(document_id, _)| document_id);
                page.unknown
                    .into_iter()
                    .map(|point| AuditSuspect::Point(point.id, owner(point.owner)))
                    .collect()
            }
            AuditPhase::End => return Ok(()),
        };
        let (version_lists, verdicts) = self.inspect(&suspects).await?;
        for ((suspect, versions), verdict) in suspects.into_iter().zip(version_lists).zip(verdicts) {
            match verdict {
                SuspectVerdict::Fine => {}
                SuspectVerdict::Wrong(_) => self.suspects.add(suspect, Some(versions), 1, self.pace.pause),
                SuspectVerdict::Moving => self.suspects.add(suspect, None, 1, self.pace.pause),
            }
        }
        Ok(())
    }

    /// Inspects suspects that are due. A finding is what is wrong again, while the ledger says the same as
    /// before the pause and still the same after the stores were read.
    async fn inspect_due_suspects(&mut self) -> Result<Vec<AuditFinding>, Fault> {
        let waiting = self.suspects.take_due(PAGE_ENTRIES_MAX);
        let suspects: Vec<AuditSuspect> = waiting.iter().map(|waiting| waiting.suspect.clone()).collect();
        let (version_lists, verdicts) = self.inspect(&suspects).await?;
        // Read once more after the stores: what changed in between would make a sound store look wrong.
        let after = self.read_versions(&suspects).await?;
        let mut findings = Vec::new();
        for (
            ((QueuedSuspect { suspect, versions: before, inspections: times, .. }, versions), after),
            verdict,
        ) in waiting.into_iter().zip(version_lists).zip(after).zip(verdicts)
        {
            let versions = match verdict {
                SuspectVerdict::Fine => continue,
                SuspectVerdict::Wrong(finding) if before.as_ref() == Some(&versions) && versions == after => {
                    findings.push(finding);
                    continue;
                }
                // It changed between two inspections, so what it says now is compared at the next.
                SuspectVerdict::Wrong(_) => Some(after),
                SuspectVerdict::Moving => None,
            };
            if times + 1 < INSPECTIONS_MAX {
                self.suspects.add(suspect, versions, times + 1, self.pace.pause);
            } else {
                self.unsettled += 1;
            }
        }
        Ok(findings)
    }

    /// Inspects each suspect: reads the ledger first, the stores after it. All suspects of one call are of
    /// one phase.
    async fn inspect(
        &self,
        suspects: &[AuditSuspect],
    ) -> Result<(Vec<Vec<VersionRecord>>, Vec<SuspectVerdict>), Fault> {
        let version_lists = self.read_versions(suspects).await?;
        if self.stages.replicas {
            // This index follows the ledger. Catching up now gives it everything the ledger just said.
            log_follower::bring_index_up_to_date(self.stages, self.open).await?;
        }
        let documents = || suspects.iter().filter_map(AuditSuspect::document_id).cloned().collect::<Vec<_>>();
        let verdicts = match suspects.first() {
            None => Vec::new(),
            Some(AuditSuspect::Document(_)) => {
                documents::inspect_documents(self.open, &documents(), &version_lists).await?
            }
            Some(AuditSuspect::Head(_)) => {
                documents::inspect_heads(self.open, &documents(), &version_lists).await?
            }
            Some(AuditSuspect::Point(..)) => {
                let points: Vec<_> = suspects
                    .iter()
                    .filter_map(|suspect| match suspect {
                        AuditSuspect::Point(id, document_id) => Some((*id, document_id.clone())),
                        AuditSuspect::Document(_) | AuditSuspect::Head(_) => None,
                    })
                    .collect();
                points::inspect_points(self.open, &points, &version_lists).await?
            }
        };
        Ok((version_lists, verdicts))
    }

    /// What the ledger says of the document of each suspect. Empty for a suspect without a document.
    async fn read_versions(&self, suspects: &[AuditSuspect]) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        let ids: Vec<DocumentId> = suspects.iter().filter_map(AuditSuspect::document_id).cloned().collect();
        let home = &self.open.record;
        let mut known =
            self.stages.ledger.versions_in_stores(&home.key, home.generation, &ids).await?.into_iter();
        let versions =
            |suspect: &AuditSuspect| suspect.document_id().and_then(|_| known.next()).unwrap_or_default();
        Ok(suspects.iter().map(versions).collect())
    }

    /// Fails where another generation is active by now, because these stores are no longer the ones to audit.
    async fn require_same_generation(&self) -> Result<(), Fault> {
        let home = &self.open.record;
        let now = self.stages.ledger.collection(&home.key).await?;
        if now.is_some_and(|now| now.generation == home.generation && now.epoch == home.epoch) {
            return Ok(());
        }
        Err(Fault::transient(format!(
            "another generation of '{}' has become active; audit it anew",
            home.key.collection
        )))
    }

    /// Sleeps until the entries seen so far are within the pace.
    async fn keep_pace(&self) {
        if self.pace.entries_per_second > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a duration for waiting")]
            let seconds = self.progress.done as f64 / f64::from(self.pace.entries_per_second);
            tokio::time::sleep_until(self.began + Duration::from_secs_f64(seconds)).await;
        }
    }
}
