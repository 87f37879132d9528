//! What ends a call early: its deadline, the phase of the server, a silent peer, or a panic.

use tokio::sync::watch;
use tokio::time::Instant;

use contexture_core::fault::{Refusal, RefusalKind};

/// Phase of the server's life. Phases only increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) enum ServerPhase {
    /// Calls are accepted.
    Serving,
    /// No new connections; running calls may finish.
    Draining,
    /// Running calls are cut off.
    Cut,
}

/// Time by which a call must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct CallDeadline(pub(in crate::server) Instant);

/// Returns when the deadline has passed; never, if there is none.
pub(in crate::server) async fn wait_for_deadline(deadline: Option<CallDeadline>) {
    match deadline {
        Some(CallDeadline(instant)) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Returns when the server has reached `phase`.
pub(in crate::server) async fn wait_for_phase(mut phases: watch::Receiver<ServerPhase>, phase: ServerPhase) {
    // A closed channel means that no phase will follow, as in tests without a transport.
    if phases.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(in crate::server) fn deadline_passed_refusal() -> Refusal {
    Refusal::new(RefusalKind::Deadline, "deadline_passed", "", "the deadline passed; the outcome is unknown")
}

pub(in crate::server) fn shutting_down_refusal() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "shutting_down", "", "the server is shutting down")
}

pub(in crate::server) fn panicked_refusal(method: &str) -> Refusal {
    Refusal::new(RefusalKind::Internal, "handler_panicked", "", format!("{method} panicked"))
}

/// A stream or a body that stands still; `how` continues "the stream".
pub(in crate::server) fn stalled_refusal(how: &str) -> Refusal {
    Refusal::new(RefusalKind::Deadline, "stream_idle", "", format!("the stream {how} for too long"))
}
