//! The URL of a document: a metadata value, or a template of its collection.
//!
//! The value of the metadata key `url_metadata_key` (by default `url`) is the URL if it is an http or https
//! URL. Else the template is filled in. Without either, or if the document lacks a value that the template
//! names, there is no URL.
//!
//! Producers choose ids, titles and metadata, and readers click on the result. So a URL starts with `http://`
//! or `https://` and has a host, and every character that RFC 3986 does not allow in a URL is percent-encoded
//! or refused: no white space, control characters, quotes or angle brackets. A template writes its host out,
//! so no document can choose another one.

use serde::{Deserialize, Serialize};

use super::ids::{CollectionId, DocumentId};
use super::metadata::{DocumentMetadata, MetadataScalar, MetadataValue, check_metadata_key};
use crate::fault::Refusal;

/// Longest template, in bytes.
pub const URL_TEMPLATE_BYTES_MAX: usize = 2048;
/// The metadata key of a URL when the settings name none.
pub const URL_METADATA_KEY_DEFAULT: &str = "url";

/// Checked settings of a collection: how its documents' URLs are made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawDocumentUrlSettings")]
pub struct DocumentUrlSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    url_template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_metadata_key: Option<String>,
}

/// Settings as they are stored or sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDocumentUrlSettings {
    #[serde(default)]
    url_template: Option<String>,
    #[serde(default)]
    url_metadata_key: Option<String>,
}

impl TryFrom<RawDocumentUrlSettings> for DocumentUrlSettings {
    type Error = Refusal;

    fn try_from(raw: RawDocumentUrlSettings) -> Result<Self, Refusal> {
        Self::new(raw.url_template, raw.url_metadata_key)
    }
}

impl DocumentUrlSettings {
    /// Checks a template and a metadata key.
    pub fn new(url_template: Option<String>, url_metadata_key: Option<String>) -> Result<Self, Refusal> {
        if let Some(template) = &url_template {
            check_template(template)?;
        }
        if let Some(key) = &url_metadata_key {
            check_metadata_key(key).map_err(|refusal| {
                Refusal::invalid("invalid_url_metadata_key", "url_metadata_key", refusal.message)
            })?;
        }
        Ok(Self { url_template, url_metadata_key })
    }

    /// The template, if there is one.
    pub fn url_template(&self) -> Option<&str> {
        self.url_template.as_deref()
    }

    /// The metadata key, if one is set.
    pub fn url_metadata_key(&self) -> Option<&str> {
        self.url_metadata_key.as_deref()
    }

    /// The URL of a document; none if neither its metadata nor the template yields one.
    pub fn url(
        &self,
        collection: &CollectionId,
        document_id: &DocumentId,
        title: Option<&str>,
        metadata: &DocumentMetadata,
    ) -> Option<String> {
        let key = self.url_metadata_key.as_deref().unwrap_or(URL_METADATA_KEY_DEFAULT);
        if let Some(MetadataValue::One(MetadataScalar::Text(given))) = metadata.get(key)
            && let Some(url) = checked_url(given)
        {
            return Some(url);
        }
        let mut url = String::new();
        for piece in template_pieces(self.url_template.as_deref()?).flatten() {
            match piece {
                UrlPiece::Literal(text) => encode(&mut url, text, is_url_byte),
                UrlPiece::DocumentId => {
                    encode(&mut url, document_id.as_str(), |byte| byte == b'/' || is_unreserved(byte));
                }
                UrlPiece::Collection => encode(&mut url, collection.as_str(), is_unreserved),
                UrlPiece::Title => {
                    encode(&mut url, title.filter(|title| !title.is_empty())?, is_unreserved);
                }
                UrlPiece::Metadata(key) => encode(&mut url, &scalar_text(metadata.get(key)?)?, is_unreserved),
            }
        }
        Some(url)
    }
}

/// A part of a template.
enum UrlPiece<'a> {
    Literal(&'a str),
    DocumentId,
    Collection,
    Title,
    Metadata(&'a str),
}

/// The parts of a template, in order; an error for a brace or a name that means nothing.
fn template_pieces(template: &str) -> impl Iterator<Item = Result<UrlPiece<'_>, String>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = rest.find(['{', '}']).unwrap_or(rest.len());
        if at > 0 {
            let (literal, behind) = rest.split_at(at);
            rest = behind;
            return Some(Ok(UrlPiece::Literal(literal)));
        }
        let named = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let Some((name, behind)) = named else {
            rest = "";
            return Some(Err("has a brace that stands alone".to_owned()));
        };
        rest = behind;
        Some(match name {
            "document_id" => Ok(UrlPiece::DocumentId),
            "collection" => Ok(UrlPiece::Collection),
            "title" => Ok(UrlPiece::Title),
            _ => match name.strip_prefix("metadata.") {
                Some(key) if check_metadata_key(key).is_ok() => Ok(UrlPiece::Metadata(key)),
                // The name is not repeated: it may be as long as the template.
                _ => Err("knows only {document_id}, {collection}, {title} and {metadata.KEY}".to_owned()),
            },
        })
    })
}

fn check_template(template: &str) -> Result<(), Refusal> {
    let refuse = |why: &str| {
        Err(Refusal::invalid("invalid_url_template", "url_template", format!("the URL template {why}")))
    };
    if template.len() > URL_TEMPLATE_BYTES_MAX {
        return refuse("is longer than 2048 bytes");
    }
    let Some(host) = host_of(template) else {
        return refuse("must start with http:// or https:// and a host");
    };
    if host.contains(['{', '}']) {
        return refuse("must write out its host: placeholders stand behind it");
    }
    for piece in template_pieces(template) {
        match piece {
            Ok(UrlPiece::Literal(text)) if !text.chars().all(is_url_character) => {
                return refuse("contains white space, a control character or one that no URL may contain");
            }
            Ok(_) => {}
            Err(why) => return refuse(&why),
        }
    }
    Ok(())
}

/// A metadata value as a URL; none if it is not one of http or https.
fn checked_url(text: &str) -> Option<String> {
    host_of(text)?;
    if !text.chars().all(is_url_character) {
        return None;
    }
    let mut url = String::with_capacity(text.len());
    encode(&mut url, text, is_url_byte);
    Some(url)
}

/// The host of an http or https URL, with user and port; none if there is none.
fn host_of(url: &str) -> Option<&str> {
    let behind = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    behind.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

/// Whether a character may be written in a URL, as it is or percent-encoded.
fn is_url_character(one: char) -> bool {
    // The rest of ASCII delimits URLs in other texts, or is read as a slash by browsers.
    let forbidden = one.is_control() || one.is_whitespace() || "\"<>\\^`{|}".contains(one);
    !forbidden
}

/// Whether a byte of a URL stays as it is. An apostrophe is legal and yet ends an attribute in HTML.
fn is_url_byte(byte: u8) -> bool {
    is_unreserved(byte) || b":/?#[]@!$&()*+,;=%".contains(&byte)
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn encode(out: &mut String, text: &str, stays: impl Fn(u8) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            let digit = |number: u8| char::from(HEX[usize::from(number)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// A single value as text; none for a list and for an empty text.
fn scalar_text(value: &MetadataValue) -> Option<String> {
    let MetadataValue::One(scalar) = value else { return None };
    match scalar {
        MetadataScalar::Bool(flag) => Some(flag.to_string()),
        MetadataScalar::Integer(number) => Some(number.to_string()),
        MetadataScalar::Float(number) => Some(number.to_string()),
        MetadataScalar::Text(text) => (!text.is_empty()).then(|| text.clone()),
    }
}
