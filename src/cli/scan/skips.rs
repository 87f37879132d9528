//! What a walk leaves out, counted.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Why an entry of a folder was skipped. Not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SkipReason {
    /// Its name begins with a dot.
    Hidden,
    /// An ignore file, or an option, leaves it out.
    Ignored,
    /// A symbolic link.
    Link,
    /// Neither a file nor a folder.
    Special,
    /// A file without a single byte.
    Empty,
    /// A type that is not read.
    UnreadType,
    /// The program's own data.
    DataDirectory,
}

impl SkipReason {
    fn noun(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Ignored => "ignored",
            Self::Link => "symbolic link",
            Self::Special => "not a file",
            Self::Empty => "empty",
            Self::UnreadType => "of a type that is not read",
            Self::DataDirectory => "the data directory",
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

/// Whether a path leads to this folder, which is given without links.
pub(super) fn leads_to(path: &Path, folder: &Path) -> bool {
    // Most paths have another name, and cost no call.
    path.file_name() == folder.file_name() && path.canonicalize().is_ok_and(|place| place == folder)
}

/// The folders that a walk went through, and the names that it saw there.
#[derive(Default)]
pub(super) struct FolderListing {
    folders: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
}

impl FolderListing {
    pub(super) fn visit(&mut self, folder: &Path) {
        self.folders.push(folder.to_owned());
    }

    pub(super) fn saw(&mut self, path: &Path) {
        self.seen.insert(path.to_owned());
    }

    /// Counts what the walk left out: it does not say so itself.
    pub(super) fn count_left_out(self, data_directory: Option<&Path>, skips: &mut SkippedEntries) {
        for folder in &self.folders {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
            names.sort_unstable();
            for name in names {
                let path = folder.join(&name);
                if self.seen.contains(&path) {
                    continue;
                }
                let reason = if data_directory.is_some_and(|data| leads_to(&path, data)) {
                    SkipReason::DataDirectory
                } else if name.as_encoded_bytes().starts_with(b".") {
                    SkipReason::Hidden
                } else {
                    SkipReason::Ignored
                };
                skips.add(reason, &path);
            }
        }
    }
}
