//! Assembly over an index: contexts that continue, and what a request may ask for.

mod continuing;
mod requested;
