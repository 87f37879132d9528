//! Closes generations that are dropped, and deletes their files and vectors.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::backends;
use super::{CollectionStoreCatalog, IndexAccessMode};
use contexture_core::fault::Fault;
use contexture_core::ports::catalog::OpenCollection;
use contexture_core::ports::ledger::CollectionRecord;

/// How long a drop waits for stages and queries that are still at work with what is dropped.
const READERS_WAIT_MAX: Duration = Duration::from_secs(2);
/// Interval at which it is checked whether queries still read.
const READERS_POLL_INTERVAL: Duration = Duration::from_millis(10);

impl CollectionStoreCatalog {
    /// Closes generations of dropped collections, whether they serve or not, and deletes what they stored.
    pub(super) async fn close_and_delete(
        &self,
        homes: &[CollectionRecord],
        shared: bool,
    ) -> Result<(), Fault> {
        let mut closed = Vec::new();
        {
            let mut opened = self.open.write().await;
            for home in homes {
                if opened.serving.get(&home.key).is_some_and(|open| open.record.generation == home.generation)
                {
                    opened.serving.remove(&home.key);
                }
                closed.extend(opened.generations.remove(&(home.key.clone(), home.generation)));
            }
        }
        for home in homes.iter().filter(|_| shared) {
            backends::remove_vectors(self.server.as_ref(), &self.prefix, home).await?;
        }
        if !self.writes_indexes() {
            return Ok(());
        }
        let directories = homes.iter().map(|home| self.directory(home)).collect();
        if !are_free_in_time(&closed).await {
            // A stage or a query is at work with them. Their engines write and read until they are done, so
            // the files stay, and housekeeping comes back.
            let mut opened = self.open.write().await;
            for open in closed {
                let key = (open.record.key.clone(), open.record.generation);
                opened.generations.insert(key, open);
            }
            return Err(Fault::transient("a dropped generation is still in use"));
        }
        delete_files(closed, directories, Some(self.root.clone())).await
    }

    /// Whether the files of the indexes are this process's to delete.
    pub(super) fn writes_indexes(&self) -> bool {
        matches!(self.mode, IndexAccessMode::Written | IndexAccessMode::Followed)
    }
}

/// Waits for a bounded time until nobody else holds these generations; tells whether that is so.
async fn are_free_in_time(closed: &[Arc<OpenCollection>]) -> bool {
    let is_free = || closed.iter().all(|open| Arc::strong_count(open) == 1);
    let until_free = async {
        while !is_free() {
            tokio::time::sleep(READERS_POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(READERS_WAIT_MAX, until_free).await.is_ok()
}

/// Closes generations and deletes their directories; below `root` also the folders that are empty then.
pub(super) async fn delete_files(
    closed: Vec<Arc<OpenCollection>>,
    directories: Vec<PathBuf>,
    root: Option<PathBuf>,
) -> Result<(), Fault> {
    let delete = move || {
        // Closing joins threads, so it happens on this blocking thread. The files must be closed before
        // they are deleted.
        drop(closed);
        for directory in directories {
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Fault::transient_error(
                        "removing the directory of a dropped generation",
                        error,
                    ));
                }
                _ => {}
            }
            if let Some(root) = &root {
                remove_empty_parents(&directory, root);
            }
        }
        Ok(())
    };
    tokio::task::spawn_blocking(delete)
        .await
        .map_err(|error| Fault::transient_error("removing a generation", error))?
}

/// Removes the folders of a collection and of a tenant that nothing is left in.
fn remove_empty_parents(directory: &Path, root: &Path) {
    for parent in directory.ancestors().skip(1).take_while(|parent| *parent != root) {
        // Fails where something is left, which is why it is tried.
        if std::fs::remove_dir(parent).is_err() {
            return;
        }
    }
}
