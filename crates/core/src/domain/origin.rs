//! The origin of a version: properties of the producer's message, for answers and later events.
//!
//! Every text has at most [`ORIGIN_TEXT_BYTES_MAX`] bytes and no control characters. A trace context
//! follows W3C Trace Context. Whatever does not conform is left out, because nothing depends on it.

use serde::{Deserialize, Serialize};

/// Longest text of an origin, in bytes: what an AMQP property holds.
pub const ORIGIN_TEXT_BYTES_MAX: usize = 255;
/// Bytes of a W3C `traceparent` of version 00.
const TRACEPARENT_BYTES: usize = 55;

/// The properties of the message that a version came in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "struct Origin")]
pub struct MessageOrigin {
    /// The message's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The correlation id that the producer wants in answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The queue for answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl MessageOrigin {
    /// The usable ones of these properties; none if no one is.
    pub fn new(
        message_id: Option<String>,
        correlation_id: Option<String>,
        reply_to: Option<String>,
        traceparent: Option<String>,
    ) -> Option<Self> {
        let origin = Self {
            message_id: message_id.filter(|text| is_plain_text(text)),
            correlation_id: correlation_id.filter(|text| is_plain_text(text)),
            reply_to: reply_to.filter(|text| is_plain_text(text)),
            traceparent: traceparent.filter(|text| is_traceparent(text)),
        };
        (origin != Self::default()).then_some(origin)
    }

    /// The correlation id of answers: the producer's, or else the message id.
    pub fn correlation(&self) -> Option<&str> {
        self.correlation_id.as_deref().or(self.message_id.as_deref())
    }
}

fn is_plain_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= ORIGIN_TEXT_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Whether it is `00-<32 hex>-<16 hex>-<2 hex>`, lower case, with ids that are not zero.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { return false };
    let hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let named = |part: &str, digits: usize| hex(part, digits) && part.bytes().any(|byte| byte != b'0');
    text.len() == TRACEPARENT_BYTES
        && version == "00"
        && named(trace, 32)
        && named(parent, 16)
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::MessageOrigin;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn traced(text: &str) -> Option<MessageOrigin> {
        MessageOrigin::new(None, None, None, Some(text.to_owned()))
    }

    #[test]
    fn trace_contexts_are_w3c_or_left_out() {
        assert_eq!(traced(TRACE).and_then(|origin| origin.traceparent).as_deref(), Some(TRACE));
        for wrong in [
            "",
            "00",
            &TRACE.to_uppercase(),
            &TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            &TRACE.replace("00f067aa0ba902b7", "0000000000000000"),
            &TRACE.replacen("00-", "ff-", 1),
            &format!("{TRACE}-more"),
            &TRACE.replace("-01", "-0x"),
        ] {
            assert_eq!(traced(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_are_bounded() {
        let with = |text: String| MessageOrigin::new(Some(text), None, None, None);
        assert!(with("a".repeat(255)).is_some());
        for wrong in ["a".repeat(256), String::new(), "a\u{0}b".to_owned()] {
            assert_eq!(with(wrong), None);
        }
    }

    #[test]
    fn correlation_is_the_message_id_when_there_is_no_other() {
        let text = |text: &str| Some(text.to_owned());
        let both = MessageOrigin::new(text("m"), text("c"), None, None);
        let one = MessageOrigin::new(text("m"), None, None, None);
        assert_eq!(both.as_ref().and_then(MessageOrigin::correlation), Some("c"));
        assert_eq!(one.as_ref().and_then(MessageOrigin::correlation), Some("m"));
    }
}
