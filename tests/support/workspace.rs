//! Where the workspace is, whichever of its crates is tested.

use std::path::{Path, PathBuf};

/// A file of the workspace, by its path from the root.
pub(crate) fn workspace_file(path: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.expect("a crate of the workspace").join(path)
}
