//! What the service talks about: ids, versions, metadata, filters, messages, requests.

mod chunks;
mod document_urls;
mod events;
mod filter_subjects;
mod filters;
mod ids;
mod messages;
mod metadata;
mod producers;
mod requests;
mod submissions;

use contexture_core::fault::{Refusal, RefusalKind};

/// Asserts that a refusal blames the request, by this stable code and this field.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Refusal>, code: &str, field: &str) {
    let refusal = result.unwrap_err();
    assert_eq!((refusal.kind, refusal.code, refusal.field.as_str()), (RefusalKind::Invalid, code, field));
    assert!(!refusal.message.is_empty() && !refusal.message.contains('\n'), "one line: {refusal}");
}
