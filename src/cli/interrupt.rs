//! The wish to stop: Ctrl-C, or SIGTERM from a supervisor.

/// Resolves when the process is asked to stop.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                result = tokio::signal::ctrl_c() => wait_if_deaf(result).await,
            }
            return;
        }
    }
    wait_if_deaf(tokio::signal::ctrl_c().await).await;
}

/// Where signals cannot be heard, nobody has asked to stop.
async fn wait_if_deaf(heard: std::io::Result<()>) {
    if heard.is_err() {
        std::future::pending::<()>().await;
    }
}
