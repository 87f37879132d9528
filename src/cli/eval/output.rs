//! Files that an evaluation writes, opened before the first question is asked.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::cli::exit::CommandFailure;
use contexture_core::fault::Refusal;

/// A file named by an option.
pub(crate) struct OutputFile {
    option: &'static str,
    file: BufWriter<File>,
}

impl OutputFile {
    /// Creates the file, or empties it; `option` is the name of what asked for it, without dashes.
    pub(crate) fn create(path: &Path, option: &'static str) -> Result<Self, Refusal> {
        let file = File::create(path).map_err(|error| {
            let message = format!("--{option} {}: {error}", path.display());
            Refusal::invalid("file_not_writable", &option.replace('-', "_"), message)
        })?;
        Ok(Self { option, file: BufWriter::new(file) })
    }

    /// Appends a line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), CommandFailure> {
        let option = self.option;
        writeln!(self.file, "{line}").map_err(|error| write_failure(option, &error))
    }

    /// Completes the file.
    pub(crate) fn finish(mut self) -> Result<(), CommandFailure> {
        let option = self.option;
        self.file.flush().map_err(|error| write_failure(option, &error))
    }
}

fn write_failure(option: &str, error: &std::io::Error) -> CommandFailure {
    CommandFailure::failed("file_not_writable", format!("cannot write to the file of --{option}: {error}"))
}
