//! A channel that consumes one queue, with its unacknowledged deliveries.
//!
//! Deliveries are counted from their arrival until they are acknowledged, so that the depth of a
//! queue includes what waits in this process. Acknowledgements are batched: one with `multiple`
//! covers all tags up to the highest one below which nothing else is outstanding. An
//! acknowledgement that lapin refuses, or cannot write in time, is an error: the broker will
//! redeliver the message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::future::join_all;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::task::AbortHandle;

use super::connection::LiveConnection;
use super::faults;
use super::message::{AmqpDelivery, decode_delivery, short_string};
use contexture_core::fault::Fault;

/// Counts a delivery for as long as this process holds it.
pub(super) struct HeldDeliveryGuard(Arc<AtomicU64>);

impl HeldDeliveryGuard {
    pub(super) fn new(gauge: &Arc<AtomicU64>) -> Self {
        // Relaxed: a gauge, nothing else is ordered by it.
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge.clone())
    }
}

impl Drop for HeldDeliveryGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Deliveries that were handed out and not yet acknowledged, by delivery tag.
pub(super) type UnackedDeliveries = BTreeMap<u64, (Acker, HeldDeliveryGuard)>;

/// A delivery as lapin passed it on, or the fault that ended the stream.
type ArrivedDelivery = Result<(lapin::message::Delivery, HeldDeliveryGuard), Fault>;

/// A consumer of one queue.
pub(super) struct ConsumerChannel {
    queue: String,
    arrivals: mpsc::UnboundedReceiver<ArrivedDelivery>,
    unacked: UnackedDeliveries,
    prefetch: usize,
    pump: AbortHandle,
    // Fields drop in this order. The channel closes before its connection, and the broker
    // requeues what is unacknowledged.
    _channel: Channel,
    live: Arc<LiveConnection>,
}

impl ConsumerChannel {
    /// Starts consuming. At most `prefetch` deliveries are held at once.
    pub(super) async fn open(
        live: Arc<LiveConnection>,
        queue: &str,
        prefetch: u16,
        gauge: Arc<AtomicU64>,
    ) -> Result<Self, Fault> {
        let what = format!("consuming '{queue}'");
        let channel = live.channel().await?;
        let per_consumer = BasicQosOptions { global: false };
        live.answer(&what, channel.basic_qos(prefetch, per_consumer)).await?;
        let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive: false, nowait: false };
        let consuming =
            channel.basic_consume(short_string(queue)?, "".into(), options, FieldTable::default());
        let mut stream = live.answer(&what, consuming).await?;
        // Unbounded, yet it never holds more than `prefetch`: the broker sends no more than that
        // unacknowledged.
        let (arrived, arrivals) = mpsc::unbounded_channel();
        // A task of its own counts deliveries on arrival, not when somebody asks for the next one.
        let pump = tokio::spawn(async move {
            while let Some(item) = stream.next().await {
                let item = match item {
                    Ok(delivery) => Ok((delivery, HeldDeliveryGuard::new(&gauge))),
                    Err(error) => Err(faults::broker_fault(&what, &error)),
                };
                let ended = item.is_err();
                if arrived.send(item).is_err() || ended {
                    break;
                }
            }
        });
        Ok(Self {
            queue: queue.to_owned(),
            arrivals,
            unacked: BTreeMap::new(),
            prefetch: usize::from(prefetch),
            pump: pump.abort_handle(),
            _channel: channel,
            live,
        })
    }

    /// Waits for the next delivery. Cancel safe: dropping the future loses no delivery.
    pub(super) async fn next(&mut self) -> Result<AmqpDelivery, Fault> {
        // The only await is `recv`, which is cancel safe; taking the delivery is synchronous.
        let arrival = self.arrivals.recv().await;
        self.take(arrival)
    }

    /// Returns the next delivery if it has arrived already.
    pub(super) fn next_now(&mut self) -> Option<Result<AmqpDelivery, Fault>> {
        match self.arrivals.try_recv() {
            Ok(arrival) => Some(self.take(Some(arrival))),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(self.take(None)),
        }
    }

    /// Whether a delivery, or the end of the stream, has arrived.
    pub(super) fn is_ready(&self) -> bool {
        !self.arrivals.is_empty() || self.arrivals.is_closed()
    }

    /// Whether the broker may send more before something is acknowledged.
    pub(super) fn has_room(&self) -> bool {
        self.unacked.len() < self.prefetch
    }

    fn take(&mut self, arrival: Option<ArrivedDelivery>) -> Result<AmqpDelivery, Fault> {
        let Some(arrival) = arrival else {
            return Err(Fault::transient(format!(
                "consuming '{}': the broker ended it; the queue may be gone",
                self.queue
            )));
        };
        let (delivery, counted) = arrival?;
        self.unacked.insert(delivery.delivery_tag, (delivery.acker.clone(), counted));
        Ok(decode_delivery(delivery))
    }

    /// Acknowledges those of these tags that are outstanding.
    pub(super) async fn ack(&mut self, tags: &[u64]) -> Result<(), Fault> {
        acknowledge_deliveries(&self.live, &mut self.unacked, tags).await
    }
}

impl Drop for ConsumerChannel {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Acknowledges those of `tags` that are outstanding; all belong to one channel. Tags that were
/// acknowledged before are skipped, because the broker closes the channel over a second one.
pub(super) async fn acknowledge_deliveries(
    live: &LiveConnection,
    unacked: &mut UnackedDeliveries,
    tags: &[u64],
) -> Result<(), Fault> {
    let wanted: BTreeSet<u64> = tags.iter().copied().filter(|tag| unacked.contains_key(tag)).collect();
    let up_to = highest_contiguous_tag(unacked.keys(), &wanted);
    let mut acks = Vec::new();
    for tag in wanted {
        let Some((acker, counted)) = unacked.remove(&tag) else { continue };
        let multiple = up_to == Some(tag);
        // Lower tags are covered by the one acknowledgement with `multiple`.
        if up_to.is_none_or(|up_to| tag >= up_to) {
            // The guard stays alive until the acknowledgement is written, so that the depth never
            // misses a message that may still come back.
            acks.push(async move { (acker.ack(BasicAckOptions { multiple }).await, counted) });
        }
    }
    let acks = live.within(join_all(acks)).await.map_err(|missing| missing.fault("acknowledging"))?;
    for (acked, _counted) in acks {
        match acked {
            Ok(true) => {}
            Ok(false) => return Err(Fault::transient("acknowledging: the channel is gone")),
            Err(error) => return Err(faults::broker_fault("acknowledging", &error)),
        }
    }
    Ok(())
}

/// The highest wanted tag such that every outstanding tag below it is wanted, too.
fn highest_contiguous_tag<'a>(
    outstanding: impl Iterator<Item = &'a u64>,
    wanted: &BTreeSet<u64>,
) -> Option<u64> {
    outstanding.take_while(|tag| wanted.contains(tag)).last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(outstanding: &[u64], wanted: &[u64]) -> Option<u64> {
        highest_contiguous_tag(outstanding.iter(), &wanted.iter().copied().collect())
    }

    #[test]
    fn one_acknowledgement_covers_what_nothing_outstanding_stands_below() {
        assert_eq!(up_to(&[1, 2, 3], &[1, 2, 3]), Some(3));
        assert_eq!(up_to(&[1, 2, 3], &[1, 2]), Some(2));
        assert_eq!(up_to(&[4, 6, 9], &[4, 6]), Some(6), "what is gone leaves no gap");
        assert_eq!(up_to(&[1, 2, 3], &[2, 3]), None, "1 is still outstanding");
        assert_eq!(up_to(&[1, 2, 3, 4], &[1, 3, 4]), Some(1));
        assert_eq!(up_to(&[], &[]), None);
    }
}
