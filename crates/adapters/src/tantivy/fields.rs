//! The index schema, and the conversion of heads and chunks to and from Tantivy documents.
//!
//! Heads and chunks are Tantivy documents that share the field `document`. So one delete by that
//! term removes everything that the index holds of a document.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tantivy::schema::{
    Field, FieldType, IndexRecordOption, NumericOptions, STORED, STRING, Schema, TextFieldIndexing,
    TextOptions, Value,
};
use tantivy::{TantivyDocument, TantivyError};

use super::analyzer;
use contexture_core::domain::chunk::{Chunk, SourceExcerpt, TextSpan};
use contexture_core::domain::document::{DocumentDescription, DocumentHead};
use contexture_core::domain::document_name::document_name_words;
use contexture_core::domain::filter_subject::FilterSubject;
use contexture_core::domain::ids::{ChunkId, DocumentId, Version};

/// Values of the field `kind`: what a Tantivy document represents.
pub(super) mod kind {
    pub(crate) const HEAD: &str = "head";
    pub(crate) const TOMBSTONE: &str = "tombstone";
    pub(crate) const CHUNK: &str = "chunk";
}

/// The fields by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct IndexSchemaFields {
    pub(super) kind: Field,
    pub(super) document: Field,
    pub(super) head: Field,
    pub(super) chunk_id: Field,
    pub(super) id_high: Field,
    pub(super) id_low: Field,
    pub(super) ordinal: Field,
    pub(super) text: Field,
    pub(super) heading: Field,
    pub(super) name: Field,
    pub(super) facets: Field,
    pub(super) place_first: Field,
    pub(super) place_last: Field,
    pub(super) readers: Field,
    pub(super) record: Field,
}

pub(super) fn build_schema() -> Schema {
    let analysed =
        |option| TextFieldIndexing::default().set_tokenizer(analyzer::ANALYZER_NAME).set_index_option(option);
    // Text has positions, which the phrase queries for pairs of words need; headings and names need none.
    let text = analysed(IndexRecordOption::WithFreqsAndPositions);
    let heading = analysed(IndexRecordOption::WithFreqs);
    let mut schema = Schema::builder();
    schema.add_text_field("kind", STRING);
    schema.add_text_field("document", STRING);
    schema.add_text_field("head", STRING);
    schema.add_bytes_field("chunk_id", tantivy::schema::INDEXED);
    // A chunk's id is in the index twice: as a term, to find the chunk by it, and as two fast
    // fields, to read it from a hit without decompressing the stored document.
    let fast = NumericOptions::default().set_fast();
    schema.add_u64_field("id_high", fast.clone());
    schema.add_u64_field("id_low", fast.clone());
    schema.add_u64_field("ordinal", fast.clone());
    // Where a chunk stands in its source, for filters; in which unit, a facet says.
    schema.add_u64_field("place_first", fast.clone());
    schema.add_u64_field("place_last", fast);
    schema.add_text_field("text", TextOptions::default().set_indexing_options(text).set_stored());
    schema.add_text_field("heading", TextOptions::default().set_indexing_options(heading.clone()));
    schema.add_text_field("name", TextOptions::default().set_indexing_options(heading));
    schema.add_text_field("facets", STRING);
    schema.add_text_field("readers", STRING);
    schema.add_bytes_field("record", STORED);
    schema.build()
}

/// Whether a schema is one that this one grew from: its terms are of an older analyzer, or it lacks fields; and it
/// has no others.
pub(super) fn is_older_schema(schema: &Schema) -> bool {
    let today = build_schema();
    let is_grown = schema.fields().all(|(_, entry)| today.get_field(entry.name()).is_ok());
    let lacks_fields = schema.num_fields() < today.num_fields();
    is_grown && (lacks_fields || analyzer_name(schema).is_some_and(analyzer::is_older_analyzer))
}

/// The analyzer of the text of chunks.
fn analyzer_name(schema: &Schema) -> Option<&str> {
    let entry = schema.get_field_entry(schema.get_field("text").ok()?);
    let FieldType::Str(options) = entry.field_type() else { return None };
    Some(options.get_indexing_options()?.tokenizer())
}

/// The stored form of a chunk, without its text, which has a stored field of its own.
#[derive(Serialize, Deserialize)]
#[serde(expecting = "struct ChunkRecord")]
struct StoredChunkRecord<'a> {
    document_id: Cow<'a, DocumentId>,
    version: Version,
    ordinal: u32,
    chunk_count: u32,
    span: TextSpan,
    heading: Cow<'a, [String]>,
    embed_tokens: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open_fence: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Cow<'a, SourceExcerpt>>,
    description: Cow<'a, DocumentDescription>,
}

impl IndexSchemaFields {
    pub(super) fn resolve(schema: &Schema) -> tantivy::Result<Self> {
        Ok(Self {
            kind: schema.get_field("kind")?,
            document: schema.get_field("document")?,
            head: schema.get_field("head")?,
            chunk_id: schema.get_field("chunk_id")?,
            id_high: schema.get_field("id_high")?,
            id_low: schema.get_field("id_low")?,
            ordinal: schema.get_field("ordinal")?,
            text: schema.get_field("text")?,
            heading: schema.get_field("heading")?,
            name: schema.get_field("name")?,
            facets: schema.get_field("facets")?,
            place_first: schema.get_field("place_first")?,
            place_last: schema.get_field("place_last")?,
            readers: schema.get_field("readers")?,
            record: schema.get_field("record")?,
        })
    }

    pub(super) fn head_document(&self, head: &DocumentHead) -> tantivy::Result<TantivyDocument> {
        let mut document = TantivyDocument::new();
        document.add_text(self.kind, if head.deleted { kind::TOMBSTONE } else { kind::HEAD });
        document.add_text(self.document, head.document_id.as_str());
        document.add_text(self.head, head.document_id.as_str());
        document.add_bytes(self.record, &encode_record(head)?);
        Ok(document)
    }

    pub(super) fn chunk_document(&self, chunk: &Chunk) -> tantivy::Result<TantivyDocument> {
        let record = StoredChunkRecord {
            document_id: Cow::Borrowed(&chunk.document_id),
            version: chunk.version,
            ordinal: chunk.ordinal,
            chunk_count: chunk.chunk_count,
            span: chunk.span,
            heading: Cow::Borrowed(&chunk.heading),
            embed_tokens: chunk.embed_tokens,
            open_fence: chunk.open_fence.as_deref().map(Cow::Borrowed),
            source: chunk.source.as_ref().map(Cow::Borrowed),
            description: Cow::Borrowed(&chunk.description),
        };
        let (high, low) = chunk.id.as_uuid().as_u64_pair();
        let mut document = TantivyDocument::new();
        document.add_text(self.kind, kind::CHUNK);
        document.add_text(self.document, chunk.document_id.as_str());
        document.add_bytes(self.chunk_id, chunk.id.as_uuid().as_bytes());
        document.add_u64(self.id_high, high);
        document.add_u64(self.id_low, low);
        document.add_u64(self.ordinal, chunk.ordinal.into());
        document.add_text(self.text, &chunk.text);
        // Every chunk has the name of its document: who names one asks for what stands anywhere in it.
        if let Some(title) = &chunk.description.title {
            document.add_text(self.name, title);
        }
        let name = document_name_words(chunk.document_id.as_str());
        if !name.is_empty() {
            document.add_text(self.name, name);
        }
        // Once for each document: who asks for a file by its whole path finds its beginning.
        if chunk.ordinal == 0 {
            document.add_text(self.heading, chunk.document_id.as_str());
        }
        for heading in &chunk.heading {
            document.add_text(self.heading, heading);
        }
        let subject = FilterSubject::of_chunk(chunk);
        for facet in subject.facets() {
            document.add_text(self.facets, facet);
        }
        if let Some(place) = subject.place() {
            document.add_u64(self.place_first, place.first);
            document.add_u64(self.place_last, place.last);
        }
        for reader in chunk.description.acl.terms() {
            document.add_text(self.readers, reader);
        }
        document.add_bytes(self.record, &encode_record(&record)?);
        Ok(document)
    }

    pub(super) fn read_head(&self, document: &TantivyDocument) -> tantivy::Result<DocumentHead> {
        decode_record(self.record_of(document))
    }

    pub(super) fn read_chunk(&self, id: ChunkId, document: &TantivyDocument) -> tantivy::Result<Chunk> {
        let record: StoredChunkRecord<'_> = decode_record(self.record_of(document))?;
        let text = document.get_first(self.text).and_then(|value| value.as_str()).unwrap_or_default();
        Ok(Chunk {
            id,
            document_id: record.document_id.into_owned(),
            version: record.version,
            ordinal: record.ordinal,
            chunk_count: record.chunk_count,
            span: record.span,
            heading: record.heading.into_owned(),
            embed_tokens: record.embed_tokens,
            open_fence: record.open_fence.map(Cow::into_owned),
            source: record.source.map(Cow::into_owned),
            text: text.to_owned(),
            description: record.description.into_owned(),
        })
    }

    // A missing record becomes empty bytes, which fail to decode: an error, no panic.
    fn record_of<'a>(&self, document: &'a TantivyDocument) -> &'a [u8] {
        document.get_first(self.record).and_then(|value| value.as_bytes()).unwrap_or_default()
    }
}

fn encode_record(value: &impl Serialize) -> tantivy::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| TantivyError::InternalError(error.to_string()))
}

fn decode_record<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> tantivy::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| TantivyError::InternalError(error.to_string()))
}
