//! Listeners of long-running processes.
//!
//! They are bound before anything is opened, so a used port fails fast. Their addresses are printed when
//! everything is ready.

use std::future::Future;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::exit::CommandFailure;
use crate::config::ContextureConfig;
use crate::wiring::ServiceStack;

/// Binds a listener. Returns it with its actual address, because port 0 takes a free one.
pub(crate) async fn bind_listener(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CommandFailure> {
    let cannot_listen = |error: std::io::Error| {
        CommandFailure::failed("cannot_listen", format!("cannot listen on {address}: {error}"))
    };
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    Ok((listener, bound))
}

/// The listener of the metrics page, if one is configured.
pub(crate) struct MetricsListener(Option<(TcpListener, SocketAddr)>);

impl MetricsListener {
    /// Binds the configured address, if there is one.
    pub(crate) async fn bind(config: &ContextureConfig) -> Result<Self, CommandFailure> {
        match config.metrics {
            Some(address) => Ok(Self(Some(bind_listener(address).await?))),
            None => Ok(Self(None)),
        }
    }

    /// The bound address.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.as_ref().map(|(_, address)| *address)
    }

    /// Serves metrics until `work` is done, and returns its result.
    pub(crate) async fn serve_while<T>(
        self,
        stack: &ServiceStack,
        config: &ContextureConfig,
        work: impl Future<Output = Result<T, CommandFailure>>,
    ) -> Result<T, CommandFailure> {
        let Some((listener, _)) = self.0 else { return work.await };
        // Serving metrics only ends with a refusal, which its type says.
        tokio::select! {
            done = work => done,
            refused = stack.serve_metrics(config, listener) => match refused {
                Ok(never) => match never {},
                Err(refusal) => Err(refusal.into()),
            },
        }
    }
}

/// The address of the metrics page as a line; empty if there is none.
pub(crate) fn metrics_text(address: Option<SocketAddr>) -> String {
    address.map(|address| format!("metrics at http://{address}/metrics\n")).unwrap_or_default()
}
