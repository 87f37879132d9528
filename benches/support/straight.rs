//! The engines alone: the simplest straight program that puts the same chunks into them.
//!
//! One pass of the tokenizer over the text, points into qdrant-edge in batches, documents into
//! Tantivy, one flush, one commit. No ledger, no queue, no versions, no recovery.

#![allow(unreachable_pub, reason = "a module of a bench")]

use std::borrow::Borrow;
use std::path::Path;
use std::sync::LazyLock;

use contexture::adapters::embedder::bundled;
use contexture::adapters::embedder::hash::HashEmbedder;
use contexture::adapters::tokenizer::hugging_face::HuggingFaceTokenizer;
use contexture::ingest::chunk::{ChunkLimits, decode_body, split_into_chunks};
use contexture::ports::embedder::{Embedder, EmbeddingPurpose};
use qdrant_edge::external::serde_json::json;
use qdrant_edge::external::uuid::Uuid;
use qdrant_edge::{
    CreateIndex, Distance, EdgeConfigBuilder, EdgeShard, EdgeVectorParamsBuilder, FieldIndexOperations,
    NamedVectors, PayloadFieldSchema, PayloadSchemaType, PointId, PointInsertOperations, PointOperations,
    PointStruct, UpdateOperation, VectorInternal,
};
use tantivy::schema::{INDEXED, STORED, STRING, Schema, TEXT};
use tantivy::{Index, TantivyDocument};

/// Points per upsert.
const BATCH_POINTS: usize = 256;

/// A document and its chunks.
pub struct StraightDocument {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// The texts of its chunks.
    pub chunks: Vec<String>,
}

impl StraightDocument {
    /// The chunks that the pipeline cuts for the null embedder.
    pub fn cut(number: usize, text: &str) -> Self {
        static TOKENIZER: LazyLock<HuggingFaceTokenizer> = LazyLock::new(|| bundled::tokenizer().unwrap());
        let limits =
            ChunkLimits { tokens_max: 256, tokens_target: 256, tokens_reserved: 2, chunks_max: 100_000 };
        let id = format!("document-{number}.md");
        let decoded = decode_body(text.as_bytes(), Some("text/markdown"), &id).unwrap();
        let spans = split_into_chunks(&decoded, None, &*TOKENIZER, &limits).unwrap();
        let chunks =
            spans.iter().map(|chunk| decoded.text[chunk.span.start..chunk.span.end].to_owned()).collect();
        Self { id, text: text.to_owned(), chunks }
    }
}

/// Puts all documents into the engines under `directory`.
pub fn run(directory: &Path, documents: &[StraightDocument]) {
    run_each(directory, documents.iter());
}

/// The same, one document at a time.
pub fn run_each(directory: &Path, documents: impl Iterator<Item = impl Borrow<StraightDocument>>) {
    let tokenizer = bundled::tokenizer().unwrap();
    let embedder = HashEmbedder::new(std::sync::Arc::new(tokenizer), 384, 256).unwrap();
    let tokenizer = embedder.tokenizer();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    let vectors = directory.join("vectors");
    std::fs::create_dir_all(&vectors).unwrap();
    let params = EdgeVectorParamsBuilder::new(384, Distance::Cosine).build();
    let shard = EdgeShard::new(&vectors, EdgeConfigBuilder::new().vector("dense", params).build()).unwrap();
    for key in ["doc", "acl", "facets"] {
        shard
            .update(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(CreateIndex {
                field_name: key.parse().unwrap(),
                field_schema: Some(PayloadFieldSchema::FieldType(PayloadSchemaType::Keyword)),
            })))
            .unwrap();
    }

    let lexical = directory.join("lexical");
    std::fs::create_dir_all(&lexical).unwrap();
    let mut schema = Schema::builder();
    let document_field = schema.add_text_field("document", STRING | STORED);
    let id_field = schema.add_bytes_field("chunk_id", INDEXED | STORED);
    let text_field = schema.add_text_field("text", TEXT | STORED);
    let index = Index::create_in_dir(&lexical, schema.build()).unwrap();
    let mut writer = index.writer_with_num_threads::<TantivyDocument>(1, 64 << 20).unwrap();

    let mut points = Vec::with_capacity(BATCH_POINTS);
    let upsert = |points: Vec<_>| {
        let list = PointInsertOperations::PointsList(points);
        shard.update(UpdateOperation::PointOperation(PointOperations::UpsertPoints(list))).unwrap();
    };
    let mut tokens = 0;
    let mut number = 0_u128;
    for document in documents {
        let document: &StraightDocument = document.borrow();
        tokens += tokenizer.count(&document.text);
        let all_vectors = document
            .chunks
            .chunks(64)
            .flat_map(|texts| runtime.block_on(embedder.embed(texts, EmbeddingPurpose::Passage)).unwrap());
        for (chunk, vector) in document.chunks.iter().zip(all_vectors) {
            number += 1;
            let id = Uuid::from_u128(number);
            let mut entry = TantivyDocument::new();
            entry.add_text(document_field, &document.id);
            entry.add_bytes(id_field, id.as_bytes());
            entry.add_text(text_field, chunk);
            writer.add_document(entry).unwrap();
            let vectors = NamedVectors::default().add_vector("dense", VectorInternal::Dense(vector));
            let payload = json!({"doc": document.id, "ver": 1, "acl": ["*"]});
            points.push(PointStruct::new(PointId::Uuid(id), vectors, payload).into());
            if points.len() == BATCH_POINTS {
                upsert(std::mem::take(&mut points));
            }
        }
    }
    upsert(points);
    shard.flush();
    let mut commit = writer.prepare_commit().unwrap();
    commit.set_payload("done");
    commit.commit().unwrap();
    assert!(tokens > 0, "the tokenizer counted nothing");
}
