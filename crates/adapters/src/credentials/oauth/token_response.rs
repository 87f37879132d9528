//! Parsing of token endpoints' responses: RFC 6749, section 5, as JSON or, as some servers do, a form.
//!
//! The content type decides, unless the body is obviously JSON. A lifetime is a number or a text with
//! one, clamped to [`TOKEN_LIFE_MIN`]..[`TOKEN_LIFE_MAX`]. Anything else counts as no lifetime.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::credentials::token::{SecretText, TOKEN_BYTES_MAX, check_sendable};

/// Shorter lifetimes are taken for this.
pub(in crate::credentials) const TOKEN_LIFE_MIN: Duration = Duration::from_secs(1);
/// Longer lifetimes are taken for this.
pub(in crate::credentials) const TOKEN_LIFE_MAX: Duration = Duration::from_hours(30 * 24);

/// The tokens of a response.
pub(in crate::credentials) struct GrantedTokens {
    pub(in crate::credentials) access: SecretText,
    /// Lifetime of the access token, if the response names one.
    pub(in crate::credentials) life: Option<Duration>,
    /// The refresh token that replaces the one sent, if there is one.
    pub(in crate::credentials) refresh: Option<SecretText>,
}

/// The tokens of a response with success, or what is wrong with them, in words that continue "the
/// answer". `None` if it has no token.
pub(super) fn parse_token_response(
    content_type: &str,
    body: &[u8],
) -> Option<Result<GrantedTokens, &'static str>> {
    let fields = parse_fields(content_type, body)?;
    // An error beside a token counts as an error.
    if !fields.contains_key("access_token") || fields.get("error").is_some_and(|error| !error.is_null()) {
        return None;
    }
    Some(tokens_from_fields(&fields))
}

fn tokens_from_fields(fields: &Map<String, Value>) -> Result<GrantedTokens, &'static str> {
    match fields.get("token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err("has a token that is no bearer token"),
    }
    let access = text_field(fields, "access_token").ok_or("has a token that is no text")?;
    let access =
        check_sendable(access).map_err(|_| "has a token that is empty, too long, or not visible ASCII")?;
    let refresh = text_field(fields, "refresh_token").filter(|text| !text.is_empty());
    if refresh.is_some_and(|text| text.len() > TOKEN_BYTES_MAX || text.chars().any(char::is_control)) {
        return Err("has a refresh token that is too long or has control characters");
    }
    Ok(GrantedTokens {
        access,
        life: parse_lifetime(fields.get("expires_in")),
        refresh: refresh.map(SecretText::new),
    })
}

/// The token and its lifetime in the JSON that a program printed.
pub(in crate::credentials) fn parse_printed_token(
    text: &str,
) -> Result<(SecretText, Option<Duration>), &'static str> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return Err("it is no JSON object");
    };
    let found = text_field(&fields, "access_token").or_else(|| text_field(&fields, "token"));
    Ok((check_sendable(found.ok_or("it has no access_token")?)?, parse_lifetime(fields.get("expires_in"))))
}

/// `error` and `error_description` of a response. Some servers send an object with a `message`.
pub(super) fn parse_error_response(content_type: &str, body: &[u8]) -> Option<(String, String)> {
    let fields = parse_fields(content_type, body)?;
    match fields.get("error")? {
        Value::String(error) => {
            Some((error.clone(), text_field(&fields, "error_description").unwrap_or_default().to_owned()))
        }
        Value::Object(error) => {
            let part = |name| text_field(error, name).unwrap_or_default().to_owned();
            Some((part("status"), part("message")))
        }
        _ => None,
    }
}

/// When a token expires.
pub(in crate::credentials) fn expiry_ms(begins_ms: u64, life: Duration) -> u64 {
    let life = life.clamp(TOKEN_LIFE_MIN, TOKEN_LIFE_MAX);
    begins_ms.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
}

fn text_field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

fn parse_lifetime(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // `clamp` keeps NaN, and `from_secs_f64` panics on it.
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::from_secs_f64(seconds.clamp(TOKEN_LIFE_MIN.as_secs_f64(), TOKEN_LIFE_MAX.as_secs_f64())))
}

fn parse_fields(content_type: &str, body: &[u8]) -> Option<Map<String, Value>> {
    if body.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice(body).ok();
    }
    if content_type.to_ascii_lowercase().contains("json") {
        return None;
    }
    let pairs = form_urlencoded::parse(body.trim_ascii());
    Some(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn life_of(value: &Value) -> Option<u64> {
        parse_lifetime(Some(value)).map(|life| life.as_secs())
    }

    #[test]
    fn lives_are_numbers_within_bounds() {
        for (value, expected) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(" 3599.5 "), Some(3599)),
            (json!(0), Some(1)),
            (json!(-5), Some(1)),
            (json!(1e300), Some(2_592_000)),
            (json!("inf"), Some(2_592_000)),
            (json!(u64::MAX), Some(2_592_000)),
            (json!("NaN"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            assert_eq!(life_of(&value), expected, "{value}");
        }
        assert_eq!(parse_lifetime(None), None);
    }

    #[test]
    fn the_content_type_decides_unless_the_text_is_evidently_json() {
        let json = br#" {"access_token":"a"}"#;
        let form = b"access_token=a&expires_in=5\n";
        for (content_type, body, is_read) in [
            ("application/json", json.as_slice(), true),
            ("text/html", json, true),
            ("application/x-www-form-urlencoded", json, true),
            ("application/x-www-form-urlencoded; charset=utf-8", form, true),
            ("text/plain", form, true),
            ("", form, true),
            ("application/json", form, false),
            ("application/json", b"", false),
        ] {
            let read = parse_token_response(content_type, body).is_some_and(|granted| granted.is_ok());
            assert_eq!(read, is_read, "{content_type} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        for body in [
            json!({ "access_token": "" }),
            json!({ "access_token": "two words" }),
            json!({ "access_token": "line\nbreak" }),
            json!({ "access_token": "clé" }),
            json!({ "access_token": 5 }),
            json!({ "access_token": "a".repeat(TOKEN_BYTES_MAX + 1) }),
            json!({ "access_token": "a", "token_type": "mac" }),
            json!({ "access_token": "a", "token_type": 1 }),
            json!({ "access_token": "a", "refresh_token": "r\u{0}" }),
        ] {
            let granted = parse_token_response("application/json", body.to_string().as_bytes());
            assert!(granted.is_some_and(|granted| granted.is_err()), "{body}");
        }
        for body in [json!({}), json!({ "token": "a" }), json!({ "access_token": "a", "error": "no" })] {
            assert!(
                parse_token_response("application/json", body.to_string().as_bytes()).is_none(),
                "{body}"
            );
        }
    }
}
