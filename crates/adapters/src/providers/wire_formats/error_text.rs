//! Extracts a provider's error message and makes it fit for our own messages.
//!
//! Sources: the error bodies of OpenAI and compatible servers, `{"error":{"message","type","code"}}`
//! or `{"error":"…"}` (LM Studio); vLLM before 0.10 and Mistral, `{"object":"error","message","type"}`;
//! text-embeddings-inference, `{"error","error_type"}` and `{"message","type"}`; Cohere,
//! `{"message"}`; Voyage, `{"detail"}`; FastAPI's list of details; Gemini,
//! `{"error":{"message","status"}}`, also in a list.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde::Deserialize;
use serde_json::Value;

/// Longest message that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 300;
/// Longest name of an error's kind, in characters.
const KIND_CHARS_MAX: usize = 60;
/// A run of this many characters that a text contains, too, is a quote of it.
const QUOTE_CHARS_MIN: usize = 24;
/// Stands for what was cut.
const ELLIPSIS: char = '…';

/// Stands for a secret.
const SECRET_MASK: &str = "***";
/// Shortest header value that is masked, in characters. Shorter ones are no secrets and occur in many words.
const SECRET_CHARS_MIN: usize = 4;

/// Secrets that were sent and must not be repeated.
#[derive(Debug, Default)]
pub(in super::super) struct SentSecrets<'a>(Vec<&'a str>);

impl<'a> SentSecrets<'a> {
    /// Takes the token and header values. A value may begin with the name of a scheme.
    pub(in super::super) fn new(token: Option<&'a str>, headers: impl Iterator<Item = &'a str>) -> Self {
        // `Bearer x` is masked as a whole, and `x` where it stands alone.
        let parts = |value: &'a str| [Some(value), value.split_once(' ').map(|(_, rest)| rest)];
        let parts = headers.flat_map(parts).flatten().map(str::trim);
        let long = parts.filter(|part| part.chars().count() >= SECRET_CHARS_MIN);
        let mut secrets: Vec<&str> = token.into_iter().chain(long).collect();
        // Longest first: a secret may be a part of another, and would leave the rest of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// The text with all secrets masked.
    pub(super) fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, SECRET_MASK))
    }
}

/// The parts of an error body that may hold a message; the rest, which may be long, is skipped.
#[derive(Deserialize)]
struct ProviderErrorBody {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    detail: Value,
    #[serde(default)]
    error_type: Value,
    #[serde(default, rename = "type")]
    kind: Value,
}

/// The message of an error body, and the name of its kind in parentheses, such as
/// `insufficient_quota`. `None` if the body is no error. At most [`MESSAGE_CHARS_MAX`] characters, none
/// of them a control character. Secrets are masked before anything is cut, because half of one would
/// not be found.
pub(in super::super) fn provider_error_message(body: &[u8], secrets: &SentSecrets) -> Option<String> {
    let said = |value: &Value| message_text(value, secrets);
    let ProviderErrorBody { error, message, detail, error_type, kind } = parse_error_body(body)?;
    // Indexing a missing field gives null, so no body can panic here. `error` itself may be the text.
    let parts = [&error["message"], &error, &message, &message["detail"][0]["msg"], &detail];
    let details = [&detail[0]["msg"], &detail["message"], &detail["error"]];
    let message = parts.into_iter().chain(details).find_map(said);
    let kinds = [&error["code"], &error["status"], &error["type"], &error_type, &kind];
    let kind = kinds.into_iter().find_map(said).map(|kind| truncate_chars(&kind, KIND_CHARS_MAX));
    match (message, kind) {
        (Some(message), Some(kind)) if !message.contains(&kind) => {
            // Cannot underflow: a kind has at most KIND_CHARS_MAX characters.
            let room = MESSAGE_CHARS_MAX - kind.chars().count() - " ()".len();
            Some(format!("{} ({kind})", truncate_chars(&message, room)))
        }
        (Some(words), _) => Some(truncate_chars(&words, MESSAGE_CHARS_MAX)),
        (None, Some(kind)) if !error.is_null() => Some(kind),
        (None, _) => None,
    }
}

/// Whether a body says that the key is invalid although the status does not: Gemini's 400 with the
/// reason `API_KEY_INVALID` (`google.rpc.ErrorInfo`), and gateways with OpenAI's `invalid_api_key`.
pub(in super::super) fn blames_the_key(body: &[u8]) -> bool {
    let Some(ProviderErrorBody { error, message, .. }) = parse_error_body(body) else { return false };
    let is_reason = |detail: &Value| detail["reason"] == "API_KEY_INVALID";
    let says = |value: &Value| value.as_str().is_some_and(|text| text.contains("API key not valid"));
    error["details"].as_array().is_some_and(|details| details.iter().any(is_reason))
        || error["code"] == "invalid_api_key"
        || [&error["message"], &error, &message].into_iter().any(says)
}

/// Whether the words of an error say that a text is too long. Servers of models word it each in its own way.
pub(in super::super) fn blames_the_size(words: &str) -> bool {
    const SIZE_WORDS: [&str; 8] = [
        "too large",
        "too long",
        "too many tokens",
        "context length",
        "context size",
        "context window",
        "batch size",
        "sequence length",
    ];
    let words = words.to_ascii_lowercase();
    SIZE_WORDS.iter().any(|size| words.contains(size))
}

/// Replaces with an ellipsis every run of [`QUOTE_CHARS_MIN`] or more characters that one of the texts
/// contains: an error may quote what was sent. Control characters count as spaces, as in
/// [`provider_error_message`].
pub(in super::super) fn redact_quoted_texts(words: &str, texts: &[String]) -> String {
    let words: Vec<char> = words.chars().map(replace_control).collect();
    // Windows of the message are indexed, not those of the texts, which can be far longer. A window that
    // was found is removed, so each costs one match.
    let mut unseen: HashMap<&[char], Vec<usize>, RandomState> = HashMap::default();
    for (place, window) in words.windows(QUOTE_CHARS_MIN).enumerate() {
        unseen.entry(window).or_default().push(place);
    }
    let mut quoted = vec![false; words.len()];
    for text in texts {
        let text: Vec<char> = text.chars().map(replace_control).collect();
        for window in text.windows(QUOTE_CHARS_MIN) {
            if unseen.is_empty() {
                break;
            }
            for place in unseen.remove(window).unwrap_or_default() {
                quoted[place..place + QUOTE_CHARS_MIN].fill(true);
            }
        }
    }
    let mut left = String::with_capacity(words.len());
    for (place, &one) in words.iter().enumerate() {
        if !quoted[place] {
            left.push(one);
        } else if place == 0 || !quoted[place - 1] {
            left.push(ELLIPSIS);
        }
    }
    left
}

/// Parses the body, or the first of a list of bodies.
fn parse_error_body(body: &[u8]) -> Option<ProviderErrorBody> {
    match body.trim_ascii_start().first()? {
        b'{' => serde_json::from_slice(body).ok(),
        b'[' => serde_json::from_slice::<Vec<ProviderErrorBody>>(body).ok()?.into_iter().next(),
        _ => None,
    }
}

/// A non-blank string, masked and without control characters.
fn message_text(value: &Value, secrets: &SentSecrets) -> Option<String> {
    let text: String = secrets.masked(value.as_str()?).chars().map(replace_control).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn replace_control(one: char) -> char {
    if one.is_control() { ' ' } else { one }
}

fn truncate_chars(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain([ELLIPSIS]).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails where one does")]

    use super::*;

    fn said_by(body: &str) -> Option<String> {
        provider_error_message(body.as_bytes(), &SentSecrets::default())
    }

    #[test]
    fn every_provider_is_understood() {
        for (body, expected) in [
            // OpenAI.
            (
                r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
                "You exceeded your current quota. (insufficient_quota)",
            ),
            (
                r#"{"error":{"message":"Invalid 'input[0]': maximum input length is 8192 tokens.","type":"invalid_request_error","param":null,"code":null}}"#,
                "Invalid 'input[0]': maximum input length is 8192 tokens. (invalid_request_error)",
            ),
            // Azure.
            (
                r#"{"error":{"code":"429","message":"Requests have exceeded call rate limit. Please retry after 86400 seconds."}}"#,
                "Requests have exceeded call rate limit. Please retry after 86400 seconds. (429)",
            ),
            (r#"{"statusCode":401,"message":"Unauthorized."}"#, "Unauthorized."),
            // Ollama.
            (
                r#"{"error":{"message":"failed to encode response: json: unsupported value: NaN","type":"api_error","param":null,"code":null}}"#,
                "failed to encode response: json: unsupported value: NaN (api_error)",
            ),
            // LM Studio.
            (
                r#"{"error":"Unexpected endpoint or method. (POST /embeddings)"}"#,
                "Unexpected endpoint or method. (POST /embeddings)",
            ),
            // vLLM, then and now.
            (
                r#"{"object":"error","message":"This model's maximum context length is 512 tokens.","type":"BadRequestError","param":null,"code":400}"#,
                "This model's maximum context length is 512 tokens. (BadRequestError)",
            ),
            (
                r#"{"error":{"message":"This model's maximum context length is 512 tokens.","type":"BadRequestError","param":"input_tokens","code":400}}"#,
                "This model's maximum context length is 512 tokens. (BadRequestError)",
            ),
            // text-embeddings-inference, both routes.
            (r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, "Model is overloaded"),
            (
                r#"{"message":"Input validation error: `inputs` must have less than 512 tokens. Given: 1038","code":413,"type":"Validation"}"#,
                "Input validation error: `inputs` must have less than 512 tokens. Given: 1038 (Validation)",
            ),
            // Cohere.
            (
                r#"{"id":"11864227","message":"invalid request: total number of texts must be at most 96"}"#,
                "invalid request: total number of texts must be at most 96",
            ),
            // Voyage.
            (r#"{"detail":"Provided API key is invalid."}"#, "Provided API key is invalid."),
            // FastAPI, Mistral.
            (
                r#"{"detail":[{"loc":["body","input"],"msg":"field required","type":"missing"}]}"#,
                "field required",
            ),
            (
                r#"{"object":"error","message":{"detail":[{"msg":"too long"}]},"type":"invalid_request_error"}"#,
                "too long (invalid_request_error)",
            ),
            // Gemini, alone and in a list.
            (
                r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}"#,
                "API key not valid. (INVALID_ARGUMENT)",
            ),
            (
                r#" [{"error":{"code":429,"message":"Resource exhausted.","status":"RESOURCE_EXHAUSTED"}}]"#,
                "Resource exhausted. (RESOURCE_EXHAUSTED)",
            ),
            // Nothing but a kind.
            (r#"{"error":{"type":"server_error"}}"#, "server_error"),
            (r#"{"error":{"message":"  ","code":"model_not_found"}}"#, "model_not_found"),
        ] {
            assert_eq!(said_by(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_is_no_error_says_nothing() {
        let nested = format!(r#"{{"error":{}"#, "[".repeat(100_000));
        for body in [
            "",
            "null",
            "7",
            r#""no""#,
            "<html>502 Bad Gateway</html>",
            "{}",
            "[]",
            "[[0.5]]",
            r#"{"error":null}"#,
            r#"{"error":{}}"#,
            r#"{"error":true}"#,
            r#"{"error":{"message":7}}"#,
            r#"{"object":"list","data":[],"type":"list"}"#,
            r#"{"message":"cut of"#,
            &nested,
            &"[".repeat(100_000),
        ] {
            assert_eq!(said_by(body), None, "{body:.80}");
        }
        assert_eq!(provider_error_message(b"{\"message\":\"\xff\"}", &SentSecrets::default()), None);
    }

    #[test]
    fn words_are_short_and_of_one_line() {
        assert_eq!(said_by(r#"{"message":"\u0000a\nb\u001b[31mc\u0085\t"}"#).unwrap(), "a b [31mc");
        for (length, expected) in [(300, 300), (301, 300), (100_000, 300)] {
            let long = "ä".repeat(length);
            let words = said_by(&format!(r#"{{"message":"{long}"}}"#)).unwrap();
            assert_eq!(words.chars().count(), expected);
            assert_eq!(words.ends_with(ELLIPSIS), length > 300);
        }
        let long = "x".repeat(400);
        let kept = said_by(&format!(r#"{{"error":{{"message":"{long}","code":"insufficient_quota"}}}}"#));
        assert!(kept.as_ref().unwrap().ends_with("x… (insufficient_quota)"));
        assert_eq!(kept.unwrap().chars().count(), 300);
        let both = said_by(&format!(r#"{{"error":{{"message":"{long}","code":"{}"}}}}"#, "y".repeat(400)));
        assert_eq!(both.unwrap().chars().count(), 300);
    }

    #[test]
    fn secrets_are_masked_before_words_are_cut() {
        let (token, header) = ("sk-0123456789abcdef", "Bearer proxy-0123456789");
        let secrets = SentSecrets::new(Some(token), [header, "yes"].into_iter());
        let said = |message: &str| {
            provider_error_message(format!(r#"{{"message":"{message}"}}"#).as_bytes(), &secrets)
        };
        assert_eq!(said("who is sk-0123456789abcdef?").unwrap(), "who is ***?");
        assert_eq!(said("yes: Bearer proxy-0123456789").unwrap(), "yes: ***");
        assert_eq!(said("no proxy-0123456789").unwrap(), "no ***");
        for shift in 0..40 {
            for secret in [token, "proxy-0123456789"] {
                let words = said(&format!("{} {secret}", "x".repeat(MESSAGE_CHARS_MAX - shift))).unwrap();
                assert!(!words.contains(&secret[..2]), "{words}");
            }
        }
        let kind = provider_error_message(
            format!(r#"{{"error":{{"code":"{}{token}"}}}}"#, "x".repeat(50)).as_bytes(),
            &secrets,
        );
        assert!(!kind.unwrap().contains("sk-"));
        assert_eq!(SentSecrets::default().masked(token), token);
    }

    #[test]
    fn a_key_is_blamed_in_several_ways() {
        for body in [
            r#"{"error":{"code":400,"message":"no","details":[{"@type":"t"},{"reason":"API_KEY_INVALID"}]}}"#,
            r#"[{"error":{"details":[{"reason":"API_KEY_INVALID"}]}}]"#,
            r#"{"error":{"message":"API key not valid. Please pass a valid API key."}}"#,
            r#"{"error":"API key not valid"}"#,
            r#"{"message":"API key not valid"}"#,
            r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#,
        ] {
            assert!(blames_the_key(body.as_bytes()), "{body}");
        }
        for body in [
            "",
            "[]",
            "<html>",
            r#"{"error":{"message":"API key of another kind"}}"#,
            r#"{"error":{"message":"input is too long","details":[{"reason":"INVALID"}]}}"#,
        ] {
            assert!(!blames_the_key(body.as_bytes()), "{body}");
        }
    }

    fn unquoted(words: &str, texts: &[&str]) -> String {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        redact_quoted_texts(words, &texts)
    }

    #[test]
    fn quotes_of_texts_are_cut() {
        let secret = "The patient was seen on Monday\nand again on Friday.";
        let cut = |words: &str| unquoted(words, &["other", secret]);
        assert_eq!(cut("input is invalid"), "input is invalid");
        assert_eq!(
            cut("bad: The patient was seen on Monday and again on Friday. Shorten it"),
            "bad: … Shorten it"
        );
        assert_eq!(cut("bad: 'patient was seen on Monday'"), "bad: '…'");
        assert_eq!(cut("The patient was seen on Monday"), "…");
        // Both halves of a quote that was escaped on its way.
        assert_eq!(
            cut(r"'The patient was seen on Monday\nand again on Friday. …'"),
            r"'…\nand again on Friday. …'"
        );
    }

    #[test]
    fn a_quote_has_24_characters() {
        let text = "äbcdefghijklmnopqrstuvwxyz";
        let (short, long): (String, String) =
            (text.chars().take(23).collect(), text.chars().take(24).collect());
        assert_eq!(unquoted(&format!("<{short}>"), &[text]), format!("<{short}>"));
        assert_eq!(unquoted(&format!("<{long}>"), &[text]), "<…>");
        assert_eq!(unquoted(&long, &[&short]), long);
        assert_eq!(unquoted(&short, &[&short]), short);
    }

    #[test]
    fn several_quotes_and_texts_and_repeats_are_cut() {
        let (one, two) = ("1".repeat(30), "2".repeat(30));
        let words = format!("{one} and {two}, {one}{two}");
        assert_eq!(unquoted(&words, &[&one, &two]), "… and …, …");
        assert_eq!(unquoted(&"1".repeat(300), &[&one]), "…");
        assert_eq!(unquoted("", &[&one]), "");
        assert_eq!(unquoted(&words, &[]), words);
    }
}
