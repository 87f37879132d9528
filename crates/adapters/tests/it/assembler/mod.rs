//! Assembly over an index: contexts that continue, several collections, and what a request may ask for.

mod continuing;
mod federated;
mod federated_laws;
mod ranking_laws;
mod requested;
