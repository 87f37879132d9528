//! Embedders behind a provider's HTTP API.
//!
//! Every indexing call waits for its turn at the `ProviderLimiter` that all callers of the credential
//! share, and reports its outcome there. A call is repeated only where that costs nothing: when it was
//! throttled (at its next turn), after a 401 (once, with a new token), and after a malformed response
//! (once). All other decisions are the pipeline stage's. A query is sent once and at once; while the
//! limiter is parked or its breaker is open, it is not sent at all.
//!
//! A refusal (400, 413, 422) concerns a text. So does a 403 or a malformed response, as long as
//! [`CANARY_TEXT`] is served ([`passages`]). A refused credential (401 after a renewal), a missing model
//! (404 and other refusals), and whatever the canary is refused concern every call, so the limiter
//! parks them all. A query's 403 parks nothing, because no canary is sent then.

mod call;
mod passages;
mod rate_limits;
mod wire_formats;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;

use super::credentials::AccessToken;
use contexture_core::fault::{Fault, reason};
use contexture_core::ports::embedder::{
    Embedder, EmbedderInfo, EmbedderWaitStatus, EmbeddingPurpose, ProviderThroughput, TurnDeadline,
};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_core::resilience::limiter::CallLease;
use contexture_core::resilience::quota_protocol::{AdvertisedLimits, CallOutcome, ProviderLimits};

use call::ProviderCallError;
pub use call::{ProviderAuthorization, ProviderEmbedderParts};
use wire_formats::EmbedResponse;
pub use wire_formats::ProviderApi;

/// A harmless text, sent to tell whether a failure concerns a text or everything.
pub const CANARY_TEXT: &str = "contexture";
/// Longest number of a response in JSON, in bytes.
pub const NUMBER_BYTES_MAX: usize = 32;
/// Most bytes of a response besides its numbers.
pub const ANSWER_OVERHEAD_BYTES: usize = 256 * 1024;
/// Pause before a call is repeated for which there was no token.
const TOKEN_RETRY_WAIT: Duration = Duration::from_secs(10);
/// Longest time for which one indexing call is repeated while it is throttled.
const THROTTLED_TIME_MAX: Duration = Duration::from_mins(1);

/// An embedder that calls a provider's model.
pub struct ProviderEmbedder {
    parts: ProviderEmbedderParts,
    /// Whether a call was served since the last refusal. If so, a refusal concerns its text.
    served: AtomicBool,
}

impl ProviderEmbedder {
    /// Creates an embedder without connecting.
    pub fn new(parts: ProviderEmbedderParts) -> Self {
        Self { parts, served: AtomicBool::new(false) }
    }

    /// Counts the tokens of all texts. Rejects too many texts, and a text that is too long.
    fn check_fit(&self, texts: &[String]) -> Result<usize, Fault> {
        let EmbedderInfo { tokens_max, tokens_reserved, batch_texts_max, .. } = self.parts.info;
        if texts.len() > batch_texts_max {
            return Err(
                self.rejected(&format!("{} texts in one call, at most {batch_texts_max}", texts.len()))
            );
        }
        let mut all = 0;
        for text in texts {
            let tokens = self.parts.tokenizer.count(text) + tokens_reserved;
            if tokens > tokens_max {
                let what =
                    format!("a text of {tokens} tokens with special tokens, the model takes {tokens_max}");
                return Err(self.rejected(&what));
            }
            all += tokens;
        }
        Ok(all)
    }

    /// Embeds a query: one call, at once. A refused token is renewed once.
    async fn embed_query(&self, texts: &[String], tokens: usize) -> Result<Vec<Vec<f32>>, Fault> {
        let limiter = &self.parts.limiter;
        limiter.check_query()?;
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let mut token = self.token().await?;
        let mut renewed = false;
        loop {
            let (result, advertised) = self.parts.call(token.as_ref(), texts, EmbeddingPurpose::Query).await;
            let error = match result {
                Ok(EmbedResponse { vectors, .. }) => {
                    limiter.record_query(tokens, CallOutcome::Served(None), advertised);
                    return Ok(vectors);
                }
                // A 403 may be the credential's, too: a query has no canary that would tell.
                Err(ProviderCallError::Unauthorized(_) | ProviderCallError::Forbidden(_)) if !renewed => {
                    renewed = true;
                    token = self.renew_token(token).await?;
                    continue;
                }
                Err(error) => error,
            };
            // A query takes no lease and cannot wait, so its cost is recorded afterwards.
            limiter.record_query(tokens, outcome_for_limiter(&error, renewed), advertised);
            return Err(match error {
                ProviderCallError::Throttled(hint_ms) => self.throttled(hint_ms),
                ProviderCallError::Failed { words, .. } => Fault::transient(self.labelled(&words)),
                ProviderCallError::Unauthorized(words)
                | ProviderCallError::Forbidden(words)
                | ProviderCallError::Misused(words) => Fault::unauthorized(self.labelled(&words)),
                ProviderCallError::Refused(words) | ProviderCallError::Malformed(words) => {
                    self.rejected(&words)
                }
            });
        }
    }

    /// The token to send; `None` if the provider needs none.
    async fn token(&self) -> Result<Option<AccessToken>, Fault> {
        match &self.parts.authorization {
            Some(authorization) => authorization.credential.token().await.map(Some),
            None => Ok(None),
        }
    }

    /// Replaces a refused token.
    async fn renew_token(&self, refused: Option<AccessToken>) -> Result<Option<AccessToken>, Fault> {
        match (&self.parts.authorization, refused) {
            (Some(authorization), Some(refused)) => authorization.credential.renew(&refused).await.map(Some),
            _ => Err(Fault::unauthorized(self.labelled("asks for a credential, and none is configured"))),
        }
    }

    /// Returns a turn that cannot be used, because there is no token.
    async fn without_token(&self, lease: CallLease, fault: Fault) -> Fault {
        let outcome = match &fault {
            Fault::Unauthorized(cause) => CallOutcome::Parked(cause.to_string()),
            // The provider was not called, so its breaker must not count a failure.
            _ => CallOutcome::Lost,
        };
        self.report(lease, outcome, AdvertisedLimits::default()).await;
        self.token_fault(fault)
    }

    /// Reports an outcome to the limiter. A failed report does not discard a response that was paid
    /// for: the lease expires by itself.
    async fn report(&self, lease: CallLease, outcome: CallOutcome, advertised: AdvertisedLimits) {
        if let Err(fault) = self.parts.limiter.report(lease, outcome, advertised).await {
            tracing::warn!(model = self.parts.label, %fault, "failed to report the outcome of a call to the limiter");
        }
    }

    /// Makes a transient fault of getting a token `Throttled`, which costs a document no attempt.
    fn token_fault(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Transient(words) => Fault::Throttled {
                retry_after: TOKEN_RETRY_WAIT,
                what: self.labelled(&format!("no token: {words}")),
            },
            other => other,
        }
    }

    /// Parks all calls if there is no other token than the refused one.
    async fn park_refused(&self, words: &str, fault: Fault) -> Fault {
        let Fault::Unauthorized(why) = fault else { return self.token_fault(fault) };
        let words = format!("{words}; {why}");
        let parked = self.parts.limiter.park(words.clone()).await;
        parked.err().unwrap_or_else(|| Fault::unauthorized(self.labelled(&words)))
    }

    fn labelled(&self, words: &str) -> String {
        format!("{}: {words}", self.parts.label)
    }

    fn rejected(&self, words: &str) -> Fault {
        Fault::permanent(reason::EMBEDDER_REJECTED, self.labelled(words))
    }

    fn throttled(&self, hint_ms: Option<u64>) -> Fault {
        // At least 1 s: a hint of 0 must not make the stage spin.
        let retry_after = Duration::from_millis(hint_ms.unwrap_or(1000).max(1000));
        Fault::Throttled { retry_after, what: self.labelled("it asks for patience") }
    }

    /// The fault of a failed call. It costs an attempt only while the limiter still lets calls through.
    fn failed(&self, words: &str) -> Fault {
        // `report` has updated this process's view of the breaker before.
        match self.parts.limiter.check_query() {
            Err(fault) => fault,
            Ok(()) => Fault::transient(self.labelled(words)),
        }
    }
}

fn prepend_prefix(prefix: &str, texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// The outcome to report to the limiter. `renewed` means that the token was a new one.
fn outcome_for_limiter(error: &ProviderCallError, renewed: bool) -> CallOutcome {
    match error {
        ProviderCallError::Throttled(hint_ms) => CallOutcome::Throttled(*hint_ms),
        ProviderCallError::Unauthorized(words) if renewed => CallOutcome::Parked(words.clone()),
        ProviderCallError::Misused(words) => CallOutcome::Parked(words.clone()),
        ProviderCallError::Failed { words, late } => {
            CallOutcome::Failed { words: words.clone(), late: *late }
        }
        // A text may be to blame, which says nothing about the provider.
        ProviderCallError::Malformed(_) => CallOutcome::Lost,
        ProviderCallError::Refused(_)
        | ProviderCallError::Forbidden(_)
        | ProviderCallError::Unauthorized(_) => CallOutcome::Refused,
    }
}

#[async_trait]
impl Embedder for ProviderEmbedder {
    fn info(&self) -> &EmbedderInfo {
        &self.parts.info
    }

    fn tokenizer(&self) -> Arc<dyn Tokenizer> {
        self.parts.tokenizer.clone()
    }

    async fn embed(&self, texts: &[String], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, Fault> {
        match purpose {
            EmbeddingPurpose::Passage => self.embed_by(texts, &TurnDeadline::never()).await,
            EmbeddingPurpose::Query if texts.is_empty() => Ok(Vec::new()),
            EmbeddingPurpose::Query => {
                let tokens = self.check_fit(texts)?;
                self.embed_query(&prepend_prefix(&self.parts.query_prefix, texts), tokens).await
            }
        }
    }

    async fn embed_by(&self, texts: &[String], deadline: &TurnDeadline) -> Result<Vec<Vec<f32>>, Fault> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = self.check_fit(texts)?;
        self.embed_passages(&prepend_prefix(&self.parts.passage_prefix, texts), tokens, deadline).await
    }

    fn waiting(&self) -> Option<EmbedderWaitStatus> {
        self.parts.limiter.status()?.waiting_for(self.parts.label.clone())
    }

    async fn pace(&self) -> Result<ProviderThroughput, Fault> {
        let limits = self.parts.limiter.limits().await?;
        let ProviderLimits { requests_per_minute, tokens_per_minute, .. } = limits;
        Ok(ProviderThroughput { requests_per_minute, tokens_per_minute })
    }

    async fn until_open(&self) {
        self.parts.limiter.until_open().await;
    }

    async fn begin_retry(&self) -> Result<(), Fault> {
        self.parts.limiter.begin_retry().await
    }
}
