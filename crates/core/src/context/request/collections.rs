//! Several collections in one question, each with a weight.

use super::{ContextQuery, MIN_VERSIONS_MAX, RawContextQuery};
use crate::domain::ids::{CollectionId, CollectionKey, DocumentId, TenantId, Version};
use crate::fault::Refusal;

/// Most collections of one question.
pub const COLLECTIONS_MAX: usize = 16;
/// Highest weight of a collection.
pub const COLLECTION_WEIGHT_MAX: f64 = 1000.0;

/// One of several collections, as the caller sent it.
#[derive(Debug, Clone, Default)]
pub struct RawCollectionWeight {
    /// Its name.
    pub name: String,
    /// Its weight beside the others; 1 if there is none.
    pub weight: Option<f64>,
}

/// One collection of a checked query.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedCollection {
    /// The collection; its tenant is the principal's.
    pub key: CollectionKey,
    /// Its weight beside the others: above 0, at most [`COLLECTION_WEIGHT_MAX`].
    pub weight: f64,
    /// Versions that the answer must have seen in it.
    pub min_versions: Vec<(DocumentId, Version)>,
}

impl ContextQuery {
    /// The collections that are searched, in the order of the request.
    pub fn searched(&self) -> impl Iterator<Item = &CollectionKey> {
        let single = self.collections.is_empty().then_some(&self.collection);
        single.into_iter().chain(self.collections.iter().map(|listed| &listed.key))
    }

    /// The collection of a list of one.
    pub(in crate::context) fn only_listed(&self) -> Option<&CollectionId> {
        match self.collections.as_slice() {
            [only] => Some(&only.key.collection),
            _ => None,
        }
    }
}

/// The collections that a request lists; none if it names a single one.
pub(super) fn check_collections(
    raw: &RawContextQuery,
    tenant: &TenantId,
) -> Result<Vec<WeightedCollection>, Refusal> {
    let refuse = |field: &str, message: &str| Err(Refusal::invalid("invalid_collections", field, message));
    match (raw.collection.is_empty(), raw.collections.is_empty()) {
        (true, true) => return refuse("collection", "name the collection, or several in collections"),
        (false, false) => return refuse("collections", "give either collection or collections, not both"),
        _ => {}
    }
    if raw.collections.len() > COLLECTIONS_MAX {
        let message = format!("a question searches at most {COLLECTIONS_MAX} collections");
        return Err(Refusal::invalid("too_many_collections", "collections", message));
    }
    let mut checked: Vec<WeightedCollection> = Vec::with_capacity(raw.collections.len());
    for (index, RawCollectionWeight { name, weight }) in raw.collections.iter().enumerate() {
        let field = format!("collections[{index}].name");
        let collection =
            CollectionId::new(name).map_err(|refusal| Refusal { field: field.clone(), ..refusal })?;
        if checked.iter().any(|before| before.key.collection == collection) {
            let message = format!("collection '{collection}' is listed twice");
            return Err(Refusal::invalid("duplicate_collection", &field, message));
        }
        let weight = weight.unwrap_or(1.0);
        // Not a number is within no range.
        if !(weight > 0.0 && weight <= COLLECTION_WEIGHT_MAX) {
            let message = format!("a weight is above 0 and at most {COLLECTION_WEIGHT_MAX}");
            return Err(Refusal::invalid("invalid_weight", &format!("collections[{index}].weight"), message));
        }
        let key = CollectionKey { tenant: tenant.clone(), collection };
        checked.push(WeightedCollection { key, weight, min_versions: Vec::new() });
    }
    Ok(checked)
}

/// Checks the awaited versions. Of several collections each gets its own; then a document is named as in the
/// context, after its collection and a slash.
pub(super) fn check_min_versions(
    raw: &[(String, u64)],
    collections: &mut [WeightedCollection],
) -> Result<Vec<(DocumentId, Version)>, Refusal> {
    if raw.len() > MIN_VERSIONS_MAX {
        return Err(Refusal::invalid(
            "too_many_min_versions",
            "min_version",
            format!("at most {MIN_VERSIONS_MAX} documents can be awaited"),
        ));
    }
    let check = |document: &str, version: u64| -> Result<(DocumentId, Version), Refusal> {
        Ok((DocumentId::new(document)?, Version::new(version)?))
    };
    if collections.len() < 2 {
        return raw.iter().map(|(document, version)| check(document, *version)).collect();
    }
    for (document, version) in raw {
        let (name, id) = document.split_once('/').unwrap_or_default();
        let Some(owner) = collections.iter_mut().find(|one| one.key.collection.as_str() == name) else {
            let message = "with several collections a document is awaited as COLLECTION/DOCUMENT_ID";
            return Err(Refusal::invalid("invalid_min_version", "min_version", message));
        };
        owner.min_versions.push(check(id, *version)?);
    }
    Ok(Vec::new())
}
