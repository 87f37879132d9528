//! Turns one message into a submission, or into the reason for its rejection.

use bytes::Bytes;

use super::broker_intake::BrokerIntake;
use crate::domain::document::Submission;
use crate::domain::event::SourceMessage;
use crate::domain::ids::CollectionKey;
use crate::domain::submit_message::{MessageRejection, SubmitMessageV1, parse_routing_key};
use crate::ports::producers::ProducerMessage;

/// Size in bytes from which a message is decoded on a blocking thread.
const BLOCKING_BYTES_MIN: usize = 64 * 1024;

/// A message that may be submitted.
pub(super) struct AdmittedMessage {
    pub(super) message: ProducerMessage,
    pub(super) submission: Submission,
}

/// A message that is rejected.
pub(super) struct RefusedMessage {
    pub(super) message: ProducerMessage,
    /// The target collection, if the sender may write there.
    pub(super) collection: Option<CollectionKey>,
    pub(super) rejection: MessageRejection,
}

/// Returns what an event names of the message that it answers.
pub(super) fn answered_message(message: &ProducerMessage) -> SourceMessage<'_> {
    SourceMessage { routing_key: &message.routing_key, body: &message.body, origin: message.origin.as_ref() }
}

pub(super) async fn admit_message(
    intake: &BrokerIntake,
    message: ProducerMessage,
) -> Result<AdmittedMessage, RefusedMessage> {
    let found = parse_routing_key(&message.routing_key).and_then(|key| {
        let principal = intake.access.admit(message.user_id.as_deref(), &key.tenant)?;
        Ok((key, principal))
    });
    // Without access the collection is not named in the rejection, so a sender learns nothing of others.
    let (key, principal) = match found {
        Ok(found) => found,
        Err(rejection) => return Err(RefusedMessage { message, collection: None, rejection }),
    };
    let (message, decoded) = decode_submission(message).await;
    let submission = async {
        let mut submit = decoded?;
        if let Some(url) = submit.reference() {
            let fetched = fetch_referenced_body(intake, url).await?;
            submit = submit.inline(fetched);
        }
        submit.into_submission(&principal, key.collection.clone(), intake.submitter.body_bytes_max())
    };
    match submission.await {
        Ok(submission) => {
            let submission = submission.with_origin(message.origin.clone());
            Ok(AdmittedMessage { message, submission })
        }
        Err(rejection) => Err(RefusedMessage { message, collection: Some(key), rejection }),
    }
}

async fn decode_submission(
    message: ProducerMessage,
) -> (ProducerMessage, Result<SubmitMessageV1, MessageRejection>) {
    let decode = |message: ProducerMessage| {
        let decoded = SubmitMessageV1::decode(&message.body);
        (message, decoded)
    };
    if message.body.len() < BLOCKING_BYTES_MIN {
        return decode(message);
    }
    match tokio::task::spawn_blocking(move || decode(message)).await {
        Ok(decoded) => decoded,
        // The task is never aborted, so a join error is a panic.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn fetch_referenced_body(intake: &BrokerIntake, url: &str) -> Result<Bytes, MessageRejection> {
    let Some(references) = &intake.references else {
        return Err(MessageRejection::for_field(
            "body_ref_off",
            "body_ref",
            "bodies by reference are off; broker.body_roots switches them on",
        ));
    };
    Ok(references.fetch(url, intake.submitter.body_bytes_max()).await?.into())
}
