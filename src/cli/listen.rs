//! Sockets of processes that last: bound before anything is opened, told when all is ready.

use std::future::Future;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::exit::CommandFailure;
use crate::config::ContextureConfig;
use crate::wiring::ServiceStack;

/// A socket on this address, and the address it has: port 0 takes a free one.
pub(crate) async fn bind_listener(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CommandFailure> {
    let cannot_listen = |error: std::io::Error| {
        CommandFailure::failed("cannot_listen", format!("cannot listen on {address}: {error}"))
    };
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    Ok((listener, bound))
}

/// The page of metrics of a process that lasts, where one is wanted.
pub(crate) struct MetricsListener(Option<(TcpListener, SocketAddr)>);

impl MetricsListener {
    /// Binds where the configuration says.
    pub(crate) async fn bind(config: &ContextureConfig) -> Result<Self, CommandFailure> {
        match config.metrics {
            Some(address) => Ok(Self(Some(bind_listener(address).await?))),
            None => Ok(Self(None)),
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.as_ref().map(|(_, address)| *address)
    }

    /// Serves it until `work` is done.
    pub(crate) async fn beside<T>(
        self,
        stack: &ServiceStack,
        config: &ContextureConfig,
        work: impl Future<Output = Result<T, CommandFailure>>,
    ) -> Result<T, CommandFailure> {
        let Some((listener, _)) = self.0 else { return work.await };
        tokio::select! {
            done = work => done,
            refused = stack.serve_metrics(config, listener) => match refused {
                Ok(never) => match never {},
                Err(refusal) => Err(refusal.into()),
            },
        }
    }
}

/// Where it is, for a person.
pub(crate) fn metrics_text(address: Option<SocketAddr>) -> String {
    address.map(|address| format!("metrics at http://{address}/metrics\n")).unwrap_or_default()
}
