//! The picture of the house is true: rooms use only what the arrows allow, crates of outside
//! systems stay in their room, and `src/lib.rs` names the folders that exist.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rules::{FILE_LINES_MAX, faults, pictured};
use source::{code_only, named};

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file under `folder`, by its path from there.
fn rust_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn rooms_use_only_what_the_arrows_allow() {
    let files = rust_files(&house());
    assert!(files.len() > 20, "reads the house it stands in");
    let found: Vec<String> = files.iter().flat_map(|(path, source)| faults(path, source)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn picture_names_the_folders_that_exist() {
    let header = fs::read_to_string(house().join("lib.rs")).unwrap();
    let folders = fs::read_dir(house()).unwrap().map(|entry| entry.unwrap().path());
    let standing: BTreeSet<String> = folders
        .filter(|path| path.is_dir() && !rust_files(path).is_empty())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let pictured: BTreeSet<String> = pictured(&header).into_iter().collect();
    assert_eq!(pictured, standing, "left: the picture in src/lib.rs; right: the folders of src");
}

// The checker itself, on small made-up sources: a test that cannot fail proves nothing.

#[test]
fn wrong_arrows_are_found() {
    for (path, source) in [
        ("ingest/chunk.rs", "use crate::context::request::Query;"),
        ("context/mod.rs", "fn f() { crate::ingest::submit::run(); }"),
        ("context/fuse.rs", "use crate::{domain::ids, adapters::{sqlite}};"),
        ("ingest/embed.rs", "use super::super::context::retrieve;"),
        ("ingest/mod.rs", "use super::server;"),
        ("ingest/worker.rs", "use crate::config::Limits;"),
        ("server/grpc/mod.rs", "use crate::adapters::sqlite::SqliteLedger;"),
        ("server/auth.rs", "use crate::cli;"),
        ("cli/serve.rs", "type L = crate::adapters::sqlite::SqliteLedger;"),
        ("adapters/sqlite/mod.rs", "use crate :: ingest :: submit;"),
        ("domain/ids.rs", "use crate::ports::clock::Clock;"),
        ("fault.rs", "use crate::domain::ids::Version;"),
        ("ports/ledger.rs", "impl crate::resilience::backoff::Backoff {}"),
        ("resilience/mod.rs", "use crate::{\n    fault::Fault,\n    ingest as work,\n};"),
        ("main.rs", "use contexture::wiring::Stack;"),
        ("helpers/mod.rs", ""),
    ] {
        assert_eq!(faults(path, source).len(), 1, "{path}: {source}: {:?}", faults(path, source));
    }
}

#[test]
fn right_arrows_are_fine() {
    for (path, source) in [
        ("main.rs", "fn main() { contexture::cli::run() }"),
        ("cli/mod.rs", "use crate::{config, wiring::Stack}; use crate::server; use clap::Parser;"),
        (
            "wiring/mod.rs",
            "use crate::adapters::tantivy::TantivyIndex; use crate::context; use crate::telemetry;",
        ),
        (
            "wiring/mod.rs",
            "use crate::adapters::{tantivy, tokenizer}; fn f() { tantivy::TantivyIndex::open() }",
        ),
        ("context/mod.rs", "mod tokenizers; pub use tokenizers::Reader;"),
        ("server/mod.rs", "use crate::ingest::submit; use tonic::Status;"),
        ("ingest/chunk/mod.rs", "use super::embed; use crate::domain::ids; // use crate::context;"),
        (
            "ingest/mod.rs",
            "/* crate::context /* nested */ crate::server */ const A: &str = \"crate::context::x\";",
        ),
        (
            "ingest/mod.rs",
            "const A: &str = r#\"\" crate::server::run \"#; const Q: char = '\"'; use crate::fault;",
        ),
        ("adapters/edge/mod.rs", "use qdrant_edge::EdgeShard; use crate::ports::vectors;"),
        ("fault.rs", "/// See [`crate::ingest::settle`].\npub struct Fault;"),
        ("domain/ids.rs", "use std::time::Duration; use std::fmt; use crate::fault::Refusal;"),
    ] {
        assert_eq!(faults(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}

#[test]
fn crates_of_outside_systems_stay_in_their_room() {
    for (path, source) in [
        ("context/retrieve.rs", "use tantivy::Searcher;"),
        ("ingest/index.rs", "fn f(index: &tantivy::Index) {}"),
        ("wiring/mod.rs", "fn f() { rusqlite::Connection::open(\"x\") }"),
        ("ingest/mod.rs", "use ::bpe_openai::cl100k_base;"),
        ("context/mod.rs", "use {tokenizers::Tokenizer, std::fmt};"),
        ("ingest/submit.rs", "use tonic::Status;"),
        ("server/mod.rs", "use clap::Args;"),
        ("cli/mod.rs", "use figment::Figment;"),
    ] {
        assert_eq!(faults(path, source).len(), 1, "{path}: {source}");
    }
}

#[test]
fn domain_is_pure() {
    for source in [
        "use std::fs;",
        "use std::{fmt, net::IpAddr};",
        "use std::time::{Duration, Instant};",
        "fn now() -> u64 { std::time::SystemTime::now() }",
        "use tokio::sync::Mutex;",
        "fn roll() -> u8 { rand::random() }",
    ] {
        assert_eq!(faults("domain/ids.rs", source).len(), 1, "{source}");
        assert_eq!(faults("ingest/mod.rs", source).len(), 0, "{source}");
    }
}

#[test]
fn long_files_are_found() {
    assert_eq!(faults("fault.rs", &"\n".repeat(FILE_LINES_MAX)).len(), 0);
    assert_eq!(faults("fault.rs", &"\n".repeat(FILE_LINES_MAX + 1)).len(), 1);
}

#[test]
fn pictures_are_read() {
    let header = "//! House. not/\n//!\n//! ```text\n//! src/lib.rs\n//!   domain/  pure; a/b  ports/\n//!   fault.rs\n//!     cli/ one\n//! ```\n//! after/\n\n//! ```\n//! late/\n";
    assert_eq!(pictured(header), ["domain", "ports", "cli"]);
    assert_eq!(pictured("//! Nothing here."), Vec::<String>::new());
}

#[test]
fn comments_and_literals_are_not_code() {
    for (source, code) in [
        ("a // b\nc", "a  \nc"),
        ("a /* b\n/* c */ d */ e", "a  \n e"),
        ("f(\"a\\\"b\", 'c', '\\'', b'x', b\"y\")", "f( ,  ,  ,  ,  )"),
        ("r\"a\" br#\"b\"c\"# r##\"d\"#\"##.x", "     .x"),
        ("fn f<'a>(x: &'a str) -> &'static str", "fn f<'a>(x: &'a str) -> &'static str"),
        ("\"never closed", " "),
        ("barr(b, r, c)", "barr(b, r, c)"),
    ] {
        assert_eq!(code_only(source), code, "{source}");
    }
}

#[test]
fn paths_are_flattened() {
    let named = named("use a::{self, b::{c, d as e}, f::*}; mod own; g.h::<i::J>(); k!(l::m);");
    let paths: Vec<String> = named.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a::self", "a::b::c", "a::b::d::e", "a::f::*", "i::J", "l::m"]);
    assert_eq!(named.own, ["own"]);
}
