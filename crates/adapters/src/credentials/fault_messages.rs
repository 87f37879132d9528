//! Fault messages about credentials: with the credential's name, without its secrets.

use super::token::SecretText;
use contexture_core::fault::Fault;

/// Code of an invalid credential configuration, and of a token endpoint's malformed response.
pub const CREDENTIAL_REJECTED: &str = "credential_rejected";
/// Longest excerpt of a foreign message, in characters.
pub(super) const EXCERPT_CHARS_MAX: usize = 200;
/// How much of a foreign message is examined, in characters.
const EXAMINED_CHARS_MAX: usize = 1000;
/// A run of this many characters that also stands in a secret is masked.
const SECRET_MATCH_CHARS: usize = 8;

/// The fault of a configuration that can never work.
pub(super) fn reject_config(why: &str) -> Fault {
    Fault::permanent(CREDENTIAL_REJECTED, why)
}

/// Puts the credential's name before the fault's message.
pub(super) fn prefix_credential_name(name: &str, fault: Fault) -> Fault {
    let credential = format!("credential {name}");
    match fault {
        Fault::Transient(cause) => Fault::Transient(cause.prefixed(credential)),
        Fault::Throttled { retry_after, what } => {
            Fault::Throttled { retry_after, what: format!("{credential}: {what}") }
        }
        Fault::Unauthorized(cause) => Fault::Unauthorized(cause.prefixed(credential)),
        Fault::Permanent(reason) => {
            Fault::permanent(CREDENTIAL_REJECTED, format!("{credential}: {}", reason.detail))
        }
        Fault::Superseded => Fault::Superseded,
    }
}

/// Makes a permanent fault of getting a token `Unauthorized`: no document is to blame for it, so none
/// may fail for good because of it.
pub(super) fn permanent_to_unauthorized(fault: Fault) -> Fault {
    match fault {
        Fault::Permanent(reason) => Fault::unauthorized(reason.detail),
        other => other,
    }
}

/// A foreign message made fit for a log: short, on one line, and without any part of a secret.
pub(super) fn redacted_excerpt(text: &str, secrets: &[SecretText]) -> String {
    // More than is kept, because masking shortens the text.
    let examined: Vec<char> = text.chars().take(EXAMINED_CHARS_MAX).collect();
    let mut masked = vec![false; examined.len()];
    // Runs, not whole secrets: a server may quote a truncated or re-encoded one.
    for secret in secrets {
        // A secret that is shorter than the run is masked where it stands as a whole.
        let length = secret.expose().chars().count().min(SECRET_MATCH_CHARS);
        if length == 0 {
            continue;
        }
        for start in 0..(examined.len() + 1).saturating_sub(length) {
            let part: String = examined[start..start + length].iter().collect();
            if secret.expose().contains(&part) {
                masked[start..start + length].fill(true);
            }
        }
    }
    let mut excerpt = String::new();
    for (index, &one) in examined.iter().enumerate() {
        if !masked[index] {
            excerpt.push(if one.is_control() { ' ' } else { one });
        } else if index == 0 || !masked[index - 1] {
            excerpt.push_str("***");
        }
    }
    excerpt.chars().take(EXCERPT_CHARS_MAX).collect::<String>().trim().to_owned()
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
    fn excerpts_are_short() {
        assert_eq!(redacted_excerpt(&"ä".repeat(5000), &[]).chars().count(), EXCERPT_CHARS_MAX);
    }
}
