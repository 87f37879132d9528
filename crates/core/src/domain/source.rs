//! Sources: what a producer keeps a collection in step with, such as a folder.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Refusal;

/// Longest name of a source, in bytes.
pub const SOURCE_NAME_BYTES_MAX: usize = 1024;
/// Longest fingerprint, in bytes.
pub const FINGERPRINT_BYTES_MAX: usize = 256;

/// The name of a source: of a folder its absolute path, else what its producer calls it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(String);

impl SourceName {
    /// Accepts 1 to [`SOURCE_NAME_BYTES_MAX`] bytes without control characters.
    pub fn new(raw: &str) -> Result<Self, Refusal> {
        let refuse = |why: String| Err(Refusal::invalid("invalid_source", "source", format!("source {why}")));
        if raw.trim().is_empty() {
            return refuse("is empty".to_owned());
        }
        if raw.len() > SOURCE_NAME_BYTES_MAX {
            return refuse(format!("is longer than {SOURCE_NAME_BYTES_MAX} bytes"));
        }
        if raw.chars().any(char::is_control) {
            return refuse("contains a control character".to_owned());
        }
        Ok(Self(raw.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for SourceName {
    type Error = Refusal;

    fn try_from(raw: String) -> Result<Self, Refusal> {
        Self::new(&raw)
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> Self {
        name.0
    }
}

/// What tells a producer that an item of its source has not changed: size and time of a file, an entity tag.
/// Contexture compares it and reads nothing into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceFingerprint(String);

impl SourceFingerprint {
    /// Accepts 1 to [`FINGERPRINT_BYTES_MAX`] bytes without control characters.
    pub fn new(raw: &str) -> Result<Self, Refusal> {
        if raw.is_empty() || raw.len() > FINGERPRINT_BYTES_MAX || raw.chars().any(char::is_control) {
            return Err(Refusal::invalid(
                "invalid_fingerprint",
                "fingerprint",
                format!("a fingerprint has 1 to {FINGERPRINT_BYTES_MAX} bytes and no control characters"),
            ));
        }
        Ok(Self(raw.to_owned()))
    }

    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SourceFingerprint {
    type Error = Refusal;

    fn try_from(raw: String) -> Result<Self, Refusal> {
        Self::new(&raw)
    }
}

impl From<SourceFingerprint> for String {
    fn from(fingerprint: SourceFingerprint) -> Self {
        fingerprint.0
    }
}

#[cfg(test)]
mod tests {
    use super::{SourceFingerprint, SourceName};

    #[test]
    fn names_are_bounded_text() {
        assert_eq!(SourceName::new("/srv/handbook").expect("a name").as_str(), "/srv/handbook");
        for raw in [String::new(), " ".to_owned(), "a\nb".to_owned(), "x".repeat(1025)] {
            assert_eq!(SourceName::new(&raw).expect_err("a refusal").code, "invalid_source");
        }
    }

    #[test]
    fn fingerprints_are_bounded_text() {
        assert_eq!(SourceFingerprint::new("12-34").expect("a fingerprint").as_str(), "12-34");
        for raw in [String::new(), "a\0".to_owned(), "x".repeat(257)] {
            assert_eq!(SourceFingerprint::new(&raw).expect_err("a refusal").code, "invalid_fingerprint");
        }
    }
}
