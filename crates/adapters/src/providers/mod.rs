//! Models behind HTTP: embedders of a provider.
//!
//! A call of the pipeline takes its turn at the [`ProviderLimiter`] that all callers of the credential share,
//! and tells it how it ended. It is made again only where nothing was lost by it: after a request
//! for patience (when its turn comes), after a 401 (once, with a new token), and after an answer
//! that makes no sense (once). Everything else is the stage's to decide. A question is made once,
//! at once, and not at all while calls would be in vain.
//!
//! What a provider refuses (400, 413, 422) is about a text, and so is a 403 or an answer that makes no
//! sense, as long as [`CANARY_TEXT`] is served ([`passages`]). A refused credential (401 after a renewal), a
//! model that is not there (404 and other refusals), and what the canary is refused concern every
//! call: the limiter parks them all. A question's 403 parks nobody, for nobody asks a canary then.

mod call;
mod passages;
mod rate_limits;
mod wire_formats;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;

use super::credentials::{AccessToken, Credential};
use super::http::{HeaderMap, HeaderName, HttpEndpoint};
use contexture_core::fault::{Fault, reason};
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::embedder::{
    Embedder, EmbedderInfo, EmbedderWaitStatus, EmbeddingPurpose, ProviderThroughput, TurnDeadline,
};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_core::resilience::limiter::{CallLease, ProviderLimiter};
use contexture_core::resilience::quota_protocol::{AdvertisedLimits, CallOutcome, ProviderLimits};

use call::ProviderCallError;
use wire_formats::EmbedResponse;
pub use wire_formats::ProviderApi;

/// What an innocent text looks like.
pub const CANARY_TEXT: &str = "contexture";
/// Bytes that a number of an answer may have, as JSON writes it.
pub const NUMBER_BYTES_MAX: usize = 32;
/// Bytes that an answer may have besides its numbers.
pub const ANSWER_OVERHEAD_BYTES: usize = 256 * 1024;
/// When a call is tried again for which no token could be had.
const TOKEN_RETRY_WAIT: Duration = Duration::from_secs(10);
/// How long one call of the pipeline may be told to wait, again and again.
const THROTTLED_TIME_MAX: Duration = Duration::from_mins(1);

/// A model of a provider.
pub struct ProviderEmbedder {
    parts: ProviderEmbedderParts,
    /// Whether a call was served since a text was refused last: then a refusal is about its text.
    served: AtomicBool,
}

/// What it consists of.
pub struct ProviderEmbedderParts {
    /// `PROVIDER/MODEL`, for people.
    pub label: String,
    /// What it is.
    pub info: EmbedderInfo,
    /// Whose API it has.
    pub shape: ProviderApi,
    /// What the provider calls it.
    pub model: String,
    /// Numbers to ask for, where they are to be asked for.
    pub dims_asked: Option<usize>,
    /// The words for passages and questions, if not the provider's usual ones.
    pub input_types: Option<(String, String)>,
    /// Put before every passage.
    pub passage_prefix: String,
    /// Put before every question.
    pub query_prefix: String,
    /// Its tokenizer.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// Where it is.
    pub endpoint: HttpEndpoint,
    /// Longest time of one call, as the endpoint has it.
    pub call_max: Duration,
    /// Sent with every call, beside the token.
    pub headers: HeaderMap,
    /// What authorises calls; none where the provider asks for nothing.
    pub authorization: Option<ProviderAuthorization>,
    /// Who may call next.
    pub limiter: Arc<ProviderLimiter>,
    /// Time.
    pub clock: Arc<dyn WallClock>,
}

/// What authorises calls.
pub struct ProviderAuthorization {
    /// The header that it stands in.
    pub header: HeaderName,
    /// What stands before the token.
    pub prefix: &'static str,
    /// Where tokens come from.
    pub credential: Arc<dyn Credential>,
}

impl ProviderEmbedder {
    /// An embedder of these parts; connects to nothing yet.
    pub fn new(parts: ProviderEmbedderParts) -> Self {
        Self { parts, served: AtomicBool::new(false) }
    }

    /// The tokens of all texts; refuses what is too long or too many.
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

    /// A question: one call, now. A refused token is renewed once.
    async fn question(&self, texts: &[String], tokens: usize) -> Result<Vec<Vec<f32>>, Fault> {
        let limiter = &self.parts.limiter;
        limiter.question()?;
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let mut token = self.token().await?;
        let mut renewed = false;
        loop {
            let (made, told) = self.parts.call(token.as_ref(), texts, EmbeddingPurpose::Query).await;
            let trouble = match made {
                Ok(EmbedResponse { vectors, .. }) => {
                    limiter.asked(tokens, CallOutcome::Served(None), told);
                    return Ok(vectors);
                }
                Err(ProviderCallError::Unauthorized(_) | ProviderCallError::Forbidden(_)) if !renewed => {
                    renewed = true;
                    token = self.renewed(token).await?;
                    continue;
                }
                Err(trouble) => trouble,
            };
            limiter.asked(tokens, outcome_for_limiter(&trouble, renewed), told);
            return Err(match trouble {
                ProviderCallError::Throttled(hint_ms) => self.throttled(hint_ms),
                ProviderCallError::Failed { words, .. } => Fault::Transient(self.says(&words)),
                ProviderCallError::Unauthorized(words)
                | ProviderCallError::Forbidden(words)
                | ProviderCallError::Misused(words) => Fault::Unauthorized(self.says(&words)),
                ProviderCallError::Refused(words) | ProviderCallError::Nonsense(words) => {
                    self.rejected(&words)
                }
            });
        }
    }

    /// The token, if any is to be sent.
    async fn token(&self) -> Result<Option<AccessToken>, Fault> {
        match &self.parts.authorization {
            Some(authorization) => authorization.credential.token().await.map(Some),
            None => Ok(None),
        }
    }

    /// A token in place of one that was refused.
    async fn renewed(&self, refused: Option<AccessToken>) -> Result<Option<AccessToken>, Fault> {
        match (&self.parts.authorization, refused) {
            (Some(authorization), Some(refused)) => authorization.credential.renew(&refused).await.map(Some),
            _ => Err(Fault::Unauthorized(self.says("asks for a credential, and none is configured"))),
        }
    }

    /// Gives a turn back for which there is no token.
    async fn without_token(&self, lease: CallLease, fault: Fault) -> Fault {
        let ended = match &fault {
            Fault::Unauthorized(words) => CallOutcome::Parked(words.clone()),
            _ => CallOutcome::Lost,
        };
        self.report(lease, ended, AdvertisedLimits::default()).await;
        self.costs_nothing(fault)
    }

    /// Tells the limiter; what was paid for is not lost because it cannot be told: a lease ends by
    /// itself.
    async fn report(&self, lease: CallLease, ended: CallOutcome, told: AdvertisedLimits) {
        if let Err(fault) = self.parts.limiter.report(lease, ended, told).await {
            tracing::warn!(model = self.parts.label, %fault, "how a call ended could not be told");
        }
    }

    /// A token server that is away is no failure of a document.
    fn costs_nothing(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Transient(words) => Fault::Throttled {
                retry_after: TOKEN_RETRY_WAIT,
                what: self.says(&format!("no token: {words}")),
            },
            other => other,
        }
    }

    /// Parks all calls where there is no other token than the one that was refused.
    async fn not_renewed(&self, words: &str, fault: Fault) -> Fault {
        let Fault::Unauthorized(why) = fault else { return self.costs_nothing(fault) };
        let words = format!("{words}; {why}");
        let parked = self.parts.limiter.park(words.clone()).await;
        parked.err().unwrap_or_else(|| Fault::Unauthorized(self.says(&words)))
    }

    fn says(&self, words: &str) -> String {
        format!("{}: {words}", self.parts.label)
    }

    fn rejected(&self, words: &str) -> Fault {
        Fault::permanent(reason::EMBEDDER_REJECTED, self.says(words))
    }

    fn throttled(&self, hint_ms: Option<u64>) -> Fault {
        let retry_after = Duration::from_millis(hint_ms.unwrap_or(1000).max(1000));
        Fault::Throttled { retry_after, what: self.says("it asks for patience") }
    }

    /// A failure costs an attempt only as long as others are served.
    fn failed(&self, words: &str) -> Fault {
        match self.parts.limiter.question() {
            Err(fault) => fault,
            Ok(()) => Fault::Transient(self.says(words)),
        }
    }
}

fn prepend_prefix(prefix: &str, texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// What the limiter is told of a trouble; `renewed` says that the token was a new one.
fn outcome_for_limiter(trouble: &ProviderCallError, renewed: bool) -> CallOutcome {
    match trouble {
        ProviderCallError::Throttled(hint_ms) => CallOutcome::Throttled(*hint_ms),
        ProviderCallError::Unauthorized(words) if renewed => CallOutcome::Parked(words.clone()),
        ProviderCallError::Misused(words) => CallOutcome::Parked(words.clone()),
        ProviderCallError::Failed { words, late } => {
            CallOutcome::Failed { words: words.clone(), late: *late }
        }
        // A text may be to blame, which says nothing of the provider.
        ProviderCallError::Nonsense(_) => CallOutcome::Lost,
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
                self.question(&prepend_prefix(&self.parts.query_prefix, texts), tokens).await
            }
        }
    }

    async fn embed_by(&self, texts: &[String], deadline: &TurnDeadline) -> Result<Vec<Vec<f32>>, Fault> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let tokens = self.check_fit(texts)?;
        self.passages(&prepend_prefix(&self.parts.passage_prefix, texts), tokens, deadline).await
    }

    fn waiting(&self) -> Option<EmbedderWaitStatus> {
        self.parts.limiter.standing()?.waiting_for(self.parts.label.clone())
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
        self.parts.limiter.retry().await
    }
}
