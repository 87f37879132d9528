//! How the service behaves under strain.
//!
//! [`limiter`] is what a caller of a provider holds: who may call, when, and what was learnt from
//! it. What it knows is one [`quota::CredentialQuota`] per credential, shared by all processes and made of
//! [`rate_limit`], [`concurrency_window`], [`circuit_breaker`] and [`retry_budget`], which are pure.

pub mod backoff;
pub mod circuit_breaker;
pub mod concurrency_window;
pub mod limiter;
pub mod quota;
pub mod quota_protocol;
pub mod rate_limit;
pub mod retry_budget;
