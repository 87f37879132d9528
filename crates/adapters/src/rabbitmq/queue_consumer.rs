//! Consuming queues that are not a stage's, such as the producers' submissions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::connection::LiveConnection;
use super::consumer_channel::ConsumerChannel;
use super::message::AmqpDelivery;
use contexture_core::fault::Fault;

/// Receives from one queue. Dropping it returns what it did not acknowledge.
pub struct AmqpQueueConsumer {
    lane: ConsumerChannel,
    /// Taken from the lane, not yet handed out.
    ready: VecDeque<AmqpDelivery>,
    prefetch: usize,
}

impl AmqpQueueConsumer {
    pub(super) async fn open(live: Arc<LiveConnection>, queue: &str, prefetch: u16) -> Result<Self, Fault> {
        let lane = ConsumerChannel::open(live, queue, prefetch, Arc::default()).await?;
        Ok(Self { lane, ready: VecDeque::new(), prefetch: usize::from(prefetch) })
    }

    /// Waits for at least one message, then returns up to `messages_max` after lingering for more
    /// at most `linger`. After an error it is of no more use: open another one.
    pub async fn receive(
        &mut self,
        messages_max: usize,
        linger: Duration,
    ) -> Result<Vec<AmqpDelivery>, Fault> {
        let messages_max = messages_max.clamp(1, self.prefetch);
        if self.ready.is_empty() {
            let first = self.lane.next().await?;
            self.ready.push_back(first);
        }
        let deadline = Instant::now() + linger;
        while self.ready.len() < messages_max {
            if let Some(message) = self.lane.next_now() {
                self.ready.push_back(message?);
                continue;
            }
            if linger.is_zero() || !self.lane.has_room() {
                break;
            }
            let Ok(message) = timeout_at(deadline, self.lane.next()).await else { break };
            self.ready.push_back(message?);
        }
        Ok(self.ready.drain(..messages_max.min(self.ready.len())).collect())
    }

    /// Forgets handed-out messages for good. After an error it is of no more use.
    pub async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault> {
        self.lane.ack(tags).await
    }
}
