//! The command line as scripts see it: the real binary, its exit codes and its JSON.

#[cfg(unix)]
mod beside;
#[cfg(unix)]
mod beside_server;
#[cfg(unix)]
mod beside_server_with_keys;
mod comparing;
#[cfg(unix)]
mod converters;
mod documents;
#[cfg(all(unix, feature = "qdrant"))]
mod engines_away;
mod erasure;
mod evaluation;
mod extraction_lab;
mod filters;
mod folders;
mod full_disk;
mod golden;
mod mail;
#[cfg(unix)]
mod mcp;
mod mending;
#[cfg(unix)]
mod metrics;
mod office;
mod office_storm;
mod providers;
mod queries;
mod real_text;
mod reindex;
#[cfg(unix)]
mod serving;
mod tokenizers;
mod usage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// An embedder that hashes words: fast, deterministic, and enough to find shared words.
const HASH_PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 256\n";

/// A data directory, a folder of documents, and the binary.
struct CliSandbox {
    home: TempDir,
}

/// What one run of the binary left.
struct CommandOutput {
    code: i32,
    stdout: String,
    stderr: String,
}

impl CliSandbox {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("docs")).unwrap();
        fs::write(home.path().join("hash.toml"), HASH_PIPELINE).unwrap();
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path("docs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The binary with `--data`, run in the home folder, without inherited configuration.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.home.path(), arguments);
        command.arg("--data").arg(self.data());
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::from(self.command(arguments).output().unwrap())
    }

    /// Runs with `--json`; the exit code must be `code`.
    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {} {}", ran.stdout, ran.stderr);
        ran.json()
    }

    /// Runs with `--json`, expects a failure, and returns its error object.
    fn error(&self, code: i32, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {} {}", ran.stdout, ran.stderr);
        ran.error()
    }

    /// Ingests the folder of documents with the hashing pipeline.
    fn ingest(&self, code: i32) -> Value {
        self.json(code, &["ingest", "--collection", "c", "--pipeline", "hash.toml", "docs"])
    }

    fn context(&self, question: &str) -> String {
        let answer = self.json(0, &["query", "--collection", "c", "--budget", "2000", question]);
        answer["context"].as_str().unwrap().to_owned()
    }
}

/// The binary in a folder, without inherited configuration.
fn bare(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contexture"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONTEXTURE") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl CommandOutput {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The one error object on stderr.
    fn error(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stderr).unwrap();
        let error = value["error"].as_object().unwrap();
        let mut names: Vec<&str> = error.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["code", "field", "message"]);
        assert!(!error["message"].as_str().unwrap().contains('\n'));
        value["error"].clone()
    }
}

/// The names of an object, in the order they were written.
fn names(stdout: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    let mut rest = stdout;
    while let Some(at) = rest.find(['{', '}', '"']) {
        let found = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match found {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {
                let end = rest.find('"').unwrap();
                if depth == 1 && rest[end + 1..].starts_with(':') {
                    names.push(rest[..end].to_owned());
                }
                rest = &rest[end + 1..];
            }
        }
    }
    names
}
