//! What is said about failures: with the credential's name, without its secrets.

use super::SecretText;
use contexture_core::fault::Fault;

/// Longest saying of somebody else, in characters.
pub(super) const EXCERPT_CHARS_MAX: usize = 200;
/// What is looked at of it.
const EXAMINED_CHARS_MAX: usize = 1000;
/// So many characters in common with a secret are too many.
const SECRET_MATCH_CHARS: usize = 8;

/// The fault with the name of the credential that it is about.
pub(super) fn prefix_credential_name(name: &str, fault: Fault) -> Fault {
    let tell = |what: &str| format!("credential {name}: {what}");
    match fault {
        Fault::Transient(what) => Fault::Transient(tell(&what)),
        Fault::Throttled { retry_after, what } => Fault::Throttled { retry_after, what: tell(&what) },
        Fault::Unauthorized(what) => Fault::Unauthorized(tell(&what)),
        Fault::Permanent(reason) => Fault::permanent(super::CREDENTIAL_REJECTED, tell(&reason.detail)),
        Fault::Superseded => Fault::Superseded,
    }
}

/// The fault of getting a token: no document is to blame, so none may die of it.
pub(super) fn permanent_to_unauthorized(fault: Fault) -> Fault {
    match fault {
        Fault::Permanent(reason) => Fault::Unauthorized(reason.detail),
        other => other,
    }
}

/// What somebody else said, fit for a log: short, on one line, and without what could be a part of
/// a secret.
pub(super) fn redacted_excerpt(text: &str, secrets: &[SecretText]) -> String {
    let heard: Vec<char> = text.chars().take(EXAMINED_CHARS_MAX).collect();
    let mut hidden = vec![false; heard.len()];
    for secret in secrets {
        let length = secret.expose().chars().count().min(SECRET_MATCH_CHARS);
        if length == 0 {
            continue;
        }
        for start in 0..(heard.len() + 1).saturating_sub(length) {
            let part: String = heard[start..start + length].iter().collect();
            if secret.expose().contains(&part) {
                hidden[start..start + length].fill(true);
            }
        }
    }
    let mut said = String::new();
    for (index, &one) in heard.iter().enumerate() {
        if !hidden[index] {
            said.push(if one.is_control() { ' ' } else { one });
        } else if index == 0 || !hidden[index - 1] {
            said.push_str("***");
        }
    }
    said.chars().take(EXCERPT_CHARS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_is_repeated() {
        let secrets = [SecretText::new("canary-secret-0123456789"), SecretText::new("pin")];
        let cases = [
            ("all is well", "all is well"),
            ("no canary-secret-0123456789!", "no ***!"),
            ("token canary-secret-01... is unknown", "token ***... is unknown"),
            ("…0123456789", "…***"),
            ("the pin is wrong", "the *** is wrong"),
            ("canary", "canary"),
            (" two\r\nlines\u{7} ", "two  lines"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted_excerpt(text, &secrets), expected, "{text:?}");
        }
    }

    #[test]
    fn sayings_are_short() {
        assert_eq!(redacted_excerpt(&"ä".repeat(5000), &[]).chars().count(), EXCERPT_CHARS_MAX);
    }
}
