//! Texts to vectors: from the cache, from whoever embeds them already, or from the model.
//!
//! Calls carry texts of many documents and run side by side, as many as the model bears. A text
//! the model refuses is found by halving its call, and only it fails. Any other fault ends the
//! calls that have not begun; what was embedded until then is kept. Where calls are paid for, each
//! call's vectors are cached as it ends: a process that dies loses the calls that are open.

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

/// A text to embed.
pub(super) struct TextToEmbed {
    pub(super) embedded: String,
    pub(super) tokens: usize,
    /// The document it is embedded alone with, because that one failed before.
    pub(super) alone: Option<usize>,
}

/// What is known of the texts of a slice.
#[derive(Default)]
pub(super) struct KnownVectors {
    pub(super) vectors: HashMap<EmbeddingKey, Vec<f32>, RandomState>,
    /// Why a text has no vector.
    pub(super) failed: HashMap<EmbeddingKey, Fault>,
    /// What was asked of the model.
    pub(super) spent: ModelUsage,
}

/// Vectors that the cache does not have yet, and this process's claim on them.
pub(super) struct UncachedVectors<'a> {
    pub(super) vectors: Vec<(EmbeddingKey, Vec<f32>)>,
    pub(super) _claim: SingleFlightClaim<'a>,
}

/// When a text that another process embeds is looked for again, the first time; then later and later.
const CACHE_POLL_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Longest time between two looks.
const CACHE_POLL_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// A text and its key.
type KeyedText = (EmbeddingKey, TextToEmbed);

/// The vectors of `texts`, of so many chunks. Whatever would have to wait beyond `deadline` fails.
pub(super) async fn resolve_vectors<'a>(
    stages: &'a StageResources,
    open: &OpenCollection,
    mut texts: BTreeMap<EmbeddingKey, TextToEmbed>,
    chunks: usize,
    tally: &IngestCounters,
    deadline: &TurnDeadline,
) -> Result<(KnownVectors, UncachedVectors<'a>), Fault> {
    let mut known = KnownVectors::default();
    let mut look_again = CACHE_POLL_INTERVAL_MIN;
    loop {
        look_up_cached_vectors(stages, open, &mut texts, &mut known).await?;
        let keys: Vec<EmbeddingKey> = texts.keys().copied().collect();
        let (claim, others) = stages.flights.claim(&keys);
        let mut elsewhere: BTreeMap<EmbeddingKey, TextToEmbed> =
            others.iter().filter_map(|(key, _)| texts.remove_entry(key)).collect();
        let (computed, in_other_processes) = if open.embedder.info().is_metered {
            let (claimed, others) = LedgerTextClaims::take(stages, &mut texts).await?;
            let work = async {
                // Who had the claim before may have embedded them since they were looked up.
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
            return Ok(count_resolved_chunks(
                stages,
                tally,
                known,
                chunks,
                UncachedVectors { vectors: computed, _claim: claim },
            ));
        }
        // Who holds a claim waits for nobody: what is done is cached and let go of first.
        stages.ledger.cache_vectors(computed).await?;
        drop(claim);
        let landed = async {
            for (_, landing) in others {
                landing.landed().await;
            }
            if !in_other_processes.is_empty() {
                tokio::time::sleep(look_again).await;
            }
        };
        tokio::select! {
            () = landed => {}
            () = deadline.passed() => {}
        }
        look_again = (look_again * 2).min(CACHE_POLL_INTERVAL_MAX);
        elsewhere.extend(in_other_processes);
        if deadline.has_passed() {
            known.failed.extend(elsewhere.into_keys().map(|key| (key, deadline.fault())));
            let (claim, _) = stages.flights.claim(&[]);
            return Ok(count_resolved_chunks(
                stages,
                tally,
                known,
                chunks,
                UncachedVectors { vectors: Vec::new(), _claim: claim },
            ));
        }
        texts = elsewhere;
    }
}

/// Counts what became of so many chunks.
fn count_resolved_chunks<'a>(
    stages: &StageResources,
    tally: &IngestCounters,
    known: KnownVectors,
    chunks: usize,
    fresh: UncachedVectors<'a>,
) -> (KnownVectors, UncachedVectors<'a>) {
    let missing = known.spent.texts + known.failed.len() as u64;
    let cached = (chunks as u64).saturating_sub(missing);
    tally.embedded(known.spent.texts, cached);
    stages.meter.cached(cached);
    (known, fresh)
}

/// Moves what the cache has from `texts` to `known`.
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
        if let Some(vector) = cached.filter(|vector| vector.len() == dims) {
            texts.remove(key);
            known.vectors.insert(*key, vector);
        }
    }
    Ok(())
}

/// Embeds `texts`; returns those new vectors, which are in `known`, too, that are still to be cached.
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
    // In the order of their keys, whatever call ended first.
    computed.sort_unstable_by_key(|(key, _)| *key);
    computed
}

/// Tokens of one call that a limit per minute has room for: half of it, for a call of more than all of
/// it is refused for ever, and one of nearly all waits for a whole minute.
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

/// What became of a text.
struct TextEmbeddingResult {
    key: EmbeddingKey,
    tokens: usize,
    vector: Result<Vec<f32>, Fault>,
}

/// The calls of one slice.
struct SliceEmbeddingCalls<'a> {
    stages: &'a StageResources,
    open: &'a OpenCollection,
    /// When no more calls begin.
    deadline: &'a TurnDeadline,
    requests: AtomicU64,
    /// Why no more calls begin.
    over: OnceLock<Fault>,
}

impl SliceEmbeddingCalls<'_> {
    /// Embeds the texts of one call and, where they are paid for, caches them.
    async fn embed_and_keep(&self, texts: &[KeyedText]) -> Vec<TextEmbeddingResult> {
        let answered = self.embed(texts).await;
        if self.open.embedder.info().is_metered {
            let vector = |one: &TextEmbeddingResult| Some((one.key, one.vector.as_ref().ok()?.clone()));
            let vectors = answered.iter().filter_map(vector).collect();
            // What is not cached is known for now all the same.
            if let Err(fault) = self.stages.ledger.cache_vectors(vectors).await {
                tracing::warn!(%fault, "vectors that were paid for are not cached");
            }
        }
        answered
    }

    /// Embeds the texts of one call, halving it as long as it is refused.
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
                    pending.push(right);
                    pending.push(left);
                }
                Err(fault) => {
                    if !matches!(fault, Fault::Permanent(_)) {
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

    async fn call(&self, call: &[KeyedText]) -> Result<Vec<Vec<f32>>, Fault> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let texts: Vec<String> = call.iter().map(|(_, text)| text.embedded.clone()).collect();
        let vectors = self.open.embedder.embed_by(&texts, self.deadline).await?;
        check_vectors(&vectors, call.len(), self.open.embedder.info().dims)?;
        Ok(vectors)
    }
}

/// Cuts texts into calls of bounded texts and tokens.
fn split_into_calls(mut texts: &[KeyedText], texts_max: usize, tokens_max: usize) -> Vec<&[KeyedText]> {
    let mut batches = Vec::new();
    while !texts.is_empty() {
        let mut tokens = 0_usize;
        let within = texts.iter().take(texts_max.max(1)).take_while(|(_, text)| {
            tokens = tokens.saturating_add(text.tokens);
            tokens <= tokens_max
        });
        let (batch, rest) = texts.split_at(within.count().max(1));
        batches.push(batch);
        texts = rest;
    }
    batches
}

/// A model that answers nonsense is not stored.
fn check_vectors(vectors: &[Vec<f32>], count: usize, dims: usize) -> Result<(), Fault> {
    let sound = |vector: &Vec<f32>| {
        vector.len() == dims
            && vector.iter().all(|number| number.is_finite())
            && vector.iter().any(|number| *number != 0.0)
    };
    if vectors.len() == count && vectors.iter().all(sound) {
        return Ok(());
    }
    Err(Fault::Transient(format!(
        "the embedder answered {} vectors for {count} texts, or unsound ones",
        vectors.len()
    )))
}
