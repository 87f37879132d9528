//! The commands of the README and of the API's page, run in their order against one server.
//!
//! A command is an indented block of code that begins with `curl` or `printf`. None is passed over: the pages have
//! as many as the table below, and no such command stands anywhere else in them. Needs bash and curl.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::ServedStack;

/// Pages, and for each of their blocks what its answers have to contain.
const PAGES: [(&str, &[&[&str]]); 2] = [
    (
        "README.md",
        &[&[
            "\"name\":\"handbook\"",
            "\"state\":\"visible\"",
            "30 days of paid leave",
            "https://wiki.example/leave",
        ]],
    ),
    (
        "docs/api.md",
        &[
            &["\"tenant\":\"local\""],
            &["\"url_template\":\"https://guide.example/{document_id}\""],
            &["\"document_id\":\"setup/first.md\"", "\"state\":\"visible\""],
            &["\"document_id\":\"a.md\"", "\"document_id\":\"b.md\""],
            &["\"context\":\"", "Run make demo first.", "https://guide.example/setup/first.md"],
            &["\"collection\":\"guide\"", "Run make demo first."],
        ],
    ),
];
/// The address in the pages.
const WRITTEN_ADDRESS: &str = "localhost:7070";
/// Every error of a command, also within a pipe, and every status of HTTP that is one fails its block.
const PRELUDE: &str =
    "set -euo pipefail\ncurl() { command curl -q --fail-with-body --max-time 60 --noproxy '*' \"$@\"; }\n";

/// The indented blocks of a page that begin with one of the commands.
fn command_blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        match line.strip_prefix("    ") {
            Some(code) if is_inside => blocks.last_mut().unwrap().extend(["\n", code]),
            Some(code) => blocks.push(code.to_owned()),
            // A blank line belongs to a block that goes on behind it.
            None if line.is_empty() && is_inside => blocks.last_mut().unwrap().push('\n'),
            None => {}
        }
        is_inside = line.starts_with("    ") || (line.is_empty() && is_inside);
    }
    blocks.retain(|block| block.starts_with("curl ") || block.starts_with("printf "));
    blocks.into_iter().map(|block| block.trim_end().to_owned()).collect()
}

/// Calls of curl in a text.
fn curl_calls(text: &str) -> usize {
    text.matches("curl -").count()
}

/// What a block prints; panics if it fails.
fn run_block(block: &str, address: SocketAddr) -> String {
    assert!(block.contains(WRITTEN_ADDRESS), "names no server: {block}");
    let script = PRELUDE.to_owned() + &block.replace(WRITTEN_ADDRESS, &address.to_string());
    let ran = Command::new("bash").arg("-c").arg(&script).output().unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {block}\n{printed}\n{said}", ran.status);
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_pages_work_in_their_order() {
    let served = ServedStack::start(&[]).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, expected) in PAGES {
        let page = fs::read_to_string(root.join(name)).unwrap();
        let blocks = command_blocks(&page);
        assert_eq!(blocks.len(), expected.len(), "{name} has other commands: {blocks:#?}");
        let found: usize = blocks.iter().map(|block| curl_calls(block)).sum();
        assert_eq!(found, curl_calls(&page), "{name} has a command outside of a block of its own");
        for (block, words) in blocks.into_iter().zip(expected) {
            let (command, address) = (block.clone(), served.address);
            let printed = tokio::task::spawn_blocking(move || run_block(&command, address)).await.unwrap();
            for word in *words {
                assert!(printed.contains(word), "{name}: {block}\nprints no {word}:\n{printed}");
            }
        }
    }
    served.stop().await;
}

#[test]
fn blocks_are_read_whole() {
    let page = "Text:\n\n    curl -s a \\\n      -d '{\n        \"b\": 1}'\n\n    curl -s c\n\nMore.\n\n    contexture d\n\n    printf e |\n      curl -s f\nText\n";
    let expected = ["curl -s a \\\n  -d '{\n    \"b\": 1}'\n\ncurl -s c", "printf e |\n  curl -s f"];
    let blocks = command_blocks(page);
    assert_eq!(blocks[0], expected[0]);
    assert_eq!(curl_calls(page), 3);
    // A block of another program between blank lines is part of the one before it, as Markdown has it.
    assert_eq!(command_blocks("    contexture d\n\ntext\n\n    printf e\n"), ["printf e"]);
}
