//! A request body that is paid for as it arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

use crate::server::limits::RequestTicket;
use crate::server::status;

/// Charges every frame to the call's ticket, and ends when there is no more room.
pub(super) struct MeteredBody {
    body: Body,
    ticket: Arc<RequestTicket>,
}

impl MeteredBody {
    pub(super) fn wrap(body: Body, ticket: Arc<RequestTicket>) -> Body {
        Body::new(Self { body, ticket })
    }
}

impl http_body::Body for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(refusal) = self.ticket.charge(data.len())
        {
            return Poll::Ready(Some(Err(status::status_from_refusal(&refusal))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
