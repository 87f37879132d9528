//! Metadata of documents, in a form that every engine compares alike.
//!
//! A value is a string, a number, a boolean, or a list of these. For search it becomes *facets*: short
//! terms such as `year` + `i2024`. All engines store the same terms, so a filter means the same in each;
//! `domain/filter.rs` defines its meaning.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::fault::Refusal;

/// Most keys of one document's metadata.
pub const METADATA_KEYS_MAX: usize = 64;
/// Longest key, in bytes.
pub const METADATA_KEY_BYTES_MAX: usize = 64;
/// Longest string value, in bytes.
pub const METADATA_VALUE_BYTES_MAX: usize = 1024;
/// Longest list.
pub const METADATA_LIST_ITEMS_MAX: usize = 64;

/// One scalar value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetadataScalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other finite number.
    Float(f64),
    /// Text.
    Text(String),
}

/// A scalar, or a list of scalars of which any may match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetadataValue {
    /// One value.
    One(MetadataScalar),
    /// Several values.
    Many(Vec<MetadataScalar>),
}

impl MetadataValue {
    /// The values, one or many.
    pub fn scalars(&self) -> &[MetadataScalar] {
        match self {
            Self::One(scalar) => std::slice::from_ref(scalar),
            Self::Many(scalars) => scalars,
        }
    }
}

/// Checked metadata of one document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentMetadata(BTreeMap<String, MetadataValue>);

impl DocumentMetadata {
    /// Checks every key and value against the limits of this module.
    pub fn new(raw: BTreeMap<String, MetadataValue>) -> Result<Self, Refusal> {
        if raw.len() > METADATA_KEYS_MAX {
            return Err(Refusal::invalid(
                "too_many_metadata_keys",
                "metadata",
                format!("metadata has {} keys; at most {METADATA_KEYS_MAX} are kept", raw.len()),
            ));
        }
        for (key, value) in &raw {
            check_metadata_key(key)?;
            check_metadata_value(key, value)?;
        }
        Ok(Self(raw))
    }

    /// Adds a value under a key that has none, unless there are [`METADATA_KEYS_MAX`] keys or it is none that
    /// metadata can have.
    pub fn insert_missing(&mut self, key: String, value: MetadataValue) {
        let is_valid = check_metadata_key(&key).is_ok() && check_metadata_value(&key, &value).is_ok();
        if is_valid && self.0.len() < METADATA_KEYS_MAX {
            self.0.entry(key).or_insert(value);
        }
    }

    /// Sets a value that the service gives; it is not counted. The key and the value must be valid.
    pub(crate) fn set(&mut self, key: &str, value: MetadataValue) {
        self.0.insert(key.to_owned(), value);
    }

    /// Reads a JSON object; nested objects and nulls are refused.
    pub fn from_json(raw: &serde_json::Value) -> Result<Self, Refusal> {
        let serde_json::Value::Object(map) = raw else {
            return Err(Refusal::invalid("invalid_metadata", "metadata", "metadata must be a JSON object"));
        };
        if map.len() > METADATA_KEYS_MAX {
            return Err(Refusal::invalid(
                "too_many_metadata_keys",
                "metadata",
                format!("metadata has {} keys; at most {METADATA_KEYS_MAX} are kept", map.len()),
            ));
        }
        let mut values = BTreeMap::new();
        for (key, json) in map {
            let value: MetadataValue = serde_json::from_value(json.clone()).map_err(|_| {
                Refusal::invalid(
                    "invalid_metadata_value",
                    &format!("metadata.{key}"),
                    "a metadata value is a string, a number, a boolean, or a list of these",
                )
            })?;
            values.insert(key.clone(), value);
        }
        Self::new(values)
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.0.get(key)
    }

    /// All keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &MetadataValue)> {
        self.0.iter()
    }

    /// Every facet term of this metadata.
    pub fn facets(&self) -> BTreeSet<String> {
        let mut facets = BTreeSet::new();
        for (key, value) in &self.0 {
            facets.insert(exists_facet(key));
            for scalar in value.scalars() {
                facets.insert(equals_facet(key, scalar));
                if let Some(number) = scalar.as_number() {
                    facets.insert(ordered_facet(key, number));
                }
            }
        }
        facets
    }
}

pub(super) fn check_metadata_key(key: &str) -> Result<(), Refusal> {
    let field = format!("metadata.{key}");
    let starts_well = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let all_allowed = key.chars().all(|one| one.is_ascii_alphanumeric() || "_-.".contains(one));
    if key.len() > METADATA_KEY_BYTES_MAX || !starts_well || !all_allowed {
        return Err(Refusal::invalid(
            "invalid_metadata_key",
            &field,
            format!(
                "a metadata key is 1 to {METADATA_KEY_BYTES_MAX} bytes of letters, digits, '_', '-' and '.', starting with a letter or '_'"
            ),
        ));
    }
    if key.starts_with("_contexture") {
        return Err(Refusal::invalid(
            "reserved_metadata_key",
            &field,
            "keys that start with '_contexture' are reserved",
        ));
    }
    Ok(())
}

fn check_metadata_value(key: &str, value: &MetadataValue) -> Result<(), Refusal> {
    let field = format!("metadata.{key}");
    if value.scalars().len() > METADATA_LIST_ITEMS_MAX {
        return Err(Refusal::invalid(
            "metadata_list_too_long",
            &field,
            format!("a metadata list holds at most {METADATA_LIST_ITEMS_MAX} values"),
        ));
    }
    for scalar in value.scalars() {
        match scalar {
            MetadataScalar::Text(text) if text.len() > METADATA_VALUE_BYTES_MAX => {
                return Err(Refusal::invalid(
                    "metadata_value_too_long",
                    &field,
                    format!("a metadata string is at most {METADATA_VALUE_BYTES_MAX} bytes"),
                ));
            }
            MetadataScalar::Float(number) if !number.is_finite() => {
                return Err(Refusal::invalid(
                    "invalid_metadata_value",
                    &field,
                    "a metadata number must be finite",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

impl MetadataScalar {
    /// The number, for range comparisons; integers beyond 2^53 are rounded.
    #[expect(clippy::cast_precision_loss, reason = "ranges compare as f64, as the engines do")]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }

    /// Whether two scalars are equal: `1` equals `1.0`, and no text equals a number.
    pub fn equals(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }

    /// A text that is equal for two scalars exactly if they are equal.
    fn canonical(&self) -> String {
        match self {
            Self::Bool(flag) => format!("b{flag}"),
            Self::Integer(number) => format!("i{number}"),
            Self::Float(number) => canonical_float(*number),
            Self::Text(text) => format!("s{text}"),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only whole numbers within 2^53 are converted")]
fn canonical_float(number: f64) -> String {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        // So that 1.0 and 1 are one facet.
        return format!("i{}", number as i64);
    }
    format!("f{number}")
}

/// The term for the presence of a key.
pub fn exists_facet(key: &str) -> String {
    // The unit separator cannot occur in a key, so no two kinds of facets collide.
    format!("{key}\u{1f}?")
}

/// The term for a key with exactly this value.
pub fn equals_facet(key: &str, scalar: &MetadataScalar) -> String {
    let canonical = scalar.canonical();
    format!("{key}\u{1f}={canonical}")
}

/// The term for a place in a unit of the source, such as `page`. That is no metadata under a key of this name.
pub fn place_facet(unit: &str) -> String {
    format!("{unit}\u{1f}@")
}

/// The beginning of the terms for a key with a text that starts with this.
pub fn text_facet_start(key: &str, text: &str) -> String {
    format!("{key}\u{1f}=s{text}")
}

/// The term that sorts a key's numbers: lower numbers have lower terms.
pub fn ordered_facet(key: &str, number: f64) -> String {
    // -0.0 equals 0.0, so both must have one term.
    let bits = (if number == 0.0 { 0.0 } else { number }).to_bits();
    // IEEE 754 bits sort like integers once the sign bit is flipped, and all bits of negative numbers.
    let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
    format!("{key}\u{1f}#{ordered:016x}")
}
