//! Filters on keys that no document has.

use std::collections::BTreeSet;

use super::federate::PinnedCollection;
use super::request::ContextQuery;
use crate::domain::document::reader_terms;
use crate::domain::filter_subject::place_unit;
use crate::fault::{Fault, Refusal};

/// Refuses a filter that nothing can pass because no document has metadata under its keys: they are misspelt more
/// often than meant. `not (archived = true)` stands where nothing is archived yet. An empty collection has no keys
/// at all, and says nothing about any. Built-in keys are always known, but a place is a number: `page = "x"` asks for
/// metadata.
pub(super) fn refuse_unknown_keys(query: &ContextQuery, pinned: &[PinnedCollection]) -> Result<(), Refusal> {
    let Some(filter) = &query.filter else { return Ok(()) };
    let readers = reader_terms(query.principal.groups());
    let is_empty = |one: &PinnedCollection| Ok(one.snapshot.counts()?.chunks == 0);
    if pinned.iter().map(is_empty).collect::<Result<Vec<bool>, Fault>>()?.into_iter().all(|empty| empty) {
        return Ok(());
    }
    let mut unknown = BTreeSet::new();
    for key in filter.metadata_keys() {
        let has = |one: &PinnedCollection| one.snapshot.has_metadata_key(key, &readers);
        if !pinned.iter().map(has).collect::<Result<Vec<bool>, Fault>>()?.contains(&true) {
            unknown.insert(key);
        }
    }
    if !unknown.is_empty() && filter.is_barred_by_absence_of(&unknown) {
        let is_unit = unknown.iter().any(|key| place_unit(key).is_some());
        let keys: Vec<&str> = unknown.into_iter().collect();
        let mut message =
            format!("no document that you may read has metadata under '{}'", keys.join("' or '"));
        if is_unit {
            message.push_str("; a place in the source is compared with whole numbers from 1");
        }
        return Err(Refusal::invalid("unknown_filter_key", "filter", message));
    }
    Ok(())
}
