//! Revisions, the list of tools, credentials, origins, and messages that are none.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::super::CliSandbox;
use super::super::serving::ServeProcess;
use super::{CURRENT, McpSandbox, READER, WRITER, current_message, raw_request, text_of};

const OLDER: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

fn initialize(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    })
}

#[test]
fn older_revisions_shake_hands_and_call_without_a_session() {
    let mcp = McpSandbox::start();
    for version in OLDER {
        let answer = mcp.older(version, "initialize", &initialize(version));
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        assert!(!answer.head.contains("mcp-session-id"), "{}", answer.head);
        let result = answer.result();
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "contexture");
        assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert!(result["instructions"].as_str().unwrap().contains("get_context"));
        let begun = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let headers = [("x-api-key", READER), ("mcp-protocol-version", version)];
        assert_eq!(mcp.post(&headers, &begun.to_string()).status, 202);
        let listed = mcp.older(version, "tools/list", &json!({})).result();
        assert_eq!(listed["tools"].as_array().unwrap().len(), 4);
        assert!(listed.get("resultType").is_none(), "{listed}");
        let call = json!({ "name": "list_collections", "arguments": {} });
        assert_eq!(text_of(&mcp.older(version, "tools/call", &call).result()), "c: 6 documents");
        assert_eq!(mcp.older(version, "ping", &json!({})).result(), json!({}));
    }
    // A handshake exists only in the revisions before the current one.
    let asked = mcp.older(CURRENT, "initialize", &initialize(CURRENT)).result();
    assert_eq!(asked["protocolVersion"], "2025-11-25");
}

#[test]
fn the_current_revision_needs_no_handshake() {
    let mcp = McpSandbox::start();
    let discovered = mcp.current(READER, "server/discover", &json!({})).result();
    let versions = discovered["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(CURRENT)) && versions.contains(&json!("2025-11-25")), "{discovered}");
    let listed = mcp.current(READER, "tools/list", &json!({})).result();
    assert_eq!(listed["resultType"], "complete");
    assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(3_600_000), &json!("public")));
    let called = mcp.call("list_collections", json!({}));
    assert_eq!((text_of(&called), &called["resultType"]), ("c: 6 documents", &json!("complete")));

    // Headers that contradict the message: something between could have been misled.
    let message =
        current_message("tools/call", &json!({ "name": "search", "arguments": { "query": "cod" } }));
    let headers =
        |name| [("x-api-key", READER), ("mcp-protocol-version", CURRENT), ("mcp-method", "tools/call"), name];
    let contradicted = mcp.post(&headers(("mcp-name", "fetch")), &message.to_string());
    assert_eq!((contradicted.status, &contradicted.json()["error"]["code"]), (400, &json!(-32020)));
    let unknown = json!({ "name": "delete_everything", "arguments": {} });
    let unknown = mcp.current(READER, "tools/call", &unknown).json();
    assert_eq!(unknown["error"]["code"], -32602);
    let said = unknown["error"]["message"].as_str().unwrap();
    assert!(said.ends_with("there are get_context, search, fetch, list_collections"), "{said}");
}

#[test]
fn the_list_of_tools_is_a_contract() {
    let mcp = McpSandbox::start();
    let listed = mcp.current(READER, "tools/list", &json!({})).result();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mcp_tools.json");
    if std::env::var_os("CONTEXTURE_UPDATE_GOLDEN").is_some() {
        let shown = serde_json::to_string_pretty(&listed["tools"]).unwrap();
        fs::write(&golden, format!("{shown}\n")).unwrap();
    }
    // The order of tools counts, the order of keys does not.
    let kept: Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    assert_eq!(listed["tools"], kept);
    for tool in listed["tools"].as_array().unwrap() {
        let hints = &tool["annotations"];
        assert_eq!(
            [
                &hints["readOnlyHint"],
                &hints["destructiveHint"],
                &hints["idempotentHint"],
                &hints["openWorldHint"]
            ],
            [true, false, true, false]
        );
    }
}

#[test]
fn a_call_needs_a_key_and_a_tool_its_scope() {
    let mcp = McpSandbox::start();
    let message = current_message("tools/list", &json!({})).to_string();
    for headers in [vec![], vec![("authorization", "Bearer a-key-of-nobody-here")]] {
        let refused = mcp.post(&headers, &message);
        assert_eq!(refused.status, 401, "{}", refused.body);
        assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
    }
    let listed = mcp.current(WRITER, "tools/list", &json!({})).result();
    assert_eq!(listed["tools"].as_array().unwrap().len(), 4);
    for tool in ["get_context", "search", "fetch", "list_collections"] {
        let called = mcp.current(WRITER, "tools/call", &json!({ "name": tool, "arguments": {} })).result();
        assert_eq!(called["isError"], true);
        let said = text_of(&called);
        assert!(said.starts_with("missing_scope: ") && said.contains("'read'"), "{said}");
    }
}

#[test]
fn pages_of_other_origins_are_refused() {
    let mcp = McpSandbox::start();
    let asked = |headers: &[(&str, &str)]| {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        mcp.post(&[&[("x-api-key", READER)], headers].concat(), &message).status
    };
    assert_eq!(asked(&[]), 200);
    for allowed in [
        "https://chat.example",
        "https://chat.example:443",
        "http://localhost:3000",
        "http://127.0.0.1",
        "http://[::1]:80",
    ] {
        assert_eq!(asked(&[("origin", allowed)]), 200, "{allowed}");
    }
    for refused in [
        "https://evil.example",
        "http://chat.example",
        "https://chat.example:8443",
        "https://localhost.evil.example",
        "null",
        "chat.example",
        "",
    ] {
        assert_eq!(asked(&[("origin", refused)]), 403, "{refused}");
    }
    // With keys, the server may have any name.
    assert_eq!(asked(&[("host", "context.example")]), 200);
}

#[test]
fn without_keys_only_names_of_this_machine_are_answered() {
    let cli = CliSandbox::new();
    let server = ServeProcess::start(&cli, &[]);
    let asked = |host: &str| {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        raw_request(&server, "POST", &[("host", host)], &message).status
    };
    for allowed in ["localhost:7070", "127.0.0.1", "[::1]:7070"] {
        assert_eq!(asked(allowed), 200, "{allowed}");
    }
    assert_eq!(asked("rebound.evil.example"), 403);
    let empty = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "get_context", "arguments": { "question": "anything?" } } });
    let empty = raw_request(&server, "POST", &[], &empty.to_string()).result();
    assert_eq!(empty["isError"], true);
    assert!(text_of(&empty).starts_with("no_collection: "), "{empty}");
}

#[test]
fn what_is_no_message_is_refused() {
    let mcp = McpSandbox::start();
    let key = ("x-api-key", READER);
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    for method in ["GET", "DELETE", "PUT"] {
        let refused = mcp.request(method, &[key], "");
        assert_eq!(refused.status, 405, "{method}: {}", refused.body);
        assert!(refused.head.contains("allow: post"), "{}", refused.head);
    }
    assert_eq!(mcp.post(&[key, ("content-type", "text/plain")], &message).status, 415);
    assert_eq!(mcp.post(&[key, ("accept", "text/html")], &message).status, 406);
    assert_eq!(mcp.post(&[key, ("mcp-protocol-version", "1999-01-01")], &message).status, 400);
    for broken in ["", "{", "[]", "{\"jsonrpc\":\"2.0\"}", "\"tools/list\"", "\u{0}"] {
        let status = mcp.post(&[key], broken).status;
        assert!((400..500).contains(&status), "{broken:?}: {status}");
    }
}
