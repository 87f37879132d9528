//! What outlives the process. Adapters that keep nothing do not run these.

use std::time::Duration;

use super::{Fixture, names, receive};

const LONG: Duration = Duration::from_mins(10);

impl Fixture {
    /// The process dies holding what it held, and starts again.
    async fn restart(&mut self) {
        let reopen = self.reopen.take().unwrap();
        self.inject = None;
        self.broker = reopen().await;
    }
}

pub(super) async fn unacknowledged_messages_survive_a_restart(mut fixture: Fixture) {
    fixture.publish(&["held", "waiting"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&receive(&mut consumer, 1).await), ["held"]);
    fixture.restart().await;
    let received = receive(&mut fixture.consumer().await, 10).await;
    assert_eq!(names(&received), ["held", "waiting"]);
    assert!(received[0].redelivered);
    drop(consumer);
}

pub(super) async fn acknowledged_messages_stay_gone_after_a_restart(mut fixture: Fixture) {
    fixture.publish(&["gone", "there"]).await;
    let mut consumer = fixture.consumer().await;
    let tag = receive(&mut consumer, 1).await[0].tag;
    consumer.ack(vec![tag]).await.unwrap();
    drop(consumer);
    fixture.restart().await;
    assert_eq!(fixture.depth().await, 1);
    assert_eq!(names(&receive(&mut fixture.consumer().await, 10).await), ["there"]);
}

pub(super) async fn delays_survive_a_restart(mut fixture: Fixture) {
    fixture.publish_later("late", LONG).await;
    fixture.restart().await;
    fixture.publish(&["now"]).await;
    let mut consumer = fixture.consumer().await;
    assert_eq!(names(&receive(&mut consumer, 10).await), ["now"]);
    fixture.clock.advance(LONG);
    assert_eq!(names(&receive(&mut consumer, 10).await), ["late"]);
}
