//! A temporary directory of one command. Dropping it removes it.

use std::path::{Path, PathBuf};

use contexture_core::fault::{Refusal, RefusalKind};

/// Maximum names to try.
const ATTEMPTS_MAX: u32 = 100;

/// A temporary directory that only this process uses.
#[derive(Debug)]
pub(crate) struct ScratchDirectory(PathBuf);

impl ScratchDirectory {
    /// Creates an empty directory that only the current user can read.
    pub(crate) fn new(purpose: &str) -> Result<Self, Refusal> {
        let refuse =
            |why: String| Err(Refusal::new(RefusalKind::Unavailable, "no_temporary_directory", "", why));
        let parent = std::env::temp_dir();
        // The process id is not unique enough: one command may need several directories, and an earlier process
        // with this id may have left some.
        for attempt in 0..ATTEMPTS_MAX {
            let path = parent.join(format!("contexture-{purpose}-{}-{attempt}", std::process::id()));
            // `create` fails on an existing name, also on a link that somebody else put there. So the
            // directory is always our own.
            match create_private(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return refuse(format!("cannot create {}: {error}", path.display())),
            }
        }
        refuse(format!("{} holds {ATTEMPTS_MAX} directories of ours already", parent.display()))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // An error is ignored: what is left stays in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::ScratchDirectory;

    #[test]
    fn a_scratch_directory_is_its_own_and_goes_away() {
        let first = ScratchDirectory::new("test").expect("a temporary directory");
        let second = ScratchDirectory::new("test").expect("another");
        assert_ne!(first.path(), second.path());
        let path = first.path().to_owned();
        std::fs::write(path.join("file"), "text").expect("writable");
        drop(first);
        assert!(!path.exists());
        assert!(second.path().is_dir());
    }
}
