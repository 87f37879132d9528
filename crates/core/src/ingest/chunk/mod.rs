//! Splits a body into chunks: bytes to text to spans. Pure, deterministic, linear in the body, no panics.
//!
//! [`decode_body`] makes normalised text of a body, or says why it cannot. [`split_into_chunks`] covers the
//! text with spans whose embedded text fits the embedder's window. Read in this order: `decode` (with
//! `sniff` and `converted`), `boundary`, `outline` (with `markdown` and `code`), `refine`, `plan`, `pack`, `windows`.

mod boundary;
mod code;
pub(in crate::ingest) mod conversion;
mod converted;
mod decode;
mod markdown;
mod outline;
mod pack;
mod plan;
mod recursive;
mod refine;
mod size;
mod sniff;
pub mod stage;
pub mod windows;

pub use code::CodeLanguage;
pub use contexture_formats::is_known_binary_name;
pub use converted::decode_converted;
pub use decode::{NormalisedText, TextFormat, decode_body, decode_document};
pub use pack::{CHUNKER_VERSION, split_into_chunks};
pub use recursive::split_recursively;
pub use size::ChunkLimits;
pub use sniff::unread_type;

use crate::domain::chunk::ChunkSpan;
use crate::domain::pipeline::ChunkerKind;
use crate::fault::FailureReason;
use crate::ports::tokenizer::Tokenizer;

/// Cuts a text with the chunker that the pipeline names.
pub fn split_document(
    kind: ChunkerKind,
    document: &NormalisedText,
    title: Option<&str>,
    tokenizer: &dyn Tokenizer,
    limits: &ChunkLimits,
) -> Result<Vec<ChunkSpan>, FailureReason> {
    match kind {
        ChunkerKind::Structure => split_into_chunks(document, title, tokenizer, limits),
        ChunkerKind::Recursive => split_recursively(document, title, tokenizer, limits),
    }
}
