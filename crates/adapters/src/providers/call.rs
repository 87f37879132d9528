//! One call, and what its answer means.
//!
//! An answer counts only if every text has one vector of the right size, finite and not zero. What
//! a provider says about a failure is passed on, without what it quotes of the texts, and without
//! the token and the headers that were sent.

use std::time::Duration;

use tokio::time::Instant;

use super::wire_formats::{self, EmbedCall, EmbedResponse, SentSecrets};
use super::{ProviderAuthorization, ProviderEmbedderParts, rate_limits};
use crate::credentials::AccessToken;
use crate::embedder::scale_to_unit_length;
use crate::http::{HeaderMap, HeaderValue, HttpResponse, JSON_CONTENT_TYPE};
use contexture_core::fault::Fault;
use contexture_core::ports::embedder::EmbeddingPurpose;
use contexture_core::resilience::quota_protocol::AdvertisedLimits;

/// Why a call brought no vectors.
pub(super) enum ProviderCallError {
    /// Asked for patience, for so many ms.
    Throttled(Option<u64>),
    /// This request is refused.
    Refused(String),
    /// The credential is refused.
    Unauthorized(String),
    /// Whether the credential is refused or this request, nobody knows yet.
    Forbidden(String),
    /// Everything of the kind is refused.
    Misused(String),
    /// Nothing came back, or a failure.
    Failed {
        /// In these words.
        words: String,
        /// Whether it took too long.
        late: bool,
    },
    /// The answer makes no sense.
    Nonsense(String),
}

impl ProviderCallError {
    /// What was said, if anything was.
    pub(super) fn into_words(self) -> String {
        match self {
            Self::Throttled(_) => String::new(),
            Self::Refused(words)
            | Self::Unauthorized(words)
            | Self::Forbidden(words)
            | Self::Misused(words)
            | Self::Failed { words, .. }
            | Self::Nonsense(words) => words,
        }
    }
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
        let answer = match sent {
            Ok(answer) => answer,
            Err(fault) => {
                return (
                    Err(incomplete_call_error(fault, began.elapsed() >= self.call_max)),
                    AdvertisedLimits::default(),
                );
            }
        };
        let told = self.told(&answer.headers);
        if !answer.is_success() {
            return (Err(self.trouble(&answer, texts, token)), told);
        }
        let secrets = self.secrets(token);
        let embedded = self.shape.read(&answer.body, texts.len(), &secrets).and_then(|embedded| {
            check_vectors(&embedded.vectors, texts.len(), self.info.dims)?;
            // Not every model's vectors are of unit length, least of all shortened ones.
            let units: Result<_, Fault> = embedded.vectors.into_iter().map(scale_to_unit_length).collect();
            let vectors = units.map_err(|_| "has a vector without a direction".to_owned())?;
            Ok(EmbedResponse { vectors, ..embedded })
        });
        let nonsense = |why: String| {
            ProviderCallError::Nonsense(format!(
                "the answer {}",
                wire_formats::redact_quoted_texts(&why, texts)
            ))
        };
        (embedded.map_err(nonsense), told)
    }

    fn sent_headers(&self, token: Option<&AccessToken>) -> Result<HeaderMap, Fault> {
        let mut headers = self.headers.clone();
        if let (Some(ProviderAuthorization { header, prefix, .. }), Some(token)) =
            (&self.authorization, token)
        {
            let mut value = HeaderValue::from_str(&format!("{prefix}{}", token.expose()))
                .map_err(|_| Fault::Unauthorized("the token cannot be sent in a header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header.clone(), value);
        }
        Ok(headers)
    }

    /// What must not be repeated: whoever stands in between may repeat what it was sent.
    fn secrets<'a>(&'a self, token: Option<&'a AccessToken>) -> SentSecrets<'a> {
        let headers = self.headers.values().filter(|value| value.is_sensitive());
        SentSecrets::new(
            token.map(AccessToken::expose),
            headers.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()),
        )
    }

    /// What an answer's headers say of limits.
    fn told(&self, headers: &HeaderMap) -> AdvertisedLimits {
        let rates = rate_limits::read_rate_limits(headers, self.clock.now_ms());
        let limit =
            |limit: Option<u64>| limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0);
        let spent = |left: Option<u64>, reset: Option<Duration>| (left == Some(0)).then_some(reset).flatten();
        AdvertisedLimits {
            requests_per_minute: limit(rates.requests_limit),
            tokens_per_minute: limit(rates.tokens_limit),
            no_requests_ms: spent(rates.requests_remaining, rates.requests_reset).map(millis),
            no_tokens_ms: spent(rates.tokens_remaining, rates.tokens_reset).map(millis),
        }
    }

    /// What an answer without success means.
    fn trouble(
        &self,
        answer: &HttpResponse,
        texts: &[String],
        token: Option<&AccessToken>,
    ) -> ProviderCallError {
        let said = wire_formats::provider_error_message(&answer.body, &self.secrets(token));
        let said = said.map(|words| wire_formats::redact_quoted_texts(&words, texts));
        let says = said.map_or_else(String::new, |words| format!(": {words}"));
        let words = format!("answered {}{says}", answer.status);
        let asked = rate_limits::read_rate_limits(&answer.headers, self.clock.now_ms()).wait();
        let asked = asked.or_else(|| rate_limits::body_retry_delay(&answer.body)).map(millis);
        match (answer.status, asked) {
            (401, _) => ProviderCallError::Unauthorized(words),
            (403, _) => ProviderCallError::Forbidden(words),
            // What it says may be a quote of a text.
            (400, _) if wire_formats::blames_the_key(&answer.body) => ProviderCallError::Forbidden(words),
            (400 | 413 | 422, _) => ProviderCallError::Refused(words),
            // A 503 that names no time is a failure like others.
            (429, _) | (503, Some(_)) => ProviderCallError::Throttled(asked),
            (408 | 425 | 500..=599, _) => {
                ProviderCallError::Failed { words, late: matches!(answer.status, 408 | 504) }
            }
            _ => ProviderCallError::Misused(words),
        }
    }
}

/// Refuses vectors that cannot be stored; the words continue "the answer".
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

/// A call that got no whole answer.
fn incomplete_call_error(fault: Fault, late: bool) -> ProviderCallError {
    match fault {
        Fault::Unauthorized(words) => ProviderCallError::Unauthorized(words),
        // It never ends, or does not fit.
        Fault::Permanent(reason) => ProviderCallError::Failed { words: reason.detail, late },
        Fault::Transient(words) => ProviderCallError::Failed { words, late },
        other => ProviderCallError::Failed { words: other.to_string(), late },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
