//! What producers publish: the parser and `schemas/submit.v1.json` agree, golden messages stay
//! readable, and every refusal says where.

use contexture_core::domain::document::{DocumentAcl, DocumentDescription};
use contexture_core::domain::submit_message::{
    JsonPosition, MESSAGE_VALUES_MAX, MessageRejection, SubmitMessageV1, SubmittedContent, parse_routing_key,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::schemas::schema;
use crate::support::{BODY_BYTES_MAX, document, groups, principal, version};

fn decode(message: &Value) -> Result<SubmitMessageV1, MessageRejection> {
    SubmitMessageV1::decode(&serde_json::to_vec(message).unwrap())
}

/// Decodes, and checks what needs a caller and a limit as well.
fn accept(message: &Value) -> Result<(), MessageRejection> {
    let submit = decode(message)?;
    let submit = if submit.reference().is_some() { submit.inline("text".into()) } else { submit };
    let home = parse_routing_key("acme.handbook").unwrap().collection;
    submit.into_submission(&principal("acme"), home, BODY_BYTES_MAX).map(drop)
}

fn with(field: &str, value: Value) -> Value {
    let mut message = json!({ "document_id": "a", "text": "hello" });
    message[field] = value;
    message
}

#[expect(clippy::needless_pass_by_value, reason = "called with values made in place")]
fn body(field: &str, value: Value) -> Value {
    json!({ "document_id": "a", field: value })
}

fn metadata(keys: usize) -> Value {
    Value::Object((0..keys).map(|number| (format!("key{number}"), json!(number))).collect())
}

#[test]
fn valid_messages_are_valid_to_schema_and_parser() {
    let schema = schema("submit.v1.json");
    for message in [
        json!({ "document_id": "a", "text": "hello" }),
        json!({ "document_id": "a", "body_base64": "aGVsbG8=" }),
        json!({ "document_id": "a", "body_ref": "file:///srv/a.md" }),
        json!({ "document_id": "a", "delete": true }),
        json!({ "document_id": "a", "delete": true, "version": 7 }),
        with("delete", json!(false)),
        with("document_id", json!("guides/Zu\u{308}rich.md")),
        with("document_id", json!("a".repeat(512))),
        with("document_id", json!("..a/b..")),
        with("version", json!(1)),
        with("version", json!(9_223_372_036_854_775_807_u64)),
        with("title", json!("")),
        with("title", json!("t".repeat(1024))),
        with("media_type", json!("text/markdown; charset=utf-8")),
        with("metadata", json!({})),
        with("metadata", metadata(64)),
        with("metadata", json!({ "a.b-c_d": "x", "_e": 1, "f": 1.5, "g": true, "h": ["x", 1, false] })),
        with("groups", json!([])),
        with("groups", json!(["staff", "staff", "board"])),
        with("text", json!("\u{0} NUL is text")),
    ] {
        assert!(schema.is_valid(&message), "schema: {message}");
        accept(&message).unwrap_or_else(|rejection| panic!("{message}: {rejection}"));
    }
}

#[test]
fn invalid_messages_are_invalid_to_schema_and_parser() {
    let schema = schema("submit.v1.json");
    for (message, code, field) in [
        (json!([]), "not_an_object", ""),
        (json!("hello"), "not_an_object", ""),
        (json!({}), "missing_field", "document_id"),
        (json!({ "text": "hello" }), "missing_field", "document_id"),
        (json!({ "document_id": "a" }), "missing_body", "text"),
        (with("document_id", json!("")), "invalid_document_id", "document_id"),
        (with("document_id", json!(" ")), "invalid_document_id", "document_id"),
        (with("document_id", json!("a\u{0}b")), "invalid_document_id", "document_id"),
        (with("document_id", json!("../a")), "invalid_document_id", "document_id"),
        (with("document_id", json!("a\\..\\b")), "invalid_document_id", "document_id"),
        (with("document_id", json!("a".repeat(769))), "invalid_document_id", "document_id"),
        (with("document_id", json!(7)), "wrong_type", "document_id"),
        (with("document_id", Value::Null), "wrong_type", "document_id"),
        (with("version", json!(0)), "invalid_version", "version"),
        (with("version", json!(9_223_372_036_854_775_808_u64)), "invalid_version", "version"),
        (with("version", json!(-1)), "wrong_type", "version"),
        (with("version", json!(1.5)), "wrong_type", "version"),
        (with("version", json!("1")), "wrong_type", "version"),
        (with("version", Value::Null), "wrong_type", "version"),
        (with("title", json!("two\nlines")), "invalid_text", "title"),
        (with("title", json!("t".repeat(1025))), "invalid_text", "title"),
        (with("media_type", json!("m".repeat(257))), "invalid_text", "media_type"),
        (with("metadata", json!([])), "invalid_metadata", "metadata"),
        (with("metadata", metadata(65)), "too_many_metadata_keys", "metadata"),
        (with("metadata", metadata(10_000)), "too_many_metadata_keys", "metadata"),
        (with("metadata", json!({ "a": null })), "invalid_metadata_value", "metadata.a"),
        (with("metadata", json!({ "a": { "b": 1 } })), "invalid_metadata_value", "metadata.a"),
        (with("metadata", json!({ "a": vec![0; 65] })), "metadata_list_too_long", "metadata.a"),
        (with("metadata", json!({ "a": "x".repeat(1025) })), "metadata_value_too_long", "metadata.a"),
        (with("metadata", json!({ "1a": 1 })), "invalid_metadata_key", "metadata.1a"),
        (with("metadata", json!({ "_contexture_x": 1 })), "reserved_metadata_key", "metadata._contexture_x"),
        (with("groups", Value::Null), "wrong_type", "groups"),
        (with("groups", json!("staff")), "wrong_type", "groups"),
        (with("groups", json!([1])), "wrong_type", "groups"),
        (with("groups", json!([""])), "invalid_group", "groups"),
        (with("groups", json!(["a\nb"])), "invalid_group", "groups"),
        (with("groups", json!(["g".repeat(129)])), "invalid_group", "groups"),
        (with("groups", json!(vec!["g"; 257])), "too_many_groups", "groups"),
        (with("delete", json!("yes")), "wrong_type", "delete"),
        (with("delete", json!(true)), "delete_with_content", "text"),
        (json!({ "document_id": "a", "delete": true, "title": "t" }), "delete_with_content", "title"),
        (json!({ "document_id": "a", "delete": true, "x": 1 }), "unknown_field", "x"),
        (with("acl", json!([])), "unknown_field", "acl"),
        (with("tenant", json!("other")), "unknown_field", "tenant"),
        (body("text", json!("")), "empty_body", "text"),
        (body("text", json!(["x"])), "wrong_type", "text"),
        (body("body_base64", json!("")), "empty_body", "body_base64"),
        (body("body_base64", json!("a")), "invalid_base64", "body_base64"),
        (body("body_base64", json!("aGVsbG8")), "invalid_base64", "body_base64"),
        (body("body_base64", json!("aGVs\nbG8=")), "invalid_base64", "body_base64"),
        (body("body_base64", json!("a-_=")), "invalid_base64", "body_base64"),
        (body("body_ref", json!("https://example.org/a")), "invalid_body_ref", "body_ref"),
        (body("body_ref", json!(format!("file:///{}", "a".repeat(4096)))), "invalid_body_ref", "body_ref"),
        (with("body_base64", json!("aGVsbG8=")), "more_than_one_body", "body_base64"),
        (with("body_ref", json!("file:///a")), "more_than_one_body", "body_ref"),
    ] {
        assert!(!schema.is_valid(&message), "schema: {message}");
        let rejection = accept(&message).unwrap_err();
        assert_eq!((rejection.code, rejection.field.as_str()), (code, field), "{message}");
        assert!(rejection.position.is_none() && !rejection.message.contains('\n'), "{rejection}");
    }
}

#[test]
fn what_only_the_parser_can_know_is_refused_by_it() {
    for (message, code, field) in [
        (with("document_id", json!("ü".repeat(257))), "invalid_document_id", "document_id"),
        (with("title", json!("ü".repeat(513))), "invalid_text", "title"),
        (body("body_base64", json!("QR==")), "invalid_base64", "body_base64"),
        (body("text", json!("x".repeat(BODY_BYTES_MAX + 1))), "body_too_large", "text"),
    ] {
        assert!(schema("submit.v1.json").is_valid(&message));
        let rejection = accept(&message).unwrap_err();
        assert_eq!((rejection.code, rejection.field.as_str()), (code, field));
    }
    accept(&body("text", json!("x".repeat(BODY_BYTES_MAX)))).unwrap();
}

#[test]
fn broken_json_is_refused_with_line_and_column() {
    let deep = [b"{\"a\":".as_slice(), &vec![b'['; 100_000]].concat();
    let wide = format!("{{\n\"metadata\":{{\"a\":[{}]}}}}", "0,".repeat(MESSAGE_VALUES_MAX));
    for (message, code, line, column) in [
        (b"".as_slice(), "invalid_json", 1, 0),
        (b"\0", "invalid_json", 1, 1),
        (b"{\"document_id\":\"a\",\n \"text\":}", "invalid_json", 2, 9),
        (b"{\"document_id\":\"\xff\"}", "invalid_json", 1, 17),
        (b"{\"document_id\":\"a\nb\"}", "invalid_json", 2, 0),
        (b"{\"document_id\":\"\\ud800\"}", "invalid_json", 1, 23),
        (b"{} {}", "invalid_json", 1, 4),
        (b"{\"version\":1e999}", "invalid_json", 1, 16),
        (&deep, "too_many_values", 1, 65_541),
        (&deep[..1000], "invalid_json", 1, 132),
        (wide.as_bytes(), "too_many_values", 2, 131_085),
    ] {
        let shown = String::from_utf8_lossy(&message[..message.len().min(60)]).into_owned();
        let rejection = SubmitMessageV1::decode(message).unwrap_err();
        assert_eq!(rejection.code, code, "{shown}: {rejection}");
        assert_eq!(rejection.position, Some(JsonPosition { line, column }), "{shown}: {rejection}");
    }
}

#[test]
fn refusals_never_quote_a_value() {
    const CANARY: &str = "canary4711";
    for message in [
        format!("{{\"document_id\":\"{CANARY}\u{0}\"}}"),
        format!("{{\"document_id\":\"a\",\"version\":\"{CANARY}\"}}"),
        format!("{{\"document_id\":\"a\",\"text\":{CANARY}}}"),
        format!("{{\"document_id\":\"a\",\"body_base64\":\"{CANARY}\"}}"),
        format!("{{\"document_id\":\"a\",\"title\":\"{CANARY}\\n\",\"text\":\"x\"}}"),
        format!("{{\"document_id\":\"a\",\"metadata\":{{\"a\":{{\"b\":\"{CANARY}\"}}}},\"text\":\"x\"}}"),
    ] {
        let value: Result<Value, _> = serde_json::from_str(&message);
        let rejection = match value {
            Ok(value) => accept(&value).unwrap_err(),
            Err(_) => SubmitMessageV1::decode(message.as_bytes()).unwrap_err(),
        };
        assert!(!format!("{rejection:?}").contains(CANARY), "{rejection:?}");
    }
}

#[test]
fn golden_messages_are_understood() {
    let golden = |name: &str| {
        let path = crate::support::workspace::workspace_file("tests/golden").join(name);
        let bytes = std::fs::read(path).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(schema("submit.v1.json").is_valid(&value), "{name}");
        SubmitMessageV1::decode(&bytes).unwrap()
    };
    let full = golden("submit_v1_text.json");
    assert_eq!(full.document_id, document("guides/Zürich.md"));
    assert_eq!(full.version, Some(version(42)));
    let SubmittedContent::Inline { description, body, field } = full.content else { panic!("no body") };
    assert_eq!((&body[..], field), ("# Zürich\n\nAn \"example\".".as_bytes(), "text"));
    assert_eq!(description.title.as_deref(), Some("Zürich"));
    assert_eq!(description.media_type.as_deref(), Some("text/markdown"));
    assert_eq!(description.acl, DocumentAcl::Groups(groups(&["board", "staff"])));
    assert_eq!(
        serde_json::to_value(&description.metadata).unwrap(),
        json!({"lang":"de","tags":["a",1,true]})
    );
    let bytes = golden("submit_v1_base64.json");
    let inline = SubmittedContent::Inline {
        description: DocumentDescription::default(),
        body: b"\xff\xfeh\0i\0".as_slice().into(),
        field: "body_base64",
    };
    assert_eq!((bytes.version, bytes.content), (None, inline));
    let reference = golden("submit_v1_ref.json");
    assert_eq!(reference.reference(), Some("file:///srv/documents/a%20b.md"));
    assert_eq!(golden("submit_v1_delete.json").content, SubmittedContent::Delete);
}

#[test]
fn routing_keys_name_tenant_and_collection() {
    let key = parse_routing_key("acme.hand_book-2").unwrap();
    assert_eq!((key.tenant.as_str(), key.collection.as_str()), ("acme", "hand_book-2"));
    for wrong in
        ["", "acme", "acme.", ".docs", "acme.docs.more", "Acme.docs", "acme.*", "_.docs", "acme/docs"]
    {
        let rejection = parse_routing_key(wrong).unwrap_err();
        assert_eq!((rejection.code, rejection.field.as_str()), ("invalid_routing_key", "routing_key"));
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0), Just(1), any::<i64>()].prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(String::new()), "[a-z=]{1,8}", Just("aGVsbG8=".to_owned()), any::<String>()]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn message() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(vec![
        "document_id",
        "version",
        "title",
        "media_type",
        "metadata",
        "groups",
        "delete",
        "text",
        "body_base64",
        "body_ref",
        "other",
    ]);
    let fields = prop::collection::btree_map(field, anything(), 0..5);
    (any::<bool>(), fields).prop_map(|(sound, fields)| {
        let mut map: serde_json::Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if sound {
            map.insert("document_id".to_owned(), json!("a"));
        }
        Value::Object(map)
    })
}

proptest! {
    #[test]
    fn what_the_parser_accepts_is_valid_to_the_schema(message in message()) {
        if accept(&message).is_ok() {
            prop_assert!(schema("submit.v1.json").is_valid(&message), "{message}");
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(rejection) = SubmitMessageV1::decode(&bytes) {
            prop_assert!(!rejection.code.is_empty());
        }
    }
}
