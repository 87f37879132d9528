//! Bytes to text to spans: pure, deterministic, linear in the body, and never a panic.
//!
//! [`decode_body`] makes normalised text of a body or says why not; [`split_into_chunks`] tiles that text with
//! spans whose embedded text fits the embedder's window. Read in this order: `decode` (with
//! `sniff` and `html`), `boundary` (with `markdown`, `code` and `prose`), `refine`, `plan`,
//! `pack`.

mod boundary;
mod code;
mod decode;
mod html;
mod markdown;
mod pack;
mod plan;
mod prose;
mod refine;
mod size;
mod sniff;
pub mod stage;

pub use code::CodeLanguage;
pub use decode::{NormalisedText, TextFormat, decode_body};
pub use pack::{CHUNKER_VERSION, ChunkLimits, split_into_chunks};
