//! Exchanges, queues and bindings, declared on every connection; equal declarations change nothing.
//!
//! ```text
//!                       ┌─▶ <stage>, <stage>.bulk ──limit──▶ suspect.<stage> ──limit──▶ dead
//!   tasks (direct) ─────┼─▶ suspect.<stage>, parked, dead
//!                       ▲
//!   retry.<d> (fanout) ─┴─ TTL ── retry.<d>    keeps the routing key, so it finds its stage again
//!   submit (topic) ─ # ─▶ submit ──limit──▶ dead          events (topic) ─▶ whoever binds
//! ```
//!
//! Every queue is a quorum queue that refuses what it cannot take and moves what reached its
//! delivery limit at least once. The limit is always set: RabbitMQ 4 has one of its own. Lengths
//! are the operator's, as policies. The index stage has one consumer at a time: batches commit
//! best where they come together. RabbitMQ 3.10 or later; what differs is refused.

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

/// Redeliveries after which the broker itself moves a message to the suspect lane: more than
/// [`contexture_core::ports::broker::SUSPECT_REDELIVERIES`], for consumers that die before they can.
const STAGE_DELIVERY_LIMIT: i32 = 3;
/// The last resort for a suspect, when not even its verdict can be recorded.
const SUSPECT_DELIVERY_LIMIT: i32 = 20;
/// For submissions, which have no suspect lane: a bystander must never get there.
const SUBMIT_DELIVERY_LIMIT: i32 = 100;
/// For queues that people look into: as good as none, which 3.10 and 4 cannot both say.
const UNREACHABLE_DELIVERY_LIMIT: i32 = 1_000_000;

/// Declares everything.
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

/// Messages that are ready in a queue; it must exist.
pub(super) async fn count_ready_messages(channel: &Channel, queue: ShortString) -> lapin::Result<u32> {
    let passive = QueueDeclareOptions {
        passive: true,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
    };
    Ok(channel.queue_declare(queue, passive, FieldTable::default()).await?.message_count())
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
            Err(silence) => Err(silence.fault(&format!("declaring '{name}'"))),
        }
    }
}

/// Arguments of a quorum queue.
struct QueueArguments(FieldTable);

impl QueueArguments {
    fn new(delivery_limit: i32) -> Self {
        Self(FieldTable::default())
            .text("x-queue-type", "quorum")
            .text("x-overflow", "reject-publish")
            .with("x-delivery-limit", AMQPValue::LongInt(delivery_limit))
    }

    /// Moves what expires or reached the limit to an exchange, until that has it.
    fn dead_to(self, exchange: &str, key: Option<&str>) -> Self {
        let moved =
            self.text("x-dead-letter-exchange", exchange).text("x-dead-letter-strategy", "at-least-once");
        match key {
            Some(key) => moved.text("x-dead-letter-routing-key", key),
            None => moved,
        }
    }

    /// One consumer works, the others stand by.
    fn with_one_consumer(self) -> Self {
        self.with("x-single-active-consumer", AMQPValue::Boolean(true))
    }

    fn expiring(self, after: Duration) -> Self {
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
