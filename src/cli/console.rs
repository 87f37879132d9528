//! Output of commands: results go to stdout, notes for a person go to stderr.
//!
//! With `--json`, stdout has one JSON object and notes are dropped.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::CommandFailure;

/// Writes results and notes. With `--json` it writes no prose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsoleOutput {
    json: bool,
}

impl ConsoleOutput {
    /// With `json` the output is for a program, else for a person.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether output is JSON for a program.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: `value` as JSON for a program, or `text` for a person.
    pub(crate) fn result<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CommandFailure> {
        if !self.json {
            return print_to_stdout(&text(value));
        }
        let line = serde_json::to_string(value).map_err(|error| {
            CommandFailure::failed("output_failed", format!("cannot write JSON: {error}"))
        })?;
        print_to_stdout(&line)
    }

    /// Prints text for a person to stdout; nothing with `--json`.
    pub(crate) fn say(self, text: &str) -> Result<(), CommandFailure> {
        if self.json { Ok(()) } else { print_to_stdout(text) }
    }

    /// Prints a line for a person to stderr; nothing with `--json`.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            // If stderr is closed, the error has nowhere to go.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }
}

fn print_to_stdout(text: &str) -> Result<(), CommandFailure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") });
    // Flushed here, because an error at exit would be lost.
    written.and_then(|()| stdout.flush()).map_err(|error| CommandFailure::from_stdout(&error))
}
