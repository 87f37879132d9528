//! What outlives the process. Adapters that keep nothing do not run these.

use super::{BrokerFixture, name, names, take};

impl BrokerFixture {
    /// The process dies holding what it held, and starts again.
    async fn restart(&mut self) {
        self.inject = None;
        self.broker = self.reopen.as_ref().unwrap()().await;
    }
}

pub(super) async fn unacknowledged_messages_survive_a_restart(mut fixture: BrokerFixture) {
    fixture.publish(&["held", "waiting"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&take(&mut consumer, 1).await), ["held"]);
    fixture.restart().await;
    let received = take(&mut fixture.consumer().await, 2).await;
    assert_eq!(names(&received), ["held", "waiting"]);
    assert!(received[0].redelivered);
    drop(consumer);
}

pub(super) async fn acknowledged_messages_stay_gone_after_a_restart(mut fixture: BrokerFixture) {
    fixture.publish(&["gone", "there"]).await;
    let mut consumer = fixture.consumer().await;
    let tag = take(&mut consumer, 1).await[0].tag;
    consumer.ack(vec![tag]).await.unwrap();
    drop(consumer);
    fixture.restart().await;
    fixture.has_depth(1).await;
    assert_eq!(names(&take(&mut fixture.consumer().await, 1).await), ["there"]);
}

pub(super) async fn delays_survive_a_restart(mut fixture: BrokerFixture) {
    let [.., long] = fixture.delays();
    fixture.publish_later("late", long).await;
    fixture.restart().await;
    fixture.publish(&["now"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&take(&mut consumer, 1).await), ["now"]);
    fixture.advance(long);
    assert_eq!(names(&take(&mut consumer, 1).await), ["late"]);
}

pub(super) async fn redeliveries_are_counted_across_restarts(mut fixture: BrokerFixture) {
    fixture.publish(&["held", "waiting"]).await;
    let mut consumers = Vec::new();
    for came_back in 0..6 {
        let mut consumer = fixture.consumer().await;
        let delivery = take(&mut consumer, 1).await.remove(0);
        assert_eq!((name(&delivery).as_str(), delivery.redeliveries), ("held", came_back));
        consumers.push(consumer);
        fixture.restart().await;
    }
}
