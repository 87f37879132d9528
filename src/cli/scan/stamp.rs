//! What tells that a file has not changed.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cli::sidecar::SIDECAR_ENDING;

/// A file that changed this shortly before it was looked at may change again within the resolution of its time.
const SETTLED_AGE_MIN: Duration = Duration::from_secs(2);

/// Size and time of a file, and of its sidecar.
pub(super) fn file_stamp(
    path: &Path,
    metadata: &std::fs::Metadata,
    may_have_sidecar: bool,
) -> Option<String> {
    let own = settled_stamp(metadata)?;
    if !may_have_sidecar {
        return Some(own);
    }
    let mut sidecar = path.as_os_str().to_owned();
    sidecar.push(SIDECAR_ENDING);
    match std::fs::metadata(sidecar) {
        Ok(sidecar) => Some(format!("{own}+{}", settled_stamp(&sidecar)?)),
        Err(_) => Some(own),
    }
}

#[expect(clippy::disallowed_methods, reason = "the times of files are the system's")]
fn settled_stamp(metadata: &std::fs::Metadata) -> Option<String> {
    let changed = metadata.modified().ok()?;
    // A time in the future has no age, and says nothing.
    if SystemTime::now().duration_since(changed).ok()? < SETTLED_AGE_MIN {
        return None;
    }
    let since_epoch = changed.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}-{}", metadata.len(), since_epoch.as_nanos()))
}
