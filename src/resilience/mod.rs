//! How the service behaves under strain.
//!
//! [`limiter`] is what a caller of a provider holds: who may call, when, and what was learnt from
//! it. What it knows is one [`quota::Quota`] per credential, shared by all processes and made of
//! [`rate`], [`window`], [`breaker`] and [`budget`], which are pure.

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod limiter;
pub mod quota;
pub mod rate;
pub mod terms;
pub mod window;
