//! A connection that comes back: opened when it is needed, together with the topology.
//!
//! One caller connects at a time, the others wait for it. Between attempts it waits 100 ms,
//! doubled up to 10 s, each less a random part of up to half, so that many processes do not come
//! back at once. What a person has to mend (a credential, a differing queue) is told at once.

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
use contexture_core::resilience::backoff;

/// One of the process's two connections.
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

/// Since when there is no connection, and what is known of it.
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

    /// The open connection. In an outage younger than `hold_max` it waits that long for one; in an
    /// older one it fails at once between attempts.
    pub(super) async fn live(&self) -> Result<Arc<LiveConnection>, Fault> {
        let hold_max = self.config.hold_max;
        let deadline = Instant::now() + hold_max;
        let mut state = wait_with_deadline("connecting to the broker", deadline, self.state.lock()).await?;
        loop {
            if let Some(live) = state.live.as_ref().filter(|live| live.is_open()) {
                return Ok(live.clone());
            }
            if let Some(outage) = &state.outage
                && outage.next_attempt > Instant::now()
            {
                let hopeless = !matches!(outage.last, Fault::Transient(_));
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
                Err(fault) => self.note(&mut state.outage, fault),
            }
        }
    }

    fn note(&self, outage: &mut Option<ConnectionOutage>, fault: Fault) {
        let failures = outage.as_ref().map_or(0, |outage| outage.failures) + 1;
        tracing::warn!(role = self.role, failures, %fault, "not connected to the broker");
        let now = Instant::now();
        let began = outage.as_ref().map_or(now, |outage| outage.began);
        let next_attempt = now + jittered(backoff::reopen_delay(failures));
        *outage = Some(ConnectionOutage { began, failures, next_attempt, last: fault });
    }

    /// Declares everything again, as after a deletion.
    pub(super) async fn redeclare(&self) -> Result<(), Fault> {
        let live = self.live().await?;
        topology::declare(&live, &self.names).await
    }

    /// Lets go of a connection that does not answer, unless it was replaced already.
    pub(super) fn give_up(&self, dead: &Arc<LiveConnection>) {
        // Whoever holds the lock found it dead, too, and is connecting.
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.live.as_ref().is_some_and(|live| Arc::ptr_eq(live, dead)) {
            state.live = None;
        }
    }

    /// Says goodbye.
    pub(super) async fn close(&self) {
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

/// Between half of `wait` and all of it.
fn jittered(wait: Duration) -> Duration {
    // A fresh hasher is seeded at random; nothing else here needs randomness.
    let share = RandomState::new().hash_one(()) % 1000;
    wait / 2 + wait * u32::try_from(share).unwrap_or(0) / 2000
}
