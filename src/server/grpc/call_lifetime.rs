//! What ends a call early: its deadline, the phase of the server, or a panic.

use tokio::sync::watch;
use tokio::time::Instant;

use contexture_core::fault::{Refusal, RefusalKind};

/// Phase of the server's life. Phases only increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ServerPhase {
    /// Calls are accepted.
    Serving,
    /// No new connections; running calls may finish.
    Draining,
    /// Running calls are cut off.
    Cut,
}

/// Time by which a call must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallDeadline(pub(super) Instant);

/// Returns when the deadline has passed; never, if there is none.
pub(super) async fn wait_for_deadline(deadline: Option<CallDeadline>) {
    match deadline {
        Some(CallDeadline(instant)) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Returns when the server has reached `phase`.
pub(super) async fn wait_for_phase(mut phases: watch::Receiver<ServerPhase>, phase: ServerPhase) {
    // A closed channel means that no phase will follow, as in tests without a transport.
    if phases.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(super) fn deadline_passed_refusal() -> Refusal {
    Refusal::new(RefusalKind::Deadline, "deadline_passed", "", "the deadline passed; the outcome is unknown")
}

pub(super) fn shutting_down_refusal() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "shutting_down", "", "the server is shutting down")
}

pub(super) fn panicked_refusal(method: &str) -> Refusal {
    Refusal::new(RefusalKind::Internal, "handler_panicked", "", format!("{method} panicked"))
}
