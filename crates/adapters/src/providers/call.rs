//! One call of a provider: what it is made of, and what its response means.
//!
//! A response counts only if every text has one vector of the right size, finite and not zero. A
//! provider's error message is passed on without quotes of the texts, and without the token and the
//! headers that were sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::rate_limits;
use super::wire_formats::{self, EmbedCall, EmbedResponse, ProviderApi, SentSecrets};
use crate::credentials::{AccessToken, Credential};
use crate::embedder::scale_to_unit_length;
use crate::http::{HeaderMap, HeaderName, HeaderValue, HttpEndpoint, HttpResponse, JSON_CONTENT_TYPE};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::embedder::{EmbedderInfo, EmbeddingPurpose};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_core::resilience::limiter::ProviderLimiter;
use contexture_core::resilience::quota_protocol::AdvertisedLimits;

/// Why a call brought no vectors.
pub(super) enum ProviderCallError {
    /// Throttled, for this many ms if the provider said so.
    Throttled(Option<u64>),
    /// This request is refused.
    Refused(String),
    /// The credential is refused.
    Unauthorized(String),
    /// Either the credential or this request is refused; it is not known yet which.
    Forbidden(String),
    /// Every request of this kind is refused.
    Misused(String),
    /// No response, or a server's failure.
    Failed {
        /// The message.
        words: String,
        /// Whether it took too long.
        late: bool,
    },
    /// The response is malformed.
    Malformed(String),
}

impl ProviderCallError {
    /// The message, if there is one.
    pub(super) fn into_words(self) -> String {
        match self {
            Self::Throttled(_) => String::new(),
            Self::Refused(words)
            | Self::Unauthorized(words)
            | Self::Forbidden(words)
            | Self::Misused(words)
            | Self::Failed { words, .. }
            | Self::Malformed(words) => words,
        }
    }
}

/// The parts of a [`ProviderEmbedder`](super::ProviderEmbedder), and what a call needs.
pub struct ProviderEmbedderParts {
    /// `PROVIDER/MODEL`, for people.
    pub label: String,
    /// The model's limits and size.
    pub info: EmbedderInfo,
    /// The provider's API.
    pub shape: ProviderApi,
    /// The provider's name of the model.
    pub model: String,
    /// Dimensions to request, where they are to be requested.
    pub dims_asked: Option<usize>,
    /// The input types of passages and queries, if not the provider's usual ones.
    pub input_types: Option<(String, String)>,
    /// Put before every passage.
    pub passage_prefix: String,
    /// Put before every query.
    pub query_prefix: String,
    /// The model's tokenizer.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// Where calls go.
    pub endpoint: HttpEndpoint,
    /// Longest time of one call; the same as the endpoint's.
    pub call_max: Duration,
    /// Sent with every call, in addition to the token.
    pub headers: HeaderMap,
    /// What authorises calls; `None` if the provider needs nothing.
    pub authorization: Option<ProviderAuthorization>,
    /// Decides who may call next.
    pub limiter: Arc<ProviderLimiter>,
    /// Time.
    pub clock: Arc<dyn WallClock>,
}

/// What authorises calls.
pub struct ProviderAuthorization {
    /// The header that carries the token.
    pub header: HeaderName,
    /// What the header has before the token.
    pub prefix: &'static str,
    /// Where tokens come from.
    pub credential: Arc<dyn Credential>,
}

impl ProviderEmbedderParts {
    /// Makes one call.
    pub(super) async fn call(
        &self,
        token: Option<&AccessToken>,
        texts: &[String],
        purpose: EmbeddingPurpose,
    ) -> (Result<EmbedResponse, ProviderCallError>, AdvertisedLimits) {
        let words = self.input_types.as_ref();
        let input_types = words.map(|(passage, query)| (passage.as_str(), query.as_str()));
        let call = EmbedCall { model: &self.model, dims: self.dims_asked, texts, purpose, input_types };
        let began = Instant::now();
        let sent = match (self.shape.request(&call), self.sent_headers(token)) {
            (Ok(body), Ok(headers)) => self.endpoint.call(headers, JSON_CONTENT_TYPE, body).await,
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
        };
        let response = match sent {
            Ok(response) => response,
            Err(fault) => {
                // The fault does not say whether it was a timeout, so the time decides.
                return (
                    Err(incomplete_call_error(fault, began.elapsed() >= self.call_max)),
                    AdvertisedLimits::default(),
                );
            }
        };
        let advertised = self.advertised_limits(&response.headers);
        if !response.is_success() {
            return (Err(self.interpret(&response, texts, token)), advertised);
        }
        let secrets = self.secrets(token);
        let embedded = self.shape.read(&response.body, texts.len(), &secrets).and_then(|embedded| {
            check_vectors(&embedded.vectors, texts.len(), self.info.dims)?;
            // Not every model returns unit vectors, least of all shortened ones.
            let units: Result<_, Fault> = embedded.vectors.into_iter().map(scale_to_unit_length).collect();
            let vectors = units.map_err(|_| "has a vector without a direction".to_owned())?;
            Ok(EmbedResponse { vectors, ..embedded })
        });
        let malformed = |why: String| {
            ProviderCallError::Malformed(format!(
                "the answer {}",
                wire_formats::redact_quoted_texts(&why, texts)
            ))
        };
        (embedded.map_err(malformed), advertised)
    }

    fn sent_headers(&self, token: Option<&AccessToken>) -> Result<HeaderMap, Fault> {
        let mut headers = self.headers.clone();
        if let (Some(ProviderAuthorization { header, prefix, .. }), Some(token)) =
            (&self.authorization, token)
        {
            let mut value = HeaderValue::from_str(&format!("{prefix}{}", token.expose()))
                .map_err(|_| Fault::unauthorized("the token cannot be sent in a header"))?;
            value.set_sensitive(true);
            // Replaces a configured header of the same name.
            headers.insert(header.clone(), value);
        }
        Ok(headers)
    }

    /// What must not be repeated. A gateway in between may quote what it was sent.
    fn secrets<'a>(&'a self, token: Option<&'a AccessToken>) -> SentSecrets<'a> {
        let headers = self.headers.values().filter(|value| value.is_sensitive());
        SentSecrets::new(
            token.map(AccessToken::expose),
            headers.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()),
        )
    }

    /// The limits that a response's headers name.
    fn advertised_limits(&self, headers: &HeaderMap) -> AdvertisedLimits {
        let rates = rate_limits::read_rate_limits(headers, self.clock.now_ms());
        let limit =
            |limit: Option<u64>| limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0);
        let exhausted =
            |left: Option<u64>, reset: Option<Duration>| (left == Some(0)).then_some(reset).flatten();
        AdvertisedLimits {
            requests_per_minute: limit(rates.requests_limit),
            tokens_per_minute: limit(rates.tokens_limit),
            no_requests_ms: exhausted(rates.requests_remaining, rates.requests_reset).map(millis),
            no_tokens_ms: exhausted(rates.tokens_remaining, rates.tokens_reset).map(millis),
        }
    }

    /// Interprets a response without success.
    fn interpret(
        &self,
        response: &HttpResponse,
        texts: &[String],
        token: Option<&AccessToken>,
    ) -> ProviderCallError {
        let message = wire_formats::provider_error_message(&response.body, &self.secrets(token));
        let blames_size = message.as_deref().is_some_and(wire_formats::blames_the_size);
        let message = message.map(|words| wire_formats::redact_quoted_texts(&words, texts));
        let suffix = message.map_or_else(String::new, |words| format!(": {words}"));
        let words = format!("answered {}{suffix}", response.status);
        let asked = rate_limits::read_rate_limits(&response.headers, self.clock.now_ms()).wait();
        let asked = asked.or_else(|| rate_limits::body_retry_delay(&response.body)).map(millis);
        match (response.status, asked) {
            (401, _) => ProviderCallError::Unauthorized(words),
            (403, _) => ProviderCallError::Forbidden(words),
            // Not `Unauthorized`: the message may quote a text that says so. The canary decides.
            (400, _) if wire_formats::blames_the_key(&response.body) => ProviderCallError::Forbidden(words),
            (400 | 413 | 422, _) => ProviderCallError::Refused(words),
            // llama.cpp's server answers so to a text beyond its batch. The canary decides here, too.
            (500, _) if blames_size => ProviderCallError::Refused(words),
            // A 503 without a time to wait is an ordinary failure.
            (429, _) | (503, Some(_)) => ProviderCallError::Throttled(asked),
            (408 | 425 | 500..=599, _) => {
                ProviderCallError::Failed { words, late: matches!(response.status, 408 | 504) }
            }
            _ => ProviderCallError::Misused(words),
        }
    }
}

/// Rejects vectors that cannot be stored. The error continues "the answer".
fn check_vectors(vectors: &[Vec<f32>], count: usize, dims: usize) -> Result<(), String> {
    if vectors.len() != count {
        return Err(format!("has {} vectors for {count} texts", vectors.len()));
    }
    for (index, vector) in vectors.iter().enumerate() {
        if vector.is_empty() || !vector.iter().all(|number| number.is_finite()) {
            return Err(format!("has a vector without finite numbers for text {index}"));
        }
        if vector.len() != dims {
            return Err(format!("has vectors of {} numbers, the pipeline says {dims}", vector.len()));
        }
        if vector.iter().all(|number| *number == 0.0) {
            return Err(format!("has a vector of zeros for text {index}"));
        }
    }
    Ok(())
}

/// The error of a call without a complete response.
fn incomplete_call_error(fault: Fault, late: bool) -> ProviderCallError {
    match fault {
        Fault::Unauthorized(cause) => ProviderCallError::Unauthorized(cause.to_string()),
        // The body is larger than the endpoint's limit.
        Fault::Permanent(reason) => ProviderCallError::Failed { words: reason.detail, late },
        Fault::Transient(cause) => ProviderCallError::Failed { words: cause.to_string(), late },
        other => ProviderCallError::Failed { words: other.to_string(), late },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
