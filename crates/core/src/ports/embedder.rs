//! Embedding models: text to vectors.
//!
//! Contract: one vector per text, in order, each of [`EmbedderInfo::dims`] finite numbers and of unit
//! length. The same text gives the same vector. A text is never cut silently: one longer than
//! `tokens_max` is refused as permanent. Throttling, expired credentials and outages are told apart as
//! [`Fault`]s.
//!
//! A model behind a network may be throttled, away, or refuse its credential. Then `embed` waits for
//! its turn for a while and faults without spending an attempt. [`Embedder::waiting`] says what all
//! calls wait for, so that a stage can stop consuming.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use super::tokenizer::Tokenizer;
use crate::fault::Fault;

/// What a text is embedded for. Some models embed passages and questions differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingPurpose {
    /// A passage to be found.
    Passage,
    /// A question to find passages for.
    Query,
}

/// The properties of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderInfo {
    /// Name of weights, preprocessing and prefixes; part of the epoch and of the cache's keys.
    pub model: String,
    /// Numbers per vector.
    pub dims: usize,
    /// Longest text in tokens, special tokens included.
    pub tokens_max: usize,
    /// Special tokens that are added to every text, passage prefix included.
    pub tokens_reserved: usize,
    /// Most texts of one call.
    pub batch_texts_max: usize,
    /// Most tokens of one call; a longer text goes alone.
    pub batch_tokens_max: usize,
    /// Open calls beyond which more gain nothing.
    pub calls_max: usize,
    /// Whether calls are paid for or limited, so that processes avoid making one twice.
    pub is_metered: bool,
}

/// Why calls of a model wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderWaitStatus {
    /// The provider and model, such as `openai/text-embedding-3-small`.
    pub model: String,
    /// The reason, in a few words.
    pub why: String,
    /// For how long, as far as is known.
    pub wait: Duration,
    /// Calls that wait, of all processes.
    pub workers: u32,
    /// Whether no call goes out at all; otherwise calls go on, slowly.
    pub stopped: bool,
}

/// What a provider allows per minute, as far as is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProviderThroughput {
    /// Calls.
    pub requests_per_minute: Option<u32>,
    /// Tokens.
    pub tokens_per_minute: Option<u32>,
}

/// Until when calls wait for their turn: a time, or the shutdown of the process, if that comes first.
#[derive(Debug, Clone)]
pub struct TurnDeadline {
    at: Option<Instant>,
    stop: watch::Receiver<bool>,
}

impl TurnDeadline {
    /// When a call that waits no longer is to come back.
    pub const AGAIN: Duration = Duration::from_millis(100);

    /// At a time, or once `stop` is true.
    pub fn new(at: Instant, stop: watch::Receiver<bool>) -> Self {
        Self { at: Some(at), stop }
    }

    /// As long as it takes.
    pub fn never() -> Self {
        Self { at: None, stop: watch::channel(false).1 }
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        *self.stop.borrow() || self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// Returns once it has passed.
    pub async fn passed(&self) {
        let mut stop = self.stop.clone();
        let stopped = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // The sender is gone, so nobody can stop the process any more.
                std::future::pending::<()>().await;
            }
        };
        let late = async {
            match self.at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped => {}
            () = late => {}
        }
    }

    /// The fault of a call that waits no longer: throttled for a moment, which costs no attempt.
    pub fn fault(&self) -> Fault {
        let what = if *self.stop.borrow() {
            "the process stops; the rest goes on elsewhere, or later"
        } else {
            "a batch took long; its rest goes on soon"
        };
        Fault::Throttled { retry_after: Self::AGAIN, what: what.to_owned() }
    }
}

/// A model that embeds.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model's properties.
    fn info(&self) -> &EmbedderInfo;

    /// Its tokenizer, for sizing chunks.
    fn tokenizer(&self) -> Arc<dyn Tokenizer>;

    /// Embeds up to `batch_texts_max` texts.
    async fn embed(&self, texts: &[String], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault>;

    /// Embeds passages like [`Embedder::embed`], but waits for a turn only until `deadline`; then it is
    /// throttled. A call that has begun is not cancelled.
    async fn embed_by(&self, texts: &[String], _deadline: &TurnDeadline) -> Result<Vec<Vec<f32>>, Fault> {
        self.embed(texts, EmbeddingPurpose::Passage).await
    }

    /// What calls wait for, as far as this process knows; none if they do not wait.
    fn waiting(&self) -> Option<EmbedderWaitStatus> {
        None
    }

    /// What the provider allows per minute.
    async fn pace(&self) -> Result<ProviderThroughput, Fault> {
        Ok(ProviderThroughput::default())
    }

    /// Returns once calls can go out.
    async fn until_open(&self) {}

    /// Takes from the retry budget before failed work is embedded again. Throttled when the budget is
    /// used up.
    async fn begin_retry(&self) -> Result<(), Fault> {
        Ok(())
    }
}
