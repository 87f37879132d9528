//! Resolves texts to vectors: from the cache, from another worker that embeds them, or from the model.
//!
//! Calls carry texts of many documents and run concurrently, as many as the model allows. A call that the
//! model refuses is halved until only the refused text fails. Any other fault ends the calls that have not
//! begun; vectors computed before it are kept. Vectors of paid calls are cached as each call ends, so a
//! crash loses only the open calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};

use super::ledger_claims::LedgerTextClaims;
use super::single_flight::SingleFlightClaim;
use crate::domain::ids::EmbeddingKey;
use crate::fault::Fault;
use crate::ingest::usage::ModelUsage;
use crate::ingest::{IngestCounters, StageResources};
use crate::ports::catalog::OpenCollection;
use crate::ports::embedder::{Embedder, ProviderThroughput, TurnDeadline};
use crate::ports::embedding_windows::{EmbeddingWindow, mean_vector};

/// A text to embed.
pub(super) struct TextToEmbed {
    pub(super) embedded: String,
    /// Its parts, if it is longer than the model's window.
    pub(super) windows: Vec<EmbeddingWindow>,
    pub(super) tokens: usize,
    /// The document in whose own calls the text is embedded, because that document failed before.
    pub(super) alone: Option<usize>,
}

/// Results for the texts of a slice.
#[derive(Default)]
pub(super) struct KnownVectors {
    pub(super) vectors: HashMap<EmbeddingKey, Vec<f32>, RandomState>,
    /// The fault of each text without a vector.
    pub(super) failed: HashMap<EmbeddingKey, Fault>,
    /// Calls, texts and tokens of the model.
    pub(super) spent: ModelUsage,
}

/// Vectors that are not cached yet, and this worker's claim on their texts.
pub(super) struct UncachedVectors<'a> {
    pub(super) vectors: Vec<(EmbeddingKey, Vec<f32>)>,
    pub(super) _claim: SingleFlightClaim<'a>,
}

/// First interval for polling the cache for texts that another process embeds. It doubles each time.
const CACHE_POLL_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Longest polling interval.
const CACHE_POLL_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// A text and its key.
type KeyedText = (EmbeddingKey, TextToEmbed);

/// Resolves the vectors of `texts`, which belong to `chunks` chunks. A text that would have to wait beyond
/// `deadline` fails.
pub(super) async fn resolve_vectors<'a>(
    stages: &'a StageResources,
    open: &OpenCollection,
    mut texts: BTreeMap<EmbeddingKey, TextToEmbed>,
    chunks: usize,
    counters: &IngestCounters,
    deadline: &TurnDeadline,
) -> Result<(KnownVectors, UncachedVectors<'a>), Fault> {
    let mut known = KnownVectors::default();
    let mut look_again = CACHE_POLL_INTERVAL_MIN;
    let counted = |known, vectors, claim| {
        count_resolved_chunks(stages, counters, known, chunks, UncachedVectors { vectors, _claim: claim })
    };
    loop {
        look_up_cached_vectors(stages, open, &mut texts, &mut known).await?;
        let (claim, others) = stages.single_flight.claim(&texts.keys().copied().collect::<Vec<_>>());
        let mut elsewhere: BTreeMap<EmbeddingKey, TextToEmbed> =
            others.iter().filter_map(|(key, _)| texts.remove_entry(key)).collect();
        let (computed, in_other_processes) = if open.embedder.info().is_metered {
            let (claimed, others) = LedgerTextClaims::take(stages, &mut texts).await?;
            let work = async {
                // The previous holder of the claim may have embedded them since the last look at the cache.
                look_up_cached_vectors(stages, open, &mut texts, &mut known).await?;
                Ok(embed_missing_texts(stages, open, texts, &mut known, deadline).await)
            };
            let computed = claimed.during(work).await;
            claimed.release().await;
            (computed?, others)
        } else {
            (embed_missing_texts(stages, open, texts, &mut known, deadline).await, BTreeMap::new())
        };
        if elsewhere.is_empty() && in_other_processes.is_empty() {
            return Ok(counted(known, computed, claim));
        }
        // No worker waits while it holds a claim, or two could wait for each other. So the vectors are
        // cached and the claim is dropped before the wait.
        stages.ledger.cache_vectors(computed).await?;
        drop(claim);
        let others_ended = async {
            for (_, signal) in others {
                signal.ended().await;
            }
            if !in_other_processes.is_empty() {
                tokio::time::sleep(look_again).await;
            }
        };
        tokio::select! {
            () = others_ended => {}
            () = deadline.passed() => {}
        }
        look_again = (look_again * 2).min(CACHE_POLL_INTERVAL_MAX);
        elsewhere.extend(in_other_processes);
        if deadline.has_passed() {
            known.failed.extend(elsewhere.into_keys().map(|key| (key, deadline.fault())));
            // Nothing is left to cache; an empty claim keeps the return type simple.
            return Ok(counted(known, Vec::new(), stages.single_flight.claim(&[]).0));
        }
        texts = elsewhere;
    }
}

/// Counts the embedded texts and the chunks that needed no call.
fn count_resolved_chunks<'a>(
    stages: &StageResources,
    counters: &IngestCounters,
    known: KnownVectors,
    chunks: usize,
    fresh: UncachedVectors<'a>,
) -> (KnownVectors, UncachedVectors<'a>) {
    let missing = known.spent.texts + known.failed.len() as u64;
    let cached = (chunks as u64).saturating_sub(missing);
    counters.embedded(known.spent.texts, cached);
    stages.meter.cached(cached);
    (known, fresh)
}

/// Moves cached texts from `texts` to `known`.
async fn look_up_cached_vectors(
    stages: &StageResources,
    open: &OpenCollection,
    texts: &mut BTreeMap<EmbeddingKey, TextToEmbed>,
    known: &mut KnownVectors,
) -> Result<(), Fault> {
    if texts.is_empty() {
        return Ok(());
    }
    let keys: Vec<EmbeddingKey> = texts.keys().copied().collect();
    let dims = open.embedder.info().dims;
    for (key, cached) in keys.iter().zip(stages.ledger.cached_vectors(&keys).await?) {
        // Vectors of other dimensions do not fit this generation's store; their texts are embedded again.
        if let Some(vector) = cached.filter(|vector| vector.len() == dims) {
            texts.remove(key);
            known.vectors.insert(*key, vector);
        }
    }
    Ok(())
}

/// Embeds `texts` and adds the vectors to `known`. Returns those that are not cached yet.
async fn embed_missing_texts(
    stages: &StageResources,
    open: &OpenCollection,
    texts: BTreeMap<EmbeddingKey, TextToEmbed>,
    known: &mut KnownVectors,
    deadline: &TurnDeadline,
) -> Vec<(EmbeddingKey, Vec<f32>)> {
    if texts.is_empty() {
        return Vec::new();
    }
    let info = open.embedder.info();
    let texts_max = info.batch_texts_max.min(stages.limits.embed_batch_texts_max);
    let tokens_max = info.batch_tokens_max.min(stages.limits.embed_batch_tokens_max);
    let tokens_max = tokens_max.min(paced_tokens_max(&*open.embedder).await);
    let (alone, together): (Vec<KeyedText>, Vec<KeyedText>) =
        texts.into_iter().partition(|(_, text)| text.alone.is_some());
    let mut by_document: BTreeMap<usize, Vec<KeyedText>> = BTreeMap::new();
    for keyed in alone {
        by_document.entry(keyed.1.alone.unwrap_or_default()).or_default().push(keyed);
    }
    let mut calls = split_into_calls(&together, texts_max, tokens_max);
    calls.extend(by_document.values().flat_map(|texts| split_into_calls(texts, texts_max, tokens_max)));
    let calling =
        SliceEmbeddingCalls { stages, open, deadline, requests: AtomicU64::new(0), over: OnceLock::new() };
    let calls: Vec<BoxFuture<Vec<TextEmbeddingResult>>> =
        calls.into_iter().map(|call| calling.embed_and_keep(call).boxed()).collect();
    let answers: Vec<Vec<TextEmbeddingResult>> =
        stream::iter(calls).buffer_unordered(info.calls_max.max(1)).collect().await;
    // All calls have ended, so a relaxed load sees every increment.
    known.spent.requests += calling.requests.load(Ordering::Relaxed);
    let mut computed = Vec::new();
    for TextEmbeddingResult { key, tokens, vector } in answers.into_iter().flatten() {
        match vector {
            Ok(vector) => {
                known.spent.texts += 1;
                known.spent.tokens += tokens as u64;
                if !info.is_metered {
                    computed.push((key, vector.clone()));
                }
                known.vectors.insert(key, vector);
            }
            Err(fault) => drop(known.failed.insert(key, fault)),
        }
    }
    // Calls end in any order; sorting by key makes the result deterministic.
    computed.sort_unstable_by_key(|(key, _)| *key);
    computed
}

/// Most tokens of one call under a limit per minute: half of the limit. A call above the limit would be
/// refused for ever, and one just below it would wait for a whole minute.
async fn paced_tokens_max(embedder: &dyn Embedder) -> usize {
    match embedder.pace().await {
        Ok(ProviderThroughput { tokens_per_minute: Some(limit), .. }) => (limit / 2).max(1) as usize,
        Ok(_) => usize::MAX,
        Err(fault) => {
            tracing::debug!(%fault, "the pace of a model is not known");
            usize::MAX
        }
    }
}

/// Result of embedding one text.
struct TextEmbeddingResult {
    key: EmbeddingKey,
    tokens: usize,
    vector: Result<Vec<f32>, Fault>,
}

/// The calls of one slice.
struct SliceEmbeddingCalls<'a> {
    stages: &'a StageResources,
    open: &'a OpenCollection,
    /// Time from which no call begins.
    deadline: &'a TurnDeadline,
    requests: AtomicU64,
    /// The fault that stopped further calls.
    over: OnceLock<Fault>,
}

impl SliceEmbeddingCalls<'_> {
    /// Embeds the texts of one call and caches them if the call is paid for.
    async fn embed_and_keep(&self, texts: &[KeyedText]) -> Vec<TextEmbeddingResult> {
        let answered = self.embed(texts).await;
        if self.open.embedder.info().is_metered {
            let vector = |one: &TextEmbeddingResult| Some((one.key, one.vector.as_ref().ok()?.clone()));
            let vectors = answered.iter().filter_map(vector).collect();
            // This batch still has the vectors; only a later one would pay again.
            if let Err(fault) = self.stages.ledger.cache_vectors(vectors).await {
                tracing::warn!(%fault, "vectors that were paid for are not cached");
            }
        }
        answered
    }

    /// Embeds the texts of one call. A refused call is halved until single texts remain.
    async fn embed(&self, texts: &[KeyedText]) -> Vec<TextEmbeddingResult> {
        let mut answered = Vec::with_capacity(texts.len());
        let mut pending = vec![texts];
        while let Some(call) = pending.pop() {
            let made = match self.over.get() {
                Some(fault) => Err(fault.clone()),
                None if self.deadline.has_passed() => Err(self.deadline.fault()),
                None => self.call(call).await,
            };
            match made {
                Ok(vectors) => answered.extend(call.iter().zip(vectors).map(|((key, text), vector)| {
                    TextEmbeddingResult { key: *key, tokens: text.tokens, vector: Ok(vector) }
                })),
                Err(Fault::Permanent(_)) if call.len() > 1 => {
                    let (left, right) = call.split_at(call.len() / 2);
                    // A stack: the left half comes first, so texts keep their order.
                    pending.push(right);
                    pending.push(left);
                }
                Err(fault) => {
                    if !matches!(fault, Fault::Permanent(_)) {
                        // Calls run concurrently; the first fault wins and later ones are dropped.
                        let _ = self.over.set(fault.clone());
                    }
                    answered.extend(call.iter().map(|(key, text)| TextEmbeddingResult {
                        key: *key,
                        tokens: text.tokens,
                        vector: Err(fault.clone()),
                    }));
                }
            }
        }
        answered
    }

    /// One vector per text. Calls of the model have at most `batch_texts_max` texts, and each window is one.
    async fn call(&self, call: &[KeyedText]) -> Result<Vec<Vec<f32>>, Fault> {
        let mut texts: Vec<String> = Vec::with_capacity(call.len());
        for (_, text) in call {
            if text.windows.is_empty() {
                texts.push(text.embedded.clone());
            } else {
                texts.extend(text.windows.iter().map(|window| window.text.clone()));
            }
        }
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(self.open.embedder.info().batch_texts_max.max(1)) {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let answered = self.open.embedder.embed_by(texts, self.deadline).await?;
            check_vectors(&answered, texts.len(), self.open.embedder.info().dims)?;
            vectors.extend(answered);
        }
        let mut vectors = vectors.into_iter();
        let of_text = |(_, text): &KeyedText| {
            if text.windows.is_empty() {
                return vectors.next().unwrap_or_default();
            }
            let windows = text.windows.iter().zip(vectors.by_ref());
            mean_vector(&windows.map(|(window, vector)| (vector, window.tokens)).collect::<Vec<_>>())
        };
        Ok(call.iter().map(of_text).collect())
    }
}

/// Splits texts into calls of bounded texts and tokens.
fn split_into_calls(mut texts: &[KeyedText], texts_max: usize, tokens_max: usize) -> Vec<&[KeyedText]> {
    let mut batches = Vec::new();
    while !texts.is_empty() {
        let mut tokens = 0_usize;
        let within = texts.iter().take(texts_max.max(1)).take_while(|(_, text)| {
            tokens = tokens.saturating_add(text.tokens);
            tokens <= tokens_max
        });
        // A single text above the limit still makes a call; the model decides.
        let (batch, rest) = texts.split_at(within.count().max(1));
        batches.push(batch);
        texts = rest;
    }
    batches
}

/// Checks number, dimensions and values of vectors, so that no broken answer is stored.
fn check_vectors(vectors: &[Vec<f32>], count: usize, dims: usize) -> Result<(), Fault> {
    let sound = |vector: &Vec<f32>| {
        vector.len() == dims
            && vector.iter().all(|number| number.is_finite())
            // A zero vector has no direction, so its cosine similarity is undefined.
            && vector.iter().any(|number| *number != 0.0)
    };
    if vectors.len() == count && vectors.iter().all(sound) {
        return Ok(());
    }
    Err(Fault::transient(format!(
        "the embedder answered {} vectors for {count} texts, or unsound ones",
        vectors.len()
    )))
}
