//! Admission of calls, shared by all doors: authentication, deadline, room, in this order.
//!
//! A refused call costs no memory for a body. A door asks [`CallAdmission::admit`], hands the [`AdmittedCall`]
//! to its handler, wraps the request's body into a [`MeteredBody`], and ends the call with its deadline or with
//! the server. Which names a door counts calls under is the door's affair; the list must be closed.

mod call_limits;
mod metered_body;
mod timeouts;

use std::sync::Arc;

use hyper::HeaderMap;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) use self::call_limits::{
    CallDeadline, ServerPhase, deadline_passed_refusal, panicked_refusal, shutting_down_refusal,
    stalled_refusal, wait_for_deadline, wait_for_phase,
};
pub(super) use self::metered_body::MeteredBody;
pub(super) use self::timeouts::TimeoutHeader;
use super::auth::Authenticator;
use super::limits::{InFlightLimiter, RequestTicket};
use crate::config::ServerLimits;
use crate::telemetry::metrics::ProcessMetrics;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// Admits calls of all doors within the same limits.
pub(super) struct CallAdmission {
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) metrics: Arc<ProcessMetrics>,
    pub(super) limits: Arc<ServerLimits>,
    pub(super) phases: watch::Receiver<ServerPhase>,
    room: InFlightLimiter,
}

/// A call that passed admission.
#[derive(Debug, Clone)]
pub struct AdmittedCall {
    /// Who calls.
    pub principal: Principal,
    /// When it must be answered, if it must be.
    pub(super) deadline: Option<CallDeadline>,
    /// Its room. A handler that answers with a stream keeps a reference until the end of the stream.
    pub ticket: Arc<RequestTicket>,
    /// The phase of the server; streams end when it drains.
    pub(super) phases: watch::Receiver<ServerPhase>,
}

impl AdmittedCall {
    /// The time by which the call must be answered; none for a stream without a deadline of its own.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|CallDeadline(instant)| instant)
    }

    /// Returns when the server drains: a stream then finishes what it has begun and ends.
    pub async fn draining(&self) {
        wait_for_phase(self.phases.clone(), ServerPhase::Draining).await;
    }
}

impl CallAdmission {
    pub(super) fn new(
        authenticator: Arc<Authenticator>,
        metrics: Arc<ProcessMetrics>,
        limits: Arc<ServerLimits>,
        phases: watch::Receiver<ServerPhase>,
    ) -> Self {
        Self { authenticator, metrics, room: InFlightLimiter::new(&limits), limits, phases }
    }

    /// Admits a call or refuses it. A stream has no deadline but its own.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        timeout: TimeoutHeader,
        is_stream: bool,
    ) -> Result<AdmittedCall, Refusal> {
        // Room comes last, so that an unauthenticated caller cannot take any.
        let principal = self.authenticator.authenticate(headers).await?;
        let deadline = self.deadline(timeout.read(headers)?, is_stream)?;
        let ticket = Arc::new(self.room.admit()?);
        Ok(AdmittedCall { principal, deadline, ticket, phases: self.phases.clone() })
    }

    fn deadline(
        &self,
        asked: Option<std::time::Duration>,
        is_stream: bool,
    ) -> Result<Option<CallDeadline>, Refusal> {
        let timeout = match asked {
            // Already over: the answer costs no room and no handler.
            Some(timeout) if timeout.is_zero() => return Err(deadline_passed_refusal()),
            // A stream lives as long as it is used; only the caller's own timeout limits it.
            _ if is_stream => asked,
            _ => Some(asked.unwrap_or(self.limits.request_deadline).min(self.limits.request_deadline_max)),
        };
        // A timeout beyond the range of the clock is no deadline.
        Ok(timeout.and_then(|timeout| Instant::now().checked_add(timeout)).map(CallDeadline))
    }

    /// Returns the number of running calls.
    pub(super) fn requests_in_flight(&self) -> usize {
        self.room.requests_in_flight()
    }

    /// Returns the bytes of requests in memory.
    pub(super) fn bytes_in_flight(&self) -> usize {
        self.room.bytes_in_flight()
    }
}
