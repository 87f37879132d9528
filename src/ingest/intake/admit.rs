//! One message to one submission, or to the reason why not.

use bytes::Bytes;

use super::Intake;
use crate::domain::document::Submission;
use crate::domain::event::Asked;
use crate::domain::ids::CollectionKey;
use crate::domain::producer::{Rejection, SubmitV1, addressee};
use crate::ports::producers::Published;

/// Bytes from which a message is decoded off the runtime's threads.
const BLOCKING_BYTES_MIN: usize = 64 * 1024;

/// A message that may be submitted.
pub(super) struct Admitted {
    pub(super) message: Published,
    pub(super) submission: Submission,
}

/// A message that may not.
pub(super) struct Refused {
    pub(super) message: Published,
    /// Where it is for, if its sender may write there.
    pub(super) collection: Option<CollectionKey>,
    pub(super) rejection: Rejection,
}

/// What an answer to a message names.
pub(super) fn asked(message: &Published) -> Asked<'_> {
    Asked { routing_key: &message.routing_key, body: &message.body, origin: message.origin.as_ref() }
}

pub(super) async fn admit(intake: &Intake, message: Published) -> Result<Admitted, Refused> {
    let found = addressee(&message.routing_key).and_then(|key| {
        let principal = intake.access.admit(message.user_id.as_deref(), &key.tenant)?;
        Ok((key, principal))
    });
    let (key, principal) = match found {
        Ok(found) => found,
        Err(rejection) => return Err(Refused { message, collection: None, rejection }),
    };
    let (message, decoded) = decode(message).await;
    let submission = async {
        let mut submit = decoded?;
        if let Some(url) = submit.reference() {
            let fetched = fetch(intake, url).await?;
            submit = submit.inline(fetched);
        }
        submit.into_submission(&principal, key.collection.clone(), intake.submitter.body_bytes_max())
    };
    match submission.await {
        Ok(submission) => {
            let submission = submission.from_origin(message.origin.clone());
            Ok(Admitted { message, submission })
        }
        Err(rejection) => Err(Refused { message, collection: Some(key), rejection }),
    }
}

async fn decode(message: Published) -> (Published, Result<SubmitV1, Rejection>) {
    let decode = |message: Published| {
        let decoded = SubmitV1::decode(&message.body);
        (message, decoded)
    };
    if message.body.len() < BLOCKING_BYTES_MIN {
        return decode(message);
    }
    match tokio::task::spawn_blocking(move || decode(message)).await {
        Ok(decoded) => decoded,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn fetch(intake: &Intake, url: &str) -> Result<Bytes, Rejection> {
    let Some(references) = &intake.references else {
        return Err(Rejection::of_field(
            "body_ref_off",
            "body_ref",
            "bodies by reference are off; broker.body_roots switches them on",
        ));
    };
    Ok(references.fetch(url, intake.submitter.body_bytes_max()).await?.into())
}
