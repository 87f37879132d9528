//! Files that an evaluation writes, opened before the first question is asked.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::cli::exit::Failure;
use crate::fault::Refusal;

/// A file named by an option.
pub(crate) struct Output {
    option: &'static str,
    file: BufWriter<File>,
}

impl Output {
    /// Creates the file, or empties it; `option` is the name of what asked for it, without dashes.
    pub(crate) fn create(path: &Path, option: &'static str) -> Result<Self, Refusal> {
        let file = File::create(path).map_err(|error| {
            let message = format!("--{option} {}: {error}", path.display());
            Refusal::invalid("file_not_writable", &option.replace('-', "_"), message)
        })?;
        Ok(Self { option, file: BufWriter::new(file) })
    }

    /// Appends a line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        let option = self.option;
        writeln!(self.file, "{line}").map_err(|error| cannot_write(option, &error))
    }

    /// Completes the file.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let option = self.option;
        self.file.flush().map_err(|error| cannot_write(option, &error))
    }
}

fn cannot_write(option: &str, error: &std::io::Error) -> Failure {
    Failure::failed("file_not_writable", format!("cannot write to the file of --{option}: {error}"))
}
