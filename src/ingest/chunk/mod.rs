//! Bytes to text to spans: pure, deterministic, linear in the body, and never a panic.
//!
//! [`decode`] makes normalised text of a body or says why not; [`cut`] tiles that text with
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

pub use code::Language;
pub use decode::{NormalisedText, TextFormat, decode};
pub use pack::{CHUNKER_VERSION, ChunkLimits, cut};
