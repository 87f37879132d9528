//! MCP as clients on the wire see it: raw messages to the real binary, over HTTP and over stdio.

mod calls;
mod protocol;
mod stdio;

use std::fs;

use serde_json::{Value, json};

use super::CliSandbox;
use super::serving::{ServeProcess, http};

const READER: &str = "a-key-of-some-reader";
const WRITER: &str = "a-key-of-some-writer";
const CURRENT: &str = "2026-07-28";

/// A served collection `c`, with a key that reads and one that only writes.
struct McpSandbox {
    cli: CliSandbox,
    server: ServeProcess,
}

/// An answer over HTTP.
struct RawMcpAnswer {
    status: u16,
    head: String,
    body: String,
}

impl RawMcpAnswer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    fn result(&self) -> Value {
        let answer = self.json();
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }
}

impl McpSandbox {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// Serves, with further collections of one document each.
    fn start_with(collections: &[&str]) -> Self {
        let cli = CliSandbox::new();
        plant_documents(&cli);
        for name in collections {
            cli.write("../one/note.md", "# Note\n\nHerring is landed here.\n");
            cli.json(0, &["ingest", "--collection", name, "--pipeline", "hash.toml", "one"]);
        }
        let key = |name: &str, scope: &str, secret: &str| {
            let hash = blake3::hash(secret.as_bytes()).to_hex();
            format!(
                "[[auth.keys]]\nname = \"{name}\"\ntenant = \"local\"\nscopes = [\"{scope}\"]\nhash = \"{hash}\"\n"
            )
        };
        let keys = [key("reader", "read", READER), key("writer", "write", WRITER)].concat();
        let config = format!("{keys}[server]\nmcp_origins = [\"https://chat.example\"]\n");
        fs::write(cli.path("serve.toml"), config).unwrap();
        let server = ServeProcess::start_with(&cli, &["--config", "serve.toml"], &[]);
        Self { cli, server }
    }

    /// Posts a message with further header lines.
    fn post(&self, headers: &[(&str, &str)], body: &str) -> RawMcpAnswer {
        self.request("POST", headers, body)
    }

    fn request(&self, method: &str, headers: &[(&str, &str)], body: &str) -> RawMcpAnswer {
        raw_request(&self.server, method, headers, body)
    }

    /// A request of an older revision, by the reader.
    fn older(&self, version: &str, method: &str, params: &Value) -> RawMcpAnswer {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut headers = vec![("x-api-key", READER)];
        if method != "initialize" {
            headers.push(("mcp-protocol-version", version));
        }
        self.post(&headers, &message.to_string())
    }

    /// A request of the current revision, which carries its version itself.
    fn current(&self, key: &str, method: &str, params: &Value) -> RawMcpAnswer {
        let message = current_message(method, params);
        let name = params["name"].as_str().unwrap_or_default();
        let bearer = format!("Bearer {key}");
        let mut headers =
            vec![("authorization", &*bearer), ("mcp-protocol-version", CURRENT), ("mcp-method", method)];
        if !name.is_empty() {
            headers.push(("mcp-name", name));
        }
        self.post(&headers, &message.to_string())
    }

    /// Calls a tool as the reader.
    fn call(&self, tool: &str, arguments: Value) -> Value {
        self.current(READER, "tools/call", &json!({ "name": tool, "arguments": arguments })).result()
    }

    /// Calls a tool with arguments that it refuses, and returns what it says.
    fn refused(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments.clone());
        assert_eq!(result["isError"], true, "{tool} {arguments}: {result}");
        assert!(result.get("structuredContent").is_none(), "{result}");
        text_of(&result).to_owned()
    }
}

/// A collection `c` of six documents, of which one is long.
fn plant_documents(cli: &CliSandbox) {
    for number in 1..=5 {
        let text = format!(
            "# Harbour {number}\n\nThe boats of harbour {number} land herring and cod.\n\n\
             ## Pier\n\nThe pier of harbour {number} is {number}0 metres long and has {number} cranes.\n"
        );
        cli.write(&format!("harbour-{number}.md"), text);
    }
    let mut log = "# Log of the lighthouse\n\n".to_owned();
    for day in 0..3000 {
        log += &format!("Day {day}: the lamp was lit at dusk, wind force {}, visibility good.\n\n", day % 12);
    }
    cli.write("log.md", log);
    assert_eq!(cli.ingest(0)["visible"], 6);
}

fn raw_request(server: &ServeProcess, method: &str, headers: &[(&str, &str)], body: &str) -> RawMcpAnswer {
    let address = server.ready["listening"].as_str().unwrap();
    let defaults = [
        ("host", address),
        ("connection", "close"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let mut request = format!("{method} /mcp HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
    let replaced = |name: &str| headers.iter().any(|(given, _)| *given == name);
    for (name, value) in defaults.iter().filter(|(name, _)| !replaced(name)).chain(headers) {
        request += &format!("{name}: {value}\r\n");
    }
    let (status, head, body) = http(address, &format!("{request}\r\n{body}"));
    RawMcpAnswer { status, head, body }
}

fn current_message(method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": CURRENT,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// The one text block of a result.
fn text_of(result: &Value) -> &str {
    let blocks = result["content"].as_array().unwrap();
    assert_eq!(blocks.len(), 1, "{result}");
    assert_eq!(blocks[0]["type"], "text");
    blocks[0]["text"].as_str().unwrap()
}
