//! How the service behaves under strain.

pub mod backoff;
