//! A query's way: retrieve, fuse, assemble, render.

pub mod answer;
pub mod assemble;
pub mod fuse;
pub mod render;
pub mod request;
