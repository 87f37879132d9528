//! A query's way: retrieve, fuse, assemble, render.

pub mod request;
