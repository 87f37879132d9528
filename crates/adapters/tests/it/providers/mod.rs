//! Models behind HTTP: what becomes of documents and of calls when a provider is not well.

mod answers;
mod blame;
mod independent;
mod limits;
mod pipeline;
