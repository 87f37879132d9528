//! Byte tricks that several crates share: classes of eight and of 64 bytes at once, and a direct-mapped cache.
//!
//! Pure and without dependencies. All of it is safe code that the compiler vectorises; development builds
//! optimise this crate, too.

pub mod byte_classes;
pub mod direct_mapped_cache;
