//! A token that somebody else keeps in a file, such as a mounted secret.
//!
//! The file is looked at once in [`CHECK_INTERVAL_MS`] at most and read when its modification time or its
//! length differs, also after a 401. A file that cannot be read, or holds no token, leaves the
//! known one in use: it may be in the middle of being replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use super::secret::check_sendable;
use super::{AccessToken, Credential, SecretText, TOKEN_SOURCE_BYTES_MAX, fault_messages};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// The file is not looked at more often, in ms.
const CHECK_INTERVAL_MS: u64 = 1000;
/// Longest time that reading takes: the file may be on a network.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// The token in a file.
pub(super) struct FileCredential {
    name: String,
    path: PathBuf,
    clock: Arc<dyn WallClock>,
    state: Mutex<FileTokenState>,
}

#[derive(Default)]
struct FileTokenState {
    token: Option<AccessToken>,
    stamp: Option<FileStamp>,
    looked_ms: u64,
}

type FileStamp = (Option<SystemTime>, u64);

impl FileCredential {
    pub(super) fn new(name: &str, path: PathBuf, clock: Arc<dyn WallClock>) -> Self {
        Self { name: name.to_owned(), path, clock, state: Mutex::default() }
    }

    /// Reads the file unless its stamp is the known one.
    async fn look(&self, state: &mut FileTokenState, known: Option<FileStamp>) -> Result<(), Fault> {
        state.looked_ms = self.clock.now_ms();
        let late = |_| self.fault("cannot be read in time");
        let read = tokio::time::timeout(READ_TIME_MAX, self.read(known)).await.map_err(late)??;
        let Some((stamp, text)) = read else {
            return Ok(());
        };
        state.stamp = Some(stamp);
        let number = state.token.as_ref().map_or(1, |token| token.number() + 1);
        if state.token.as_ref().is_none_or(|token| token.expose() != text.expose()) {
            state.token = Some(AccessToken::new(text, number));
        }
        Ok(())
    }

    /// The stamp is older than the text, so that what is written in between is found next time.
    async fn read(&self, known: Option<FileStamp>) -> Result<Option<(FileStamp, SecretText)>, Fault> {
        let unreadable = |error: std::io::Error| self.fault(&format!("cannot be read: {error}"));
        let file = tokio::fs::File::open(&self.path).await.map_err(unreadable)?;
        let metadata = file.metadata().await.map_err(unreadable)?;
        let stamp = (metadata.modified().ok(), metadata.len());
        if known == Some(stamp) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let bytes_max = TOKEN_SOURCE_BYTES_MAX as u64;
        file.take(bytes_max + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| self.fault("is not text"))?;
        let text = check_sendable(text.trim()).map_err(|why| self.fault(&format!("is of no use: {why}")))?;
        Ok(Some((stamp, text)))
    }

    fn fault(&self, why: &str) -> Fault {
        fault_messages::prefix_credential_name(
            &self.name,
            Fault::Unauthorized(format!("{} {why}", self.path.display())),
        )
    }
}

#[async_trait]
impl Credential for FileCredential {
    async fn token(&self) -> Result<AccessToken, Fault> {
        let mut state = self.state.lock().await;
        let looked = state.looked_ms..state.looked_ms.saturating_add(CHECK_INTERVAL_MS);
        if state.token.is_none() || !looked.contains(&self.clock.now_ms()) {
            let known = state.stamp;
            if let Err(fault) = self.look(&mut state, known).await {
                if state.token.is_none() {
                    return Err(fault);
                }
                tracing::warn!(%fault, "the token read before stays in use");
            }
        }
        state.token.clone().ok_or_else(|| self.fault("holds no token"))
    }

    async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, Fault> {
        let mut state = self.state.lock().await;
        let newer =
            |state: &FileTokenState| state.token.clone().filter(|token| token.number() > refused.number());
        if let Some(token) = newer(&state) {
            return Ok(token);
        }
        self.look(&mut state, None).await?;
        newer(&state).ok_or_else(|| self.fault("holds no other token than the one that was refused"))
    }
}
