//! Texts that nobody may see.

use std::fmt;
use std::sync::Arc;

/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    /// Keeps a text.
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

/// A text to be sent with calls, and how many came before it.
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

    /// Grows with each new text of its credential in this process.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// A text that can be sent as a token; says why not.
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
