//! The suite against a RabbitMQ, where there is one.

use std::sync::Arc;

use contexture_adapters::rabbitmq::RabbitMqBroker;
use contexture_core::domain::task::IngestStage;
use contexture_core::ports::broker::Broker;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{BrokerFixture, BrokerReopener, DelayTime, RawMessageInjector, delivery, restart};
use crate::support::rabbit::RabbitPrefix;

async fn open_rabbitmq() -> Option<BrokerFixture> {
    let mut rabbit = RabbitPrefix::find()?;
    let proxy = Arc::new(rabbit.through_proxy().await);
    let broker = rabbit.connect().await;
    let (queue, beside) = (broker.names().stage(IngestStage::Chunk), rabbit.beside().await);
    let inject: RawMessageInjector = Box::new(move |bytes| {
        block_in_place(|| Handle::current().block_on(beside.publish(&queue, &bytes)));
    });
    let (config, wires) = (rabbit.config.clone(), proxy.clone());
    let reopen: BrokerReopener = Box::new(move || {
        let (config, wires) = (config.clone(), wires.clone());
        Box::pin(async move {
            // What the process held is taken back when its connections break.
            wires.reset();
            Arc::new(RabbitMqBroker::connect(config).await.unwrap()) as Arc<dyn Broker>
        })
    });
    Some(BrokerFixture {
        broker: Arc::new(broker),
        time: DelayTime::Real,
        inject: Some(inject),
        reopen: Some(reopen),
        _keep: Box::new((proxy, rabbit)),
    })
}

broker_suite!(if_there => rabbitmq, open_rabbitmq, restart: [
    unacknowledged_messages_survive_a_restart,
    acknowledged_messages_stay_gone_after_a_restart,
    delays_survive_a_restart,
    redeliveries_are_counted_across_restarts
]);
