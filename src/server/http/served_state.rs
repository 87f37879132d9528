//! What handlers need: the operations, the limits, places for long streams, and how long a call may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::config::ServerLimits;
use crate::operations::ApiServices;
use crate::server::admission::AdmittedCall;
use contexture_core::fault::Refusal;

/// Most time of a deadline that is reserved for sending the answer. The reserve is at most a tenth of the time
/// left.
const ANSWER_RESERVE_MAX: Duration = Duration::from_millis(50);

/// The operations behind the routes, and their limits.
pub(super) struct HttpServices {
    pub(super) services: ApiServices,
    pub(super) limits: ServerLimits,
    pub(super) event_streams: EventStreamRoom,
}

impl HttpServices {
    pub(super) fn new(services: ApiServices, limits: ServerLimits) -> Self {
        Self { services, event_streams: EventStreamRoom::new(&limits), limits }
    }
}

/// Places for streams of events, which their readers keep for hours: half of those for calls, at least one, so
/// that other calls always find room.
pub(super) struct EventStreamRoom {
    places: Arc<Semaphore>,
    streams_max: usize,
    retry_after: Duration,
}

impl EventStreamRoom {
    fn new(limits: &ServerLimits) -> Self {
        let streams_max = (limits.requests_in_flight_max / 2).max(1);
        Self { places: Arc::new(Semaphore::new(streams_max)), streams_max, retry_after: limits.retry_after }
    }

    /// Takes a place until the permit is dropped, or refuses at once.
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!("{} streams of events are open already", self.streams_max);
            Refusal::exhausted("too_many_streams", self.retry_after, message)
        })
    }
}

/// Returns the time for the work of a call: what is left until its deadline, less the reserve for sending the
/// answer, and no more than the caller asks for. None: no bound.
pub(super) fn time_for_work(call: &AdmittedCall, asked_ms: Option<u64>) -> Option<Duration> {
    let asked = asked_ms.map(Duration::from_millis);
    let left = call.deadline().map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        // A fixed reserve would leave a short deadline no time for the work.
        left.saturating_sub(ANSWER_RESERVE_MAX.min(left / 10))
    });
    match (asked, left) {
        (Some(asked), Some(left)) => Some(asked.min(left)),
        (asked, left) => asked.or(left),
    }
}
