//! What a provider says of its limits: in headers with every answer, and how long to wait.
//!
//! Sources: OpenAI's guide "Rate limits" and the headers of its answers; Azure's
//! `retry-after-ms`; the drafts 00 to 10 of the IETF's `RateLimit` fields; Cohere's headers for
//! trial keys; Google's `RetryInfo` in bodies. OpenAI, Azure and Cohere mean a minute by a limit,
//! OpenAI a day where a plan allows few requests. Others mean a minute, an hour or a day: of them a
//! limit counts only where its window is told, and what is left of it in any case. Nothing is
//! believed blindly: a count that is negative, as Azure writes "none", or above [`COUNT_MAX`] is
//! left out, as is a limit of 0, and every wait ends at [`WAIT_MAX`].

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::http::HeaderMap;
use crate::http::faults::RETRY_AFTER_MAX;

const RETRY_AFTER_MS_HEADERS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];
const RETRY_AFTER_HEADER: &str = "retry-after";
/// Longest wait that is believed.
const WAIT_MAX: Duration = RETRY_AFTER_MAX;
/// Largest count that is believed; what is larger means "no limit".
const COUNT_MAX: u64 = 1_000_000_000_000;
/// From here on, seconds are a date, since the Unix epoch.
const EPOCH_SECONDS_MIN: f64 = 1e9;
/// From here on, a date is in milliseconds.
const EPOCH_MILLIS_MIN: f64 = 1e12;

/// The headers of one limit: its size, what is left of it, and when it is whole again.
struct HeaderFamily {
    names: [&'static str; 3],
    /// Where its windows are told; none where a minute is meant.
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
        names: ["x-trial-endpoint-call-limit", "x-trial-endpoint-call-remaining", ""],
        policy: None,
    },
];
const TOKEN_HEADER_FAMILIES: [HeaderFamily; 1] = [HeaderFamily {
    names: ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    policy: None,
}];

/// What the headers of one answer say; none where they do not, or nothing that is believed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ProviderRateLimits {
    /// How long to wait before the next call.
    pub retry_after: Option<Duration>,
    /// Requests per minute.
    pub requests_limit: Option<u64>,
    /// Requests left in this window.
    pub requests_remaining: Option<u64>,
    /// Until as many are left as the limit says, not until one is.
    pub requests_reset: Option<Duration>,
    /// Tokens per minute.
    pub tokens_limit: Option<u64>,
    /// Tokens left in this window.
    pub tokens_remaining: Option<u64>,
    /// Until as many are left as the limit says, not until one is.
    pub tokens_reset: Option<Duration>,
}

impl ProviderRateLimits {
    /// How long to wait before the next call: what is asked for; else until what is used up is
    /// there again.
    pub(super) fn wait(&self) -> Option<Duration> {
        let requests = self.requests_reset.filter(|_| self.requests_remaining == Some(0));
        let tokens = self.tokens_reset.filter(|_| self.tokens_remaining == Some(0));
        self.retry_after.or(requests.max(tokens))
    }
}

/// Reads the headers of an answer, of success or not; `now_ms` is the time since the Unix epoch.
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

/// The wait that Google puts into the body of a 429: `google.rpc.RetryInfo`.
pub(super) fn body_retry_delay(body: &[u8]) -> Option<Duration> {
    let body: Value = serde_json::from_slice(body).ok()?;
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

/// What the first family says that says anything.
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

/// What the told windows allow per minute, the strictest of them: `100;w=60` in one of the fields, or
/// `"name";q=100;w=60`. None where no window is told, or none that allows one in a minute.
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

/// Without the parameters and the further entries that the IETF's fields may have.
fn parse_count(text: &str) -> Option<u64> {
    let text = text.split([',', ';']).next()?.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&parse_count| digits && parse_count <= COUNT_MAX)
}

/// Seconds, a date since the Unix epoch, or a [`parse_go_duration`].
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

/// The seconds of a span of time as Go writes it, such as `1h2m3.5s`, `6m0s` or `12ms`.
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

/// Digits with at most one point: neither signs nor exponents.
fn parse_decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

/// None only for what is no number.
fn bounded_wait(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.clamp(0.0, WAIT_MAX.as_secs_f64())).ok()
}

#[cfg(test)]
mod tests;
