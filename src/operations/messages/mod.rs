//! Requests and answers as JSON.
//!
//! Unknown fields of a request are refused, so that a misspelt one does not get lost. Answers may get new
//! fields. Times are in ms since the Unix epoch, spans in bytes of a document's normalised text.

pub mod answer;
pub mod collection;
pub mod context;
pub mod dead_letter;
pub mod document;
pub mod event;
pub mod job;
pub mod page;
pub mod place;
pub mod source;
pub mod status;
