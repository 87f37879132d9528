//! Reads a provider's rate limits: from the headers of every response, and how long to wait.
//!
//! Sources: OpenAI's guide "Rate limits" and the headers of its responses; Azure's `retry-after-ms`; the
//! drafts 00 to 10 of the IETF's `RateLimit` fields; Cohere's headers for trial keys; Google's
//! `RetryInfo` in bodies. A limit of OpenAI, Azure or Cohere is per minute (OpenAI's per day where a plan
//! allows few requests). A limit of others may be per minute, hour or day: it counts only if its
//! window is named; what remains of it counts in any case.
//!
//! Values are checked. A negative count, as Azure writes "none", a count above [`COUNT_MAX`] and a limit
//! of 0 are ignored. No wait is longer than [`WAIT_MAX`].

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::http::HeaderMap;
use crate::http::faults::RETRY_AFTER_MAX;

const RETRY_AFTER_MS_HEADERS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];
const RETRY_AFTER_HEADER: &str = "retry-after";
/// Longer waits are cut to this.
const WAIT_MAX: Duration = RETRY_AFTER_MAX;
/// Largest plausible count; a larger one means "no limit".
const COUNT_MAX: u64 = 1_000_000_000_000;
/// From here on, a number of seconds is a date since the Unix epoch.
const EPOCH_SECONDS_MIN: f64 = 1e9;
/// From here on, a date since the Unix epoch is in milliseconds.
const EPOCH_MILLIS_MIN: f64 = 1e12;

/// The header names of one limit: its size, what remains of it, and when it is reset.
struct HeaderFamily {
    names: [&'static str; 3],
    /// The header that names its windows; `None` if the limit is per minute.
    policy: Option<&'static str>,
}

const REQUEST_HEADER_FAMILIES: [HeaderFamily; 4] = [
    HeaderFamily {
        names: ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
        policy: None,
    },
    HeaderFamily {
        names: ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
        policy: Some("x-ratelimit-policy"),
    },
    HeaderFamily {
        names: ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
        policy: Some("ratelimit-policy"),
    },
    HeaderFamily {
        // Cohere names no reset. No header has an empty name, so that one is never found.
        names: ["x-trial-endpoint-call-limit", "x-trial-endpoint-call-remaining", ""],
        policy: None,
    },
];
const TOKEN_HEADER_FAMILIES: [HeaderFamily; 1] = [HeaderFamily {
    names: ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    policy: None,
}];

/// The rate limits in the headers of one response; `None` for what is missing or implausible.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ProviderRateLimits {
    /// How long to wait before the next call.
    pub retry_after: Option<Duration>,
    /// Requests per minute.
    pub requests_limit: Option<u64>,
    /// Requests left in this window.
    pub requests_remaining: Option<u64>,
    /// Time until the limit is restored in full, not until one more is allowed.
    pub requests_reset: Option<Duration>,
    /// Tokens per minute.
    pub tokens_limit: Option<u64>,
    /// Tokens left in this window.
    pub tokens_remaining: Option<u64>,
    /// Time until the limit is restored in full, not until one more is allowed.
    pub tokens_reset: Option<Duration>,
}

impl ProviderRateLimits {
    /// How long to wait before the next call: what `retry_after` says, else until what is used up is
    /// restored.
    pub(super) fn wait(&self) -> Option<Duration> {
        let requests = self.requests_reset.filter(|_| self.requests_remaining == Some(0));
        let tokens = self.tokens_reset.filter(|_| self.tokens_remaining == Some(0));
        // `None` is less than any `Some`, so this is the longer of the known waits.
        self.retry_after.or(requests.max(tokens))
    }
}

/// Reads the headers of a response with any status; `now_ms` is the time since the Unix epoch.
pub(super) fn read_rate_limits(headers: &HeaderMap, now_ms: u64) -> ProviderRateLimits {
    let requests = read_bucket(headers, &REQUEST_HEADER_FAMILIES, now_ms);
    let tokens = read_bucket(headers, &TOKEN_HEADER_FAMILIES, now_ms);
    ProviderRateLimits {
        retry_after: read_retry_after(headers, now_ms),
        requests_limit: requests.limit,
        requests_remaining: requests.remaining,
        requests_reset: requests.reset,
        tokens_limit: tokens.limit,
        tokens_remaining: tokens.remaining,
        tokens_reset: tokens.reset,
    }
}

/// The wait in the body of Google's 429: `google.rpc.RetryInfo`.
pub(super) fn body_retry_delay(body: &[u8]) -> Option<Duration> {
    let body: Value = serde_json::from_slice(body).ok()?;
    // Gemini may wrap the error in a list. Indexing what is not there gives null and does not panic.
    let error = &body.get(0).unwrap_or(&body)["error"];
    let details = error["details"].as_array()?;
    bounded_wait(details.iter().find_map(|detail| parse_go_duration(detail["retryDelay"].as_str()?))?)
}

#[derive(Default, PartialEq)]
struct RateLimitBucket {
    limit: Option<u64>,
    remaining: Option<u64>,
    reset: Option<Duration>,
}

/// Reads the first family that has any value. Families are not mixed, for their windows differ.
fn read_bucket(headers: &HeaderMap, families: &[HeaderFamily], now_ms: u64) -> RateLimitBucket {
    let read = |&HeaderFamily { names: [limit, remaining, reset], policy }: &HeaderFamily| RateLimitBucket {
        limit: match policy {
            None => header_text(headers, limit).and_then(parse_count).filter(|&limit| limit > 0),
            Some(policy) => limit_per_minute(headers, [limit, policy]),
        },
        remaining: header_text(headers, remaining).and_then(parse_count),
        reset: header_text(headers, reset).and_then(|text| parse_reset(text, now_ms)),
    };
    families.iter().map(read).find(|bucket| *bucket != RateLimitBucket::default()).unwrap_or_default()
}

/// The strictest of the named windows, per minute: `100;w=60` in one of the fields, or
/// `"name";q=100;w=60`. `None` if no window is named, or none allows at least one per minute.
fn limit_per_minute(headers: &HeaderMap, fields: [&str; 2]) -> Option<u64> {
    let lines = fields.into_iter().flat_map(|field| headers.get_all(field));
    let entries = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let rates = entries.filter_map(|entry| {
        let mut parameters = entry.split(';').map(str::trim);
        let item = parameters.next()?;
        let (mut quota, mut window) = (parse_count(item), None);
        for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
            match name {
                "q" => quota = parse_count(value),
                "w" => window = parse_count(value),
                _ => {}
            }
        }
        // A window of 0 seconds makes `checked_div` return `None`.
        quota?.saturating_mul(60).checked_div(window?)
    });
    rates.filter(|&rate| rate > 0).min()
}

fn read_retry_after(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let millis = RETRY_AFTER_MS_HEADERS.iter().find_map(|name| parse_decimal(header_text(headers, name)?));
    if let Some(millis) = millis {
        return bounded_wait(millis / 1000.0);
    }
    let text = header_text(headers, RETRY_AFTER_HEADER)?;
    if let Some(seconds) = parse_decimal(text) {
        return bounded_wait(seconds);
    }
    let due = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(due.saturating_sub(Duration::from_millis(now_ms)).min(WAIT_MAX))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

/// Parses a count, without the parameters and further entries that the IETF's fields may have.
fn parse_count(text: &str) -> Option<u64> {
    // `parse` alone would accept a leading `+`.
    let text = text.split([',', ';']).next()?.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&parse_count| digits && parse_count <= COUNT_MAX)
}

/// Parses the time until a reset: seconds, a date since the Unix epoch, or a Go duration.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
fn parse_reset(text: &str, now_ms: u64) -> Option<Duration> {
    let now_ms = now_ms as f64;
    let seconds = match parse_decimal(text) {
        Some(date) if date >= EPOCH_MILLIS_MIN => (date - now_ms) / 1000.0,
        Some(date) if date >= EPOCH_SECONDS_MIN => date - now_ms / 1000.0,
        Some(seconds) => seconds,
        None => parse_go_duration(text)?,
    };
    bounded_wait(seconds)
}

/// Parses a Go duration into seconds, such as `1h2m3.5s`, `6m0s` or `12ms`.
fn parse_go_duration(text: &str) -> Option<f64> {
    let numeric = |one: char| one.is_ascii_digit() || one == '.';
    let mut seconds = None;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|one| !numeric(one))?);
        let (unit, after) = after.split_at(after.find(numeric).unwrap_or(after.len()));
        let unit_seconds = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds = Some(seconds.unwrap_or(0.0) + parse_decimal(number)? * unit_seconds);
        rest = after;
    }
    seconds
}

/// Parses digits with at most one point: neither signs nor exponents.
fn parse_decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

/// A wait within [`WAIT_MAX`]; `None` only for NaN.
fn bounded_wait(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.clamp(0.0, WAIT_MAX.as_secs_f64())).ok()
}

#[cfg(test)]
mod tests;
