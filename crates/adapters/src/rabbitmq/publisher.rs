//! Publishing with confirms: persistent, pipelined, mandatory where requested.
//!
//! Every call has a channel of its own. lapin attaches a returned message to whichever confirm
//! comes next, so on a shared channel it could be taken for another call's. Up to
//! [`UNCONFIRMED_MESSAGES_MAX`] messages or [`UNCONFIRMED_BYTES_MAX`] bytes are in flight before
//! the first confirm. Either all messages are confirmed, or the call fails, its outcome is unknown
//! and its channel is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Error, PublisherConfirm};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::config::RabbitMqConfig;
use super::connection::LiveConnection;
use super::faults::{self, wait_with_deadline};
use super::message::{AmqpMessage, encode_properties, short_string};
use super::recovering_connection::RecoveringConnection;
use contexture_core::fault::Fault;
use contexture_core::resilience::retry;

/// Concurrent calls; each has a channel.
const PUBLISH_CALLS_MAX: usize = 16;
/// Messages in flight without a confirm, per call.
const UNCONFIRMED_MESSAGES_MAX: usize = 512;
/// Bytes in flight without a confirm, per call. A single larger message goes alone.
const UNCONFIRMED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Publishes over one connection, with a pool of channels.
pub(super) struct ConfirmingPublisher {
    connection: RecoveringConnection,
    config: Arc<RabbitMqConfig>,
    idle: Mutex<Vec<ConfirmChannel>>,
    permits: Semaphore,
}

/// A channel in confirm mode. In the pool it has no confirm outstanding.
struct ConfirmChannel {
    live: Arc<LiveConnection>,
    channel: Channel,
}

/// Why a call failed.
enum PublishFailure {
    /// No queue is bound for a message, or its exchange does not exist.
    NoRoute(String),
    /// Anything else.
    Failed(Fault),
}

impl From<Fault> for PublishFailure {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl ConfirmingPublisher {
    pub(super) fn new(connection: RecoveringConnection, config: Arc<RabbitMqConfig>) -> Self {
        Self { connection, config, idle: Mutex::default(), permits: Semaphore::new(PUBLISH_CALLS_MAX) }
    }

    pub(super) fn connection(&self) -> &RecoveringConnection {
        &self.connection
    }

    /// Publishes all messages. When a queue or binding was deleted, the topology is redeclared and
    /// the call repeated, once.
    pub(super) async fn publish(&self, messages: &[AmqpMessage]) -> Result<(), Fault> {
        let Err(first) = self.attempt(messages).await else { return Ok(()) };
        match first {
            PublishFailure::Failed(fault) => Err(fault),
            PublishFailure::NoRoute(what) => {
                tracing::warn!(what, "the broker has no route for a message; its topology is declared again");
                self.connection.redeclare().await?;
                self.attempt(messages).await.map_err(|again| match again {
                    PublishFailure::NoRoute(what) => {
                        Fault::transient(format!("publishing: no queue takes {what}"))
                    }
                    PublishFailure::Failed(fault) => fault,
                })
            }
        }
    }

    async fn attempt(&self, messages: &[AmqpMessage]) -> Result<(), PublishFailure> {
        if messages.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + self.config.hold_max;
        // The semaphore is never closed, so the inner result always holds a permit.
        let _permit = wait_with_deadline("publishing", deadline, self.permits.acquire()).await?;
        let confirming = self.take_channel().await?;
        let mut rest = messages;
        while !rest.is_empty() {
            let (window, beyond) = rest.split_at(next_window_len(rest));
            match confirming.live.within(publish_window(&confirming.channel, window)).await {
                Ok(sent) => sent?,
                Err(missing) => {
                    return Err(self.unanswered(&confirming.live, missing.fault("publishing")).into());
                }
            }
            rest = beyond;
        }
        // Only after success: a channel with confirms outstanding would hand them to the next call.
        self.idle().push(confirming);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ConfirmChannel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle channel that still works, or opens one.
    async fn take_channel(&self) -> Result<ConfirmChannel, Fault> {
        let usable = |confirming: &ConfirmChannel| {
            confirming.live.is_open() && confirming.channel.status().connected()
        };
        // In a block, so that the lock is released before the await.
        let reused = {
            let mut idle = self.idle();
            idle.retain(usable);
            idle.pop()
        };
        let confirming = match reused {
            Some(confirming) => confirming,
            None => self.open().await?,
        };
        if confirming.live.is_blocked() {
            self.idle().push(confirming);
            return Err(blocked_fault());
        }
        Ok(confirming)
    }

    async fn open(&self) -> Result<ConfirmChannel, Fault> {
        let live = self.connection.live().await?;
        if live.is_blocked() {
            // A blocked broker reads nothing, so opening a channel would time out.
            return Err(blocked_fault());
        }
        let opening = async {
            let channel = live.channel().await?;
            let confirms = ConfirmSelectOptions { nowait: false };
            live.answer("asking for confirms", channel.confirm_select(confirms)).await?;
            Ok(channel)
        };
        match opening.await {
            Ok(channel) => Ok(ConfirmChannel { live, channel }),
            Err(fault) => Err(self.unanswered(&live, fault)),
        }
    }

    /// The fault of a call without an answer. A blocked broker will answer later; otherwise the
    /// connection is taken for dead and dropped with its channels.
    fn unanswered(&self, live: &Arc<LiveConnection>, fault: Fault) -> Fault {
        if live.is_blocked() {
            return blocked_fault();
        }
        self.connection.discard(live);
        self.idle().retain(|confirming| !Arc::ptr_eq(&confirming.live, live));
        fault
    }
}

fn blocked_fault() -> Fault {
    Fault::Throttled {
        retry_after: retry::RETRY_TIERS[0],
        what: "the broker is short of memory or disk and takes no messages".to_owned(),
    }
}

/// Number of messages from the front that make the next window: at least one.
fn next_window_len(messages: &[AmqpMessage]) -> usize {
    debug_assert!(!messages.is_empty(), "a window of nothing would never end");
    let mut bytes = 0;
    let within = messages.iter().take(UNCONFIRMED_MESSAGES_MAX).take_while(|message| {
        bytes += message.body.len();
        bytes <= UNCONFIRMED_BYTES_MAX
    });
    within.count().max(1)
}

/// Sends a window in order, then waits for all of its confirms.
async fn publish_window(channel: &Channel, window: &[AmqpMessage]) -> Result<(), PublishFailure> {
    let mut written = Vec::with_capacity(window.len());
    for message in window {
        let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
        let (exchange, key) = (short_string(&message.exchange)?, short_string(&message.routing_key)?);
        let properties = encode_properties(&message.properties)?;
        let mut publish = Box::pin(channel.basic_publish(exchange, key, options, &message.body, properties));
        // The first poll queues the frames, which fixes the order of messages. The remaining polls
        // only wait for them to be written.
        match futures::poll!(publish.as_mut()) {
            Poll::Ready(queued) => written.push(QueuedPublish::Done(queued)),
            Poll::Pending => written.push(QueuedPublish::Waiting(publish)),
        }
    }
    let mut confirms = Vec::with_capacity(written.len());
    for publish in written {
        let confirm = match publish {
            QueuedPublish::Done(queued) => queued,
            QueuedPublish::Waiting(publish) => publish.await,
        };
        confirms.push(confirm.map_err(|error| publish_failure(&error))?);
    }
    for (confirmation, message) in join_all(confirms).await.into_iter().zip(window) {
        match confirmation.map_err(|error| publish_failure(&error))? {
            Confirmation::Ack(None) => {}
            // A mandatory message without a queue is returned, and confirmed all the same.
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                return Err(PublishFailure::NoRoute(format!(
                    "a message to '{}' with key '{}'",
                    returned.exchange, returned.routing_key
                )));
            }
            Confirmation::Nack(None) => {
                let (exchange, key) = (&message.exchange, &message.routing_key);
                return Err(PublishFailure::Failed(Fault::transient(format!(
                    "publishing: the queue behind '{exchange}', '{key}' refused a message; it may be full"
                ))));
            }
            Confirmation::NotRequested => {
                return Err(PublishFailure::Failed(Fault::transient(
                    "publishing: the channel confirms nothing",
                )));
            }
        }
    }
    Ok(())
}

/// A publish call that was polled once, so that its frames are queued.
enum QueuedPublish<F> {
    Done(lapin::Result<PublisherConfirm>),
    Waiting(F),
}

fn publish_failure(error: &Error) -> PublishFailure {
    if faults::is_not_found(error) {
        return PublishFailure::NoRoute(format!("a message: {error}"));
    }
    PublishFailure::Failed(faults::broker_fault("publishing", error))
}
