//! Identities and fingerprints.

use std::collections::BTreeSet;

use contexture_core::domain::ids::{
    ChunkId, CollectionId, ContentHash, DOCUMENT_ID_BYTES_MAX, DocumentId, FieldHasher, NAME_BYTES_MAX,
    TenantId, VERSION_MAX, Version, derive_embedding_key,
};
use contexture_core::domain::version_fence::{FenceDecision, check_version_fence};
use proptest::prelude::*;

use super::assert_refused;
use crate::support::{collection, content_hash, epoch, version, version_key};

#[test]
fn names_are_checked_at_their_limits() {
    for good in ["a", "0", "a-b_c9", "a__", &"x".repeat(NAME_BYTES_MAX)] {
        assert_eq!(TenantId::new(good).unwrap().as_str(), good);
        assert_eq!(CollectionId::new(good).unwrap().to_string(), good);
    }
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for bad in ["", " ", "A", "a b", "_a", "-a", "a.b", "a/b", "ä", "a\0", "..", "a\n", &long] {
        assert_refused(TenantId::new(bad), "invalid_tenant", "tenant");
        assert_refused(CollectionId::new(bad), "invalid_collection", "collection");
    }
}

#[test]
fn document_ids_are_checked_at_their_limits() {
    let longest = "é".repeat(DOCUMENT_ID_BYTES_MAX / 2);
    let dotted = "a/..b/c../...";
    for good in ["a", "dir/file name.md", "日本語", "C:\\x", ".", dotted, &longest] {
        assert_eq!(DocumentId::new(good).unwrap().as_str(), good);
    }
    let long = format!("{longest}x");
    let controls = ["a\0", "\u{7}", "a\nb", "a\u{85}", "\u{1f}"];
    let dots = ["..", "../a", "a/../b", "a/..", "..\\a", "a\\..\\b"];
    for bad in ["", " ", "\u{3000}\t", &long].into_iter().chain(controls).chain(dots) {
        assert_refused(DocumentId::new(bad), "invalid_document_id", "document_id");
    }
}

#[test]
fn equal_looking_document_ids_are_one() {
    let composed = DocumentId::new("Z\u{fc}rich").unwrap();
    let decomposed = DocumentId::new("Zu\u{308}rich").unwrap();
    assert_eq!(composed, decomposed);
    let grows = "\u{fb2c}".repeat(DOCUMENT_ID_BYTES_MAX / 4);
    assert_refused(DocumentId::new(&grows), "invalid_document_id", "document_id");
}

#[test]
fn versions_are_checked_at_their_limits() {
    for good in [1, 2, VERSION_MAX] {
        assert_eq!(Version::new(good).unwrap().get(), good);
    }
    for bad in [0, VERSION_MAX + 1, u64::MAX] {
        assert_refused(Version::new(bad), "invalid_version", "version");
    }
    assert_eq!(Version::FIRST, version(1));
}

#[test]
fn fence_table() {
    let (same, other) = (content_hash("same"), content_hash("other"));
    let head = Some((version(5), same));
    for (head, number, content, verdict) in [
        (None, 1, same, FenceDecision::Apply),
        (head, 4, same, FenceDecision::Superseded),
        (head, 4, other, FenceDecision::Superseded),
        (head, 5, same, FenceDecision::Duplicate),
        (head, 5, other, FenceDecision::Conflict),
        (head, 6, same, FenceDecision::Apply),
        (head, 6, other, FenceDecision::Apply),
        (head, VERSION_MAX, other, FenceDecision::Apply),
    ] {
        assert_eq!(check_version_fence(head, version(number), content), verdict, "{head:?} meets {number}");
    }
}

#[test]
fn chunk_ids_depend_on_every_field() {
    let home = collection("acme", "home");
    let key = version_key(&home, "doc", 1);
    let id = ChunkId::derive(&epoch("one"), &key, &content_hash("text"), 0);
    assert_eq!(id, ChunkId::derive(&epoch("one"), &key, &content_hash("text"), 0));
    let neighbours = [
        ChunkId::derive(&epoch("two"), &key, &content_hash("text"), 0),
        ChunkId::derive(&epoch("one"), &key, &content_hash("text"), 1),
        ChunkId::derive(&epoch("one"), &key, &content_hash("other"), 0),
        ChunkId::derive(&epoch("one"), &version_key(&home, "doc", 2), &content_hash("text"), 0),
        ChunkId::derive(&epoch("one"), &version_key(&home, "doc2", 1), &content_hash("text"), 0),
        ChunkId::derive(
            &epoch("one"),
            &version_key(&collection("acme", "h"), "doc", 1),
            &content_hash("text"),
            0,
        ),
        ChunkId::derive(
            &epoch("one"),
            &version_key(&collection("a", "home"), "doc", 1),
            &content_hash("text"),
            0,
        ),
    ];
    let distinct: BTreeSet<_> = neighbours.into_iter().chain([id]).collect();
    assert_eq!(distinct.len(), neighbours.len() + 1);
    assert_eq!(id.as_uuid().get_version_num(), 8);
    assert_eq!(ChunkId::from_uuid(id.as_uuid()), id);
}

#[test]
fn chunk_ids_do_not_change_between_releases() {
    let key = version_key(&collection("acme", "handbook"), "guide.md", 3);
    let (epoch, hash) =
        (contexture_core::domain::ids::Epoch::from_bytes([7; 32]), ContentHash::from_bytes([9; 32]));
    let id = ChunkId::derive(&epoch, &key, &hash, 11);
    assert_eq!(id.to_string(), "2d164f56-fd54-8dca-a96d-f8c1b3dd0ff1");
}

#[test]
fn fields_do_not_run_into_each_other() {
    let hash = |fields: &[&str]| {
        let start = FieldHasher::new("contexture test fields");
        fields.iter().fold(start, |hash, field| hash.field(field.as_bytes())).finish()
    };
    let lists: [&[&str]; 6] = [&[], &[""], &["", ""], &["ab"], &["a", "b"], &["", "ab"]];
    let distinct: BTreeSet<_> = lists.into_iter().map(hash).collect();
    assert_eq!(distinct.len(), lists.len());
    assert_ne!(derive_embedding_key("model", "text"), derive_embedding_key("modelt", "ext"));
}

#[test]
fn fingerprints_read_what_they_write_and_nothing_else() {
    let hash = content_hash("text");
    let json = serde_json::to_string(&hash).unwrap();
    assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), hash);
    assert_eq!(ContentHash::from_slice(hash.as_bytes()), Some(hash));
    assert_eq!(ContentHash::from_slice(&hash.as_bytes()[1..]), None);
    for bad in ["\"\"", "\"00\"", "7", &json.replace('"', "\"0"), &format!("\"{}\"", "g".repeat(64))] {
        assert!(serde_json::from_str::<ContentHash>(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_id_panics_or_lets_a_control_through(raw in "\\PC{0,8}|.{0,600}|[a-z./\\\\]{0,12}") {
        if let Ok(id) = DocumentId::new(&raw) {
            prop_assert!(id.as_str().len() <= DOCUMENT_ID_BYTES_MAX && !id.as_str().chars().any(char::is_control));
            prop_assert_eq!(&DocumentId::new(id.as_str()).unwrap(), &id, "checked twice, unchanged");
        }
        let _ = (TenantId::new(&raw), CollectionId::new(&raw));
    }
}
