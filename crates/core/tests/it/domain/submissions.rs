//! Submissions, access lists and principals.

use std::collections::BTreeSet;

use bytes::Bytes;
use contexture_core::domain::document::{
    DocumentAcl, DocumentDescription, MEDIA_TYPE_BYTES_MAX, Submission, TITLE_BYTES_MAX, hash_content,
    reader_terms,
};
use contexture_core::domain::ids::{CollectionId, TenantId};
use contexture_core::domain::principal::{AccessScope, GROUP_BYTES_MAX, GROUPS_MAX, Principal};
use contexture_core::fault::{Refusal, RefusalKind};

use super::assert_refused;
use crate::support::{TENANT, deletion, document, groups, principal, submission};

const BODY_BYTES_MAX: usize = 8;

fn submit(description: DocumentDescription, body: &[u8]) -> Result<Submission, Refusal> {
    let home = CollectionId::new("home").unwrap();
    let body = Bytes::copy_from_slice(body);
    Submission::new(&principal(TENANT), home, document("doc"), None, description, body, BODY_BYTES_MAX)
}

#[test]
fn bodies_at_their_limits() {
    for good in [&b"x"[..], b" ", b"\xff\0", &[b'x'; BODY_BYTES_MAX]] {
        assert_eq!(submit(DocumentDescription::default(), good).unwrap().body(), good);
    }
    assert_refused(submit(DocumentDescription::default(), b""), "empty_body", "body");
    assert_refused(
        submit(DocumentDescription::default(), &[b'x'; BODY_BYTES_MAX + 1]),
        "body_too_large",
        "body",
    );
}

#[test]
fn titles_and_types_are_single_lines() {
    let titled = |title: &str| {
        submit(DocumentDescription { title: Some(title.to_owned()), ..DocumentDescription::default() }, b"x")
    };
    let typed = |kind: &str| {
        submit(
            DocumentDescription { media_type: Some(kind.to_owned()), ..DocumentDescription::default() },
            b"x",
        )
    };
    assert!(titled(&"x".repeat(TITLE_BYTES_MAX)).is_ok() && typed(&"x".repeat(MEDIA_TYPE_BYTES_MAX)).is_ok());
    assert!(titled("").is_ok());
    for bad in ["a\nb", "\0", "\u{9d}", &"x".repeat(TITLE_BYTES_MAX + 1)] {
        assert_refused(titled(bad), "invalid_text", "title");
    }
    for bad in ["a\rb", &"x".repeat(MEDIA_TYPE_BYTES_MAX + 1)] {
        assert_refused(typed(bad), "invalid_text", "media_type");
    }
}

#[test]
fn content_hash_covers_body_and_description() {
    let described = [
        DocumentDescription::default(),
        DocumentDescription { title: Some("x".to_owned()), ..DocumentDescription::default() },
        DocumentDescription { media_type: Some("x".to_owned()), ..DocumentDescription::default() },
        DocumentDescription { acl: DocumentAcl::Groups(groups(&[])), ..DocumentDescription::default() },
        DocumentDescription { acl: DocumentAcl::Groups(groups(&["x"])), ..DocumentDescription::default() },
    ];
    let mut hashes: BTreeSet<_> = described.iter().map(|one| hash_content(one, b"body")).collect();
    hashes.insert(hash_content(&described[0], b"bodz"));
    assert_eq!(hashes.len(), described.len() + 1);
    let submitted = submit(described[1].clone(), b"body").unwrap();
    assert_eq!(submitted.content_hash(), hash_content(&described[1], b"body"));
}

#[test]
fn deletes_have_one_hash_that_no_content_has() {
    let home = crate::support::collection(TENANT, "home");
    let (one, two) = (deletion(&home, "a", None), deletion(&home, "b", Some(7)));
    assert_eq!(one.content_hash(), two.content_hash());
    assert!(one.deletes() && one.body().is_empty());
    let kept = submission(&home, "a", None, "text");
    assert!(!kept.deletes() && kept.content_hash() != one.content_hash());
}

#[test]
fn access_lists() {
    let staff = groups(&["staff"]);
    for (list, reader, admitted) in [
        (None, groups(&[]), true),
        (None, staff.clone(), true),
        (Some(groups(&[])), groups(&[]), false),
        (Some(groups(&[])), staff.clone(), false),
        (Some(staff.clone()), staff.clone(), true),
        (Some(staff.clone()), groups(&[]), false),
        (Some(groups(&["*"])), groups(&[]), false),
        (Some(groups(&["a", "staff"])), groups(&["staff", "z"]), true),
    ] {
        let acl = DocumentAcl::new(list.clone()).unwrap();
        assert_eq!(acl.admits(&reader), admitted, "{list:?} for {reader:?}");
        let shared = acl.terms().iter().any(|term| reader_terms(&reader).contains(term));
        assert_eq!(shared, admitted, "the terms say the same: {list:?} for {reader:?}");
    }
}

#[test]
fn groups_at_their_limits() {
    let many = |count: usize| (0..count).map(|number| format!("g{number}")).collect::<BTreeSet<_>>();
    let longest = "x".repeat(GROUP_BYTES_MAX);
    assert!(
        DocumentAcl::new(Some(many(GROUPS_MAX))).is_ok()
            && DocumentAcl::new(Some(groups(&[&longest]))).is_ok()
    );
    assert_refused(DocumentAcl::new(Some(many(GROUPS_MAX + 1))), "too_many_groups", "acl");
    for bad in ["", "a\0", "a\nb", &format!("{longest}x")] {
        assert_refused(DocumentAcl::new(Some(groups(&[bad]))), "invalid_group", "acl");
        let caller = Principal::new(TenantId::new(TENANT).unwrap(), groups(&[bad]), BTreeSet::new());
        assert_refused(caller, "invalid_group", "groups");
    }
}

#[test]
fn writing_needs_the_scope() {
    let tenant = TenantId::new(TENANT).unwrap();
    let reader = Principal::new(tenant, BTreeSet::new(), BTreeSet::from([AccessScope::Read])).unwrap();
    let home = CollectionId::new("home").unwrap();
    let refused = Submission::deletion(&reader, home, document("doc"), None).unwrap_err();
    assert_eq!((refused.kind, refused.code), (RefusalKind::PermissionDenied, "missing_scope"));
    assert_eq!(refused.message, "this credential lacks the scope 'write'");
}
