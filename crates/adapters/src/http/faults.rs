//! Maps failures of HTTP calls to [`Fault`]s.
//!
//! 429 and 503 are `Throttled`, for as long as `Retry-After` says: seconds or a date, clamped to
//! [`RETRY_AFTER_MIN`]..[`RETRY_AFTER_MAX`]. 401 and 403 are `Unauthorized`. 408, 425, other 5xx and
//! everything lost on the network are `Transient`. All others are `Permanent`.

use std::error::Error;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use contexture_core::fault::Fault;

/// Wait if a service throttles without saying for how long.
pub const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
/// Shorter waits are extended to this.
pub const RETRY_AFTER_MIN: Duration = Duration::from_millis(100);
/// Longer waits are cut to this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);
/// Longest network error message that is passed on, in characters.
const CAUSE_CHARS_MAX: usize = 200;

/// How faults name the service that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteService {
    /// How messages begin, such as `reranker`.
    pub name: &'static str,
    /// The code of its permanent refusals and of its malformed responses.
    pub rejected: &'static str,
}

/// The fault of a status without success; `now_ms` is the time since the Unix epoch.
pub(super) fn fault_from_status(
    service: RemoteService,
    status: StatusCode,
    headers: &HeaderMap,
    now_ms: u64,
) -> Fault {
    let what = format!("{}: answered {}", service.name, status.as_u16());
    match status.as_u16() {
        401 | 403 => Fault::unauthorized(what),
        429 | 503 => Fault::Throttled { retry_after: parse_retry_after(headers, now_ms), what },
        408 | 425 | 500..=599 => Fault::transient(what),
        300..=399 => Fault::permanent(service.rejected, format!("{what}; redirects are not followed")),
        _ => Fault::permanent(service.rejected, what),
    }
}

/// The fault of a call without a complete response.
pub(super) fn incomplete_call_fault(service: RemoteService, error: &reqwest::Error) -> Fault {
    let what = if error.is_connect() {
        "cannot connect"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the call failed"
    };
    Fault::transient(format!("{}: {what}: {}", service.name, innermost_cause(error)))
}

/// The innermost cause of an error, which contains neither the URL nor a header.
pub(super) fn innermost_cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    // Without a source, the error is reqwest's own, whose text may contain the URL.
    let text = if innermost.is::<reqwest::Error>() { String::new() } else { innermost.to_string() };
    text.chars().take(CAUSE_CHARS_MAX).map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// Parses `Retry-After`: RFC 9110, section 10.2.3.
fn parse_retry_after(headers: &HeaderMap, now_ms: u64) -> Duration {
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| {
        let text = text.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let due = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(due.saturating_sub(Duration::from_millis(now_ms)))
    });
    asked.map_or(RETRY_AFTER_DEFAULT, |wait| wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: RemoteService = RemoteService { name: "service", rejected: "rejected" };
    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110.
    const NOW_MS: u64 = 784_111_777_000;

    fn wait(header: &str) -> Duration {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, header.parse().expect("a header"));
        match fault_from_status(SERVICE, StatusCode::TOO_MANY_REQUESTS, &headers, NOW_MS) {
            Fault::Throttled { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn patience_is_asked_for_in_seconds_or_by_date() {
        assert_eq!(wait("7"), Duration::from_secs(7));
        assert_eq!(wait(" 7 "), Duration::from_secs(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Duration::from_secs(30));
        assert_eq!(wait("Sunday, 06-Nov-94 08:50:07 GMT"), Duration::from_secs(30));
    }

    #[test]
    fn patience_has_bounds() {
        for (header, expected) in [
            ("0", RETRY_AFTER_MIN),
            ("Sun, 06 Nov 1994 08:49:36 GMT", RETRY_AFTER_MIN),
            ("86400", RETRY_AFTER_MAX),
            ("18446744073709551615", RETRY_AFTER_MAX),
            ("Sat, 06 Nov 2094 08:49:37 GMT", RETRY_AFTER_MAX),
            ("soon", RETRY_AFTER_DEFAULT),
            ("-1", RETRY_AFTER_DEFAULT),
            ("", RETRY_AFTER_DEFAULT),
        ] {
            assert_eq!(wait(header), expected, "{header:?}");
        }
    }

    #[test]
    fn every_status_has_its_fault() {
        let fault = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            fault_from_status(SERVICE, status, &HeaderMap::new(), NOW_MS)
        };
        for status in [401, 403] {
            assert!(matches!(fault(status), Fault::Unauthorized(_)), "{status}");
        }
        for status in [429, 503] {
            let throttled =
                matches!(fault(status), Fault::Throttled { retry_after: RETRY_AFTER_DEFAULT, .. });
            assert!(throttled, "{status}");
        }
        for status in [408, 425, 500, 502, 504, 529, 599] {
            assert!(matches!(fault(status), Fault::Transient(_)), "{status}");
        }
        for status in [301, 302, 307, 308, 400, 404, 405, 413, 422, 424, 600] {
            assert!(matches!(fault(status), Fault::Permanent(_)), "{status}");
        }
    }
}
