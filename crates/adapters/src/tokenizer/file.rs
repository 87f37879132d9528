//! A reading model's tokenizer from a `tokenizer.json` on this machine.
//!
//! The file may be anything that the `tokenizers` crate reads, of at most [`FILE_BYTES_MAX`]; what
//! could not be counted exactly is refused ([`HuggingFaceTokenizer::from_json`]).

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::hugging_face::HuggingFaceTokenizer;
use contexture_core::fault::Refusal;

/// Largest file, in bytes; those of today's vocabularies have up to 35 MiB.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads a file; `field` is to blame when that does not work.
pub fn read_tokenizer_file(name: &str, path: &Path, field: &str) -> Result<HuggingFaceTokenizer, Refusal> {
    let refuse = |code, why: String| {
        Refusal::invalid(code, field, format!("{field}: the tokenizer {} {why}", path.display()))
    };
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => refuse("tokenizer_file_missing", "does not exist".to_owned()),
        _ => refuse("tokenizer_file_unreadable", format!("cannot be read: {error}")),
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(refuse("tokenizer_file_unreadable", "is not a file".to_owned()));
    }
    let mut json = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut json).map_err(unreadable)?;
    if json.len() as u64 > FILE_BYTES_MAX {
        let why = format!("has more than {FILE_BYTES_MAX} bytes");
        return Err(refuse("tokenizer_file_too_large", why));
    }
    HuggingFaceTokenizer::from_json(name, &json)
        .map_err(|refusal| refuse(refusal.code, format!("cannot be used: {}", refusal.message)))
}
