//! Confirmed publishing: mandatory where asked, persistent, pipelined.
//!
//! A call has a channel to itself: lapin hands a returned message to whichever confirm comes
//! next, so on a shared channel an unroutable message could pass for another call's. Up to
//! [`WINDOW_MESSAGES`] messages or [`WINDOW_BYTES`] are on their way before the first confirm.
//! All are confirmed, or the call fails and its outcome is unknown; its channel is not used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Error, PublisherConfirm};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::config::RabbitConfig;
use super::connection::Live;
use super::faults::{self, by};
use super::link::Link;
use super::message::{RawMessage, short, to_amqp};
use crate::fault::Fault;
use crate::resilience::backoff;

/// Calls at once; each has a channel.
const CALLS_MAX: usize = 16;
/// Messages on their way without a confirm, per call.
const WINDOW_MESSAGES: usize = 512;
/// Bytes on their way without a confirm, per call; a single larger message goes alone.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// The publishing half.
pub(super) struct Publisher {
    link: Link,
    config: Arc<RabbitConfig>,
    idle: Mutex<Vec<Lease>>,
    turns: Semaphore,
}

/// A channel with confirms, all of them answered.
struct Lease {
    live: Arc<Live>,
    channel: Channel,
}

/// Why a call failed.
enum Unsent {
    /// No queue took a message, or the exchange is not there.
    NoRoute(String),
    /// Anything else.
    Failed(Fault),
}

impl From<Fault> for Unsent {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl Publisher {
    pub(super) fn new(link: Link, config: Arc<RabbitConfig>) -> Self {
        Self { link, config, idle: Mutex::default(), turns: Semaphore::new(CALLS_MAX) }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Publishes all of them. A queue or binding that was deleted is declared again, once.
    pub(super) async fn publish(&self, messages: &[RawMessage]) -> Result<(), Fault> {
        let Err(first) = self.attempt(messages).await else { return Ok(()) };
        match first {
            Unsent::Failed(fault) => Err(fault),
            Unsent::NoRoute(what) => {
                tracing::warn!(what, "the broker has no route for a message; its topology is declared again");
                self.link.redeclare().await?;
                self.attempt(messages).await.map_err(|again| match again {
                    Unsent::NoRoute(what) => Fault::Transient(format!("publishing: no queue takes {what}")),
                    Unsent::Failed(fault) => fault,
                })
            }
        }
    }

    async fn attempt(&self, messages: &[RawMessage]) -> Result<(), Unsent> {
        if messages.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + self.config.hold_max;
        let _turn = by("publishing", deadline, self.turns.acquire()).await?;
        let lease = self.lease().await?;
        let mut rest = messages;
        while !rest.is_empty() {
            let (window, beyond) = rest.split_at(window_len(rest));
            match lease.live.within(send(&lease.channel, window)).await {
                Ok(sent) => sent?,
                Err(silence) => return Err(self.unanswered(&lease.live, silence.fault("publishing")).into()),
            }
            rest = beyond;
        }
        self.idle().push(lease);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lease(&self) -> Result<Lease, Fault> {
        let usable = |lease: &Lease| lease.live.is_open() && lease.channel.status().connected();
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
            return Err(blocked());
        }
        Ok(lease)
    }

    async fn open(&self) -> Result<Lease, Fault> {
        let live = self.link.live().await?;
        if live.is_blocked() {
            // Not even a channel can be opened.
            return Err(blocked());
        }
        let opening = async {
            let channel = live.channel().await?;
            let confirms = ConfirmSelectOptions { nowait: false };
            live.answer("asking for confirms", channel.confirm_select(confirms)).await?;
            Ok(channel)
        };
        match opening.await {
            Ok(channel) => Ok(Lease { live, channel }),
            Err(fault) => Err(self.unanswered(&live, fault)),
        }
    }

    /// A broker that does not answer is short of room and said so, or may be gone without a word.
    fn unanswered(&self, live: &Arc<Live>, fault: Fault) -> Fault {
        if live.is_blocked() {
            return blocked();
        }
        self.link.give_up(live);
        self.idle().retain(|lease| !Arc::ptr_eq(&lease.live, live));
        fault
    }
}

fn blocked() -> Fault {
    Fault::Throttled {
        retry_after: backoff::TIERS[0],
        what: "the broker is short of memory or disk and takes no messages".to_owned(),
    }
}

/// How many messages from the front make the next window.
fn window_len(messages: &[RawMessage]) -> usize {
    let mut bytes = 0;
    let within = messages.iter().take(WINDOW_MESSAGES).take_while(|message| {
        bytes += message.body.len();
        bytes <= WINDOW_BYTES
    });
    within.count().max(1)
}

/// Puts a window on its way in order, then waits for all of its confirms.
async fn send(channel: &Channel, window: &[RawMessage]) -> Result<(), Unsent> {
    let mut written = Vec::with_capacity(window.len());
    for message in window {
        let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
        let (exchange, key) = (short(&message.exchange)?, short(&message.routing_key)?);
        let properties = to_amqp(&message.properties)?;
        let mut publish = Box::pin(channel.basic_publish(exchange, key, options, &message.body, properties));
        // The first poll queues its frames, so messages go out in order; the rest is waiting.
        match futures::poll!(publish.as_mut()) {
            Poll::Ready(queued) => written.push(Written::Done(queued)),
            Poll::Pending => written.push(Written::Waiting(publish)),
        }
    }
    let mut confirms = Vec::with_capacity(written.len());
    for publish in written {
        let confirm = match publish {
            Written::Done(queued) => queued,
            Written::Waiting(publish) => publish.await,
        };
        confirms.push(confirm.map_err(|error| unsent(&error))?);
    }
    for (confirmation, message) in join_all(confirms).await.into_iter().zip(window) {
        match confirmation.map_err(|error| unsent(&error))? {
            Confirmation::Ack(None) => {}
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                return Err(Unsent::NoRoute(format!(
                    "a message to '{}' with key '{}'",
                    returned.exchange, returned.routing_key
                )));
            }
            Confirmation::Nack(None) => {
                let (exchange, key) = (&message.exchange, &message.routing_key);
                return Err(Unsent::Failed(Fault::Transient(format!(
                    "publishing: the queue behind '{exchange}', '{key}' refused a message; it may be full"
                ))));
            }
            Confirmation::NotRequested => {
                return Err(Unsent::Failed(Fault::transient("publishing: the channel confirms nothing")));
            }
        }
    }
    Ok(())
}

/// A publication whose frames are queued.
enum Written<F> {
    Done(lapin::Result<PublisherConfirm>),
    Waiting(F),
}

fn unsent(error: &Error) -> Unsent {
    if faults::is_not_found(error) {
        return Unsent::NoRoute(format!("a message: {error}"));
    }
    Unsent::Failed(faults::fault("publishing", error))
}
