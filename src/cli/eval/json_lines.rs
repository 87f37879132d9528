//! Reads JSON-lines files of evaluation sets, one line in memory at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use contexture_core::fault::Refusal;

/// Longest line, in bytes: a document and its framing.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The records of a file; an error names the file and the line.
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
