//! Files of an evaluation: JSON lines that it reads, and files that it writes.
//!
//! The reader holds one line in memory at a time. Output files are opened before the first question is
//! asked, so that a path that cannot be written fails at once.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::cli::exit::CommandFailure;
use contexture_core::fault::Refusal;

/// Maximum length of a line, in bytes: a document and its framing.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Reads the records of a file. An error names the file and the line.
pub(crate) struct JsonLinesReader<T> {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
    record: PhantomData<T>,
}

/// Opens a file of one JSON object per line.
pub(crate) fn read_json_lines<T: DeserializeOwned>(path: &Path) -> Result<JsonLinesReader<T>, Refusal> {
    let file = File::open(path).map_err(|error| dataset_refusal(path, 0, &error))?;
    Ok(JsonLinesReader {
        path: path.to_owned(),
        reader: BufReader::new(file),
        number: 0,
        record: PhantomData,
    })
}

/// A refusal of a line of an evaluation set; line 0 is the file itself.
pub(crate) fn dataset_refusal(path: &Path, line: u64, why: &dyn std::fmt::Display) -> Refusal {
    let place = if line == 0 { String::new() } else { format!(":{line}") };
    Refusal::invalid("invalid_dataset", "dataset", format!("{}{place}: {why}", path.display()))
}

impl<T: DeserializeOwned> Iterator for JsonLinesReader<T> {
    type Item = Result<T, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = String::new();
            self.number += 1;
            // A line above the maximum is cut here, so it fails as bad JSON instead of filling the memory.
            match self.reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) if line.trim().is_empty() => {}
                Ok(_) => {
                    let record = serde_json::from_str(&line);
                    return Some(record.map_err(|error| dataset_refusal(&self.path, self.number, &error)));
                }
                Err(error) => return Some(Err(dataset_refusal(&self.path, self.number, &error))),
            }
        }
    }
}

/// An output file that an option named.
pub(crate) struct OutputFile {
    option: &'static str,
    file: BufWriter<File>,
}

impl OutputFile {
    /// Creates or empties the file. `option` is the name of its option, without the leading dashes.
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

    /// Writes what is buffered. Without this call, a failed write would go unnoticed.
    pub(crate) fn finish(mut self) -> Result<(), CommandFailure> {
        let option = self.option;
        self.file.flush().map_err(|error| write_failure(option, &error))
    }
}

fn write_failure(option: &str, error: &std::io::Error) -> CommandFailure {
    CommandFailure::failed("file_not_writable", format!("cannot write to the file of --{option}: {error}"))
}
