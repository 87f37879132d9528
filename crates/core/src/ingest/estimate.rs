//! Estimates the cost of ingesting documents without ingesting them.
//!
//! It uses the same decoding, converters, chunking and embedding keys as the stages. It writes nothing, except
//! that reading a cached vector records the time of use. Token counts are those of a real run.
//! Requests are a lower bound: how texts share calls depends on when their documents arrive.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::chunk::embedded_text;
use crate::domain::document::{DocumentDescription, Submission, hash_content};
use crate::domain::ids::{CollectionKey, DocumentId, EmbeddingKey, VersionKey, derive_embedding_key};
use crate::domain::pipeline::ChunkerKind;
use crate::fault::{FailureReason, Fault};
use crate::ports::catalog::EmbedderChunkSizes;
use crate::ports::converter::{ConvertedText, DocumentToConvert};
use crate::ports::embedder::Embedder;
use crate::ports::extractor::{ChosenConverter, DocumentExtractor, DocumentKind};
use crate::ports::ledger::{Ledger, StoredBody, VersionState};

use super::chunk::conversion::{UnreadCause, read_unless_converted};
use super::chunk::stage::fault_from_join_error;
use super::chunk::{
    ChunkLimits, NormalisedText, decode_converted, decode_document, split_document, unread_type,
};

/// Most documents that are named because they would die.
pub const DYING_NAMED_MAX: usize = 100;

/// The work that a run would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IngestEstimate {
    /// Documents that would be processed.
    pub documents: u64,
    /// Documents whose newest version is this very content.
    pub unchanged: u64,
    /// Documents that would become dead letters.
    pub dead: u64,
    /// Chunks of the processed documents.
    pub chunks: u64,
    /// Chunks whose vector is cached, or whose text was counted before.
    pub cached: u64,
    /// Texts to embed.
    pub texts: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Calls to the model, at least.
    pub requests: u64,
}

/// Sums the cost of documents.
pub struct IngestEstimator {
    ledger: Arc<dyn Ledger>,
    collection: CollectionKey,
    embedder: Arc<dyn Embedder>,
    extractor: Arc<dyn DocumentExtractor>,
    limits: ChunkLimits,
    chunker: ChunkerKind,
    texts_max: u64,
    tokens_max: u64,
    seen: HashSet<EmbeddingKey>,
    total: IngestEstimate,
    dying: Vec<(DocumentId, FailureReason)>,
}

/// Limits of calls to the model.
#[derive(Debug, Clone, Copy)]
pub struct EmbedBatchLimits {
    /// Most texts of one call.
    pub texts_max: usize,
    /// Most tokens of one call.
    pub tokens_max: usize,
    /// Most chunks of one document.
    pub chunks_max: usize,
}

impl IngestEstimator {
    /// Creates an estimator for a collection, which need not exist yet.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        collection: CollectionKey,
        embedder: Arc<dyn Embedder>,
        extractor: Arc<dyn DocumentExtractor>,
        sizes: EmbedderChunkSizes,
        batching: EmbedBatchLimits,
    ) -> Self {
        let info = embedder.info();
        let texts_max = batching.texts_max.min(info.batch_texts_max).max(1) as u64;
        let tokens_max = batching.tokens_max.min(info.batch_tokens_max).max(1) as u64;
        let limits = ChunkLimits {
            tokens_max: sizes.tokens_max,
            tokens_target: sizes.tokens_target,
            tokens_reserved: sizes.tokens_reserved,
            chunks_max: batching.chunks_max,
        };
        let (seen, total) = (HashSet::new(), IngestEstimate::default());
        Self {
            ledger,
            collection,
            embedder,
            extractor,
            limits,
            chunker: sizes.chunker,
            texts_max,
            tokens_max,
            seen,
            total,
            dying: Vec::new(),
        }
    }

    /// Documents that would become dead letters, and why; at most [`DYING_NAMED_MAX`].
    pub fn dying(&self) -> &[(DocumentId, FailureReason)] {
        &self.dying
    }

    /// Adds a document.
    pub async fn add(&mut self, submission: &Submission) -> Result<(), Fault> {
        let hash = hash_content(submission.description(), submission.body());
        let history = self.ledger.history(&self.collection, submission.document_id()).await?;
        let same = |newest: &crate::ports::ledger::VersionRecord| {
            newest.content_hash == hash && newest.state != VersionState::Superseded && !newest.deletes
        };
        if history.first().is_some_and(same) {
            self.total.unchanged += 1;
            return Ok(());
        }
        let document_id = submission.document_id();
        let texts = self.texts(
            document_id.clone(),
            submission.description().clone(),
            submission.body().clone(),
            None,
        );
        let texts = texts.await?;
        self.count(document_id, texts).await
    }

    /// Adds a visible document that a re-index would build again.
    pub async fn add_visible(&mut self, key: &VersionKey, stored: StoredBody) -> Result<(), Fault> {
        let texts = self
            .texts(key.document_id.clone(), stored.description, stored.body.into(), stored.converted)
            .await?;
        self.count(&key.document_id, texts).await
    }

    async fn count(
        &mut self,
        document_id: &DocumentId,
        texts: Result<Vec<(EmbeddingKey, u64)>, FailureReason>,
    ) -> Result<(), Fault> {
        let texts = match texts {
            Ok(texts) => texts,
            // A document that cannot be chunked becomes a dead letter and costs no call.
            Err(reason) => {
                self.total.dead += 1;
                if self.dying.len() < DYING_NAMED_MAX {
                    self.dying.push((document_id.clone(), reason));
                }
                return Ok(());
            }
        };
        self.total.documents += 1;
        self.total.chunks += texts.len() as u64;
        let unseen: Vec<(EmbeddingKey, u64)> =
            texts.iter().filter(|(key, _)| self.seen.insert(*key)).copied().collect();
        let keys: Vec<EmbeddingKey> = unseen.iter().map(|(key, _)| *key).collect();
        let cached = self.ledger.cached_vectors(&keys).await?;
        let missing = unseen.iter().zip(cached).filter(|(_, cached)| cached.is_none());
        let (mut count, mut tokens) = (0, 0);
        for ((_, text_tokens), _) in missing {
            count += 1;
            tokens += text_tokens;
        }
        self.total.cached += texts.len() as u64 - count;
        self.total.texts += count;
        self.total.tokens += tokens;
        Ok(())
    }

    /// Returns the cost of all documents.
    pub fn finish(self) -> IngestEstimate {
        // Each call is bounded in texts and in tokens; the tighter bound gives the minimum of calls.
        let by_texts = self.total.texts.div_ceil(self.texts_max);
        let by_tokens = self.total.tokens.div_ceil(self.tokens_max);
        IngestEstimate { requests: by_texts.max(by_tokens), ..self.total }
    }

    /// Returns key and tokens of each chunk, or the reason why the document would become a dead letter.
    async fn texts(
        &self,
        document_id: DocumentId,
        description: DocumentDescription,
        body: Bytes,
        converted: Option<ConvertedText>,
    ) -> Result<Result<Vec<(EmbeddingKey, u64)>, FailureReason>, Fault> {
        let (limits, chunker, embedder) = (self.limits, self.chunker, self.embedder.clone());
        let text = match self.decoded(&document_id, &description, body, converted).await {
            Ok(text) => text,
            Err(Fault::Permanent(reason)) => return Ok(Err(reason)),
            Err(other) => return Err(other),
        };
        let read = move || {
            let title = description.title.as_deref().or(text.title.as_deref());
            let spans = split_document(chunker, &text, title, &*embedder.tokenizer(), &limits)?;
            let keyed = |span: &crate::domain::chunk::ChunkSpan| {
                let slice = &text.text[span.span.start..span.span.end];
                let key =
                    derive_embedding_key(&embedder.info().model, &embedded_text(title, &span.heading, slice));
                (key, u64::from(span.embed_tokens))
            };
            Ok(spans.iter().map(keyed).collect())
        };
        tokio::task::spawn_blocking(read).await.map_err(fault_from_join_error)
    }

    /// Returns the text of a document, as the chunk stage would read or convert it.
    async fn decoded(
        &self,
        document_id: &DocumentId,
        description: &DocumentDescription,
        body: Bytes,
        converted: Option<ConvertedText>,
    ) -> Result<NormalisedText, Fault> {
        if let Some(converted) = converted {
            return decode_conversion(document_id, converted).await;
        }
        let (id, media_type) = (document_id.to_string(), description.media_type.clone());
        let (extractor, shared) = (self.extractor.clone(), body.clone());
        let read = move || {
            let declared = media_type.as_deref();
            let kind = DocumentKind { sniffed: unread_type(&shared), declared, name: &id };
            let decode = || decode_document(&shared, declared, &id, &*extractor);
            read_unless_converted(&*extractor, &kind, decode)
        };
        match tokio::task::spawn_blocking(read).await.map_err(fault_from_join_error)? {
            Ok(text) => Ok(text),
            Err(UnreadCause::Refused(fault)) => Err(fault),
            Err(UnreadCause::ToConvert(ChosenConverter { converter, media_type })) => {
                let name = document_id.to_string();
                let document = DocumentToConvert { body: body.into(), media_type, name };
                decode_conversion(document_id, converter.convert(document).await?).await
            }
        }
    }
}

/// Decodes what a converter made of a document.
async fn decode_conversion(
    document_id: &DocumentId,
    converted: ConvertedText,
) -> Result<NormalisedText, Fault> {
    let id = document_id.to_string();
    let decode = move || decode_converted(&converted, &id).map_err(Fault::Permanent);
    tokio::task::spawn_blocking(decode).await.map_err(fault_from_join_error)?
}
