//! Confirmed publishing: mandatory where asked, persistent, pipelined.
//!
//! A call has a channel to itself: lapin hands a returned message to whichever confirm comes
//! next, so on a shared channel an unroutable message could pass for another call's. Up to
//! [`UNCONFIRMED_MESSAGES_MAX`] messages or [`UNCONFIRMED_BYTES_MAX`] are on their way before the first confirm.
//! All are confirmed, or the call fails and its outcome is unknown; its channel is not used again.

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
use contexture_core::resilience::backoff;

/// Calls at once; each has a channel.
const PUBLISH_CALLS_MAX: usize = 16;
/// Messages on their way without a confirm, per call.
const UNCONFIRMED_MESSAGES_MAX: usize = 512;
/// Bytes on their way without a confirm, per call; a single larger message goes alone.
const UNCONFIRMED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The publishing half.
pub(super) struct ConfirmingPublisher {
    link: RecoveringConnection,
    config: Arc<RabbitMqConfig>,
    idle: Mutex<Vec<ConfirmChannel>>,
    turns: Semaphore,
}

/// A channel with confirms, all of them answered.
struct ConfirmChannel {
    live: Arc<LiveConnection>,
    channel: Channel,
}

/// Why a call failed.
enum PublishFailure {
    /// No queue took a message, or the exchange is not there.
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
    pub(super) fn new(link: RecoveringConnection, config: Arc<RabbitMqConfig>) -> Self {
        Self { link, config, idle: Mutex::default(), turns: Semaphore::new(PUBLISH_CALLS_MAX) }
    }

    pub(super) fn link(&self) -> &RecoveringConnection {
        &self.link
    }

    /// Publishes all of them. A queue or binding that was deleted is declared again, once.
    pub(super) async fn publish(&self, messages: &[AmqpMessage]) -> Result<(), Fault> {
        let Err(first) = self.attempt(messages).await else { return Ok(()) };
        match first {
            PublishFailure::Failed(fault) => Err(fault),
            PublishFailure::NoRoute(what) => {
                tracing::warn!(what, "the broker has no route for a message; its topology is declared again");
                self.link.redeclare().await?;
                self.attempt(messages).await.map_err(|again| match again {
                    PublishFailure::NoRoute(what) => {
                        Fault::Transient(format!("publishing: no queue takes {what}"))
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
        let _turn = wait_with_deadline("publishing", deadline, self.turns.acquire()).await?;
        let lease = self.lease().await?;
        let mut rest = messages;
        while !rest.is_empty() {
            let (window, beyond) = rest.split_at(next_window_len(rest));
            match lease.live.within(publish_window(&lease.channel, window)).await {
                Ok(sent) => sent?,
                Err(silence) => return Err(self.unanswered(&lease.live, silence.fault("publishing")).into()),
            }
            rest = beyond;
        }
        self.idle().push(lease);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ConfirmChannel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lease(&self) -> Result<ConfirmChannel, Fault> {
        let usable = |lease: &ConfirmChannel| lease.live.is_open() && lease.channel.status().connected();
        let known = {
            let mut idle = self.idle();
            idle.retain(usable);
            idle.pop()
        };
        let lease = match known {
            Some(lease) => lease,
            None => self.open().await?,
        };
        if lease.live.is_blocked() {
            self.idle().push(lease);
            return Err(blocked_fault());
        }
        Ok(lease)
    }

    async fn open(&self) -> Result<ConfirmChannel, Fault> {
        let live = self.link.live().await?;
        if live.is_blocked() {
            // Not even a channel can be opened.
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

    /// A broker that does not answer is short of room and said so, or may be gone without a word.
    fn unanswered(&self, live: &Arc<LiveConnection>, fault: Fault) -> Fault {
        if live.is_blocked() {
            return blocked_fault();
        }
        self.link.give_up(live);
        self.idle().retain(|lease| !Arc::ptr_eq(&lease.live, live));
        fault
    }
}

fn blocked_fault() -> Fault {
    Fault::Throttled {
        retry_after: backoff::RETRY_TIERS[0],
        what: "the broker is short of memory or disk and takes no messages".to_owned(),
    }
}

/// How many messages from the front make the next window.
fn next_window_len(messages: &[AmqpMessage]) -> usize {
    let mut bytes = 0;
    let within = messages.iter().take(UNCONFIRMED_MESSAGES_MAX).take_while(|message| {
        bytes += message.body.len();
        bytes <= UNCONFIRMED_BYTES_MAX
    });
    within.count().max(1)
}

/// Puts a window on its way in order, then waits for all of its confirms.
async fn publish_window(channel: &Channel, window: &[AmqpMessage]) -> Result<(), PublishFailure> {
    let mut written = Vec::with_capacity(window.len());
    for message in window {
        let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
        let (exchange, key) = (short_string(&message.exchange)?, short_string(&message.routing_key)?);
        let properties = encode_properties(&message.properties)?;
        let mut publish = Box::pin(channel.basic_publish(exchange, key, options, &message.body, properties));
        // The first poll queues its frames, so messages go out in order; the rest is waiting.
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
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                return Err(PublishFailure::NoRoute(format!(
                    "a message to '{}' with key '{}'",
                    returned.exchange, returned.routing_key
                )));
            }
            Confirmation::Nack(None) => {
                let (exchange, key) = (&message.exchange, &message.routing_key);
                return Err(PublishFailure::Failed(Fault::Transient(format!(
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

/// A publication whose frames are queued.
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
