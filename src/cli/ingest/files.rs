//! From the arguments of `ingest` to its files: listed, compared with what earlier runs saw, and what died tried
//! again where that is asked for.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::IngestArgs;
use crate::cli::exit::CommandFailure;
use crate::cli::file_intake::{FileIntake, STANDARD_INPUT};
use crate::cli::remote::RemoteServer;
use crate::cli::scan::{DocumentScan, FoundFile, ScanOptions, scan_paths};
use crate::cli::server_choice::server_side_caller;
use crate::cli::sidecar::CommonDescription;
use crate::cli::source_sync::SourceSync;
use crate::config::ContextureConfig;
use crate::operations::messages::dead_letter::{DeadLetterSelection, ListDeadLettersRequest};
use crate::operations::{DeadLettersApi, SourcesApi};
use crate::wiring::ServiceStack;
use crate::wiring::document_conversion::ReadableFiles;
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// The operations that a run needs, here or on a server.
pub(super) struct FileOperations {
    sources: Arc<dyn SourcesApi>,
    dead_letters: Arc<dyn DeadLettersApi>,
    caller: Principal,
}

impl FileOperations {
    pub(super) fn here(stack: &ServiceStack, config: &ContextureConfig) -> Result<Self, CommandFailure> {
        let services = stack.operations(config)?;
        let caller = stack.principal.clone();
        Ok(Self { sources: services.sources, dead_letters: services.dead_letters, caller })
    }

    pub(super) fn on_server(server: &RemoteServer) -> Result<Self, CommandFailure> {
        let server = Arc::new(server.clone());
        Ok(Self { sources: server.clone(), dead_letters: server, caller: server_side_caller()? })
    }
}

impl IngestArgs {
    pub(super) fn scan_options(&self, config: &ContextureConfig) -> ScanOptions {
        ScanOptions {
            root: self.root.clone(),
            known_roots: Vec::new(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            hidden: self.hidden,
            no_ignore: self.no_ignore,
            data_directory: Some(config.data_dir.clone()),
            readable: ReadableFiles::new(config),
        }
    }

    /// Lists the files of the command line.
    pub(super) fn scan(&self, options: &ScanOptions) -> Result<DocumentScan, Refusal> {
        if self.is_of_no_folder() {
            return self.scan_one();
        }
        scan_paths(&self.paths, options)
    }

    /// Whether the run has one file with an id of its own.
    fn is_of_no_folder(&self) -> bool {
        self.id.is_some() || self.paths.iter().any(|path| path.as_os_str() == STANDARD_INPUT)
    }

    fn scan_one(&self) -> Result<DocumentScan, Refusal> {
        let invalid = |code, message: &str| Err(Refusal::invalid(code, "id", message));
        let [path] = self.paths.as_slice() else {
            return invalid("id_without_single_file", "--id and - are for a single file");
        };
        let Some(id) = &self.id else {
            return invalid("id_missing", "standard input has no name; give one with --id");
        };
        if path.as_os_str() != STANDARD_INPUT {
            // The same refusals as for other paths.
            let found = scan_paths(self.paths.as_slice(), &ScanOptions::default())?;
            if found.within.is_empty() {
                return invalid("id_without_single_file", "--id is for a single file, not for a folder");
            }
        }
        let file = FoundFile {
            path: path.clone(),
            id: DocumentId::new(id)?,
            stamp: None,
            is_empty: false,
            is_named: true,
        };
        Ok(DocumentScan { files: vec![file], ..DocumentScan::default() })
    }

    /// Begins a run of the folder's source, and leaves out what has not changed.
    pub(super) async fn intake(
        &self,
        operations: &FileOperations,
        collection: &CollectionId,
        config: &ContextureConfig,
        mut scan: DocumentScan,
        options: &mut ScanOptions,
        common: CommonDescription,
    ) -> Result<FileIntake, CommandFailure> {
        let FileOperations { sources, caller, .. } = operations;
        let mut sync = None;
        if !self.is_of_no_folder() {
            let known = sources.list_sources(caller, collection.as_str()).await?.sources;
            options.known_roots = known.into_iter().map(|source| PathBuf::from(source.name)).collect();
            let begins_further_up = |known: &PathBuf| scan.root.starts_with(known) && scan.root != *known;
            if self.root.is_none() && options.known_roots.iter().any(begins_further_up) {
                // An earlier run began further up, and its ids go on.
                scan = scan_paths(&self.paths, options)?;
            }
            let source = scan.root.to_string_lossy().into_owned();
            let mut begun =
                SourceSync::begin(sources.clone(), caller.clone(), collection.as_str(), source, &common)
                    .await?;
            begun.leave_out_unchanged(&mut scan, self.checksum || self.retry_dead).await?;
            sync = Some(begun);
        }
        let limit = config.limits.body_bytes_max;
        let mut intake = FileIntake::new(
            caller.clone(),
            collection.clone(),
            limit,
            common,
            ReadableFiles::new(config),
            scan,
        );
        intake.sync = sync;
        Ok(intake)
    }

    /// Replays the dead letters of these files, where the command line asks for it. Returns the versions.
    pub(super) async fn replay_dead(
        &self,
        operations: &FileOperations,
        collection: &CollectionId,
        intake: &FileIntake,
    ) -> Result<Vec<(String, u64)>, CommandFailure> {
        let mut versions = Vec::new();
        if !self.retry_dead {
            return Ok(versions);
        }
        let files: HashSet<&str> = intake.scan.files.iter().map(|file| file.id.as_str()).collect();
        let FileOperations { dead_letters, caller, .. } = operations;
        let mut request =
            ListDeadLettersRequest { collection: Some(collection.to_string()), ..Default::default() };
        loop {
            let page = dead_letters.list_dead_letters(caller, request.clone()).await?;
            let of_files =
                page.dead_letters.into_iter().filter(|letter| files.contains(&*letter.document_id));
            let (ids, found): (Vec<u64>, Vec<(String, u64)>) =
                of_files.map(|letter| (letter.id, (letter.document_id, letter.version))).unzip();
            if !ids.is_empty() {
                let selection = DeadLetterSelection { ids: Some(ids), ..DeadLetterSelection::default() };
                dead_letters.replay_dead_letters(caller, selection, false).await?;
            }
            versions.extend(found);
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                return Ok(versions);
            }
        }
    }
}
