//! Consumer of a queue that belongs to no stage, such as the producers' submissions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::connection::LiveConnection;
use super::consumer_channel::ConsumerChannel;
use super::message::AmqpDelivery;
use contexture_core::fault::Fault;

/// Receives from one queue. When it is dropped, unacknowledged messages return to the queue.
pub struct AmqpQueueConsumer {
    channel: ConsumerChannel,
    /// Received, not yet handed out.
    ready: VecDeque<AmqpDelivery>,
    prefetch: usize,
}

impl AmqpQueueConsumer {
    pub(super) async fn open(live: Arc<LiveConnection>, queue: &str, prefetch: u16) -> Result<Self, Fault> {
        let channel = ConsumerChannel::open(live, queue, prefetch, Arc::default()).await?;
        Ok(Self { channel, ready: VecDeque::new(), prefetch: usize::from(prefetch) })
    }

    /// Waits for one message, then up to `linger` for more, and returns `messages_max` at most.
    /// After an error the consumer is unusable: open another one.
    pub async fn receive(
        &mut self,
        messages_max: usize,
        linger: Duration,
    ) -> Result<Vec<AmqpDelivery>, Fault> {
        // More than `prefetch` can never be here at once. `consume_raw` made it at least 1, or
        // `clamp` would panic.
        let messages_max = messages_max.clamp(1, self.prefetch);
        if self.ready.is_empty() {
            let first = self.channel.next().await?;
            self.ready.push_back(first);
        }
        let deadline = Instant::now() + linger;
        // Messages wait in `ready` across a cancelled call, so none is lost.
        while self.ready.len() < messages_max {
            if let Some(message) = self.channel.next_now() {
                self.ready.push_back(message?);
                continue;
            }
            if linger.is_zero() || !self.channel.has_room() {
                break;
            }
            let Ok(message) = timeout_at(deadline, self.channel.next()).await else { break };
            self.ready.push_back(message?);
        }
        Ok(self.ready.drain(..messages_max.min(self.ready.len())).collect())
    }

    /// Acknowledges received messages. After an error the consumer is unusable.
    pub async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault> {
        self.channel.ack(tags).await
    }
}
