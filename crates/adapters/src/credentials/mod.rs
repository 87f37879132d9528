//! What authorises calls to a provider: a key, a file, a command, or OAuth 2.0.
//!
//! A token that says when it ends is replaced ahead of that, in the background, by one refresh
//! whoever asks; callers go on with the old one until it has ended, and only then wait. After a
//! 401, [`Credential::renew`] gives a newer one. Failed refreshes are repeated with a growing
//! pause, never more often. Nothing here costs a document an attempt for good: whatever stands
//! between us and a token is `Unauthorized`, `Throttled` or `Transient`; only [`open_credential`] refuses for
//! good. Secrets appear in no fault, no `Debug` and no log.
//!
//! [`refreshing`] keeps time and the single flight; the other files know how to get one token.

mod client;
mod command;
mod fault_messages;
mod file;
mod google;
mod key;
mod oauth;
mod refreshing;
mod rotation;
mod secret;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

pub use command::TokenCommand;
pub use google::{ServiceAccount, ServiceAccountKey};
pub use oauth::{ClientSecretPlacement, OAUTH_CALL_MAX_DEFAULT, OAuthClient, TokenRequestEncoding};
pub use secret::{AccessToken, SecretText, TOKEN_BYTES_MAX};

use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::shared_states::SharedStateStore;

/// The configuration of a credential, or what a token endpoint answered, makes no sense.
pub const CREDENTIAL_REJECTED: &str = "credential_rejected";
/// Longest name, in bytes.
pub const CREDENTIAL_NAME_BYTES_MAX: usize = 128;
/// Most bytes of a token's file, of what a command prints, and of a token endpoint's answer.
pub const TOKEN_SOURCE_BYTES_MAX: usize = 64 * 1024;

/// What authorises calls to one provider.
#[async_trait]
pub trait Credential: Send + Sync {
    /// The token to send now. Waits for a refresh only where none is known, or the known one has
    /// expired or was refused.
    async fn token(&self) -> Result<AccessToken, Fault>;

    /// After a 401 for `refused`: a newer token, at once where one is known already, else by one
    /// refresh whoever asks. `Unauthorized` where there is no other token to be had.
    async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, Fault>;
}

/// Where a credential's tokens come from.
#[derive(Debug, Clone)]
pub enum CredentialConfig {
    /// Always the same.
    Key(SecretText),
    /// The text of a file, trimmed; read again when its modification time or length has changed
    /// (looked at once a second at most).
    File(PathBuf),
    /// What a program prints.
    Command(TokenCommand),
    /// RFC 6749, section 4.4.
    ClientCredentials(OAuthClient),
    /// RFC 6749, section 6, beginning with this refresh token; later ones are kept in the shared
    /// states.
    RefreshToken(OAuthClient, SecretText),
    /// RFC 7523 with a key of Google's.
    GoogleServiceAccount(ServiceAccount),
}

/// The credential `name` of this configuration; calls nobody yet. Refuses a configuration that
/// can never work.
pub fn open_credential(
    name: &str,
    config: CredentialConfig,
    states: Arc<dyn SharedStateStore>,
    clock: Arc<dyn WallClock>,
) -> Result<Arc<dyn Credential>, Fault> {
    if name.is_empty() || name.len() > CREDENTIAL_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let why = format!(
            "a credential's name has 1 to {CREDENTIAL_NAME_BYTES_MAX} bytes without control characters"
        );
        return Err(Fault::permanent(CREDENTIAL_REJECTED, why));
    }
    build_credential(name, config, states, clock)
        .map_err(|fault| fault_messages::prefix_credential_name(name, fault))
}

fn build_credential(
    name: &str,
    config: CredentialConfig,
    states: Arc<dyn SharedStateStore>,
    clock: Arc<dyn WallClock>,
) -> Result<Arc<dyn Credential>, Fault> {
    let source: Box<dyn refreshing::TokenSource> = match config {
        CredentialConfig::Key(key) => return Ok(Arc::new(key::StaticKeyCredential::new(name, &key)?)),
        CredentialConfig::File(path) => {
            return Ok(Arc::new(file::FileCredential::new(name, path, clock.clone())));
        }
        CredentialConfig::Command(command) => {
            Box::new(command::CommandTokenSource::new(command, clock.clone())?)
        }
        CredentialConfig::ClientCredentials(oauth) => {
            Box::new(client::ClientCredentialsSource::new(oauth, clock.clone())?)
        }
        CredentialConfig::RefreshToken(oauth, initial) => {
            Box::new(rotation::RefreshTokenSource::new(name, oauth, initial, states, clock.clone())?)
        }
        CredentialConfig::GoogleServiceAccount(account) => {
            Box::new(google::GoogleTokenSource::new(account, clock.clone())?)
        }
    };
    Ok(Arc::new(refreshing::RefreshingCredential::new(name, source, clock)))
}

fn reject_config(why: &str) -> Fault {
    Fault::permanent(CREDENTIAL_REJECTED, why)
}
