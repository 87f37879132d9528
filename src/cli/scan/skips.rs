//! What a walk leaves out, counted.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::cli::sidecar::SIDECAR_ENDING;

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

/// The folders that a walk is in, outermost first, with what it has not come to yet: a walk does not say what it
/// leaves out, so each folder is listed once more.
#[derive(Default)]
pub(super) struct FolderListing {
    open: Vec<ListedFolder>,
}

/// A folder that a walk is in.
struct ListedFolder {
    depth: usize,
    path: PathBuf,
    /// Names that the walk has not come to, in the order in which it comes to them.
    left: std::iter::Peekable<std::vec::IntoIter<OsString>>,
    /// Whether one of its files is a sidecar.
    has_sidecars: bool,
}

impl FolderListing {
    /// Opens a folder that the walk entered, at this depth.
    pub(super) fn enter(&mut self, folder: &Path, depth: usize) {
        let entries = std::fs::read_dir(folder);
        let mut names: Vec<OsString> =
            entries.map(|found| found.flatten().map(|entry| entry.file_name()).collect()).unwrap_or_default();
        names.sort_unstable();
        let ending = SIDECAR_ENDING.as_bytes();
        let has_sidecars = names.iter().any(|name| name.as_encoded_bytes().ends_with(ending));
        let (path, left) = (folder.to_owned(), names.into_iter().peekable());
        self.open.push(ListedFolder { depth, path, left, has_sidecars });
    }

    /// Notes an entry that the walk came to, at this depth, and counts what it left out before. Returns whether the
    /// entry may have a sidecar.
    pub(super) fn saw(
        &mut self,
        name: &OsStr,
        depth: usize,
        data_directory: Option<&Path>,
        skips: &mut SkippedEntries,
    ) -> bool {
        while let Some(folder) = self.open.pop_if(|folder| folder.depth >= depth) {
            folder.count_left_out(data_directory, skips);
        }
        let Some(folder) = self.open.last_mut() else { return true };
        while let Some(earlier) = folder.left.next_if(|next| next.as_os_str() < name) {
            count_left_out(&folder.path, &earlier, data_directory, skips);
        }
        folder.left.next_if(|next| next == name);
        folder.has_sidecars
    }

    /// Counts what is left of all folders.
    pub(super) fn finish(self, data_directory: Option<&Path>, skips: &mut SkippedEntries) {
        for folder in self.open.into_iter().rev() {
            folder.count_left_out(data_directory, skips);
        }
    }
}

impl ListedFolder {
    fn count_left_out(self, data_directory: Option<&Path>, skips: &mut SkippedEntries) {
        for name in self.left {
            count_left_out(&self.path, &name, data_directory, skips);
        }
    }
}

fn count_left_out(folder: &Path, name: &OsStr, data_directory: Option<&Path>, skips: &mut SkippedEntries) {
    let path = folder.join(name);
    let reason = if data_directory.is_some_and(|data| leads_to(&path, data)) {
        SkipReason::DataDirectory
    } else if name.as_encoded_bytes().starts_with(b".") {
        SkipReason::Hidden
    } else {
        SkipReason::Ignored
    };
    skips.add(reason, &path);
}
