//! A request body that charges what arrives to its call, and that does not wait for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::call_limits::stalled_refusal;
use crate::server::limits::RequestTicket;
use contexture_core::fault::Refusal;

type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// Makes the error of a door's bodies from a refusal.
pub(in crate::server) type BodyErrorMaker = fn(&Refusal) -> BodyError;

/// A request body that charges every frame to the call's ticket and fails when there is no room, or when
/// nothing arrives for too long.
pub(in crate::server) struct MeteredBody<B> {
    body: B,
    ticket: Arc<RequestTicket>,
    idle_max: Duration,
    // Runs only while somebody waits for the next frame, so that a slow reader here blames nobody there.
    waiting: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    refuse: BodyErrorMaker,
}

impl<B> MeteredBody<B> {
    pub(in crate::server) fn new(
        body: B,
        ticket: Arc<RequestTicket>,
        idle_max: Duration,
        refuse: BodyErrorMaker,
    ) -> Self {
        Self { body, ticket, idle_max, waiting: None, is_waiting: false, refuse }
    }

    /// Whether nothing has arrived for too long, counted from the first call without an arrival between.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let idle_max = self.idle_max;
        let sleep = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle_max)));
        if !std::mem::replace(&mut self.is_waiting, true) {
            sleep.as_mut().reset(Instant::now() + idle_max);
        }
        sleep.as_mut().poll(context)
    }
}

impl<B> http_body::Body for MeteredBody<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(arrived) = Pin::new(&mut self.body).poll_frame(context) else {
            let stalled = self.poll_idle(context);
            return stalled.map(|()| Some(Err((self.refuse)(&stalled_refusal("sends nothing")))));
        };
        self.is_waiting = false;
        // A frame is charged after it arrived, so a call may exceed the limit by one frame.
        if let Some(Ok(frame)) = &arrived
            && let Some(data) = frame.data_ref()
            && let Err(refusal) = self.ticket.charge(data.len())
        {
            return Poll::Ready(Some(Err((self.refuse)(&refusal))));
        }
        Poll::Ready(arrived.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
