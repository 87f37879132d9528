//! What authorises calls to a provider: a key, a file, a command, or OAuth 2.0.
//!
//! A token that says when it ends is replaced ahead of that, in the background, by one refresh
//! whoever asks; callers go on with the old one until it has ended, and only then wait. After a
//! 401, [`Credential::renew`] gives a newer one. Failed refreshes are repeated with a growing
//! pause, never more often. Nothing here costs a document an attempt for good: whatever stands
//! between us and a token is `Unauthorized`, `Throttled` or `Transient`; only [`open`] refuses for
//! good. Secrets appear in no fault, no `Debug` and no log.
//!
//! [`cycle`] keeps time and the single flight; the other files know how to get one token.

mod client;
mod command;
mod cycle;
mod file;
mod google;
mod key;
mod oauth;
mod rotation;
mod secret;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

pub use command::Command;
pub use google::{ServiceAccount, ServiceAccountKey};
pub use oauth::{CALL_MAX_DEFAULT, ClientAuth, Encoding, OAuth};
pub use secret::{Secret, TOKEN_BYTES_MAX, Token};

use crate::fault::Fault;
use crate::ports::clock::Clock;
use crate::ports::states::SharedStates;

/// The configuration of a credential, or what a token endpoint answered, makes no sense.
pub const REJECTED: &str = "credential_rejected";
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Most bytes of a token's file, of what a command prints, and of a token endpoint's answer.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;

/// What authorises calls to one provider.
#[async_trait]
pub trait Credential: Send + Sync {
    /// The token to send now. Waits for a refresh only where none is known, or the known one has
    /// expired or was refused.
    async fn token(&self) -> Result<Token, Fault>;

    /// After a 401 for `refused`: a newer token, at once where one is known already, else by one
    /// refresh whoever asks. `Unauthorized` where there is no other token to be had.
    async fn renew(&self, refused: &Token) -> Result<Token, Fault>;
}

/// Where a credential's tokens come from.
#[derive(Debug, Clone)]
pub enum CredentialConfig {
    /// Always the same.
    Key(Secret),
    /// The text of a file, trimmed; read again when its modification time or length has changed
    /// (looked at once a second at most).
    File(PathBuf),
    /// What a program prints.
    Command(Command),
    /// RFC 6749, section 4.4.
    ClientCredentials(OAuth),
    /// RFC 6749, section 6, beginning with this refresh token; later ones are kept in the shared
    /// states.
    RefreshToken(OAuth, Secret),
    /// RFC 7523 with a key of Google's.
    GoogleServiceAccount(ServiceAccount),
}

/// The credential `name` of this configuration; calls nobody yet. Refuses a configuration that
/// can never work.
pub fn open(
    name: &str,
    config: CredentialConfig,
    states: Arc<dyn SharedStates>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Credential>, Fault> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let why = format!("a credential's name has 1 to {NAME_BYTES_MAX} bytes without control characters");
        return Err(Fault::permanent(REJECTED, why));
    }
    source(name, config, states, clock).map_err(|fault| words::named(name, fault))
}

fn source(
    name: &str,
    config: CredentialConfig,
    states: Arc<dyn SharedStates>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Credential>, Fault> {
    let source: Box<dyn cycle::Source> = match config {
        CredentialConfig::Key(key) => return Ok(Arc::new(key::Key::new(name, &key)?)),
        CredentialConfig::File(path) => return Ok(Arc::new(file::FileToken::new(name, path, clock.clone()))),
        CredentialConfig::Command(command) => Box::new(command::Printed::new(command, clock.clone())?),
        CredentialConfig::ClientCredentials(oauth) => {
            Box::new(client::ClientCredentials::new(oauth, clock.clone())?)
        }
        CredentialConfig::RefreshToken(oauth, initial) => {
            Box::new(rotation::Rotation::new(name, oauth, initial, states, clock.clone())?)
        }
        CredentialConfig::GoogleServiceAccount(account) => {
            Box::new(google::Google::new(account, clock.clone())?)
        }
    };
    Ok(Arc::new(cycle::Cycle::new(name, source, clock)))
}

fn refuse(why: &str) -> Fault {
    Fault::permanent(REJECTED, why)
}
