//! Where words go: results to stdout, notes for a person to stderr.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::CommandFailure;

/// Writes results and notes; prose is silent with `--json`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsoleOutput {
    json: bool,
}

impl ConsoleOutput {
    /// A console for a person, or with `json` for a program.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: `value` for a program, `text` for a person.
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

    /// Prints lines for a person to stdout.
    pub(crate) fn say(self, text: &str) -> Result<(), CommandFailure> {
        if self.json { Ok(()) } else { print_to_stdout(text) }
    }

    /// Prints a line for a person to stderr.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }
}

fn print_to_stdout(text: &str) -> Result<(), CommandFailure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") });
    written.and_then(|()| stdout.flush()).map_err(|error| CommandFailure::from_stdout(&error))
}
