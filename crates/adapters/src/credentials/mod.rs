//! Credentials that authorise calls to a provider: a key, a file, a command, or OAuth 2.0.
//!
//! A token that names its expiry is replaced ahead of it, in the background, by one refresh for all
//! callers. Callers keep the old token until it has expired, and only then wait. After a 401,
//! [`Credential::renew`] returns a newer one. Failed refreshes are repeated with a growing pause, never
//! more often.
//!
//! No failure here makes a document fail for good: whatever keeps us from a token is `Unauthorized`,
//! `Throttled` or `Transient`. Only [`open_credential`] returns permanent faults. No fault, `Debug`
//! output or log contains a secret.
//!
//! [`refreshing`] decides when to refresh and shares one refresh among callers; the other files know
//! how to get one token.

mod command;
mod fault_messages;
mod google;
mod key_or_file;
mod oauth;
mod refreshing;
mod rotation;
mod token;

use std::path::PathBuf;
use std::sync::Arc;

pub use command::TokenCommand;
pub use fault_messages::CREDENTIAL_REJECTED;
pub use google::{ServiceAccount, ServiceAccountKey};
pub use oauth::{ClientSecretPlacement, OAUTH_CALL_MAX_DEFAULT, OAuthClient, TokenRequestEncoding};
pub use token::{AccessToken, Credential, SecretText, TOKEN_BYTES_MAX, TOKEN_SOURCE_BYTES_MAX};

use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::shared_states::SharedStateStore;

/// Longest name of a credential, in bytes.
pub const CREDENTIAL_NAME_BYTES_MAX: usize = 128;

/// Where a credential's tokens come from.
#[derive(Debug, Clone)]
pub enum CredentialConfig {
    /// A fixed key.
    Key(SecretText),
    /// The trimmed text of a file. It is read again when its modification time or length has changed,
    /// which is checked at most once a second.
    File(PathBuf),
    /// The output of a program.
    Command(TokenCommand),
    /// Client credentials grant: RFC 6749, section 4.4.
    ClientCredentials(OAuthClient),
    /// Refresh token grant: RFC 6749, section 6. The given token is the first; later ones are kept in
    /// the shared states.
    RefreshToken(OAuthClient, SecretText),
    /// JWT bearer grant: RFC 7523, with a Google service account's key.
    GoogleServiceAccount(ServiceAccount),
}

/// Opens the credential `name`, without any call yet. Rejects a configuration that can never work.
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
    // A key and a file need no refresh; they are credentials themselves.
    let source: Box<dyn refreshing::TokenSource> = match config {
        CredentialConfig::Key(key) => {
            return Ok(Arc::new(key_or_file::StaticKeyCredential::new(name, &key)?));
        }
        CredentialConfig::File(path) => {
            return Ok(Arc::new(key_or_file::FileCredential::new(name, path, clock.clone())));
        }
        CredentialConfig::Command(command) => {
            Box::new(command::CommandTokenSource::new(command, clock.clone())?)
        }
        CredentialConfig::ClientCredentials(oauth) => {
            Box::new(oauth::ClientCredentialsSource::new(oauth, clock.clone())?)
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
