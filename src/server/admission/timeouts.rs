//! Deadlines as callers ask for them.

use std::time::Duration;

use hyper::HeaderMap;

use contexture_core::fault::Refusal;

/// The header that says how long the caller waits.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) enum TimeoutHeader {
    /// `grpc-timeout`.
    Grpc,
    /// `x-timeout-ms`.
    Milliseconds,
}

/// Reads the value of a header.
type TimeoutParser = fn(&[u8]) -> Result<Duration, Refusal>;

impl TimeoutHeader {
    /// Reads the header; none if it is absent.
    pub(super) fn read(self, headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
        let (name, parse): (_, TimeoutParser) = match self {
            Self::Grpc => ("grpc-timeout", parse_grpc_timeout),
            Self::Milliseconds => ("x-timeout-ms", parse_milliseconds),
        };
        headers.get(name).map(|value| parse(value.as_bytes())).transpose()
    }
}

/// Reads gRPC's `grpc-timeout`: 1 to 8 digits and a unit.
/// Source: "gRPC over HTTP2", section Requests.
fn parse_grpc_timeout(value: &[u8]) -> Result<Duration, Refusal> {
    let refuse = || {
        Refusal::invalid(
            "invalid_timeout",
            "grpc-timeout",
            "grpc-timeout must be 1 to 8 digits and H, M, S, m, u or n",
        )
    };
    let (unit, digits) = value.split_last().ok_or_else(refuse)?;
    if !(1..=8).contains(&digits.len()) {
        return Err(refuse());
    }
    let number = digits_as_number(digits).ok_or_else(refuse)?;
    // Eight digits times 3600 fit into `u64`, so nothing here overflows.
    match unit {
        b'H' => Ok(Duration::from_secs(number * 3600)),
        b'M' => Ok(Duration::from_secs(number * 60)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(refuse()),
    }
}

fn parse_milliseconds(value: &[u8]) -> Result<Duration, Refusal> {
    let number = if (1..=12).contains(&value.len()) { digits_as_number(value) } else { None };
    number.map(Duration::from_millis).ok_or_else(|| {
        Refusal::invalid(
            "invalid_timeout",
            "x-timeout-ms",
            "x-timeout-ms must be 1 to 12 digits: milliseconds",
        )
    })
}

fn digits_as_number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0_u64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_digits_and_nothing_else() {
        let read = |text: &str| parse_milliseconds(text.as_bytes()).ok();
        assert_eq!(read("250"), Some(Duration::from_millis(250)));
        assert_eq!(read("0"), Some(Duration::ZERO));
        for bad in ["", "1.5", "-1", "1s", "9999999999999", " 1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
