//! Rate limits, backpressure and retries towards providers.
//!
//! Callers of a provider hold a [`limiter`]: it says who may call and when, and records how calls end.
//! Its knowledge is one [`quota::CredentialQuota`] per credential, which all processes share. A quota is
//! made of [`rate_limit`], [`concurrency_window`], [`circuit_breaker`] and [`retry`], which are pure.

pub mod circuit_breaker;
pub mod concurrency_window;
pub mod limiter;
pub mod quota;
pub mod quota_protocol;
pub mod rate_limit;
pub mod retry;
