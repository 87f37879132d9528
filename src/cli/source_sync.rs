//! Keeps a collection in step with a folder: what has not changed is not read, and what is gone is noticed.
//!
//! Every file is reported to its source before it is submitted, so that no document of a folder is unknown to it,
//! wherever this process dies. A file counts as unchanged when size and time are the ones it was submitted with and
//! its document still has that version.
//!
//! A run that leaves everything in step leaves a fingerprint of the whole folder, too. While the folder has it and
//! the collection has accepted nothing since, the next run asks about no file at all.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch_submitter::SubmittedFile;
use super::scan::{DocumentScan, FoundFile, SkipReason};
use super::sidecar::CommonDescription;
use crate::operations::SourcesApi;
use crate::operations::messages::document::{ReasonView, VersionStateName};
use crate::operations::messages::page::PAGE_ENTRIES_MAX;
use crate::operations::messages::source::{
    FinishSourceRunRequest, FinishedSourceRun, ListSourceDocumentsRequest, ReportSourceDocumentsRequest,
    SourceDocumentView, SourceRunView, SourceSightingRequest,
};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// Documents of one report.
const REPORTED_AT_ONCE: usize = 5000;
/// First part of a fingerprint. Raised when the rest of it means something else.
const FINGERPRINT_VERSION: &str = "1";

/// A document that died with the bytes that its file still has, and why.
pub(super) type StillDead = (String, ReasonView);

/// One run through a folder.
pub(super) struct SourceSync {
    sources: Arc<dyn SourcesApi>,
    caller: Principal,
    collection: String,
    source: String,
    run: u64,
    /// The fingerprint of the whole folder, if everything is as an earlier run left it.
    settled: Option<String>,
    /// The fingerprint of the whole folder now; none if it is not known whole.
    whole: Option<String>,
    /// What earlier runs saw, by id.
    known: HashMap<String, SourceDocumentView>,
    /// What the command line says about all files, hashed.
    common: String,
    /// Fingerprints of files that are being submitted, by id.
    submitting: HashMap<String, String>,
    /// Files that were not read, because nothing of them has changed.
    pub(super) unchanged: u64,
    /// Those of them whose document is dead.
    pub(super) still_dead: Vec<StillDead>,
}

impl SourceSync {
    /// Begins a run of the source called `source`.
    pub(super) async fn begin(
        sources: Arc<dyn SourcesApi>,
        caller: Principal,
        collection: &str,
        source: String,
        common: &CommonDescription,
    ) -> Result<Self, Refusal> {
        let SourceRunView { run, settled } = sources.begin_source_run(&caller, collection, &source).await?;
        let common = common.fingerprint_text();
        let common =
            if common.is_empty() { common } else { blake3::hash(common.as_bytes()).to_hex()[..16].into() };
        Ok(Self {
            sources,
            caller,
            collection: collection.to_owned(),
            source,
            run,
            settled,
            whole: None,
            known: HashMap::new(),
            common,
            submitting: HashMap::new(),
            unchanged: 0,
            still_dead: Vec::new(),
        })
    }

    /// Reads what earlier runs saw.
    async fn read_known(&mut self) -> Result<(), Refusal> {
        let mut cursor = None;
        loop {
            let limit = i64::try_from(PAGE_ENTRIES_MAX).ok();
            let request = ListSourceDocumentsRequest { source: self.source.clone(), limit, cursor };
            let page = self.sources.source_documents(&self.caller, &self.collection, request).await?;
            self.known.extend(page.documents.into_iter().map(|found| (found.document_id.clone(), found)));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// What an earlier run knew of a document that is still there or on its way.
    pub(super) fn known_document(&self, document_id: &str) -> Option<&SourceDocumentView> {
        self.known.get(document_id).filter(|known| known.version.is_some() && !known.deleted)
    }

    /// Whether a document was dead in this version when the run began.
    pub(super) fn knows_dead(&self, document_id: &str, version: u64) -> bool {
        self.known
            .get(document_id)
            .is_some_and(|known| known.version == Some(version) && dead_document(known).is_some())
    }

    /// Takes files out of a scan that have not changed, and reports them. With `read_all` none counts as unchanged.
    pub(super) async fn leave_out_unchanged(
        &mut self,
        scan: &mut DocumentScan,
        read_all: bool,
    ) -> Result<(), Refusal> {
        self.whole = self.whole_fingerprint(scan);
        if read_all {
            return self.read_known().await;
        }
        if self.whole.is_some() && self.whole == self.settled {
            for file in std::mem::take(&mut scan.files) {
                // What is empty is no document.
                if file.is_empty {
                    scan.skips.add(SkipReason::Empty, &file.path);
                } else {
                    self.unchanged += 1;
                }
            }
            return Ok(());
        }
        self.read_known().await?;
        let files = std::mem::take(&mut scan.files);
        let mut unchanged = Vec::new();
        for file in files {
            let fingerprint = self.fingerprint(&file);
            let known = self.known.get(file.id.as_str());
            match known
                .filter(|known| known.in_step && fingerprint.is_some() && known.fingerprint == fingerprint)
            {
                None => scan.files.push(file),
                Some(known) => {
                    self.still_dead.extend(dead_document(known));
                    unchanged.push(file.id.as_str().to_owned());
                }
            }
        }
        self.unchanged = unchanged.len() as u64;
        while !unchanged.is_empty() {
            let rest = unchanged.split_off(unchanged.len().min(REPORTED_AT_ONCE));
            let unchanged = std::mem::replace(&mut unchanged, rest);
            self.report(ReportSourceDocumentsRequest { unchanged, ..self.empty_report() }).await?;
        }
        Ok(())
    }

    /// Reports files that are about to be submitted, or could not be read: they are not gone.
    pub(super) async fn report_found<'f>(
        &mut self,
        files: impl Iterator<Item = &'f FoundFile>,
    ) -> Result<(), Refusal> {
        let mut seen = Vec::new();
        for file in files {
            if let Some(fingerprint) = self.fingerprint(file) {
                self.submitting.insert(file.id.as_str().to_owned(), fingerprint);
            }
            let document_id = file.id.as_str().to_owned();
            seen.push(SourceSightingRequest { document_id, fingerprint: None, version: None });
        }
        if seen.is_empty() {
            return Ok(());
        }
        self.report(ReportSourceDocumentsRequest { seen, ..self.empty_report() }).await
    }

    /// Reports the versions that submitted files got, so that the next run need not read them.
    pub(super) async fn report_submitted(&mut self, submitted: Vec<SubmittedFile>) -> Result<(), Refusal> {
        let mut seen = Vec::with_capacity(submitted.len());
        for SubmittedFile { document_id, version, is_unchanged } in submitted {
            let known = self.known.get(&document_id).filter(|known| known.version == Some(version));
            if let Some(known) = known.filter(|_| is_unchanged) {
                self.still_dead.extend(dead_document(known));
            }
            // Without a fingerprint there is nothing to say that was not said before.
            let Some(fingerprint) = self.submitting.remove(&document_id) else { continue };
            let (fingerprint, version) = (Some(fingerprint), Some(version));
            seen.push(SourceSightingRequest { document_id, fingerprint, version });
        }
        if seen.is_empty() {
            return Ok(());
        }
        self.report(ReportSourceDocumentsRequest { seen, ..self.empty_report() }).await
    }

    /// Ends the run. With `prune` what is gone is deleted.
    pub(super) async fn finish(
        &self,
        scan: &DocumentScan,
        prune: bool,
    ) -> Result<FinishedSourceRun, Refusal> {
        let request = FinishSourceRunRequest {
            source: self.source.clone(),
            prune,
            within: scan.within.clone(),
            unreadable: scan.unreadable.clone(),
            fingerprint: self.whole.clone(),
        };
        self.sources.finish_source_run(&self.caller, &self.collection, self.run, request).await
    }

    /// A hash of the ids and fingerprints of all files; none if one has none, if the run is about a part of the folder,
    /// or if something in it could not be looked at.
    fn whole_fingerprint(&self, scan: &DocumentScan) -> Option<String> {
        if !(scan.within.is_empty() && scan.unreadable.is_empty() && scan.refused.is_empty()) {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(FINGERPRINT_VERSION.as_bytes());
        hasher.update(self.common.as_bytes());
        for file in &scan.files {
            // Neither holds a control character, so a NUL ends each.
            for text in [file.id.as_str(), file.stamp.as_ref()?] {
                hasher.update(text.as_bytes());
                hasher.update(&[0]);
            }
        }
        Some(hasher.finalize().to_hex().to_string())
    }

    fn fingerprint(&self, file: &FoundFile) -> Option<String> {
        let stamp = file.stamp.as_ref()?;
        Some(format!("{FINGERPRINT_VERSION} {stamp} {}", self.common))
    }

    fn empty_report(&self) -> ReportSourceDocumentsRequest {
        ReportSourceDocumentsRequest {
            source: self.source.clone(),
            ..ReportSourceDocumentsRequest::default()
        }
    }

    async fn report(&self, report: ReportSourceDocumentsRequest) -> Result<(), Refusal> {
        self.sources.report_source_documents(&self.caller, &self.collection, self.run, report).await
    }
}

/// A document whose newest version is dead.
fn dead_document(known: &SourceDocumentView) -> Option<StillDead> {
    let reason = known.reason.clone().filter(|_| known.state == Some(VersionStateName::Dead))?;
    Some((known.document_id.clone(), reason))
}
