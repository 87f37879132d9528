//! Byte tricks that several crates share: classes of eight and of 64 bytes at once, and a direct-mapped cache.
//!
//! Pure, safe and without dependencies. Functions are marked `#[inline]`: their callers are hot loops in other
//! crates.

pub mod byte_classes;
pub mod direct_mapped_cache;
