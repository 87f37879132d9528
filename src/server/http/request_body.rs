//! Reads whole bodies of requests, within a limit.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::problem::refusal_from_body_error;
use contexture_core::fault::Refusal;

/// How long the rest of a body that is too large is read and thrown away.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(2);

/// Reads what is left and throws it away. A caller that is still sending would find the connection reset, and
/// never see why.
async fn discard(mut arriving: BodyDataStream) {
    let reading = async { while let Some(Ok(_)) = arriving.next().await {} };
    // A caller that sends for longer gets no answer, but the server does not work for it any more either.
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, reading).await;
}

/// Reads a body of at most `bytes_max` bytes.
pub async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    let too_large =
        || Refusal::invalid("message_too_large", "", format!("the request has more than {bytes_max} bytes"));
    // What the caller says about the size is believed only if it is too much.
    let is_too_large = http_body::Body::size_hint(&body).lower() > bytes_max as u64;
    let mut arriving = body.into_data_stream();
    if is_too_large {
        discard(arriving).await;
        return Err(too_large());
    }
    let Some(first) = arriving.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| refusal_from_body_error(&error))?;
    if first.len() > bytes_max {
        discard(arriving).await;
        return Err(too_large());
    }
    let Some(mut next) = arriving.next().await else { return Ok(first) };
    let mut whole = BytesMut::from(first);
    loop {
        let frame = next.map_err(|error| refusal_from_body_error(&error))?;
        if whole.len() + frame.len() > bytes_max {
            discard(arriving).await;
            return Err(too_large());
        }
        whole.extend_from_slice(&frame);
        match arriving.next().await {
            Some(following) => next = following,
            None => return Ok(whole.freeze()),
        }
    }
}
