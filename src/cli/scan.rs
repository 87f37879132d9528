//! Finds the documents under files and folders.
//!
//! Folders are walked in sorted order, so the same tree gives the same list. Inside folders, names that
//! begin with a dot and symbolic links are skipped and reported; so links cannot loop or lead outside. An
//! argument itself may be hidden or a link, because it was named explicitly.
//!
//! A document's id is its path relative to its argument, with `/` between the parts. A file argument's id
//! is its name. Two different files with one id are refused. Limits: [`FILES_MAX`] files, [`DEPTH_MAX`]
//! nested folders.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use contexture_core::domain::ids::DocumentId;
use contexture_core::fault::Refusal;

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
}

/// Why an entry of a folder was skipped. Not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SkipReason {
    /// Its name begins with a dot.
    Hidden,
    /// A symbolic link.
    Link,
    /// Neither a file nor a folder.
    Special,
    /// A file without a single byte.
    Empty,
}

impl SkipReason {
    fn noun(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Link => "symbolic link",
            Self::Special => "not a file",
            Self::Empty => "empty",
        }
    }
}

/// Skipped entries: a count and one example per reason.
#[derive(Debug, Default)]
pub(crate) struct SkippedEntries(BTreeMap<SkipReason, (u64, PathBuf)>);

impl SkippedEntries {
    /// Records one.
    pub(crate) fn add(&mut self, skip: SkipReason, path: &Path) {
        self.0.entry(skip).or_insert_with(|| (0, path.to_owned())).0 += 1;
    }

    /// The number of all skipped entries.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|(number, _)| number).sum()
    }

    /// One line per reason.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(skip, (number, example))| {
            let more = if *number > 1 { ", and others" } else { "" };
            format!("skipped {number} ({}): {}{more}", skip.noun(), example.display())
        })
    }
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
}

/// Lists the documents under these paths. Refuses a path that does not exist.
pub(crate) fn scan_paths(paths: &[PathBuf]) -> Result<DocumentScan, Refusal> {
    let mut scan = DocumentScan::default();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => path_refusal("path_not_found", path, "does not exist"),
            _ => path_refusal("path_not_readable", path, &error.to_string()),
        })?;
        if metadata.is_dir() {
            scan.walk(path)?;
        } else if metadata.is_file() {
            scan.add(path, Path::new(path.file_name().unwrap_or_default()))?;
        } else {
            return Err(path_refusal("path_not_a_file", path, "is neither a file nor a folder"));
        }
    }
    scan.check_ids()?;
    Ok(scan)
}

fn path_refusal(code: &'static str, path: &Path, why: &str) -> Refusal {
    Refusal::invalid(code, "path", format!("{}: {why}", path.display()))
}

impl DocumentScan {
    fn walk(&mut self, root: &Path) -> Result<(), Refusal> {
        // A stack instead of recursion, so that a deep tree cannot overflow the thread's stack.
        let mut pending = vec![(PathBuf::new(), 0)];
        while let Some((relative, depth)) = pending.pop() {
            let path = root.join(&relative);
            // The argument itself may be a link, so only what is below is looked at without following links.
            let kind = if depth == 0 {
                Ok(FolderEntryKind::Folder)
            } else {
                std::fs::symlink_metadata(&path)
                    .map(|metadata| FolderEntryKind::from_file_type(metadata.file_type()))
            };
            match kind {
                Ok(FolderEntryKind::File) => self.add(&path, &relative)?,
                Ok(FolderEntryKind::Folder) if depth > DEPTH_MAX => {
                    self.refused.push((path, format!("nested deeper than {DEPTH_MAX} folders")));
                }
                Ok(FolderEntryKind::Folder) => match self.entries(&path) {
                    Ok(names) => {
                        // Reversed, because the stack pops the last one first.
                        pending.extend(names.into_iter().rev().map(|name| (relative.join(name), depth + 1)));
                    }
                    Err(error) if depth == 0 => {
                        return Err(path_refusal("path_not_readable", &path, &error.to_string()));
                    }
                    Err(error) => self.refused.push((path, error.to_string())),
                },
                Ok(FolderEntryKind::Link) => self.skips.add(SkipReason::Link, &path),
                Ok(FolderEntryKind::Special) => self.skips.add(SkipReason::Special, &path),
                Err(error) => self.refused.push((path, error.to_string())),
            }
        }
        Ok(())
    }

    /// The names in a folder that are not hidden, in sorted order.
    fn entries(&mut self, folder: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                self.skips.add(SkipReason::Hidden, &folder.join(name));
            } else {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn add(&mut self, path: &Path, relative: &Path) -> Result<(), Refusal> {
        if self.files.len() >= FILES_MAX {
            return Err(path_refusal(
                "too_many_files",
                path,
                &format!("more than {FILES_MAX} files; ingest the folder in parts"),
            ));
        }
        let parts: Option<Vec<&str>> = relative.iter().map(std::ffi::OsStr::to_str).collect();
        match parts {
            None => self.refused.push((path.to_owned(), "its name is not UTF-8".to_owned())),
            Some(parts) => match DocumentId::new(&parts.join("/")) {
                Ok(id) => self.files.push(FoundFile { path: path.to_owned(), id }),
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
            match seen.entry(&file.id) {
                Entry::Vacant(place) => {
                    place.insert(&file.path);
                }
                Entry::Occupied(first) if is_same_file(first.get(), &file.path) => repeated.push(index),
                Entry::Occupied(first) => {
                    return Err(Refusal::invalid(
                        "duplicate_document_id",
                        "path",
                        format!(
                            "{} and {} would both be document '{}'; ingest them from a common folder, \
                             or into different collections",
                            first.get().display(),
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

/// Whether both paths lead to the same file. Links are resolved only if the paths differ.
fn is_same_file(first: &Path, second: &Path) -> bool {
    first == second
        || matches!((first.canonicalize(), second.canonicalize()), (Ok(first), Ok(second)) if first == second)
}

enum FolderEntryKind {
    File,
    Folder,
    Link,
    Special,
}

impl FolderEntryKind {
    fn from_file_type(file_type: std::fs::FileType) -> Self {
        if file_type.is_symlink() {
            Self::Link
        } else if file_type.is_dir() {
            Self::Folder
        } else if file_type.is_file() {
            Self::File
        } else {
            Self::Special
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::scan_paths;
    use crate::cli::scratch::ScratchDirectory;

    fn write(root: &Path, name: &str) -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, name).expect("a file");
        path
    }

    fn ids(paths: &[PathBuf]) -> Vec<String> {
        let scan = scan_paths(paths).expect("a scan");
        scan.files.iter().map(|file| file.id.as_str().to_owned()).collect()
    }

    #[test]
    fn folders_are_walked_in_order_without_hidden_files() {
        let scratch = ScratchDirectory::new("scan").expect("scratch");
        for name in ["b.md", "a/z.md", "a/b/c.md", ".git/config", "a/.hidden", "a.md"] {
            write(scratch.path(), name);
        }
        let found = scan_paths(&[scratch.path().to_owned()]).expect("a scan");
        let names: Vec<&str> = found.files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!(names, ["a/b/c.md", "a/z.md", "a.md", "b.md"]);
        assert_eq!(found.skips.total(), 2);
    }

    #[test]
    fn a_file_argument_is_named_by_its_name_even_when_hidden() {
        let scratch = ScratchDirectory::new("scan").expect("scratch");
        let path = write(scratch.path(), "deep/.profile.md");
        assert_eq!(ids(&[path]), [".profile.md"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_inside_folders_are_not_followed() {
        let scratch = ScratchDirectory::new("scan").expect("scratch");
        write(scratch.path(), "a/b.md");
        std::os::unix::fs::symlink(scratch.path(), scratch.path().join("a/loop")).expect("a link");
        let found = scan_paths(&[scratch.path().to_owned()]).expect("a scan");
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.skips.total(), 1);
        assert!(found.skips.lines().next().expect("a line").contains("symbolic link"));
    }

    #[test]
    fn a_file_named_twice_is_one_document() {
        let scratch = ScratchDirectory::new("scan").expect("scratch");
        let path = write(scratch.path(), "a.md");
        assert_eq!(ids(&[scratch.path().to_owned(), path.clone(), path]), ["a.md"]);
    }

    #[test]
    fn different_files_with_one_id_are_refused() {
        let scratch = ScratchDirectory::new("scan").expect("scratch");
        write(scratch.path(), "x/a.md");
        write(scratch.path(), "y/a.md");
        let refusal =
            scan_paths(&[scratch.path().join("x"), scratch.path().join("y")]).expect_err("a refusal");
        assert_eq!(refusal.code, "duplicate_document_id");
    }

    #[test]
    fn a_missing_path_is_refused_by_name() {
        let refusal = scan_paths(&[PathBuf::from("no/such/path")]).expect_err("a refusal");
        assert_eq!(refusal.code, "path_not_found");
        assert!(refusal.message.contains("no/such/path"));
    }
}
