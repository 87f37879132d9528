//! The three walks one after the other, page by page, at a pace.

use tokio::time::Instant;

use super::report::{AuditFinding, AuditReport};
use super::suspects::{AuditSuspect, AuditSuspectQueue, INSPECTIONS_MAX, QueuedSuspect, SuspectVerdict};
use super::{AuditPace, documents, heads, points};
use crate::domain::ids::{ChunkId, DocumentId};
use crate::fault::Fault;
use crate::ingest::{StageResources, log_follower};
use crate::ports::catalog::OpenCollection;
use crate::ports::ledger::VersionRecord;

/// Documents, heads or points read at once.
pub const PAGE_ENTRIES_MAX: usize = 512;
/// Suspects that wait at once; beyond, no further page is read.
const SUSPECTS_MAX: usize = 8 * PAGE_ENTRIES_MAX;

/// How far a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditProgress {
    /// Documents, heads and points that were seen.
    pub done: u64,
    /// All of them, as there were at the start.
    pub total: u64,
}

#[derive(Debug)]
enum AuditPhase {
    Documents { after: u64 },
    Heads { after: Option<DocumentId> },
    Points { after: Option<ChunkId> },
    End,
}

/// A comparison of one collection that is under way; findings come page by page.
pub struct CollectionAudit<'a> {
    stages: &'a StageResources,
    open: &'a OpenCollection,
    pace: AuditPace,
    phase: AuditPhase,
    /// Where the log ended at the start: what moves beyond is another audit's.
    end: u64,
    /// Whether the phase has pages left.
    more: bool,
    suspects: AuditSuspectQueue,
    documents: u64,
    unsettled: u64,
    progress: AuditProgress,
    began: Instant,
}

impl<'a> CollectionAudit<'a> {
    /// Begins at the start of the log.
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
            more: true,
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

    /// The next findings, never empty; none at the end. `show` is called after every page.
    pub async fn next(
        &mut self,
        show: &mut (impl FnMut(AuditProgress) + Send),
    ) -> Result<Option<Vec<AuditFinding>>, Fault> {
        loop {
            let due = self.suspects.due();
            if due.is_some_and(|due| due <= Instant::now()) {
                let findings = self.look_again().await?;
                if !findings.is_empty() {
                    return Ok(Some(findings));
                }
            } else if self.more && self.suspects.len() < SUSPECTS_MAX {
                self.page().await?;
                show(self.progress);
                self.keep_pace().await;
            } else if let Some(due) = due {
                tokio::time::sleep_until(due).await;
            } else if !self.advance() {
                return Ok(None);
            }
        }
    }

    /// Adds what was compared, and what could not be judged.
    pub fn sum_up(&self, report: &mut AuditReport) {
        report.documents += self.documents;
        report.unsettled += self.unsettled;
    }

    /// The next phase; false at the end.
    fn advance(&mut self) -> bool {
        self.phase = match self.phase {
            AuditPhase::Documents { .. } => AuditPhase::Heads { after: None },
            AuditPhase::Heads { .. } => AuditPhase::Points { after: None },
            AuditPhase::Points { .. } | AuditPhase::End => AuditPhase::End,
        };
        self.more = !matches!(self.phase, AuditPhase::End);
        self.more
    }

    /// Reads a page and looks at it for the first time.
    async fn page(&mut self) -> Result<(), Fault> {
        self.require_same_generation().await?;
        let suspects: Vec<AuditSuspect> = match &mut self.phase {
            AuditPhase::Documents { after } => {
                let key = &self.open.record.key;
                let mut changes = self.stages.ledger.changes(key, *after, PAGE_ENTRIES_MAX).await?;
                changes.retain(|change| change.position <= self.end);
                let Some(last) = changes.last() else {
                    self.more = false;
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
                let page = heads::read_head_page(self.open, after.as_ref(), PAGE_ENTRIES_MAX).await?;
                let Some(last) = page.last() else {
                    self.more = false;
                    return Ok(());
                };
                *after = Some(last.clone());
                self.progress.done += page.len() as u64;
                page.into_iter().map(AuditSuspect::Head).collect()
            }
            AuditPhase::Points { after } => {
                let Some(page) = points::read_point_page(self.open, *after, PAGE_ENTRIES_MAX).await? else {
                    self.more = false;
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
        let (standings, looks) = self.look(&suspects).await?;
        for ((suspect, standing), look) in suspects.into_iter().zip(standings).zip(looks) {
            match look {
                SuspectVerdict::Fine => {}
                SuspectVerdict::Wrong(_) => self.suspects.add(suspect, Some(standing), 1, self.pace.pause),
                SuspectVerdict::Moving => self.suspects.add(suspect, None, 1, self.pace.pause),
            }
        }
        Ok(())
    }

    /// Looks at suspects that are due. Wrong is what is wrong again while the ledger says the same
    /// as before the pause, and the same still once the stores were read.
    async fn look_again(&mut self) -> Result<Vec<AuditFinding>, Fault> {
        let waiting = self.suspects.take_due(PAGE_ENTRIES_MAX);
        let suspects: Vec<AuditSuspect> = waiting.iter().map(|waiting| waiting.suspect.clone()).collect();
        let (standings, looks) = self.look(&suspects).await?;
        let after = self.standings(&suspects).await?;
        let mut findings = Vec::new();
        for (((QueuedSuspect { suspect, standing: before, looks: times, .. }, standing), after), look) in
            waiting.into_iter().zip(standings).zip(after).zip(looks)
        {
            let standing = match look {
                SuspectVerdict::Fine => continue,
                SuspectVerdict::Wrong(finding) if before.as_ref() == Some(&standing) && standing == after => {
                    findings.push(finding);
                    continue;
                }
                SuspectVerdict::Wrong(_) => Some(after),
                SuspectVerdict::Moving => None,
            };
            if times + 1 < INSPECTIONS_MAX {
                self.suspects.add(suspect, standing, times + 1, self.pace.pause);
            } else {
                self.unsettled += 1;
            }
        }
        Ok(findings)
    }

    /// One look at each: what the ledger says, and then what the stores hold.
    async fn look(
        &self,
        suspects: &[AuditSuspect],
    ) -> Result<(Vec<Vec<VersionRecord>>, Vec<SuspectVerdict>), Fault> {
        let standings = self.standings(suspects).await?;
        if self.stages.replicas {
            // The index here comes after the ledger; now it has what the ledger said.
            log_follower::bring_index_up_to_date(self.stages, self.open).await?;
        }
        let documents = || suspects.iter().filter_map(AuditSuspect::document_id).cloned().collect::<Vec<_>>();
        let looks = match suspects.first() {
            None => Vec::new(),
            Some(AuditSuspect::Document(_)) => {
                documents::inspect_documents(self.open, &documents(), &standings).await?
            }
            Some(AuditSuspect::Head(_)) => heads::inspect_heads(self.open, &documents(), &standings).await?,
            Some(AuditSuspect::Point(..)) => {
                let points: Vec<_> = suspects
                    .iter()
                    .filter_map(|suspect| match suspect {
                        AuditSuspect::Point(id, document_id) => Some((*id, document_id.clone())),
                        AuditSuspect::Document(_) | AuditSuspect::Head(_) => None,
                    })
                    .collect();
                points::inspect_points(self.open, &points, &standings).await?
            }
        };
        Ok((standings, looks))
    }

    /// What the ledger says of each suspect's document; nothing where it has none.
    async fn standings(&self, suspects: &[AuditSuspect]) -> Result<Vec<Vec<VersionRecord>>, Fault> {
        let ids: Vec<DocumentId> = suspects.iter().filter_map(AuditSuspect::document_id).cloned().collect();
        let home = &self.open.record;
        let mut known = self.stages.ledger.standings(&home.key, home.generation, &ids).await?.into_iter();
        let standing =
            |suspect: &AuditSuspect| suspect.document_id().and_then(|_| known.next()).unwrap_or_default();
        Ok(suspects.iter().map(standing).collect())
    }

    /// Another generation's stores are not these.
    async fn require_same_generation(&self) -> Result<(), Fault> {
        let home = &self.open.record;
        let now = self.stages.ledger.collection(&home.key).await?;
        if now.is_some_and(|now| now.generation == home.generation && now.epoch == home.epoch) {
            return Ok(());
        }
        Err(Fault::Transient(format!(
            "another generation of '{}' has become active; audit it anew",
            home.key.collection
        )))
    }

    /// Waits until what was seen is within the pace.
    async fn keep_pace(&self) {
        if self.pace.entries_per_second > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a duration for waiting")]
            let seconds = self.progress.done as f64 / f64::from(self.pace.entries_per_second);
            tokio::time::sleep_until(self.began + std::time::Duration::from_secs_f64(seconds)).await;
        }
    }
}
