//! A set of files with known texts.
//!
//! The known text of `NAME.EXT` is `NAME.EXT.md` or `NAME.EXT.txt`, in UTF-8, beside the file or at the same place of
//! another folder. A file without one is read, too, but its text is not judged. Names that begin with a dot are left
//! out, and symbolic links are not followed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use contexture_core::fault::Refusal;

/// Most files of a set.
const FILES_MAX: usize = 100_000;
/// Deepest nesting of folders.
const DEPTH_MAX: usize = 32;
/// What the name of a file is extended by to name that of its text.
const TEXT_ENDINGS: [&str; 2] = ["md", "txt"];

/// A set of files with known texts.
#[derive(Debug)]
pub(super) struct ExtractionSet {
    folder: PathBuf,
    pub(super) files: Vec<ExtractionFile>,
}

/// A file of a set.
#[derive(Debug)]
pub(super) struct ExtractionFile {
    /// Its path below the folder, with `/` between the parts.
    pub(super) name: String,
    /// Where its known text is.
    truth: Option<PathBuf>,
}

impl ExtractionSet {
    /// Lists the files of a folder, and finds their known texts there or in another one.
    pub(super) fn find(folder: &Path, truths: Option<&Path>) -> Result<Self, Refusal> {
        check_folder(folder, "dataset")?;
        if let Some(truths) = truths {
            check_folder(truths, "truth")?;
        }
        let mut names = BTreeSet::new();
        list(folder, "", 0, &mut names)?;
        let beside = truths.unwrap_or(folder);
        let is_text = |name: &String| {
            let stem = name.rsplit_once('.').filter(|(_, ending)| TEXT_ENDINGS.contains(ending));
            truths.is_none() && stem.is_some_and(|(stem, _)| names.contains(stem))
        };
        let files: Vec<ExtractionFile> = names
            .iter()
            .filter(|name| !is_text(name))
            .map(|name| ExtractionFile { name: name.clone(), truth: text_of(beside, name) })
            .collect();
        if !files.iter().any(|file| file.truth.is_some()) {
            let message = format!(
                "{}: no file has its known text in {}: that of report.pdf is report.pdf.md or report.pdf.txt",
                folder.display(),
                beside.display()
            );
            return Err(Refusal::invalid("invalid_dataset", "dataset", message));
        }
        Ok(Self { folder: folder.to_owned(), files })
    }

    /// The bytes of a file.
    pub(super) fn read(&self, file: &ExtractionFile) -> Result<Vec<u8>, Refusal> {
        let path = self.folder.join(&file.name);
        fs::read(&path).map_err(|error| unreadable(&path, &error))
    }
}

impl ExtractionFile {
    /// What its text should be.
    pub(super) fn truth(&self) -> Result<Option<String>, Refusal> {
        let read = |path: &PathBuf| fs::read_to_string(path).map_err(|error| unreadable(path, &error));
        self.truth.as_ref().map(read).transpose()
    }

    /// Its ending, in lower case.
    pub(super) fn ending(&self) -> String {
        let name = self.name.rsplit('/').next().unwrap_or(&self.name);
        name.rsplit_once('.').map_or_else(|| "none".to_owned(), |(_, ending)| ending.to_lowercase())
    }
}

/// The file with the text of another, in this folder.
pub(super) fn text_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let named = |ending: &str| folder.join(format!("{name}.{ending}"));
    TEXT_ENDINGS.into_iter().map(named).find(|path| path.is_file())
}

/// Refuses what is no folder.
pub(super) fn check_folder(folder: &Path, option: &'static str) -> Result<(), Refusal> {
    if folder.is_dir() {
        return Ok(());
    }
    let message = format!("--{option} {}: there is no such folder", folder.display());
    Err(Refusal::invalid("invalid_dataset", option, message))
}

fn list(folder: &Path, below: &str, depth: usize, names: &mut BTreeSet<String>) -> Result<(), Refusal> {
    let too_much = |what: String| Refusal::invalid("invalid_dataset", "dataset", what);
    if depth > DEPTH_MAX {
        return Err(too_much(format!("{}: more than {DEPTH_MAX} folders deep", folder.display())));
    }
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|name| {
            too_much(format!("{}: the name {} is not UTF-8", folder.display(), name.display()))
        })?;
        let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
        if name.starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            list(&path, &format!("{below}{name}/"), depth + 1, names)?;
        } else if kind.is_file() {
            names.insert(format!("{below}{name}"));
        }
        if names.len() > FILES_MAX {
            return Err(too_much(format!("{}: more than {FILES_MAX} files", folder.display())));
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::invalid("invalid_dataset", "dataset", format!("{}: {error}", path.display()))
}
