//! A connection that is opened on demand, together with the topology, and reopened when lost.
//!
//! One caller connects at a time; the others wait for it. The delay between attempts is 100 ms,
//! doubling up to 10 s, each reduced at random by up to half, so that many processes do not
//! reconnect at once. Faults that need an operator (a credential, a differing queue) are returned
//! without waiting.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::config::RabbitMqConfig;
use super::connection::LiveConnection;
use super::faults::wait_with_deadline;
use super::names::TopologyNames;
use super::topology;
use contexture_core::fault::Fault;
use contexture_core::resilience::retry;

/// One of the two connections of a process.
pub(super) struct RecoveringConnection {
    config: Arc<RabbitMqConfig>,
    names: TopologyNames,
    role: &'static str,
    state: Mutex<RecoveryState>,
}

#[derive(Default)]
struct RecoveryState {
    live: Option<Arc<LiveConnection>>,
    outage: Option<ConnectionOutage>,
}

/// A period without a connection: its start, its failed attempts, its last fault.
struct ConnectionOutage {
    began: Instant,
    failures: u32,
    next_attempt: Instant,
    last: Fault,
}

impl RecoveringConnection {
    pub(super) fn new(config: Arc<RabbitMqConfig>, names: TopologyNames, role: &'static str) -> Self {
        Self { config, names, role, state: Mutex::default() }
    }

    /// Returns the open connection, connecting if needed. In an outage younger than `hold_max` it
    /// waits for up to `hold_max`. In an older one it fails at once between attempts.
    pub(super) async fn live(&self) -> Result<Arc<LiveConnection>, Fault> {
        let hold_max = self.config.hold_max;
        let deadline = Instant::now() + hold_max;
        // The lock is held while connecting, on purpose: concurrent callers wait for this attempt
        // and do not start their own.
        let mut state = wait_with_deadline("connecting to the broker", deadline, self.state.lock()).await?;
        loop {
            if let Some(live) = state.live.as_ref().filter(|live| live.is_open()) {
                return Ok(live.clone());
            }
            if let Some(outage) = &state.outage
                && outage.next_attempt > Instant::now()
            {
                let hopeless = !matches!(outage.last, Fault::Transient(_));
                // Also when the next attempt lies behind the deadline: waiting for it is in vain.
                if hopeless || outage.next_attempt > deadline || outage.began.elapsed() > hold_max {
                    return Err(outage.last.clone());
                }
                sleep_until(outage.next_attempt).await;
            }
            match self.open().await {
                Ok(live) => {
                    if let Some(outage) = state.outage.take() {
                        let failures = outage.failures;
                        tracing::info!(role = self.role, failures, "connected to the broker again");
                    }
                    state.live = Some(Arc::new(live));
                }
                Err(fault) => self.record_failure(&mut state.outage, fault),
            }
        }
    }

    fn record_failure(&self, outage: &mut Option<ConnectionOutage>, fault: Fault) {
        let failures = outage.as_ref().map_or(0, |outage| outage.failures) + 1;
        tracing::warn!(role = self.role, failures, %fault, "not connected to the broker");
        let now = Instant::now();
        let began = outage.as_ref().map_or(now, |outage| outage.began);
        let next_attempt = now + jittered(retry::reopen_delay(failures));
        *outage = Some(ConnectionOutage { began, failures, next_attempt, last: fault });
    }

    /// Declares the topology again, as after a deletion.
    pub(super) async fn redeclare(&self) -> Result<(), Fault> {
        let live = self.live().await?;
        topology::declare(&live, &self.names).await
    }

    /// Drops a connection that does not answer, unless it was replaced already.
    pub(super) fn discard(&self, dead: &Arc<LiveConnection>) {
        // A held lock means that another caller is connecting or about to check the connection;
        // its next failure discards it. Waiting here would stall a failed call further.
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.live.as_ref().is_some_and(|live| Arc::ptr_eq(live, dead)) {
            state.live = None;
        }
    }

    /// Closes the connection. A later call opens another one.
    pub(super) async fn close(&self) {
        // Taken out first, so that the lock is not held during the closing handshake.
        let live = self.state.lock().await.live.take();
        if let Some(live) = live {
            live.close().await;
        }
    }

    async fn open(&self) -> Result<LiveConnection, Fault> {
        let live = LiveConnection::connect(&self.config, self.role).await?;
        topology::declare(&live, &self.names).await?;
        Ok(live)
    }
}

/// A random duration between half of `wait` and all of it.
fn jittered(wait: Duration) -> Duration {
    // Every `RandomState` is seeded at random, which saves a dependency. `share` is below 1000, so
    // the conversion cannot fail.
    let share = RandomState::new().hash_one(()) % 1000;
    wait / 2 + wait * u32::try_from(share).unwrap_or(0) / 2000
}
