//! What the providers' APIs have in common: a call, a response, and lenient parsing of its vectors.
//!
//! One bad number costs one vector, not the response. A model that overflows on one text returns NaN
//! for it. Servers write that differently: `null`, the words of Google's JSON, or `NaN` and `1e999`,
//! which are not JSON and are replaced by `null` before a second attempt. Anything else that is not a
//! number makes the response malformed.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde_json::Value;

use contexture_core::fault::Fault;
use contexture_core::ports::embedder::EmbeddingPurpose;

/// Largest plausible count of tokens; exact in 64-bit floats.
const TOKENS_MAX: u64 = 1_000_000_000_000;

/// The contents of one call.
#[derive(Debug, Clone, Copy)]
pub(in crate::providers) struct EmbedCall<'a> {
    /// The provider's name of the model; for Azure, the deployment's.
    pub model: &'a str,
    /// Dimensions to request; `None` leaves the model's default.
    pub dims: Option<usize>,
    /// At least one, none of them empty.
    pub texts: &'a [String],
    /// Whether the texts are passages or a query.
    pub purpose: EmbeddingPurpose,
    /// Input types of passages and queries instead of the provider's own; an empty one is not sent.
    pub input_types: Option<(&'a str, &'a str)>,
}

/// The contents of a response.
#[derive(Debug, PartialEq)]
pub(in crate::providers) struct EmbedResponse {
    /// One vector per text, in the order of the texts; empty if a number is missing or not finite.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were billed; `None` if the provider does not count them.
    pub tokens: Option<u64>,
}

impl<'a> EmbedCall<'a> {
    /// The input type to send: the configured one, else the provider's. `None` if that is empty.
    pub(super) fn input_type(&self, own: (&'a str, &'a str)) -> Option<&'a str> {
        let (passage, query) = self.input_types.unwrap_or(own);
        let input_type = match self.purpose {
            EmbeddingPurpose::Passage => passage,
            EmbeddingPurpose::Query => query,
        };
        (!input_type.is_empty()).then_some(input_type)
    }
}

/// Serializes a body.
pub(super) fn to_json_body(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(body).map_err(|error| Fault::transient_error("encoding the request", error))
}

/// One vector; empty if a number is missing or not finite.
#[derive(Debug, Default)]
pub(super) struct LenientVector(Vec<f32>);

/// One number; `None` if it is missing or not finite.
struct LenientNumber(Option<f32>);

/// Parses the JSON object of a response.
pub(super) fn parse_json_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("is no JSON object".to_owned());
    }
    // The repair copies the body, so it runs only after a syntax error.
    let parsed = serde_json::from_slice(body).or_else(|error| {
        if error.is_syntax() { serde_json::from_slice(&replace_non_finite(body)) } else { Err(error) }
    });
    parsed.map_err(|error| {
        let why = if error.is_data() { "is no list of embeddings" } else { "is not JSON" };
        why.to_owned()
    })
}

/// Orders vectors by their indexes. Each index must appear exactly once.
pub(super) fn vectors_by_index(
    entries: Vec<(usize, LenientVector)>,
    texts: usize,
) -> Result<Vec<Vec<f32>>, String> {
    check_text_count(entries.len(), texts)?;
    let mut vectors = vec![None; texts];
    for (index, LenientVector(vector)) in entries {
        let Some(slot) = vectors.get_mut(index) else {
            return Err(format!("embeds text {index} of {texts}"));
        };
        if slot.replace(vector).is_some() {
            return Err(format!("embeds text {index} twice"));
        }
    }
    // As many as there are texts, in range and none twice: so none is missing.
    Ok(vectors.into_iter().flatten().collect())
}

/// Takes vectors that are in the order of the texts already.
pub(super) fn vectors_in_text_order(
    entries: Vec<LenientVector>,
    texts: usize,
) -> Result<Vec<Vec<f32>>, String> {
    check_text_count(entries.len(), texts)?;
    Ok(entries.into_iter().map(|LenientVector(vector)| vector).collect())
}

fn check_text_count(entries: usize, texts: usize) -> Result<(), String> {
    if entries == texts { Ok(()) } else { Err(format!("embeds {entries} texts of {texts}")) }
}

/// Parses a count of tokens, which some servers write as a float; 0 comes from servers that do not count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to TOKENS_MAX")]
#[expect(clippy::cast_precision_loss, reason = "TOKENS_MAX is exact")]
pub(super) fn parse_token_count(value: &Value) -> Option<u64> {
    let number = value.as_f64()?;
    (1.0..=TOKENS_MAX as f64).contains(&number).then_some(number as u64)
}

/// Replaces with `null` what Rust parses as a number and JSON does not: NaN, infinity, and numbers out
/// of range. Leaves strings alone.
fn replace_non_finite(body: &[u8]) -> Vec<u8> {
    let part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let mut repaired = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(&byte) = rest.first() {
        let length = if byte == b'"' {
            json_string_length(rest)
        } else {
            rest.iter().take_while(|byte| part_of_word(byte)).count().max(1)
        };
        let (word, after) = rest.split_at(length);
        let number = str::from_utf8(word).ok().and_then(|word| word.parse::<f64>().ok());
        let not_finite = number.is_some_and(|number| !number.is_finite());
        repaired.extend_from_slice(if not_finite { b"null" } else { word });
        rest = after;
    }
    repaired
}

/// Length of the string that `text` begins with, quotes included; all of it if it does not end.
fn json_string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    for (place, &byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

impl<'de> Deserialize<'de> for LenientVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVectorVisitor)
    }
}

struct LenientVectorVisitor;

impl<'de> Visitor<'de> for LenientVectorVisitor {
    type Value = LenientVector;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of numbers")
    }

    fn visit_unit<E: Error>(self) -> Result<LenientVector, E> {
        // `null` in place of a vector costs that vector, like a bad number.
        Ok(LenientVector::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<LenientVector, A::Error> {
        let mut numbers = Vec::new();
        let mut is_complete = true;
        while let Some(LenientNumber(number)) = list.next_element()? {
            match number {
                Some(number) => numbers.push(number),
                // Goes on reading: the rest of the response must still be parsed.
                None => is_complete = false,
            }
        }
        Ok(if is_complete { LenientVector(numbers) } else { LenientVector::default() })
    }
}

impl<'de> Deserialize<'de> for LenientNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientNumberVisitor)
    }
}

struct LenientNumberVisitor;

impl Visitor<'_> for LenientNumberVisitor {
    type Value = LenientNumber;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number")
    }

    #[expect(clippy::cast_possible_truncation, reason = "vectors are of 32 bits")]
    fn visit_f64<E: Error>(self, number: f64) -> Result<LenientNumber, E> {
        let number = number as f32;
        Ok(LenientNumber(number.is_finite().then_some(number)))
    }

    #[expect(clippy::cast_precision_loss, reason = "vectors are of 32 bits")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<LenientNumber, E> {
        Ok(LenientNumber(Some(number as f32)))
    }

    #[expect(clippy::cast_precision_loss, reason = "vectors are of 32 bits")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<LenientNumber, E> {
        Ok(LenientNumber(Some(number as f32)))
    }

    fn visit_unit<E: Error>(self) -> Result<LenientNumber, E> {
        Ok(LenientNumber(None))
    }

    /// The JSON of protocol buffers writes non-finite numbers as strings.
    fn visit_str<E: Error>(self, text: &str) -> Result<LenientNumber, E> {
        match text {
            "NaN" | "Infinity" | "-Infinity" => Ok(LenientNumber(None)),
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}
