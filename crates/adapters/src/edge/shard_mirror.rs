//! A copy of a shard's directory that the engine may open while another process writes the original.
//!
//! The engine opens nothing read-only: it makes a log, repairs what it finds, and flushes when it closes.
//! So a reader gets a directory of its own, among the temporary files of the system. Small files are
//! copied. The large ones are linked: vectors, payloads and graphs. Their bytes are written by inserting
//! points only, which never happens here, and once a point is flushed they do not change until it is
//! deleted.
//!
//! The copy need not be of one instant. A chunk is committed after its point was flushed, so the copy has
//! every point that was committed before it was begun, unless the point was deleted meanwhile. What a copy
//! caught in between the engine drops or repairs. If it cannot, it is copied again.

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use qdrant_edge::{EdgeConfig, EdgeShard, WalOptions};
use tempfile::TempDir;

use super::conversions::engine_fault;
use contexture_core::fault::Fault;

/// Attempts to copy and open a shard that is being written.
const OPEN_ATTEMPTS_MAX: usize = 5;
/// Size of the log of a mirror, which stays empty.
const WAL_SEGMENT_BYTES: usize = 1 << 20;
/// Bytes that are copied at once.
const COPIED_BLOCK_BYTES: usize = 64 * 1024;
/// Folders of a shard that a mirror does without: the log, which is not replayed, and unfinished segments.
const FOLDERS_LEFT_OUT: [&str; 2] = ["wal", "temp_segments"];
/// The file that every shard has.
pub(super) const CONFIG_FILE: &str = "edge_config.json";

/// The files of a shard that change with its points, with sizes and times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShardStamp(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// A mirror, open. Its directory goes with it.
pub(super) struct ShardMirror {
    pub(super) shard: EdgeShard,
    pub(super) stamp: ShardStamp,
    // Declared last: the shard closes before its directory goes.
    _directory: TempDir,
}

impl ShardMirror {
    /// Mirrors the shard in a directory; none where there is none yet.
    pub(super) fn open(original: &Path) -> Result<Option<Self>, Fault> {
        let mut last = None;
        for _ in 0..OPEN_ATTEMPTS_MAX {
            let opened = catch_unwind(AssertUnwindSafe(|| Self::try_open(original)));
            match opened.unwrap_or_else(|_| Err(Fault::transient("vectors: the engine panicked"))) {
                Ok(opened) => return Ok(opened),
                Err(fault) => last = Some(fault),
            }
        }
        Err(last.unwrap_or_else(|| Fault::transient("vectors: they cannot be mirrored")))
    }

    fn try_open(original: &Path) -> Result<Option<Self>, Fault> {
        if !original.join(CONFIG_FILE).exists() {
            return Ok(None);
        }
        // Before the copy: what changes meanwhile makes the stamp too old, never too new.
        let stamp = ShardStamp::read(original)?;
        let directory =
            tempfile::Builder::new().prefix("contexture-vectors-").tempdir().map_err(mirror_fault)?;
        mirror_folder(original, original, directory.path()).map_err(mirror_fault)?;
        let mut config = match EdgeConfig::load(directory.path()) {
            Some(config) => config.map_err(engine_fault)?,
            None => return Ok(None),
        };
        config.wal_options =
            Some(WalOptions { segment_capacity: WAL_SEGMENT_BYTES, ..WalOptions::default() });
        let shard = EdgeShard::load(directory.path(), Some(config)).map_err(engine_fault)?;
        Ok(Some(Self { shard, stamp, _directory: directory }))
    }
}

impl ShardStamp {
    /// Reads the stamp of a shard.
    pub(super) fn read(original: &Path) -> Result<Self, Fault> {
        let mut files = Vec::new();
        list_files(original, original, &mut files).map_err(mirror_fault)?;
        files.sort_unstable();
        Ok(Self(files))
    }
}

fn list_files(
    root: &Path,
    folder: &Path,
    files: &mut Vec<(PathBuf, u64, Option<SystemTime>)>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Files of the writer come and go: one that is gone by now is not in the stamp.
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            if !is_left_out(root, &path) {
                list_files(root, &path, files)?;
            }
        } else if !is_linked(&path) {
            files.push((path, metadata.len(), metadata.modified().ok()));
        }
    }
    Ok(())
}

fn mirror_folder(root: &Path, from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, mirrored) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if !is_left_out(root, &path) {
                fs::create_dir(&mirrored)?;
                mirror_folder(root, &path, &mirrored)?;
            }
        } else if is_linked(&path) {
            link_file(&path, &mirrored)?;
        } else {
            fs::copy(&path, &mirrored)?;
        }
    }
    Ok(())
}

fn is_left_out(root: &Path, folder: &Path) -> bool {
    FOLDERS_LEFT_OUT.iter().any(|name| folder == root.join(name))
}

/// Whether a file is large and written by inserting points only, in this version of the engine.
fn is_linked(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    (name.starts_with("chunk_") && extension == "mmap")
        || (name.starts_with("page_") && extension == "dat")
        || (name.starts_with("links") && extension == "bin")
        || ["matrix.dat", "graph.bin"].contains(&name)
}

/// Makes a large file appear in the mirror: by its own name where both are on one file system.
fn link_file(original: &Path, mirrored: &Path) -> std::io::Result<()> {
    match fs::hard_link(original, mirrored) {
        Err(error) if error.kind() != ErrorKind::NotFound => {}
        linked => return linked,
    }
    // The engine lists pages of payloads, and passes over symbolic links.
    let is_page = original.extension().is_some_and(|extension| extension == "dat")
        && original.file_name().is_some_and(|name| name.to_string_lossy().starts_with("page_"));
    if is_page { copy_sparse(original, mirrored) } else { link_symbolically(original, mirrored) }
}

#[cfg(unix)]
fn link_symbolically(original: &Path, mirrored: &Path) -> std::io::Result<()> {
    // From the root, because the link stands elsewhere.
    std::os::unix::fs::symlink(std::path::absolute(original)?, mirrored)
}

#[cfg(not(unix))]
fn link_symbolically(original: &Path, mirrored: &Path) -> std::io::Result<()> {
    fs::copy(original, mirrored).map(drop)
}

/// Copies a file and leaves out blocks of zeros: a page is mostly empty, and has its full size at once.
fn copy_sparse(original: &Path, mirrored: &Path) -> std::io::Result<()> {
    let (mut from, mut to) = (fs::File::open(original)?, fs::File::create(mirrored)?);
    let mut block = vec![0; COPIED_BLOCK_BYTES];
    let mut copied = 0;
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            return to.set_len(copied);
        }
        if block[..read].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(copied))?;
            to.write_all(&block[..read])?;
        }
        copied += read as u64;
    }
}

fn mirror_fault(error: std::io::Error) -> Fault {
    Fault::transient_error("vectors: mirroring the shard", error)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use super::{COPIED_BLOCK_BYTES, copy_sparse};

    #[test]
    fn sparse_copies_are_equal_and_keep_their_length() {
        let directory = tempfile::tempdir().unwrap();
        let (original, mirrored) = (directory.path().join("page_0.dat"), directory.path().join("copy"));
        for length in [0, 1, COPIED_BLOCK_BYTES, 3 * COPIED_BLOCK_BYTES + 5] {
            let mut bytes = vec![0_u8; length];
            for place in [0, COPIED_BLOCK_BYTES + 7] {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = 9;
                }
            }
            std::fs::write(&original, &bytes).unwrap();
            copy_sparse(&original, &mirrored).unwrap();
            assert_eq!(std::fs::read(&mirrored).unwrap(), bytes, "{length}");
        }
    }
}
