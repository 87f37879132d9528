//! Where the paths of the command line are, and the folder that ids begin at.

use std::path::{Path, PathBuf};

use super::{ScanOptions, path_refusal};
use contexture_core::fault::Refusal;

/// A path of the command line.
pub(super) struct ScanArgument {
    /// As it was written.
    pub(super) path: PathBuf,
    /// Where it is, without links and dots; of a file the folder is, and its name stays.
    pub(super) place: PathBuf,
    pub(super) is_folder: bool,
}

impl ScanArgument {
    pub(super) fn new(path: &Path) -> Result<Self, Refusal> {
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => path_refusal("path_not_found", path, "does not exist"),
            _ => path_refusal("path_not_readable", path, &error.to_string()),
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        let is_folder = metadata.is_dir();
        if !is_folder && !metadata.is_file() {
            return Err(path_refusal("path_not_a_file", path, "is neither a file nor a folder"));
        }
        let place = if is_folder {
            path.canonicalize().map_err(unreadable)?
        } else {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().map_err(unreadable)?;
            folder.join(path.file_name().unwrap_or_default())
        };
        Ok(Self { path: path.to_owned(), place, is_folder })
    }

    fn folder(&self) -> &Path {
        if self.is_folder { &self.place } else { self.place.parent().unwrap_or(&self.place) }
    }
}

/// The folder that ids begin at.
pub(super) fn scan_root(arguments: &[ScanArgument], options: &ScanOptions) -> Result<PathBuf, Refusal> {
    if let Some(root) = &options.root {
        let why = |error: std::io::Error| path_refusal("path_not_found", root, &error.to_string());
        return root.canonicalize().map_err(why);
    }
    let mut common = arguments.first().map_or_else(PathBuf::new, |first| first.folder().to_owned());
    for argument in arguments {
        while !argument.folder().starts_with(&common) {
            common.pop();
        }
    }
    // The innermost one that contains it all: of nested sources the nearer one knows these documents.
    let known = options.known_roots.iter().filter(|known| common.starts_with(known));
    Ok(known.max_by_key(|known| known.as_os_str().len()).cloned().unwrap_or(common))
}
