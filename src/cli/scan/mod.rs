//! Finds the documents under files and folders.
//!
//! Folders are walked in sorted order, so the same tree gives the same list. What `.gitignore` and `.ignore` name
//! is left out, as ripgrep does it (the `ignore` crate), and so are hidden names, symbolic links, the program's
//! own data directory, sidecars, and types that neither readers nor converters take: fonts, archives and the like. All of it
//! is counted. So links cannot loop or lead outside. An argument itself may be any of these, because it was named
//! explicitly.
//!
//! A document's id is its path below the *root*, with `/` between the parts: so it does not depend on how an
//! argument was written. The root is the folder that all arguments have in common, a folder that contains it and
//! that this collection knows as a source, or what `--root` says. Limits: [`FILES_MAX`] files, [`DEPTH_MAX`]
//! nested folders.

mod root;
mod skips;
mod stamp;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::{Override, OverrideBuilder};

use super::sidecar::SIDECAR_ENDING;
use root::{ScanArgument, scan_root};
use skips::{FolderListing, leads_to};
pub(crate) use skips::{SkipReason, SkippedEntries};
use stamp::file_stamp;

use crate::wiring::document_conversion::ReadableFiles;
use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::Refusal;
use contexture_core::ingest::chunk::is_known_binary_name;

/// Maximum files of one run, because their paths are held in memory.
pub(crate) const FILES_MAX: usize = 1_000_000;
/// Maximum depth of folders below an argument.
pub(crate) const DEPTH_MAX: usize = 128;

/// A file to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Its path.
    pub(crate) path: PathBuf,
    /// The id of its document.
    pub(crate) id: DocumentId,
    /// Size and time of its last change, of the sidecar too; none if it may still be changing.
    pub(crate) stamp: Option<String>,
    /// Whether it had no byte when it was found.
    pub(crate) is_empty: bool,
    /// Whether the command line names it.
    pub(crate) is_named: bool,
}

/// What to find.
#[derive(Debug, Default)]
pub(crate) struct ScanOptions {
    /// Ids are paths below this folder; absent: below the folder that all paths have in common.
    pub(crate) root: Option<PathBuf>,
    /// Roots of earlier runs: a folder inside one of them gets its ids from there.
    pub(crate) known_roots: Vec<PathBuf>,
    /// Only files that match one of these globs, if there are any.
    pub(crate) include: Vec<String>,
    /// No files or folders that match one of these globs.
    pub(crate) exclude: Vec<String>,
    /// Hidden names, too.
    pub(crate) hidden: bool,
    /// Also what `.gitignore` and `.ignore` name.
    pub(crate) no_ignore: bool,
    /// Never taken in.
    pub(crate) data_directory: Option<PathBuf>,
    /// What converters take, whatever its name.
    pub(crate) readable: ReadableFiles,
}

/// The files of one run.
#[derive(Debug, Default)]
pub(crate) struct DocumentScan {
    /// Files to ingest, ordered by argument, then by path.
    pub(crate) files: Vec<FoundFile>,
    /// Entries that were skipped.
    pub(crate) skips: SkippedEntries,
    /// Files that cannot be ingested, with the reason.
    pub(crate) refused: Vec<(PathBuf, String)>,
    /// The folder that ids begin at.
    pub(crate) root: PathBuf,
    /// What the arguments are, as ids: a folder with a `/` behind it. Empty: the whole root.
    pub(crate) within: Vec<String>,
    /// What could not be looked at, as ids.
    pub(crate) unreadable: Vec<String>,
}

/// Lists the documents under these paths. Refuses a path that does not exist.
pub(crate) fn scan_paths(paths: &[PathBuf], options: &ScanOptions) -> Result<DocumentScan, Refusal> {
    let arguments = paths.iter().map(|path| ScanArgument::new(path)).collect::<Result<Vec<_>, _>>()?;
    let root = scan_root(&arguments, options)?;
    let mut scan = DocumentScan { root, ..DocumentScan::default() };
    let data_directory = options.data_directory.as_ref().and_then(|path| path.canonicalize().ok());
    for argument in &arguments {
        let below = argument.place.strip_prefix(&scan.root).map_err(|_| {
            path_refusal(
                "path_outside_root",
                &argument.path,
                &format!("is not below {}", scan.root.display()),
            )
        })?;
        let below = below.to_owned();
        if argument.is_folder {
            if let Some(prefix) = id_text(&below) {
                let whole = below.as_os_str().is_empty();
                scan.within.push(if whole { String::new() } else { format!("{prefix}/") });
            }
            scan.walk(argument, &below, options, data_directory.as_deref())?;
        } else {
            scan.within.extend(id_text(&below));
            let found = FileMetadata { own: std::fs::metadata(&argument.path).ok(), may_have_sidecar: true };
            scan.add(&argument.path, &below, &found, &options.readable, true)?;
        }
    }
    if scan.within.iter().any(String::is_empty) {
        scan.within.clear();
    }
    scan.check_ids()?;
    Ok(scan)
}

/// What the system says of a file.
struct FileMetadata {
    own: Option<std::fs::Metadata>,
    may_have_sidecar: bool,
}

fn path_refusal(code: &'static str, path: &Path, why: &str) -> Refusal {
    Refusal::invalid(code, "path", format!("{}: {why}", path.display()))
}

fn glob_refusal(error: &ignore::Error) -> Refusal {
    Refusal::invalid("invalid_glob", "glob", error.to_string())
}

impl DocumentScan {
    fn walk(
        &mut self,
        argument: &ScanArgument,
        below: &Path,
        options: &ScanOptions,
        data_directory: Option<&Path>,
    ) -> Result<(), Refusal> {
        let included = included_globs(&argument.path, options)?;
        let mut walk = WalkBuilder::new(&argument.path);
        walk.standard_filters(!options.no_ignore)
            .hidden(!options.hidden)
            // A folder of documents need not be a repository.
            .require_git(false)
            .follow_links(false)
            .max_depth(Some(DEPTH_MAX + 1))
            .overrides(excluded_globs(&argument.path, options)?)
            .sort_by_file_name(std::ffi::OsStr::cmp);
        let data = data_directory.map(Path::to_owned);
        walk.filter_entry(move |entry| {
            // Git's own files are nobody's documents, even where hidden ones are wanted.
            let is_data = data.as_deref().is_some_and(|data| leads_to(entry.path(), data));
            entry.depth() == 0 || (entry.file_name() != ".git" && !is_data)
        });
        let mut listing = FolderListing::default();
        for entry in walk.build() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.depth() == Some(0) => {
                    return Err(path_refusal("path_not_readable", &argument.path, &error.to_string()));
                }
                Err(error) => {
                    self.refuse_entry(argument, below, &error);
                    continue;
                }
            };
            // A bad line of an ignore file is worth a word, and no reason to stop.
            if let Some(error) = entry.error() {
                tracing::warn!(%error, "an ignore file is not understood");
            }
            if entry.depth() == 0 {
                listing.enter(entry.path(), 0);
                continue;
            }
            let may_have_sidecar =
                listing.saw(entry.file_name(), entry.depth(), data_directory, &mut self.skips);
            let relative = entry.path().strip_prefix(&argument.path).unwrap_or(entry.path()).to_owned();
            match entry.file_type() {
                Some(kind) if kind.is_symlink() => self.skips.add(SkipReason::Link, entry.path()),
                Some(kind) if kind.is_dir() && entry.depth() > DEPTH_MAX => {
                    self.unreadable.extend(id_text(&below.join(&relative)).map(|id| format!("{id}/")));
                    self.refused.push((entry.into_path(), format!("nested deeper than {DEPTH_MAX} folders")));
                }
                Some(kind) if kind.is_dir() => {
                    listing.enter(entry.path(), entry.depth());
                }
                Some(kind) if kind.is_file() => {
                    // Not as an override of the walk: it would bring back what is hidden or ignored.
                    if !included.is_empty() && !included.matched(entry.path(), false).is_whitelist() {
                        self.skips.add(SkipReason::Ignored, entry.path());
                        continue;
                    }
                    let found = FileMetadata { own: entry.metadata().ok(), may_have_sidecar };
                    self.add(entry.path(), &below.join(&relative), &found, &options.readable, false)?;
                }
                _ => self.skips.add(SkipReason::Special, entry.path()),
            }
        }
        listing.finish(data_directory, &mut self.skips);
        Ok(())
    }

    /// Records an entry that could not be looked at: what is known of it is not gone.
    fn refuse_entry(&mut self, argument: &ScanArgument, below: &Path, error: &ignore::Error) {
        let path = path_of(error).unwrap_or(&argument.path).to_owned();
        let relative = path.strip_prefix(&argument.path).unwrap_or(Path::new(""));
        // Without a path nothing below the argument is certain.
        self.unreadable.extend(id_text(&below.join(relative)));
        self.refused.push((path, error.to_string()));
    }

    fn add(
        &mut self,
        path: &Path,
        below: &Path,
        found: &FileMetadata,
        readable: &ReadableFiles,
        is_named: bool,
    ) -> Result<(), Refusal> {
        if self.files.len() >= FILES_MAX {
            return Err(path_refusal(
                "too_many_files",
                path,
                &format!("more than {FILES_MAX} files; ingest the folder in parts"),
            ));
        }
        let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        if !is_named && name.ends_with(SIDECAR_ENDING) {
            return Ok(());
        }
        if !is_named && is_known_binary_name(name) && !readable.takes_name(name) {
            self.skips.add(SkipReason::UnreadType, path);
            return Ok(());
        }
        match slashed(below) {
            None => self.refused.push((path.to_owned(), "its name is not UTF-8".to_owned())),
            Some(text) => match DocumentId::new(&text) {
                Ok(id) => {
                    let own = found.own.as_ref();
                    let stamp = own.and_then(|own| file_stamp(path, own, found.may_have_sidecar));
                    let is_empty = own.is_some_and(|own| own.len() == 0);
                    self.files.push(FoundFile { path: path.to_owned(), id, stamp, is_empty, is_named });
                }
                Err(refusal) => self.refused.push((path.to_owned(), refusal.message)),
            },
        }
        Ok(())
    }

    /// Removes files that were found twice. Refuses different files with the same id.
    fn check_ids(&mut self) -> Result<(), Refusal> {
        let mut seen: HashMap<&DocumentId, &Path> = HashMap::with_capacity(self.files.len());
        let mut repeated = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            match seen.get(&file.id) {
                None => {
                    seen.insert(&file.id, &file.path);
                }
                Some(first) if is_same_file(first, &file.path) => repeated.push(index),
                // Names that differ only in how they are composed.
                Some(first) => {
                    return Err(Refusal::invalid(
                        "duplicate_document_id",
                        "path",
                        format!(
                            "{} and {} would both be document '{}'; rename one of them",
                            first.display(),
                            file.path.display(),
                            file.id
                        ),
                    ));
                }
            }
        }
        // From the end, so that the earlier indices stay valid.
        for index in repeated.into_iter().rev() {
            self.files.remove(index);
        }
        Ok(())
    }
}

/// A path below the root as the text of an id; none if it is not UTF-8.
fn id_text(below: &Path) -> Option<String> {
    // Through the id, which is in NFC.
    let text = slashed(below)?;
    Some(DocumentId::new(&text).map_or_else(|_| text.into_owned(), |id| id.as_str().to_owned()))
}

/// A relative path with `/` between its parts; none if it is not UTF-8.
fn slashed(below: &Path) -> Option<Cow<'_, str>> {
    if std::path::MAIN_SEPARATOR == '/' {
        return below.to_str().map(Cow::Borrowed);
    }
    let parts: Option<Vec<&str>> = below.iter().map(std::ffi::OsStr::to_str).collect();
    Some(Cow::Owned(parts?.join("/")))
}

/// The globs that files must match; empty if there are none.
fn included_globs(folder: &Path, options: &ScanOptions) -> Result<Override, Refusal> {
    override_of(folder, options.include.iter().cloned())
}

/// The globs of what is left out, as the `ignore` crate takes them: with a `!`.
fn excluded_globs(folder: &Path, options: &ScanOptions) -> Result<Override, Refusal> {
    override_of(folder, options.exclude.iter().map(|exclude| format!("!{exclude}")))
}

fn override_of(folder: &Path, globs: impl Iterator<Item = String>) -> Result<Override, Refusal> {
    let mut built = OverrideBuilder::new(folder);
    for glob in globs {
        built.add(&glob).map_err(|error| glob_refusal(&error))?;
    }
    built.build().map_err(|error| glob_refusal(&error))
}

/// The path that an error of the walk is about.
fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}

/// Whether both paths lead to the same file. Links are resolved only if the paths differ.
fn is_same_file(first: &Path, second: &Path) -> bool {
    first == second
        || matches!((first.canonicalize(), second.canonicalize()), (Ok(first), Ok(second)) if first == second)
}

#[cfg(test)]
mod tests;
