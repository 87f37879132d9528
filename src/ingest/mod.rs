//! A document's way.

pub mod submit;
