//! Conditional requests: the entity tag of a document is its newest version in quotes.
//!
//! A condition of a write becomes a fence: the write names the version behind the one that it expects, so that
//! another write in between makes it fail, however close. The tag stands for the version and not for how far
//! it is, so whoever waits for a version to be visible reads without a condition.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use contexture_core::domain::ids::{DocumentId, Version};
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::VersionRecord;

/// The tag of a version.
pub(super) fn version_tag(version: u64) -> HeaderValue {
    // Digits and quotes are always a header value.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// The tags of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TagList {
    /// `*`.
    Any,
    /// Tags without their quotes, and whether each is weak.
    Tags(Vec<(String, bool)>),
}

impl TagList {
    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(name).iter().peekable();
        if values.peek().is_none() {
            return Ok(None);
        }
        // Several headers of one name are one list.
        let lines: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
        let list = lines.map(|lines| lines.join(","));
        list.and_then(|list| Self::parse(&list)).map(Some).ok_or_else(|| {
            let message = format!("{name} must be * or tags in quotes with commas between, such as \"3\"");
            Refusal::invalid("invalid_etag", name.as_str(), message)
        })
    }

    fn parse(list: &str) -> Option<Self> {
        if list.trim() == "*" {
            return Some(Self::Any);
        }
        let (mut tags, mut rest) = (Vec::new(), list.trim());
        loop {
            let (is_weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
            tags.push((tag.to_owned(), is_weak));
            rest = behind.trim_start();
            if rest.is_empty() {
                return Some(Self::Tags(tags));
            }
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }

    /// Whether one of the tags is that of the version.
    fn names(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|(tag, _)| *tag == version.to_string()),
        }
    }
}

/// Whether the caller of a read has this version already. Compares weakly, as HTTP wants it here: what a proxy
/// compressed has a weak tag.
pub(super) fn is_not_modified(headers: &HeaderMap, version: u64) -> Result<bool, Refusal> {
    Ok(TagList::read(headers, &IF_NONE_MATCH)?.is_some_and(|tags| tags.names(version)))
}

/// The condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteCondition {
    /// `If-Match: *`.
    Exists,
    /// `If-Match` with the tags of these versions.
    IsOneOf(Vec<String>),
    /// `If-None-Match: *`.
    IsAbsent,
}

impl WriteCondition {
    /// Reads the headers of a write; none where it has no condition.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        match (TagList::read(headers, &IF_MATCH)?, TagList::read(headers, &IF_NONE_MATCH)?) {
            (None, None) => Ok(None),
            (Some(TagList::Any), None) => Ok(Some(Self::Exists)),
            (Some(TagList::Tags(tags)), None) => {
                if tags.iter().any(|(_, is_weak)| *is_weak) {
                    let message =
                        "If-Match compares strongly, and W/ marks a weak tag; give the version in quotes";
                    return Err(Refusal::invalid("weak_etag", "if-match", message));
                }
                Ok(Some(Self::IsOneOf(tags.into_iter().map(|(tag, _)| tag).collect())))
            }
            (None, Some(TagList::Any)) => Ok(Some(Self::IsAbsent)),
            (None, Some(TagList::Tags(_))) => {
                let message = "a write takes If-None-Match: * only; to expect a version, use If-Match";
                Err(Refusal::invalid("invalid_condition", "if-none-match", message))
            }
            (Some(_), Some(_)) => {
                let message = "If-Match and If-None-Match exclude each other";
                Err(Refusal::invalid("invalid_condition", "if-none-match", message))
            }
        }
    }

    /// The version that the write has to name, given the document's versions, newest first, and the one that
    /// the caller names.
    pub(super) fn fenced_version(
        &self,
        document_id: &DocumentId,
        history: &[VersionRecord],
        asked: Option<u64>,
    ) -> Result<Option<u64>, Refusal> {
        let newest = history.first();
        let version = newest.map_or(0, |newest| newest.key.version.get());
        match self {
            // Who names the version of a document that only has to exist needs no fence.
            Self::Exists if newest.is_some_and(|newest| !newest.deletes) => {
                if asked.is_some() {
                    return Ok(asked);
                }
            }
            Self::IsOneOf(tags) if newest.is_some() && tags.contains(&version.to_string()) => {}
            Self::IsAbsent if newest.is_none_or(|newest| newest.deletes) => {}
            _ => return Err(self.broken(document_id, newest)),
        }
        let fence = version + 1;
        match asked {
            Some(asked) if asked != fence => {
                let message = format!("the condition makes this version {fence}, and version says {asked}");
                Err(Refusal::invalid("invalid_version", "version", message))
            }
            _ => Ok(Some(fence)),
        }
    }

    /// The refusal of a write that found another version than expected, when it was stored or before.
    pub(super) fn broken(&self, document_id: &DocumentId, newest: Option<&VersionRecord>) -> Refusal {
        if *self == Self::IsAbsent {
            let message = format!("document '{document_id}' exists already");
            return Refusal::new(RefusalKind::Precondition, "document_exists", "if-none-match", message);
        }
        if *self == Self::Exists && newest.is_some_and(|newest| !newest.deletes) {
            let message =
                format!("other writers of document '{document_id}' came first each time; send it again");
            return Refusal::new(RefusalKind::Precondition, "version_mismatch", "if-match", message);
        }
        let found = match newest {
            Some(newest) if newest.deletes => format!("is deleted by version {}", newest.key.version),
            Some(newest) => format!("has version {}", newest.key.version),
            None => "does not exist".to_owned(),
        };
        let message = format!("document '{document_id}' {found}, which If-Match does not name");
        Refusal::new(RefusalKind::Precondition, "version_mismatch", "if-match", message)
    }
}

/// The version of a number; a fence behind the last possible version is refused as any other.
pub(super) fn checked_version(number: Option<u64>) -> Result<Option<Version>, Refusal> {
    number.map(Version::new).transpose()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_list_of_tags_is_read_as_http_writes_it() {
        let read = |value: &'static str| WriteCondition::read(&headers(&[(IF_MATCH, value)]));
        let one_of =
            |tags: &[&str]| Ok(Some(WriteCondition::IsOneOf(tags.iter().map(ToString::to_string).collect())));
        assert_eq!(read("*"), Ok(Some(WriteCondition::Exists)));
        assert_eq!(read("\"3\""), one_of(&["3"]));
        assert_eq!(read("\"3\" ,\"4\", \"a,b\""), one_of(&["3", "4", "a,b"]));
        for broken in ["3", "\"3", "\"3\",", "\"3\" \"4\"", "*, \"3\"", ""] {
            assert_eq!(read(broken).unwrap_err().code, "invalid_etag", "{broken}");
        }
        assert_eq!(read("\"2\", W/\"3\"").unwrap_err().code, "weak_etag");
    }

    #[test]
    fn a_write_takes_one_condition() {
        let read = |pairs: &[_]| WriteCondition::read(&headers(pairs)).map_err(|refusal| refusal.code);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[(IF_NONE_MATCH, "*")]), Ok(Some(WriteCondition::IsAbsent)));
        assert_eq!(read(&[(IF_NONE_MATCH, "\"3\"")]), Err("invalid_condition"));
        assert_eq!(read(&[(IF_NONE_MATCH, "*"), (IF_MATCH, "\"3\"")]), Err("invalid_condition"));
    }

    #[test]
    fn a_read_compares_weakly() {
        let same = |value: &'static str| is_not_modified(&headers(&[(IF_NONE_MATCH, value)]), 3);
        assert_eq!(same("\"3\""), Ok(true));
        assert_eq!(same("W/\"3\", \"9\""), Ok(true));
        assert_eq!(same("*"), Ok(true));
        assert_eq!(same("\"4\""), Ok(false));
    }
}
