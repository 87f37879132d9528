//! Text to vectors.
//!
//! A model behind a network may be throttled, away, or refuse its credential: then `embed` waits
//! its turn for a while and faults without an attempt spent, and [`Embedder::waiting`] says what
//! everybody waits for, so that a stage can stop consuming.
//!
//! Contract: one vector per text, in order, each of [`EmbedderInfo::dims`] finite numbers and
//! of unit length; a text is never cut silently: one longer than `tokens_max` is refused as
//! permanent. The same text gives the same vector. Throttling, expired credentials and
//! outages are told apart as [`Fault`]s.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use super::tokenizer::Tokenizer;
use crate::fault::Fault;

/// Whether a text is a stored passage or a question; some models embed the two differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingPurpose {
    /// A passage to be found.
    Passage,
    /// A question to find passages for.
    Query,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderInfo {
    /// Names weights, preprocessing and prefixes; part of the epoch and of the cache's keys.
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
    /// Calls that are worth having open at once.
    pub calls_max: usize,
    /// Whether calls are paid for or limited, so that processes take care not to make one twice.
    pub is_metered: bool,
}

/// What calls of a model wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderWaitStatus {
    /// Who lets them wait, such as `openai/text-embedding-3-small`.
    pub model: String,
    /// Why, in a few words.
    pub why: String,
    /// For how long, as far as is known.
    pub wait: Duration,
    /// Calls that wait, of all processes.
    pub workers: u32,
    /// Whether nothing goes out at all; else calls go on, slowly.
    pub stopped: bool,
}

/// What a provider bears per minute, as far as is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProviderThroughput {
    /// Calls.
    pub requests_per_minute: Option<u32>,
    /// Tokens.
    pub tokens_per_minute: Option<u32>,
}

/// Until when calls wait for their turn: a time, or the end of the process, if that comes first.
#[derive(Debug, Clone)]
pub struct TurnDeadline {
    at: Option<Instant>,
    stop: watch::Receiver<bool>,
}

impl TurnDeadline {
    /// When those are told to come back that wait no longer.
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
                // Nobody is left who could stop it.
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

    /// What is told to who waits no longer: throttled for a moment.
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
    /// What it is.
    fn info(&self) -> &EmbedderInfo;

    /// Its tokenizer, for sizing chunks.
    fn tokenizer(&self) -> Arc<dyn Tokenizer>;

    /// Embeds up to `batch_texts_max` texts.
    async fn embed(&self, texts: &[String], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault>;

    /// Embeds passages like [`Embedder::embed`], but waits for a turn until `deadline` only, and is
    /// throttled then. A call that has begun is not broken off.
    async fn embed_by(&self, texts: &[String], _deadline: &TurnDeadline) -> Result<Vec<Vec<f32>>, Fault> {
        self.embed(texts, EmbeddingPurpose::Passage).await
    }

    /// What calls wait for, as far as this process knows; none where they do not.
    fn waiting(&self) -> Option<EmbedderWaitStatus> {
        None
    }

    /// What it bears per minute.
    async fn pace(&self) -> Result<ProviderThroughput, Fault> {
        Ok(ProviderThroughput::default())
    }

    /// Returns once calls can go out.
    async fn until_open(&self) {}

    /// Takes from the budget of retries, before work that failed once is embedded again; throttled
    /// when too much is tried again.
    async fn begin_retry(&self) -> Result<(), Fault> {
        Ok(())
    }
}
