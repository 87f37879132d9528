//! Exchanges, queues and bindings. Declared on every connection; equal declarations have no effect.
//!
//! ```text
//!                       ┌─▶ <stage>, <stage>.bulk ──limit──▶ suspect.<stage> ──limit──▶ dead
//!   tasks (direct) ─────┼─▶ suspect.<stage>, parked, dead
//!                       ▲
//!   retry.<d> (fanout) ─┴─ TTL ── retry.<d>    keeps the routing key, so it finds its stage again
//!   submit (topic) ─ # ─▶ submit ──limit──▶ dead          events (topic) ─▶ whoever binds
//! ```
//!
//! Every queue is a quorum queue. It rejects publishes when it is full and dead-letters messages at
//! their delivery limit, at least once. The limit is always set, because RabbitMQ 4 has a default.
//! Length limits are left to the operator's policies. The index stage has a single active
//! consumer, because large batches commit best. Requires RabbitMQ 3.10. An object that exists with
//! other settings is refused.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use super::connection::LiveConnection;
use super::faults::declaration_fault;
use super::message::short_string;
use super::names::{
    DEAD_ROUTING_KEY, PARKED_ROUTING_KEY, TopologyNames, bulk_routing_key, suspect_routing_key,
};
use contexture_core::domain::task::IngestStage;
use contexture_core::fault::Fault;

/// Redeliveries after which the broker itself moves a message to the suspect queue. It is above
/// [`contexture_core::ports::broker::SUSPECT_REDELIVERIES`]: the fallback when consumers die before
/// they can move it.
const STAGE_DELIVERY_LIMIT: i32 = 3;
/// Last resort for a suspect that crashes consumers before they can record it as dead.
const SUSPECT_DELIVERY_LIMIT: i32 = 20;
/// For submissions, which have no suspect queue: high enough that no innocent neighbour of a
/// poison message reaches it.
const SUBMIT_DELIVERY_LIMIT: i32 = 100;
/// For queues that operators inspect: effectively unlimited. RabbitMQ 3.10 and 4 share no setting
/// for "none".
const UNREACHABLE_DELIVERY_LIMIT: i32 = 1_000_000;

/// Declares exchanges, queues and bindings.
pub(super) async fn declare(live: &LiveConnection, names: &TopologyNames) -> Result<(), Fault> {
    let declarer = TopologyDeclarer { channel: live.channel().await?, live };
    let tasks = names.tasks();
    declarer.exchange(&tasks, ExchangeKind::Direct).await?;
    declarer.exchange(&names.events(), ExchangeKind::Topic).await?;
    declarer.exchange(&names.submit(), ExchangeKind::Topic).await?;
    for (queue, key) in [(names.dead(), DEAD_ROUTING_KEY), (names.parked(), PARKED_ROUTING_KEY)] {
        declarer.queue(&queue, QueueArguments::new(UNREACHABLE_DELIVERY_LIMIT)).await?;
        declarer.bind(&queue, &tasks, key).await?;
    }
    for stage in IngestStage::ALL {
        let suspect = names.suspect(stage);
        declarer
            .queue(
                &suspect,
                QueueArguments::new(SUSPECT_DELIVERY_LIMIT).dead_to(&tasks, Some(DEAD_ROUTING_KEY)),
            )
            .await?;
        declarer.bind(&suspect, &tasks, &suspect_routing_key(stage)).await?;
        for (queue, key) in
            [(names.stage(stage), stage.name()), (names.bulk(stage), &bulk_routing_key(stage))]
        {
            let moved =
                QueueArguments::new(STAGE_DELIVERY_LIMIT).dead_to(&tasks, Some(&suspect_routing_key(stage)));
            let arguments = if stage == IngestStage::Index { moved.with_one_consumer() } else { moved };
            declarer.queue(&queue, arguments).await?;
            declarer.bind(&queue, &tasks, key).await?;
        }
    }
    for tier in names.tiers() {
        // A fanout exchange per delay accepts any routing key. When the TTL expires, the message
        // is dead-lettered without a new key, so it returns to the queue of its stage.
        let delay = names.retry(*tier);
        declarer.exchange(&delay, ExchangeKind::Fanout).await?;
        declarer
            .queue(
                &delay,
                QueueArguments::new(UNREACHABLE_DELIVERY_LIMIT).dead_to(&tasks, None).expiring(*tier),
            )
            .await?;
        declarer.bind(&delay, &delay, "").await?;
    }
    let submit = names.submit();
    declarer
        .queue(&submit, QueueArguments::new(SUBMIT_DELIVERY_LIMIT).dead_to(&tasks, Some(DEAD_ROUTING_KEY)))
        .await?;
    declarer.bind(&submit, &submit, "#").await
}

/// Counts the ready messages of a queue, which must exist. A passive declare changes nothing.
pub(super) async fn count_ready_messages(channel: &Channel, queue: ShortString) -> lapin::Result<u32> {
    Ok(inspect_queue(channel, queue).await?.message_count())
}

/// Consumers of a queue, of all connections.
pub(super) async fn count_consumers(channel: &Channel, queue: ShortString) -> lapin::Result<u32> {
    Ok(inspect_queue(channel, queue).await?.consumer_count())
}

async fn inspect_queue(channel: &Channel, queue: ShortString) -> lapin::Result<lapin::Queue> {
    let passive = QueueDeclareOptions {
        passive: true,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
    };
    channel.queue_declare(queue, passive, FieldTable::default()).await
}

struct TopologyDeclarer<'a> {
    channel: Channel,
    live: &'a LiveConnection,
}

impl TopologyDeclarer<'_> {
    async fn exchange(&self, name: &str, kind: ExchangeKind) -> Result<(), Fault> {
        let options = ExchangeDeclareOptions {
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            nowait: false,
        };
        let declared =
            self.channel.exchange_declare(short_string(name)?, kind, options, FieldTable::default());
        self.answered(name, declared).await
    }

    async fn queue(&self, name: &str, arguments: QueueArguments) -> Result<(), Fault> {
        let options = QueueDeclareOptions {
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            nowait: false,
        };
        let declared = self.channel.queue_declare(short_string(name)?, options, arguments.0);
        self.answered(name, declared).await.map(drop)
    }

    async fn bind(&self, queue: &str, exchange: &str, key: &str) -> Result<(), Fault> {
        let options = QueueBindOptions { nowait: false };
        let bound = self.channel.queue_bind(
            short_string(queue)?,
            short_string(exchange)?,
            short_string(key)?,
            options,
            FieldTable::default(),
        );
        self.answered(queue, bound).await
    }

    async fn answered<T>(
        &self,
        name: &str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Fault> {
        match self.live.within(call).await {
            Ok(answered) => answered.map_err(|error| declaration_fault(name, &error)),
            Err(missing) => Err(missing.fault(&format!("declaring '{name}'"))),
        }
    }
}

/// Optional arguments (`x-*`) of a quorum queue.
struct QueueArguments(FieldTable);

impl QueueArguments {
    fn new(delivery_limit: i32) -> Self {
        Self(FieldTable::default())
            .text("x-queue-type", "quorum")
            .text("x-overflow", "reject-publish")
            .with("x-delivery-limit", AMQPValue::LongInt(delivery_limit))
    }

    /// Dead-letters expired messages and those at their limit to an exchange, at least once.
    fn dead_to(self, exchange: &str, key: Option<&str>) -> Self {
        let moved =
            self.text("x-dead-letter-exchange", exchange).text("x-dead-letter-strategy", "at-least-once");
        match key {
            Some(key) => moved.text("x-dead-letter-routing-key", key),
            None => moved,
        }
    }

    /// One consumer is active, the others stand by.
    fn with_one_consumer(self) -> Self {
        self.with("x-single-active-consumer", AMQPValue::Boolean(true))
    }

    fn expiring(self, after: Duration) -> Self {
        // Cannot overflow: `check` limits tiers to 24 hours.
        let milliseconds = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        self.with("x-message-ttl", AMQPValue::LongLongInt(milliseconds))
    }

    fn text(self, name: &'static str, value: &str) -> Self {
        self.with(name, AMQPValue::LongString(value.into()))
    }

    fn with(mut self, name: &'static str, value: AMQPValue) -> Self {
        self.0.insert(name.into(), value);
        self
    }
}
