//! The picture of the house is true: rooms use only what the arrows allow, crates of outside
//! systems stay in their room, and `src/lib.rs` names the folders that exist.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

#[path = "layers/error_codes.rs"]
mod error_codes;
#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rules::{CRATES, FILE_LINES_MAX, faults, manifest_faults, pictured, shared_type_names};
use source::{code_only, named, type_names};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn house() -> PathBuf {
    root().join("src")
}

/// Every Rust file of the workspace's crates, by its path from the project's root.
fn source_files() -> Vec<(String, String)> {
    let of_crate = |folder: String| {
        let files = rust_files(&root().join(&folder));
        files.into_iter().map(move |(path, source)| (format!("{folder}/{path}"), source))
    };
    CRATES.iter().flat_map(|one| of_crate(one.source())).collect()
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
    let files = source_files();
    assert!(files.len() > 300, "reads the house it stands in");
    let found: Vec<String> = files.iter().flat_map(|(path, source)| faults(path, source)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn crates_depend_only_on_what_the_walls_allow() {
    for one in CRATES {
        let manifest = fs::read_to_string(root().join(one.folder).join("Cargo.toml")).unwrap();
        assert_eq!(manifest_faults(one, &manifest), Vec::<String>::new());
    }
}

#[test]
fn names_of_types_are_unique() {
    let mut files = source_files();
    for folder in ["tests", "benches", "examples"] {
        files.extend(
            rust_files(&root().join(folder))
                .into_iter()
                .map(|(path, source)| (format!("{folder}/{path}"), source)),
        );
    }
    let shared = shared_type_names(&files);
    assert!(shared.is_empty(), "\n{}\n", shared.join("\n"));
}

#[test]
fn picture_names_the_folders_that_exist() {
    let header = fs::read_to_string(house().join("lib.rs")).unwrap();
    let mut standing = BTreeSet::from(["adapters".to_owned(), "lab".to_owned()]);
    for source in [house(), root().join("crates/core/src")] {
        let folders = fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path());
        standing.extend(
            folders
                .filter(|path| path.is_dir() && !rust_files(path).is_empty())
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()),
        );
    }
    let pictured: BTreeSet<String> = pictured(&header).into_iter().collect();
    assert_eq!(pictured, standing, "left: the picture in src/lib.rs; right: the folders of the crates");
}

// The checker itself, on small made-up sources: a test that cannot fail proves nothing.

#[test]
fn wrong_arrows_are_found() {
    for (path, source) in [
        ("crates/core/src/ingest/chunk.rs", "use crate::context::request::Query;"),
        ("crates/core/src/context/mod.rs", "fn f() { crate::ingest::submit::run(); }"),
        ("crates/core/src/context/fuse.rs", "use crate::{domain::ids, adapters::{sqlite}};"),
        ("crates/core/src/ingest/embed.rs", "use super::super::context::retrieve;"),
        ("crates/core/src/ingest/mod.rs", "use super::server;"),
        ("crates/core/src/ingest/worker.rs", "use crate::config::Limits;"),
        ("src/server/grpc/mod.rs", "use contexture_adapters::sqlite::SqliteLedger;"),
        ("src/server/auth.rs", "use crate::cli;"),
        ("src/cli/serve.rs", "type L = contexture_adapters::sqlite::SqliteLedger;"),
        ("crates/adapters/src/sqlite/mod.rs", "use contexture_core :: ingest :: submit;"),
        ("crates/core/src/domain/ids.rs", "use crate::ports::clock::Clock;"),
        ("crates/core/src/fault.rs", "use crate::domain::ids::Version;"),
        ("crates/core/src/ports/ledger.rs", "impl crate::resilience::backoff::Backoff {}"),
        ("crates/core/src/resilience/mod.rs", "use crate::{\n    fault::Fault,\n    ingest as work,\n};"),
        ("src/main.rs", "use contexture::wiring::Stack;"),
        ("src/helpers/mod.rs", ""),
    ] {
        assert_eq!(faults(path, source).len(), 1, "{path}: {source}: {:?}", faults(path, source));
    }
}

#[test]
fn right_arrows_are_fine() {
    for (path, source) in [
        ("src/main.rs", "fn main() { contexture::cli::run() }"),
        ("src/cli/mod.rs", "use crate::{config, wiring::Stack}; use crate::server; use clap::Parser;"),
        (
            "src/wiring/mod.rs",
            "use contexture_adapters::tantivy::TantivyIndex; use contexture_core::context; use crate::telemetry;",
        ),
        (
            "src/wiring/mod.rs",
            "use contexture_adapters::{tantivy, tokenizer}; fn f() { tantivy::TantivyIndex::open() }",
        ),
        ("crates/core/src/context/mod.rs", "mod tokenizers; pub use tokenizers::Reader;"),
        ("src/server/mod.rs", "use contexture_core::ingest::submit; use tonic::Status;"),
        (
            "crates/core/src/ingest/chunk/mod.rs",
            "use super::embed; use crate::domain::ids; // use crate::context;",
        ),
        (
            "crates/core/src/ingest/mod.rs",
            "/* crate::context /* nested */ crate::server */ const A: &str = \"crate::context::x\";",
        ),
        (
            "crates/core/src/ingest/mod.rs",
            "const A: &str = r#\"\" crate::server::run \"#; const Q: char = '\"'; use crate::fault;",
        ),
        (
            "crates/adapters/src/edge/mod.rs",
            "use qdrant_edge::EdgeShard; use contexture_core::ports::vectors;",
        ),
        ("crates/core/src/fault.rs", "/// See [`crate::ingest::settle`].\npub struct Fault;"),
        (
            "crates/core/src/domain/ids.rs",
            "use std::time::Duration; use std::fmt; use crate::fault::Refusal;",
        ),
    ] {
        assert_eq!(faults(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}

#[test]
fn reaching_across_a_wall_is_found() {
    for (path, source) in [
        ("crates/core/src/ingest/mod.rs", "use contexture_adapters::sqlite::SqliteLedger;"),
        ("crates/core/src/jobs/mod.rs", "fn f() { contexture_lab::measure::mean() }"),
        ("crates/core/src/context/mod.rs", "use contexture::cli;"),
        ("crates/adapters/src/sqlite/mod.rs", "use contexture_lab::measure;"),
        ("crates/lab/src/compare/mod.rs", "use contexture_adapters::memory;"),
    ] {
        let found = faults(path, source);
        assert!(found.iter().any(|fault| fault.contains("reach across")), "{path}: {source}: {found:?}");
    }
    let core = CRATES.iter().find(|one| one.name == "contexture_core").unwrap();
    let manifest = "[dependencies]\nserde.workspace = true\ncontexture-adapters.workspace = true\n";
    assert_eq!(manifest_faults(core, manifest).len(), 1);
    let for_tests =
        "[dependencies]\nserde = \"1\"\n\n[dev-dependencies]\ncontexture-lab = { path = \"../lab\" }\n";
    assert_eq!(manifest_faults(core, for_tests), Vec::<String>::new());
}

#[test]
fn types_that_share_a_name_are_found() {
    let file = |path: &str, source: &str| (path.to_owned(), source.to_owned());
    let files = [
        file("a.rs", "pub struct Waiting; struct Alone<T>(T);"),
        file("b.rs", "mod tests { enum Waiting { A } } // struct Alone"),
        file("c.rs", "type Alias = u8; const A: &str = \"struct Alias\";"),
    ];
    assert_eq!(shared_type_names(&files), ["Waiting: a.rs, b.rs"]);
}

#[test]
fn types_are_read_and_associated_ones_are_not() {
    let source = "trait Port { type Answer; fn f(&self) -> impl Iterator { 1 } }
        impl Port for Store { type Answer = u8; }
        fn free() -> impl Fn() { struct Inside; type Local = u8; Inside }
        union Bits { a: u8 } pub(crate) type Alias<T> = Vec<T>;";
    assert_eq!(type_names(source), ["Port", "Inside", "Local", "Bits", "Alias"]);
}

#[test]
fn crates_of_outside_systems_stay_in_their_room() {
    for (path, source) in [
        ("crates/core/src/context/retrieve.rs", "use tantivy::Searcher;"),
        ("crates/core/src/ingest/index.rs", "fn f(index: &tantivy::Index) {}"),
        ("src/wiring/mod.rs", "fn f() { rusqlite::Connection::open(\"x\") }"),
        ("crates/core/src/ingest/mod.rs", "use ::bpe_openai::cl100k_base;"),
        ("crates/core/src/context/mod.rs", "use {tokenizers::Tokenizer, std::fmt};"),
        ("crates/core/src/ingest/submit.rs", "use tonic::Status;"),
        ("src/server/mod.rs", "use clap::Args;"),
        ("src/cli/mod.rs", "use figment::Figment;"),
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
        assert_eq!(faults("crates/core/src/domain/ids.rs", source).len(), 1, "{source}");
        assert_eq!(faults("crates/core/src/ingest/mod.rs", source).len(), 0, "{source}");
    }
}

#[test]
fn long_files_are_found() {
    assert_eq!(faults("crates/core/src/fault.rs", &"\n".repeat(FILE_LINES_MAX)).len(), 0);
    assert_eq!(faults("crates/core/src/fault.rs", &"\n".repeat(FILE_LINES_MAX + 1)).len(), 1);
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
