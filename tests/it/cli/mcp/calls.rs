//! The four tools: what they answer and what they refuse.

use serde_json::{Value, json};
use tiktoken_rs::{CoreBPE, cl100k_base};

use super::{McpSandbox, text_of};

fn tokens(tokenizer: &CoreBPE, text: &str) -> u64 {
    tokenizer.encode_ordinary(text).len() as u64
}

#[test]
fn a_context_is_one_text_block_within_its_budget() {
    let mcp = McpSandbox::start();
    let tokenizer = cl100k_base().unwrap();
    for budget in [200, 201, 333, 1000, 4000, 20_000] {
        let question = "How long is the pier of harbour 3?";
        let result = mcp.call("get_context", json!({ "question": question, "max_tokens": budget }));
        assert_eq!(result["isError"], false);
        assert!(result.get("structuredContent").is_none(), "{result}");
        let (text, meta) = (text_of(&result), &result["_meta"]);
        assert!(text.contains("30 metres"), "{text}");
        assert_eq!(meta["contexture/tokenizer"], "cl100k_base");
        assert_eq!(meta["contexture/tokens"], tokens(&tokenizer, text));
        assert!(tokens(&tokenizer, text) <= budget, "{text}");
        assert_eq!(meta["contexture/budget"], budget);
        assert!((0.0..=1.0).contains(&meta["contexture/bound"].as_f64().unwrap()), "{meta}");
        assert_eq!(meta["contexture/degraded"], json!([]));
        assert!(meta["contexture/snapshot"].is_u64(), "{meta}");
    }
    let default = mcp.call("get_context", json!({ "question": "pier" }));
    assert_eq!(default["_meta"]["contexture/budget"], 4000);
    let again =
        mcp.call("get_context", json!({ "question": "pier", "collection": "c", "max_tokens": 4000.0 }));
    assert_eq!(again, default, "the same question has the same answer, with the same handle");
}

#[test]
fn nothing_found_is_said_within_the_budget() {
    let mcp = McpSandbox::start();
    let asked = json!({ "question": "pier", "max_tokens": 200, "filter": "exists(lang)" });
    let nothing = mcp.call("get_context", asked);
    assert_eq!(nothing["isError"], false);
    let tokenizer = cl100k_base().unwrap();
    let counted = tokens(&tokenizer, text_of(&nothing));
    assert!((1..=200).contains(&counted), "{nothing}");
    assert_eq!(nothing["_meta"]["contexture/tokens"], counted);
    assert_eq!(mcp.call("search", json!({ "query": "pier" }))["isError"], false);
}

#[test]
fn a_continued_context_starts_with_the_one_before() {
    let mcp = McpSandbox::start();
    let first = mcp.call("get_context", json!({ "question": "pier of harbour 1", "max_tokens": 300 }));
    let handle = first["_meta"]["contexture/continuation"].as_str().unwrap();
    assert_eq!(handle.len(), 12, "{handle}");
    let next = |continuation: &str| json!({ "question": "pier of harbour 5", "max_tokens": 900, "continuation": continuation });
    let continued = mcp.call("get_context", next(handle));
    assert_eq!(continued["isError"], false);
    let begin = text_of(&first).split("10 metres").next().unwrap();
    assert!(text_of(&continued).starts_with(begin), "{}\n{}", text_of(&first), text_of(&continued));
    assert!(mcp.refused("get_context", next("0123456789ab")).starts_with("unknown_continuation: "));
    let elsewhere = json!({ "question": "pier", "collection": "d", "continuation": handle });
    assert!(mcp.refused("get_context", elsewhere).starts_with("continuation_elsewhere: "));
    // Models fill in what they do not need.
    let empty = json!({ "question": "pier", "continuation": "", "filter": null, "collection": "" });
    assert_eq!(mcp.call("get_context", empty)["isError"], false);
}

#[test]
fn search_and_fetch_have_the_shape_of_connectors() {
    let mcp = McpSandbox::start_with(&["other"]);
    let found = mcp.call("search", json!({ "query": "herring harbour" }));
    assert_eq!(found["isError"], false);
    assert_eq!(serde_json::from_str::<Value>(text_of(&found)).unwrap(), found["structuredContent"]);
    assert_eq!(names(&found["structuredContent"]), ["results"]);
    let results = found["structuredContent"]["results"].as_array().unwrap();
    let ids: Vec<&str> = results.iter().map(|result| result["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"c/harbour-1.md") && ids.contains(&"other/note.md"), "{ids:?}");
    for result in results {
        assert_eq!(names(result), ["id", "title", "url"]);
        assert_eq!(ids.iter().filter(|id| **id == result["id"]).count(), 1, "{ids:?}");
    }
    let document = mcp.call("fetch", json!({ "id": "c/harbour-1.md" }));
    let fetched = &document["structuredContent"];
    assert_eq!(serde_json::from_str::<Value>(text_of(&document)).unwrap(), *fetched);
    assert_eq!(names(fetched), ["id", "metadata", "text", "title", "url"]);
    assert_eq!(fetched["id"], "c/harbour-1.md");
    assert!(fetched["text"].as_str().unwrap().starts_with("# Harbour 1\n"), "{fetched}");
    assert_eq!(fetched["url"], "");
    assert_eq!(
        (&fetched["metadata"]["version"], &fetched["metadata"]["truncated"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(text_of(&mcp.call("list_collections", json!({}))), "c: 6 documents\nother: 1 document");
}

#[test]
fn a_long_document_is_cut_and_says_so() {
    let mcp = McpSandbox::start();
    let document = mcp.call("fetch", json!({ "id": "c/log.md" }));
    let fetched = &document["structuredContent"];
    assert_eq!(fetched["metadata"]["truncated"], true);
    let text = fetched["text"].as_str().unwrap();
    let counted = tokens(&cl100k_base().unwrap(), text);
    assert!((19_500..=20_000).contains(&counted), "{counted}");
    let mark = text.rsplit("\n\n").next().unwrap();
    assert!(mark.starts_with("[Cut: the first ") && mark.contains(" bytes."), "{mark}");
}

#[test]
fn bad_arguments_are_refused_by_name() {
    let mcp = McpSandbox::start();
    for (tool, arguments, said) in [
        (
            "get_context",
            json!({ "question": "pier", "budget": 3 }),
            "unknown_field: there is no argument 'budget'; get_context takes question, collection, max_tokens, \
             filter, continuation",
        ),
        ("get_context", json!({}), "missing_field: question is missing; it must be a text"),
        (
            "get_context",
            json!({ "question": ["pier"] }),
            "invalid_field: question must be a text, not [\"pier\"]",
        ),
        (
            "get_context",
            json!({ "question": "pier", "max_tokens": 199 }),
            "invalid_field: max_tokens must be a whole number from 200 to 20000, not 199",
        ),
        (
            "get_context",
            json!({ "question": "pier", "max_tokens": "many" }),
            "invalid_field: max_tokens must be a whole number from 200 to 20000, not \"many\"",
        ),
        (
            "search",
            json!({ "question": "pier" }),
            "unknown_field: there is no argument 'question'; search takes query",
        ),
        ("search", json!({}), "missing_field: query is missing; it must be a text"),
        ("fetch", json!({}), "missing_field: id is missing; it must be a text"),
        ("fetch", json!({ "id": 7 }), "invalid_field: id must be a text, not 7"),
    ] {
        assert_eq!(mcp.refused(tool, arguments), said);
    }
    // Codes of the operations themselves.
    for (tool, arguments, code) in [
        ("get_context", json!({ "question": "pier", "collection": "nowhere" }), "unknown_collection"),
        ("get_context", json!({ "question": "pier", "collection": "No Name" }), "invalid_collection"),
        ("get_context", json!({ "question": "x".repeat(20_000) }), "question_too_long"),
        ("get_context", json!({ "question": "pier", "filter": "lang = " }), "invalid_filter"),
        ("fetch", json!({ "id": "c/nothing.md" }), "unknown_document"),
        ("fetch", json!({ "id": "nowhere/nothing.md" }), "unknown_collection"),
        ("fetch", json!({ "id": "nothing" }), "invalid_id"),
    ] {
        let said = mcp.refused(tool, arguments);
        assert!(said.starts_with(&format!("{code}: ")) && !said.contains('\n'), "{code}: {said}");
    }
}

#[test]
fn with_several_collections_a_context_needs_one_of_them() {
    let mcp = McpSandbox::start_with(&["a", "b"]);
    let said = mcp.refused("get_context", json!({ "question": "herring" }));
    assert_eq!(said, "missing_field: which collection? give one of: a, b, c");
    let asked = json!({ "question": "herring", "collection": "b" });
    assert!(text_of(&mcp.call("get_context", asked)).contains("Herring is landed here"));
}

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
