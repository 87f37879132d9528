//! One behavioural suite per port: every sentence of the port's contract is a named test, and
//! every adapter passes all of them. A new adapter is one `open_…` function and one line.

#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

/// Makes one test per law for one adapter; `$open` builds a fresh fixture of it, or, after
/// `if_there`, none where its server is not.
macro_rules! laws {
    (if_there $adapter:ident, $open:ident, { $($area:ident: [$($law:ident),* $(,)?]),* $(,)? }) => {
        mod $adapter {
            $(mod $area {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    if let Some(fixture) = super::super::$open().await {
                        super::super::$area::$law(fixture).await;
                    }
                })*
            })*
        }
    };
    ($adapter:ident, $open:ident, { $($area:ident: [$($law:ident),* $(,)?]),* $(,)? }) => {
        mod $adapter {
            $(mod $area {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    if let Some(fixture) = Option::from(super::super::$open().await) {
                        super::super::$area::$law(fixture).await;
                    }
                })*
            })*
        }
    };
}

mod broker;
mod embedder;
#[cfg(feature = "qdrant")]
mod filters_agree;
pub(crate) mod ledger;
mod lexical;
mod producers;
mod reranker;
mod states;
#[allow(dead_code, unused_imports, reason = "other test binaries use the rest")]
mod support;
mod vectors;
