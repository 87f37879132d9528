//! The API over a real socket, with scripted services behind it, or the real operations over stores in memory.

mod admin;
mod answers;
mod auth;
mod browsers;
mod calls;
mod collections;
mod dead_letters;
mod documents;
mod lifecycle;
mod limits;
mod node_metadata;
mod one_port;
mod reranking;
mod service_status;
mod stores;
mod streams;
mod support;
mod tls;
mod tokens;
