//! Headers and bodies as providers send them, and the limits and waits that are read from them.

#![expect(clippy::unwrap_used, reason = "a test fails where one does")]

use super::*;
use crate::http::{HeaderName, HeaderValue};

/// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110.
const NOW_MS: u64 = 784_111_777_000;
/// 1 September 2026, for dates in numbers.
const LATER_MS: u64 = 1_788_220_800_000;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn rates(lines: &[(&str, &str)]) -> ProviderRateLimits {
    read_rate_limits(&headers(lines), NOW_MS)
}

#[expect(clippy::unnecessary_wraps, reason = "what is expected is optional")]
const fn ms(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

#[test]
fn no_headers_say_nothing() {
    assert_eq!(rates(&[]), ProviderRateLimits::default());
    assert_eq!(ProviderRateLimits::default().wait(), None);
}

#[test]
fn openai_says_all_six() {
    let read = rates(&[
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-limit-tokens", "300000"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-remaining-tokens", "295432"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]);
    let expected = ProviderRateLimits {
        retry_after: None,
        requests_limit: Some(500),
        requests_remaining: Some(499),
        requests_reset: ms(120),
        tokens_limit: Some(300_000),
        tokens_remaining: Some(295_432),
        tokens_reset: ms(360_000),
    };
    assert_eq!(read, expected);
    assert_eq!(read.wait(), None);
}

#[test]
fn azure_says_some_and_writes_none_as_less_than_nothing() {
    let read = rates(&[("x-ratelimit-remaining-requests", "17"), ("retry-after-ms", "1250")]);
    assert_eq!(
        read,
        ProviderRateLimits {
            requests_remaining: Some(17),
            retry_after: ms(1250),
            ..ProviderRateLimits::default()
        }
    );
    let none = rates(&[
        ("x-ratelimit-limit-tokens", "-1"),
        ("x-ratelimit-remaining-tokens", "-1"),
        ("x-ratelimit-reset-tokens", "0"),
    ]);
    assert_eq!(none, ProviderRateLimits { tokens_reset: ms(0), ..ProviderRateLimits::default() });
    let overdrawn = rates(&[
        ("retry-after", "4"),
        ("x-ratelimit-remaining-tokens", "-27689"),
        ("x-ratelimit-reset-tokens", "64"),
    ]);
    assert_eq!(overdrawn.tokens_remaining, None);
    assert_eq!(overdrawn.wait(), ms(4000));
}

#[test]
fn cohere_counts_the_calls_of_trial_keys() {
    let read = rates(&[
        ("x-endpoint-monthly-call-limit", "1000"),
        ("x-trial-endpoint-call-limit", "100"),
        ("x-trial-endpoint-call-remaining", "98"),
    ]);
    assert_eq!(read.requests_limit, Some(100));
    assert_eq!(read.requests_remaining, Some(98));
    assert_eq!(read.requests_reset, None);
}

#[test]
fn gateways_use_the_fields_of_the_ietf() {
    for prefix in ["", "x-"] {
        let [limit, remaining, reset] =
            ["limit", "remaining", "reset"].map(|what| format!("{prefix}ratelimit-{what}"));
        let read =
            rates(&[(limit.as_str(), "100, 100;w=60"), (remaining.as_str(), "0"), (reset.as_str(), "50")]);
        assert_eq!((read.requests_limit, read.requests_remaining), (Some(100), Some(0)));
        assert_eq!(read.wait(), ms(50_000));
    }
}

#[test]
fn a_limit_counts_where_its_window_is_told() {
    let limit = |lines: &[(&str, &str)]| rates(lines).requests_limit;
    for (policy, expected) in [
        ("100;w=60", Some(100)),
        ("100; w=1", Some(6000)),
        ("6000;w=3600", Some(100)),
        ("10;w=1, 50;w=60, 6000;w=3600;comment=\"a, b\"", Some(50)),
        ("\"burst\";q=100;w=60, \"day\";q=2880;w=86400", Some(2)),
        // Less than one a minute is no limit per minute: what is left says more.
        ("1000;w=86400", None),
        ("100;w=60, 1000;w=86400", Some(100)),
        ("100", None),
        ("100;w=0", None),
        ("100;w=-1", None),
        ("0;w=60", None),
        ("w=60", None),
        ("", None),
    ] {
        assert_eq!(limit(&[("ratelimit-policy", policy)]), expected, "{policy}");
        let lines = [("x-ratelimit-limit", "100"), ("x-ratelimit-policy", policy)];
        assert_eq!(limit(&lines), expected, "{policy}");
    }
    assert_eq!(limit(&[("ratelimit-limit", "100, 100;w=3600")]), Some(1));
    assert_eq!(limit(&[("ratelimit-limit", "5000"), ("ratelimit-policy", "5000;w=3600")]), Some(83));
    let two = [("ratelimit-policy", "100;w=60"), ("ratelimit-policy", "10;w=1")];
    assert_eq!(limit(&two), Some(100));
    // Nobody says that it is a minute.
    let hourly = [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "90")];
    let read = rates(&hourly);
    assert_eq!((read.requests_limit, read.requests_remaining, read.wait()), (None, Some(0), ms(90_000)));
}

#[test]
fn families_are_not_mixed() {
    let read = rates(&[
        ("x-ratelimit-remaining-requests", "5"),
        ("x-ratelimit-limit", "7"),
        ("ratelimit-reset", "9"),
    ]);
    assert_eq!(read, ProviderRateLimits { requests_remaining: Some(5), ..ProviderRateLimits::default() });
}

#[test]
fn what_is_used_up_is_waited_for() {
    let requests = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "2s")];
    let tokens = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "3s")];
    assert_eq!(rates(&requests).wait(), ms(2000));
    assert_eq!(rates(&tokens).wait(), ms(3000));
    assert_eq!(rates(&[requests, tokens].concat()).wait(), ms(3000));
    let asked = [&requests[..], &tokens[..], &[("retry-after", "1")]].concat();
    assert_eq!(rates(&asked).wait(), ms(1000));
    assert_eq!(rates(&[("x-ratelimit-remaining-tokens", "0")]).wait(), None);
}

#[test]
fn patience_is_asked_for_in_many_ways() {
    let nines = "9".repeat(400);
    for (name, value, expected) in [
        ("retry-after", "7", ms(7000)),
        ("retry-after", " 7 ", ms(7000)),
        ("retry-after", "0.5", ms(500)),
        ("retry-after", "0", ms(0)),
        ("retry-after", "600", ms(600_000)),
        ("retry-after", "600.001", ms(600_000)),
        ("retry-after", "86400", ms(600_000)),
        ("retry-after", nines.as_str(), ms(600_000)),
        ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT", ms(30_000)),
        ("retry-after", "Sun, 06 Nov 1994 08:49:36 GMT", ms(0)),
        ("retry-after", "Sat, 06 Nov 2094 08:49:37 GMT", ms(600_000)),
        ("retry-after-ms", "1250", ms(1250)),
        ("retry-after-ms", "0.5", Some(Duration::from_micros(500))),
        ("x-ms-retry-after-ms", "10", ms(10)),
        ("retry-after", "-1", None),
        ("retry-after", "+1", None),
        ("retry-after", "1e3", None),
        ("retry-after", "inf", None),
        ("retry-after", "NaN", None),
        ("retry-after", ".", None),
        ("retry-after", "1.2.3", None),
        ("retry-after", "", None),
        ("retry-after", "soon", None),
        ("retry-after", "jetzt gleich, \u{e4}", None),
        ("retry-after-ms", "-5", None),
    ] {
        assert_eq!(rates(&[(name, value)]).retry_after, expected, "{name}: {value}");
    }
    let both = |millis| rates(&[("retry-after", "2"), ("retry-after-ms", millis)]).retry_after;
    assert_eq!(both("1900"), ms(1900));
    assert_eq!(both("soon"), ms(2000));
}

#[test]
fn resets_are_spans_seconds_or_dates() {
    for (value, expected) in [
        ("1s", ms(1000)),
        ("6m0s", ms(360_000)),
        ("12ms", ms(12)),
        ("2m52.8s", ms(172_800)),
        ("9m59.999s", ms(599_999)),
        ("1h2m3.5s", ms(600_000)),
        ("19m45.394s", ms(600_000)),
        ("20h", ms(600_000)),
        ("3d", ms(600_000)),
        ("1µs", None),
        ("1us", Some(Duration::from_micros(1))),
        ("64", ms(64_000)),
        ("0.25", ms(250)),
        ("0", ms(0)),
        ("1788220830", ms(30_000)),
        ("1788220830.5", ms(30_500)),
        ("1788220830500", ms(30_500)),
        ("1788220799", ms(0)),
        ("9999999999", ms(600_000)),
        ("", None),
        ("-1", None),
        ("-1s", None),
        ("1h-2m", None),
        ("s", None),
        ("1", ms(1000)),
        ("1m5", None),
        ("1 fortnight", None),
        (".s", None),
        ("2026-03-29T14:00:32Z", None),
        ("soon", None),
    ] {
        let lines = [("x-ratelimit-reset-requests", value), ("x-ratelimit-reset-tokens", value)];
        let read = read_rate_limits(&headers(&lines), LATER_MS);
        assert_eq!(read.requests_reset, expected, "{value:?}");
        assert_eq!(read.tokens_reset, expected, "{value:?}");
    }
}

#[test]
fn counts_have_bounds() {
    for (value, limit, remaining) in [
        ("1", Some(1), Some(1)),
        ("0", None, Some(0)),
        ("1000000000000", Some(COUNT_MAX), Some(COUNT_MAX)),
        ("1000000000001", None, None),
        ("18446744073709551616", None, None),
        ("9223372036854775807", None, None),
        ("-1", None, None),
        ("+1", None, None),
        ("1.5", None, None),
        ("1e3", None, None),
        ("", None, None),
        ("unlimited", None, None),
    ] {
        let read = rates(&[("x-ratelimit-limit-tokens", value), ("x-ratelimit-remaining-tokens", value)]);
        assert_eq!((read.tokens_limit, read.tokens_remaining), (limit, remaining), "{value:?}");
    }
}

#[test]
fn the_first_of_several_values_counts_and_bytes_are_no_text() {
    let read = rates(&[("retry-after", "1"), ("retry-after", "9")]);
    assert_eq!(read.retry_after, ms(1000));
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    assert_eq!(super::read_rate_limits(&headers, NOW_MS), ProviderRateLimits::default());
}

#[test]
fn google_puts_the_wait_into_the_body() {
    let body = |delay: &str| {
        format!(
            r#"{{"error":{{"code":429,"status":"RESOURCE_EXHAUSTED","details":[
            {{"@type":"type.googleapis.com/google.rpc.Help","links":[]}},
            {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{delay}}}]}}}}"#
        )
    };
    for (delay, expected) in [
        (r#""34s""#, ms(34_000)),
        (r#""0.580s""#, ms(580)),
        (r#""600s""#, ms(600_000)),
        (r#""86400s""#, ms(600_000)),
        (r#""-1s""#, None),
        (r#""34""#, None),
        (r#""""#, None),
        ("34", None),
        ("null", None),
    ] {
        assert_eq!(body_retry_delay(body(delay).as_bytes()), expected, "{delay}");
        assert_eq!(body_retry_delay(format!("[{}]", body(delay)).as_bytes()), expected, "{delay}");
    }
    let nested = "[".repeat(100_000);
    for body in ["", "{}", "[]", "null", r#"{"error":"no"}"#, r#"{"error":{"details":{}}}"#, &nested] {
        assert_eq!(body_retry_delay(body.as_bytes()), None);
    }
    assert_eq!(body_retry_delay(b"\xff"), None);
}
