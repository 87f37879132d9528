//! Credentials without an expiry: a fixed key, and a token that something else keeps in a file.
//!
//! The file, such as a mounted secret, is checked at most once in [`CHECK_INTERVAL_MS`], and after a 401.
//! It is read when its modification time or length has changed. A file that cannot be read, or holds
//! no token, leaves the known token in use: it may be in the middle of being replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use super::fault_messages::{prefix_credential_name, reject_config};
use super::token::{AccessToken, Credential, SecretText, TOKEN_SOURCE_BYTES_MAX, check_sendable};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// Shortest time between two checks of the file, in ms.
const CHECK_INTERVAL_MS: u64 = 1000;
/// Longest time of one read: the file may be on a network.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// A key that never changes.
pub(super) struct StaticKeyCredential {
    name: String,
    token: AccessToken,
}

impl StaticKeyCredential {
    pub(super) fn new(name: &str, key: &SecretText) -> Result<Self, Fault> {
        let text = check_sendable(key.expose()).map_err(reject_config)?;
        Ok(Self { name: name.to_owned(), token: AccessToken::new(text, 1) })
    }
}

#[async_trait]
impl Credential for StaticKeyCredential {
    async fn token(&self) -> Result<AccessToken, Fault> {
        Ok(self.token.clone())
    }

    async fn renew(&self, _refused: &AccessToken) -> Result<AccessToken, Fault> {
        Err(prefix_credential_name(&self.name, Fault::unauthorized("the key was refused")))
    }
}

/// The token in a file, read again when the file changes.
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
    checked_ms: u64,
}

/// Modification time, where the file system has one, and length.
type FileStamp = (Option<SystemTime>, u64);

impl FileCredential {
    pub(super) fn new(name: &str, path: PathBuf, clock: Arc<dyn WallClock>) -> Self {
        Self { name: name.to_owned(), path, clock, state: Mutex::default() }
    }

    /// Reads the file unless its stamp equals `known`.
    async fn reload(&self, state: &mut FileTokenState, known: Option<FileStamp>) -> Result<(), Fault> {
        state.checked_ms = self.clock.now_ms();
        let late = |_| self.fault("cannot be read in time");
        let read = tokio::time::timeout(READ_TIME_MAX, self.read(known)).await.map_err(late)??;
        let Some((stamp, text)) = read else {
            return Ok(());
        };
        state.stamp = Some(stamp);
        let number = state.token.as_ref().map_or(1, |token| token.number() + 1);
        // A file that was touched but not changed is no new token: `renew` tells them by number.
        if state.token.as_ref().is_none_or(|token| token.expose() != text.expose()) {
            state.token = Some(AccessToken::new(text, number));
        }
        Ok(())
    }

    /// Reads the stamp and the token; `None` if the stamp equals `known`.
    async fn read(&self, known: Option<FileStamp>) -> Result<Option<(FileStamp, SecretText)>, Fault> {
        let unreadable = |error: std::io::Error| self.fault(&format!("cannot be read: {error}"));
        let file = tokio::fs::File::open(&self.path).await.map_err(unreadable)?;
        // The stamp is read before the text: a write in between changes it and is seen next time.
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
        prefix_credential_name(&self.name, Fault::unauthorized(format!("{} {why}", self.path.display())))
    }
}

#[async_trait]
impl Credential for FileCredential {
    async fn token(&self) -> Result<AccessToken, Fault> {
        // Held while the file is read, so that concurrent callers wait for one read.
        let mut state = self.state.lock().await;
        // A clock that was set back is outside the range, too, and makes the check happen now.
        let checked = state.checked_ms..state.checked_ms.saturating_add(CHECK_INTERVAL_MS);
        if state.token.is_none() || !checked.contains(&self.clock.now_ms()) {
            let known = state.stamp;
            if let Err(fault) = self.reload(&mut state, known).await {
                if state.token.is_none() {
                    return Err(fault);
                }
                tracing::warn!(%fault, "cannot reload the token file; keeping the previous token");
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
        // Whatever the stamp says: two writes within the clock's resolution have the same one.
        self.reload(&mut state, None).await?;
        newer(&state).ok_or_else(|| self.fault("holds no other token than the one that was refused"))
    }
}
