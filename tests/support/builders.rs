//! Builders for what tests talk about.

use std::collections::BTreeSet;

use bytes::Bytes;
use contexture_core::domain::chunk::{Chunk, ChunkSpan, SourceExcerpt, SourceUnit, TextSpan};
use contexture_core::domain::document::{DocumentAcl, DocumentDescription, DocumentHead, Submission};
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::ids::{
    ChunkId, CollectionId, CollectionKey, ContentHash, DocumentId, Epoch, FieldHasher, TenantId, Version,
    VersionKey,
};
use contexture_core::domain::principal::{AccessScope, Principal};
use contexture_core::domain::task::IngestTask;
use contexture_core::ports::vectors::VectorPoint;

/// The tenant of tests that need only one.
pub(crate) const TENANT: &str = "acme";
/// The body limit that submissions of tests are checked against.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

pub(crate) fn groups(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A caller of `tenant` with every scope and no group.
pub(crate) fn principal(tenant: &str) -> Principal {
    let scopes = BTreeSet::from([AccessScope::Read, AccessScope::Write, AccessScope::Admin]);
    Principal::new(TenantId::new(tenant).unwrap(), BTreeSet::new(), scopes).unwrap()
}

pub(crate) fn collection(tenant: &str, name: &str) -> CollectionKey {
    CollectionKey { tenant: TenantId::new(tenant).unwrap(), collection: CollectionId::new(name).unwrap() }
}

pub(crate) fn document(id: &str) -> DocumentId {
    DocumentId::new(id).unwrap()
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

pub(crate) fn version_key(collection: &CollectionKey, id: &str, number: u64) -> VersionKey {
    let CollectionKey { tenant, collection } = collection.clone();
    VersionKey { tenant, collection, document_id: document(id), version: version(number) }
}

/// A submission of plain text; the version is assigned when none is given.
pub(crate) fn submission(
    collection: &CollectionKey,
    id: &str,
    number: Option<u64>,
    text: &str,
) -> Submission {
    Submission::new(
        &principal(collection.tenant.as_str()),
        collection.collection.clone(),
        document(id),
        number.map(version),
        DocumentDescription::default(),
        Bytes::copy_from_slice(text.as_bytes()),
        BODY_BYTES_MAX,
    )
    .unwrap()
}

pub(crate) fn deletion(collection: &CollectionKey, id: &str, number: Option<u64>) -> Submission {
    let caller = principal(collection.tenant.as_str());
    Submission::deletion(&caller, collection.collection.clone(), document(id), number.map(version)).unwrap()
}

pub(crate) fn content_hash(text: &str) -> ContentHash {
    ContentHash::from_bytes(FieldHasher::new("contexture test content").field(text.as_bytes()).finish())
}

pub(crate) fn epoch(label: &str) -> Epoch {
    Epoch::from_bytes(FieldHasher::new("contexture test epoch").field(label.as_bytes()).finish())
}

pub(crate) fn task(key: VersionKey) -> IngestTask {
    IngestTask {
        content_hash: content_hash(key.document_id.as_str()),
        key,
        generation: 1,
        epoch: epoch("one"),
        deletes: false,
        body_bytes: 4,
        attempt: 0,
        accepted_ms: 1,
        origin: None,
    }
}

/// Spans that tile a text of `count` times ten bytes.
pub(crate) fn spans(count: usize) -> Vec<ChunkSpan> {
    let span = |ordinal: usize| TextSpan { start: ordinal * 10, end: (ordinal + 1) * 10 };
    (0..count)
        .map(|ordinal| ChunkSpan {
            span: span(ordinal),
            heading: vec!["Part".to_owned()],
            embed_tokens: 3,
            open_fence: None,
        })
        .collect()
}

/// A document as an index holds it: one chunk per text.
pub(crate) struct IndexedTestDocument {
    pub(crate) head: DocumentHead,
    pub(crate) chunks: Vec<Chunk>,
}

/// What the chunk stage and the index stage would make of these texts.
pub(crate) fn indexed(
    id: &str,
    number: u64,
    description: &DocumentDescription,
    texts: &[&str],
) -> IndexedTestDocument {
    let key = version_key(&collection(TENANT, "tests"), id, number);
    let (hash, epoch) = (content_hash(&texts.join("\n")), epoch("one"));
    let chunk_count = u32::try_from(texts.len()).unwrap();
    let mut start = 0;
    let chunks = (0_u32..).zip(texts).map(|(ordinal, text)| {
        let span = TextSpan { start, end: start + text.len() };
        start = span.end;
        Chunk {
            id: ChunkId::derive(&epoch, &key, &hash, ordinal),
            document_id: key.document_id.clone(),
            version: key.version,
            ordinal,
            chunk_count,
            span,
            heading: vec!["Guide".to_owned(), format!("Part {ordinal}")],
            embed_tokens: 7,
            open_fence: None,
            source: None,
            text: (*text).to_owned(),
            description: description.clone(),
        }
    });
    IndexedTestDocument {
        chunks: chunks.collect(),
        head: DocumentHead {
            document_id: key.document_id.clone(),
            version: key.version,
            content_hash: hash,
            epoch,
            chunk_count,
            acl: description.acl.clone(),
            deleted: false,
        },
    }
}

impl IndexedTestDocument {
    /// The same, standing at a place of its source.
    pub(crate) fn standing_at(mut self, place: Option<(SourceUnit, usize, usize)>) -> Self {
        for chunk in &mut self.chunks {
            let bytes = chunk.text.len();
            chunk.source =
                place.map(|(unit, first, last)| SourceExcerpt::of_places(unit, first, last, bytes));
        }
        self
    }
}

/// A chunk's point, as the embed stage stages it.
pub(crate) fn staged_point(chunk: &Chunk, vector: Vec<f32>) -> VectorPoint {
    let subject = FilterSubject::of_chunk(chunk);
    VectorPoint {
        id: chunk.id,
        vector,
        document_id: chunk.document_id.clone(),
        version: chunk.version,
        facets: subject.facets().into_iter().collect(),
        numbers: subject.numbers(),
        place: subject.place(),
        readers: chunk.description.acl.terms(),
    }
}

/// A description that lets only these groups read.
pub(crate) fn readable_by(names: &[&str]) -> DocumentDescription {
    DocumentDescription {
        acl: DocumentAcl::new(Some(groups(names))).unwrap(),
        ..DocumentDescription::default()
    }
}

/// The terms of a caller without groups.
pub(crate) fn anyone() -> Vec<String> {
    contexture_core::domain::document::reader_terms(&BTreeSet::new())
}

/// Evenly spread unit vectors, the same in every run.
pub(crate) fn unit_vector(seed: usize, dims: usize) -> Vec<f32> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut vector: Vec<f32> = (0..dims)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f32::from(u16::try_from(state >> 48).unwrap()) / 32_768.0 - 1.0
        })
        .collect();
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    for number in &mut vector {
        *number /= length;
    }
    vector
}
