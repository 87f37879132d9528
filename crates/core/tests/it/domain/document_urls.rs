//! URLs of documents: what a template and a metadata value yield, and what they never do.

use std::collections::BTreeMap;

use contexture_core::domain::document_url::{DocumentUrlSettings, URL_TEMPLATE_BYTES_MAX};
use contexture_core::domain::ids::{CollectionId, DocumentId};
use contexture_core::domain::metadata::{DocumentMetadata, MetadataScalar, MetadataValue};
use proptest::prelude::*;

use super::assert_refused;

fn template(text: &str) -> DocumentUrlSettings {
    DocumentUrlSettings::new(Some(text.to_owned()), None).unwrap()
}

fn metadata(json: &serde_json::Value) -> DocumentMetadata {
    DocumentMetadata::from_json(json).unwrap()
}

fn url_of(
    settings: &DocumentUrlSettings,
    id: &str,
    title: Option<&str>,
    json: &serde_json::Value,
) -> Option<String> {
    let collection = CollectionId::new("wiki").unwrap();
    settings.url(&collection, &DocumentId::new(id).unwrap(), title, &metadata(json))
}

#[test]
fn a_template_is_filled_in_percent_encoded() {
    let none = serde_json::json!({});
    let wiki = template("https://wiki.example/{collection}/{document_id}?t={title}");
    assert_eq!(
        url_of(&wiki, "a b/ü.md", Some("One/Two & 3"), &none).unwrap(),
        "https://wiki.example/wiki/a%20b/%C3%BC.md?t=One%2FTwo%20%26%203"
    );
    let keyed = template("http://x:8080/{metadata.space.key}/{metadata.page}#{metadata.live}");
    let values = serde_json::json!({"space.key": "a/b", "page": 7, "live": true});
    assert_eq!(url_of(&keyed, "d", None, &values).unwrap(), "http://x:8080/a%2Fb/7#true");
    assert_eq!(url_of(&template("https://x/~ä'"), "d", None, &none).unwrap(), "https://x/~%C3%A4%27");
}

#[test]
fn without_a_value_there_is_no_url() {
    let none = serde_json::json!({});
    assert_eq!(url_of(&DocumentUrlSettings::default(), "d", Some("t"), &none), None);
    for (text, json) in [
        ("https://x/{title}", none.clone()),
        ("https://x/{metadata.page}", none),
        ("https://x/{metadata.page}", serde_json::json!({"page": ["one"]})),
        ("https://x/{metadata.page}", serde_json::json!({"page": ""})),
    ] {
        assert_eq!(url_of(&template(text), "d", None, &json), None, "{text} {json}");
        assert_eq!(url_of(&template(text), "d", Some(""), &json), None, "{text} {json}");
    }
}

#[test]
fn a_metadata_value_wins_if_it_is_a_url() {
    let wiki = template("https://wiki.example/{document_id}");
    let of = |value: &str| url_of(&wiki, "d", None, &serde_json::json!({"url": value})).unwrap();
    assert_eq!(of("https://there.example/a?b=c#d"), "https://there.example/a?b=c#d");
    assert_eq!(of("http://there.example/Rubik's/ü%20"), "http://there.example/Rubik%27s/%C3%BC%20");
    for no_url in [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://there.example/",
        "//there.example/",
        "https:there.example",
        "https://",
        "https:///path",
        "https://?x",
        " https://there.example/",
        "https://there.example/a b",
        "https://there.example/\u{a0}",
        "https://there.example/\n",
        "https://there.example/\u{7f}",
        "https://there.example/\"onclick=",
        "https://there.example/<b>",
        "https:\\\\there.example",
        "https://there.example\\@other.example/",
    ] {
        assert_eq!(of(no_url), "https://wiki.example/d", "{no_url:?}");
    }
    for other in [serde_json::json!({"url": 7}), serde_json::json!({"url": ["https://there.example/"]})] {
        assert_eq!(url_of(&wiki, "d", None, &other).unwrap(), "https://wiki.example/d");
    }
    let keyed = DocumentUrlSettings::new(None, Some("source.link".to_owned())).unwrap();
    let values = serde_json::json!({"source.link": "https://a/", "url": "https://b/"});
    assert_eq!(url_of(&keyed, "d", None, &values).unwrap(), "https://a/");
}

#[test]
fn templates_and_keys_are_checked() {
    let longest = format!("https://x/{}", "y".repeat(URL_TEMPLATE_BYTES_MAX - 10));
    assert_eq!(template(&longest).url_template(), Some(longest.as_str()));
    for bad in [
        "",
        "wiki.example/{document_id}",
        "javascript:{title}",
        "HTTPS://x/",
        "https:///{document_id}",
        "https://{document_id}",
        "https://{metadata.host}/x",
        "https://{collection}.example/",
        "https://x/{",
        "https://x/}",
        "https://x/{}",
        "https://x/{{document_id}}",
        "https://x/{document}",
        "https://x/{metadata}",
        "https://x/{metadata.}",
        "https://x/{metadata.a b}",
        "https://x/a b",
        "https://x/\t",
        "https://x/\"",
        "https://x/<",
        "https://x\\y/",
        &format!("{longest}z"),
    ] {
        let made = DocumentUrlSettings::new(Some(bad.to_owned()), None);
        assert_refused(made, "invalid_url_template", "url_template");
    }
    for bad in ["", "1a", "a b", "_contexture"] {
        let made = DocumentUrlSettings::new(None, Some(bad.to_owned()));
        assert_refused(made, "invalid_url_metadata_key", "url_metadata_key");
    }
}

#[test]
fn settings_are_json_with_known_fields() {
    let read = |json: &str| serde_json::from_str::<DocumentUrlSettings>(json);
    assert_eq!(read("{}").unwrap(), DocumentUrlSettings::default());
    assert_eq!(serde_json::to_string(&DocumentUrlSettings::default()).unwrap(), "{}");
    let json = r#"{"url_template":"https://x/{title}","url_metadata_key":"link"}"#;
    let settings = read(json).unwrap();
    assert_eq!(settings.url_metadata_key(), Some("link"));
    assert_eq!(serde_json::to_string(&settings).unwrap(), json);
    for bad in [r#"{"url":"x"}"#, r#"{"url_template":"ftp://x/"}"#, r#"{"url_metadata_key":"a b"}"#] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

fn any_template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{document_id}".to_owned()),
        Just("{collection}".to_owned()),
        Just("{title}".to_owned()),
        Just("{metadata.a}".to_owned()),
        "[a-z/?&=#%'äß\u{202e}-]{0,6}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| format!("https://x/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn no_document_makes_another_kind_of_url(
        template_text in prop::option::of(any_template()),
        id in "\\PC{1,20}",
        title in prop::option::of(any::<String>()),
        link in prop_oneof![any::<String>(), "https?:/{0,3}[ -~äß\u{202e}]{0,12}"],
        value in any::<String>(),
    ) {
        let settings = DocumentUrlSettings::new(template_text.clone(), None).unwrap();
        let Ok(document_id) = DocumentId::new(&id) else { return Ok(()) };
        let text = |text: String| MetadataValue::One(MetadataScalar::Text(text));
        let values = BTreeMap::from([("url".to_owned(), text(link)), ("a".to_owned(), text(value))]);
        let Ok(values) = DocumentMetadata::new(values) else { return Ok(()) };
        let collection = CollectionId::new("wiki").unwrap();
        if let Some(url) = settings.url(&collection, &document_id, title.as_deref(), &values) {
            prop_assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
            prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
            prop_assert!(!url.contains(['"', '\'', '<', '>', '`', '\\', '{', '}']), "{url}");
        }
    }
}
