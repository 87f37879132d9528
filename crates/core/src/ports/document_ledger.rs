//! The ledger, as callers list documents and read what producers said about them.
//!
//! Contract: a page is one snapshot and costs as much as its documents, however many the collection
//! has. A description is stored beside its body: a version that deletes, or whose body was removed,
//! has none.

use async_trait::async_trait;

use super::ledger_records::VersionRecord;
use crate::domain::document::DocumentDescription;
use crate::domain::ids::{CollectionKey, DOCUMENT_ID_BYTES_MAX, DocumentId, VersionKey};
use crate::fault::Fault;

/// Which documents of a collection to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentPage {
    /// Only ids that start with this text, byte by byte. Ids are in NFC.
    pub prefix: Option<String>,
    /// Only ids after this one.
    pub after: Option<DocumentId>,
    /// Most documents.
    pub limit: usize,
}

impl DocumentPage {
    /// The ids it covers, in the order of bytes: from the first text on, up to but without the second.
    pub fn id_bounds(&self) -> (String, String) {
        // No id holds a control character, so nothing stands between an id and this text.
        let after = self.after.as_ref().map(|after| format!("{after}\u{1}"));
        let from = after.into_iter().chain(self.prefix.clone()).max().unwrap_or_default();
        let to = self.prefix.as_deref().and_then(successor);
        // Longer than any id, and of the highest character: above all of them.
        (from, to.unwrap_or_else(|| "\u{10ffff}".repeat(DOCUMENT_ID_BYTES_MAX / 4 + 1)))
    }
}

/// The lowest text above all that start with `prefix`; none if there is no such text. UTF-8 sorts by
/// code points.
pub fn successor(prefix: &str) -> Option<String> {
    let mut kept = prefix.to_owned();
    while let Some(last) = kept.pop() {
        // The range skips the surrogates, which are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            kept.push(next);
            return Some(kept);
        }
    }
    None
}

/// A document of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentRecord {
    /// Its newest version.
    pub newest: VersionRecord,
    /// Its visible version, if there is one: often the newest.
    pub visible: Option<VersionRecord>,
    /// What was said about the visible version; without one there, about the newest.
    pub description: Option<DocumentDescription>,
}

impl DocumentRecord {
    /// Whether readers see it as deleted, and no newer version is on its way.
    pub fn is_deleted(&self) -> bool {
        self.visible.as_ref().is_some_and(|visible| visible.deletes && visible.key == self.newest.key)
    }
}

/// The documents of collections.
#[async_trait]
pub trait DocumentLedger: Send + Sync {
    /// Documents of a collection by id, in the order of bytes. Deleted ones are among them.
    async fn documents(
        &self,
        collection: &CollectionKey,
        page: &DocumentPage,
    ) -> Result<Vec<DocumentRecord>, Fault>;

    /// What was said about these versions, in order, without reading their bodies.
    async fn descriptions(&self, keys: &[VersionKey]) -> Result<Vec<Option<DocumentDescription>>, Fault>;
}

#[cfg(test)]
mod tests {
    use super::{DocumentPage, successor};

    #[test]
    fn successor_is_above_all_with_the_prefix_and_nothing_else() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
    }

    #[test]
    fn bounds_cover_every_id_without_a_prefix() {
        let (from, to) = DocumentPage::default().id_bounds();
        assert!(from.is_empty() && to > "\u{10ffff}".repeat(128), "{}", to.len());
    }
}
