//! A query's way: retrieve, fuse, assemble, render.

pub mod answer;
pub mod request;
