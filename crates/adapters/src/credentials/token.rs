//! Secrets, tokens, and the contract of what hands out tokens.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use contexture_core::fault::Fault;

/// Largest token file, output of a command and response of a token endpoint, in bytes.
pub const TOKEN_SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A text that `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    /// Wraps a text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// A token to send with calls, and its number among those of its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: SecretText,
    number: u64,
}

impl AccessToken {
    pub(super) fn new(text: SecretText, number: u64) -> Self {
        Self { text, number }
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Its number; grows with each new token of the credential in this process.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// Accepts a text that can be sent in a header as a token, or returns why it cannot.
pub(super) fn check_sendable(text: &str) -> Result<SecretText, &'static str> {
    if text.is_empty() {
        return Err("the token is empty");
    }
    if text.len() > TOKEN_BYTES_MAX {
        return Err("the token is longer than 16 KiB");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token must be visible ASCII without spaces");
    }
    Ok(SecretText::new(text))
}

/// Hands out the tokens that authorise calls to one provider.
#[async_trait]
pub trait Credential: Send + Sync {
    /// The token to send now. Waits for a refresh only if no token is known, or the known one has
    /// expired or was refused.
    async fn token(&self) -> Result<AccessToken, Fault>;

    /// Replaces `refused` after a 401. Returns a newer token at once if one is known, else after a
    /// refresh that all callers share. `Unauthorized` if there is no other token.
    async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, Fault>;
}
