//! The API over a real socket, with scripted services behind it.

mod admin;
mod auth;
mod calls;
mod lifecycle;
mod limits;
mod reranking;
mod streams;
mod support;
