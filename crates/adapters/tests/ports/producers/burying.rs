//! Where messages go that cannot be accepted.

use contexture_core::domain::origin::MessageOrigin;
use contexture_core::domain::submit_message::{MessageRejection, SubmitMessageV1};
use contexture_core::ports::producers::{ProducerMessage, RejectedMessage};

use super::{ProducersFixture, RejectedCopy, bodies, take};

pub(super) async fn buried_message_is_kept_with_its_reason(fixture: ProducersFixture) {
    let origin = MessageOrigin::new(Some("m-1".to_owned()), None, None, None);
    let broken = ProducerMessage { origin, ..fixture.message("{\n \"text\":}") };
    let foreign = ProducerMessage { routing_key: "nowhere".to_owned(), ..fixture.message("{}") };
    let rejection = SubmitMessageV1::decode(&broken.body).unwrap_err();
    let misrouted =
        MessageRejection::for_field("invalid_routing_key", "routing_key", "must be tenant.collection");
    let rejected = vec![
        RejectedMessage { message: broken, rejection },
        RejectedMessage { message: foreign, rejection: misrouted },
    ];
    fixture.producers.store_rejected(rejected).await.unwrap();
    let buried = fixture.outside.buried(2).await;
    let expected = [
        RejectedCopy {
            body: b"{\n \"text\":}".to_vec(),
            routing_key: "acme.handbook".to_owned(),
            code: "invalid_json".to_owned(),
            field: String::new(),
            position: Some("2:9".to_owned()),
            message_id: Some("m-1".to_owned()),
        },
        RejectedCopy {
            body: b"{}".to_vec(),
            routing_key: "nowhere".to_owned(),
            code: "invalid_routing_key".to_owned(),
            field: "routing_key".to_owned(),
            position: None,
            message_id: None,
        },
    ];
    assert_eq!(buried, expected);
}

pub(super) async fn burying_does_not_acknowledge(fixture: ProducersFixture) {
    fixture.publish(&["{"]).await;
    let mut consumer = fixture.consumer().await;
    let message = take(&mut consumer, 1).await.remove(0);
    let rejection = SubmitMessageV1::decode(&message.body).unwrap_err();
    fixture.producers.store_rejected(vec![RejectedMessage { message, rejection }]).await.unwrap();
    drop(consumer);
    assert_eq!(bodies(&take(&mut fixture.consumer().await, 1).await), ["{"]);
}
