//! The shutdown signal: Ctrl-C (SIGINT), or SIGTERM from a supervisor.

use std::future::Future;

/// Resolves when the process is asked to stop. Handlers are installed by this call, not by the first poll:
/// a supervisor may stop the process as soon as it has printed that it is ready.
pub(crate) fn shutdown_signal() -> impl Future<Output = ()> + Send {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate()).ok(), signal(SignalKind::interrupt()).ok());
        async move {
            // If a handler could not be installed, this branch never resolves.
            let heard = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            };
            tokio::select! {
                () = heard(&mut terminate) => {}
                () = heard(&mut interrupt) => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
