//! What a page says about itself: `<title>`, `<html lang>`, `<meta>` and the canonical address.
//!
//! These are properties, never text. At most [`PROPERTIES_MAX`] of at most [`PROPERTY_BYTES_MAX`] bytes each;
//! names that only tell browsers and crawlers what to do are dropped.

use super::dom::{HtmlDom, HtmlNodeContent};
use crate::parsed_text::{PropertyValue, TextProperties};

/// Longest title, in bytes.
const TITLE_BYTES_MAX: usize = 1024;
/// Longest value of a property, in bytes.
const PROPERTY_BYTES_MAX: usize = 2048;
/// Most properties of a page.
const PROPERTIES_MAX: usize = 48;
/// Most tags.
const TAGS_MAX: usize = 64;

/// Reads the properties of a page.
pub(super) fn page_properties(dom: &HtmlDom, source: &str) -> TextProperties {
    let mut properties = TextProperties::default();
    let mut social_title = None;
    let mut authors: Vec<String> = Vec::new();
    let mut tags: Vec<String> = Vec::new();
    for node in 0..dom.len() {
        match dom.name(node) {
            "title" if properties.title.is_none() => {
                properties.title = one_line(&text_below(dom, source, node), TITLE_BYTES_MAX);
            }
            "html" => {
                let language = dom.attribute(node, "lang").or_else(|| dom.attribute(node, "xml:lang"));
                set(&mut properties, "language", language.unwrap_or_default());
            }
            "link" if dom.attribute(node, "rel") == Some("canonical") => {
                let address = dom.attribute(node, "href").unwrap_or_default();
                if !address.trim_start().to_ascii_lowercase().starts_with("data:") {
                    set(&mut properties, "canonical", address);
                }
            }
            "meta" => {
                let name = ["name", "property", "itemprop"].iter().find_map(|key| dom.attribute(node, key));
                let name = name.unwrap_or_default().trim().to_ascii_lowercase();
                let content = dom.attribute(node, "content").unwrap_or_default();
                let Some(value) = one_line(content, PROPERTY_BYTES_MAX) else { continue };
                match name.as_str() {
                    "og:title" | "twitter:title" | "dc.title" | "dcterms.title" | "citation_title" => {
                        social_title.get_or_insert(value);
                    }
                    "author" | "article:author" | "dc.creator" | "dcterms.creator" | "citation_author"
                    | "parsely-author" | "sailthru.author" => {
                        if !authors.contains(&value) && authors.len() < TAGS_MAX {
                            authors.push(value);
                        }
                    }
                    "keywords" | "news_keywords" | "article:tag" | "dc.subject" | "citation_keywords" => {
                        for tag in value.split([',', ';']).map(str::trim).filter(|tag| !tag.is_empty()) {
                            if tags.len() < TAGS_MAX && !tags.iter().any(|known| known == tag) {
                                tags.push(tag.to_owned());
                            }
                        }
                    }
                    _ => {
                        if let Some(name) = property_name(&name) {
                            set(&mut properties, name, &value);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    // The description that a page has for readers of its source counts before the one for other sites.
    if let Some(social) = properties.other.remove("og:description") {
        properties.other.entry("description".to_owned()).or_insert(social);
    }
    if let Some(modified) = properties.other.get("modified").cloned() {
        properties.other.entry("date".to_owned()).or_insert(modified);
    }
    properties.title = properties.title.or(social_title);
    if !authors.is_empty() {
        properties.other.insert("author".to_owned(), PropertyValue::Text(authors.join(", ")));
    }
    if !tags.is_empty() {
        properties.other.insert("tags".to_owned(), PropertyValue::Texts(tags));
    }
    properties
}

/// Our name of a `<meta>`; `None` for what is no property of the text.
fn property_name(name: &str) -> Option<&str> {
    const FOR_BROWSERS: &[&str] = &[
        "",
        "viewport",
        "robots",
        "googlebot",
        "bingbot",
        "theme-color",
        "color-scheme",
        "generator",
        "referrer",
        "format-detection",
        "application-name",
        "mobile-web-app-capable",
        "handheldfriendly",
        "mobileoptimized",
        "csrf-token",
        "csrf-param",
        "rating",
        "og:type",
        "og:url",
        "og:locale",
        "position",
        "charset",
    ];
    const FOR_BROWSERS_BEGIN: &[&str] = &[
        "apple-",
        "msapplication-",
        "twitter:",
        "fb:",
        "og:image",
        "og:video",
        "google",
        "msvalidate",
        "yandex",
        "al:",
        "ahrefs",
        "facebook-",
        "p:domain",
        "turbo-",
        "browser-",
        "docsearch:",
        "next-",
        "shopify-",
        "optimizely",
        "hostname",
        "request-id",
        "html-safe-nonce",
        "visitor-",
        "octolytics",
        "user-login",
    ];
    match name {
        "description" | "dc.description" | "dcterms.description" | "twitter:description" => {
            Some("description")
        }
        "og:description" => Some("og:description"),
        "date"
        | "article:published_time"
        | "datepublished"
        | "dc.date"
        | "dcterms.created"
        | "dcterms.date"
        | "dc.date.issued"
        | "dcterms.issued"
        | "pubdate"
        | "publish-date"
        | "publication_date"
        | "citation_publication_date"
        | "citation_date"
        | "parsely-pub-date"
        | "sailthru.date" => Some("date"),
        "article:modified_time"
        | "og:updated_time"
        | "datemodified"
        | "last-modified"
        | "dcterms.modified"
        | "revised" => Some("modified"),
        "language" | "dc.language" | "content-language" => Some("language"),
        "article:section" => Some("section"),
        "og:site_name" => Some("site"),
        _ if FOR_BROWSERS.contains(&name) => None,
        _ if FOR_BROWSERS_BEGIN.iter().any(|begin| name.starts_with(begin)) => None,
        _ => Some(name),
    }
}

fn set(properties: &mut TextProperties, name: &str, value: &str) {
    if let Some(value) = one_line(value, PROPERTY_BYTES_MAX)
        && !value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"))
        && properties.other.len() < PROPERTIES_MAX
        && name.len() <= 128
    {
        properties.other.entry(name.to_owned()).or_insert(PropertyValue::Text(value));
    }
}

fn text_below(dom: &HtmlDom, source: &str, node: usize) -> String {
    let mut text = String::new();
    for below in dom.subtree(node) {
        if let HtmlNodeContent::Text(piece) = dom.content(below) {
            text.push_str(piece.text(source));
        }
    }
    text
}

/// Text on one line without control characters; `None` if there is none.
pub(super) fn one_line(text: &str, bytes_max: usize) -> Option<String> {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() > bytes_max {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.retain(|next| !next.is_control());
    line.truncate(line.floor_char_boundary(bytes_max));
    let kept = line.trim_end().len();
    line.truncate(kept);
    (!line.is_empty()).then_some(line)
}
