//! Admits every call: authenticates it, sets its deadline and reserves room.
//!
//! It puts into the request's extensions what handlers need: the [`Principal`], the [`CallDeadline`] if there is
//! one, and the call's [`RequestTicket`]. It turns a panic, a passed deadline and the end of draining into
//! statuses, and replaces errors that the transport made. Request bodies are charged as they arrive. Every call is
//! counted by method and code, refused ones too.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{BoxFuture, Bytes, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::call_frame::{
    CallDeadline, ServerPhase, deadline_passed_refusal, panicked_refusal, shutting_down_refusal,
    wait_for_deadline, wait_for_phase,
};
use crate::config::ServerLimits;
use crate::server::auth::Authenticator;
use crate::server::limits::{InFlightLimiter, RequestTicket};
use crate::server::status;
use crate::telemetry::metrics::ProcessMetrics;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// Methods with streams, whose calls have no default deadline.
const STREAMING_METHODS: [&str; 5] = [
    "/contexture.v1.IngestService/SubmitStream",
    "/contexture.v1.AdminService/WatchReindex",
    "/contexture.v1.AdminService/Compare",
    "/contexture.v1.AdminService/Audit",
    "/contexture.v1.AdminService/Repair",
];

/// Methods that are counted by name. The list is closed because a caller may send any path.
const COUNTED_METHODS: [&str; 18] = [
    "/contexture.v1.IngestService/Submit",
    "/contexture.v1.IngestService/SubmitStream",
    "/contexture.v1.IngestService/Delete",
    "/contexture.v1.IngestService/GetDocument",
    "/contexture.v1.ContextService/Assemble",
    "/contexture.v1.ContextService/Search",
    "/contexture.v1.AdminService/StartReindex",
    "/contexture.v1.AdminService/ListGenerations",
    "/contexture.v1.AdminService/WatchReindex",
    "/contexture.v1.AdminService/PauseReindex",
    "/contexture.v1.AdminService/ResumeReindex",
    "/contexture.v1.AdminService/CancelReindex",
    "/contexture.v1.AdminService/Compare",
    "/contexture.v1.AdminService/ActivateReindex",
    "/contexture.v1.AdminService/Rollback",
    "/contexture.v1.AdminService/DropGeneration",
    "/contexture.v1.AdminService/Audit",
    "/contexture.v1.AdminService/Repair",
];

/// Returns the metric label of a path.
fn method_label(path: &str) -> &'static str {
    COUNTED_METHODS
        .into_iter()
        .find(|method| *method == path)
        .and_then(|method| method.rsplit('/').next())
        .unwrap_or("other")
}

/// Admission of calls, shared by all services.
pub(super) struct CallAdmission {
    authenticator: Arc<Authenticator>,
    metrics: Arc<ProcessMetrics>,
    admission: InFlightLimiter,
    limits: Arc<ServerLimits>,
    phases: watch::Receiver<ServerPhase>,
}

/// A service behind admission.
#[derive(Clone)]
pub struct GatedService<S> {
    inner: S,
    keeper: Arc<CallAdmission>,
}

struct AdmittedCall {
    principal: Principal,
    deadline: Option<CallDeadline>,
    ticket: Arc<RequestTicket>,
}

impl CallAdmission {
    pub(super) fn new(
        authenticator: Arc<Authenticator>,
        metrics: Arc<ProcessMetrics>,
        limits: Arc<ServerLimits>,
        phases: watch::Receiver<ServerPhase>,
    ) -> Self {
        Self { authenticator, metrics, admission: InFlightLimiter::new(&limits), limits, phases }
    }

    fn admit(&self, path: &str, headers: &HeaderMap) -> Result<AdmittedCall, Refusal> {
        // Room comes last, so that an unauthenticated caller cannot take any.
        let principal = self.authenticator.authenticate(headers)?;
        let deadline = self.deadline(path, headers)?;
        let ticket = Arc::new(self.admission.admit()?);
        Ok(AdmittedCall { principal, deadline, ticket })
    }

    fn deadline(&self, path: &str, headers: &HeaderMap) -> Result<Option<CallDeadline>, Refusal> {
        let asked = headers.get("grpc-timeout").map(|value| parse_timeout(value.as_bytes())).transpose()?;
        let timeout = match asked {
            // Already over: the answer costs no room and no handler.
            Some(timeout) if timeout.is_zero() => return Err(deadline_passed_refusal()),
            // A stream lives as long as it is used; only the caller's own timeout limits it.
            _ if STREAMING_METHODS.contains(&path) => asked,
            _ => Some(asked.unwrap_or(self.limits.request_deadline).min(self.limits.request_deadline_max)),
        };
        // A timeout beyond the range of the clock is no deadline.
        Ok(timeout.and_then(|timeout| Instant::now().checked_add(timeout)).map(CallDeadline))
    }
}

impl<S> GatedService<S> {
    pub(super) fn new(inner: S, keeper: Arc<CallAdmission>) -> Self {
        Self { inner, keeper }
    }

    /// Returns the running calls of all services that share this admission.
    pub fn requests_in_flight(&self) -> usize {
        self.keeper.admission.requests_in_flight()
    }

    /// Returns the bytes of requests in memory, of all services that share this admission.
    pub fn request_bytes_in_flight(&self) -> usize {
        self.keeper.admission.bytes_in_flight()
    }
}

impl<S: NamedService> NamedService for GatedService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for GatedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (began, name) = (Instant::now(), method_label(request.uri().path()));
        let metrics = self.keeper.metrics.clone();
        let admitted = match self.keeper.admit(request.uri().path(), request.headers()) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                metrics.called(name, status::code_name(status::grpc_code(refusal.kind)), began.elapsed());
                return Box::pin(std::future::ready(Ok(refusal_response(&refusal))));
            }
        };
        let AdmittedCall { principal, deadline, ticket } = admitted;
        let method = request.uri().path().to_owned();
        let (mut head, body) = request.into_parts();
        head.extensions.insert(principal);
        head.extensions.insert(Arc::clone(&ticket));
        if let Some(deadline) = deadline {
            head.extensions.insert(deadline);
        }
        let request = Request::from_parts(head, MeteredBody::wrap(body, Arc::clone(&ticket)));
        // `poll_ready` was called on the original, not on the clone; so the call uses the original.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let phases = self.keeper.phases.clone();
        Box::pin(async move {
            let handled = AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind();
            let response = tokio::select! {
                // A finished answer wins over a deadline that passes at the same time.
                biased;
                handled = handled => match handled {
                    Ok(Ok(response)) => translate_transport_error(response),
                    Err(_panic) => refusal_response(&panicked_refusal(&method)),
                },
                () = wait_for_deadline(deadline) => refusal_response(&deadline_passed_refusal()),
                () = wait_for_phase(phases, ServerPhase::Cut) => refusal_response(&shutting_down_refusal()),
            };
            // For a stream, the body and the handler still hold their own references to the ticket.
            drop(ticket);
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            metrics.called(name, status::code_name(code), began.elapsed());
            Ok(response)
        })
    }
}

fn refusal_response(refusal: &Refusal) -> Response<Body> {
    status::status_from_refusal(refusal).into_http()
}

/// Replaces an error that the transport made while it read the request by one of ours.
fn translate_transport_error(response: Response<Body>) -> Response<Body> {
    let Some(made) = Status::from_header_map(response.headers()) else { return response };
    // Handlers attach details to every error of their own, so an error without details is the transport's.
    let refusal = match made.code() {
        Code::Ok => None,
        code => status::refusal_from_transport(code, !made.details().is_empty()),
    };
    refusal.map_or(response, |refusal| refusal_response(&refusal))
}

/// Reads gRPC's `grpc-timeout`: 1 to 8 digits and a unit.
/// Source: "gRPC over HTTP2", section Requests.
fn parse_timeout(value: &[u8]) -> Result<Duration, Refusal> {
    let refuse = || {
        Refusal::invalid(
            "invalid_timeout",
            "grpc-timeout",
            "grpc-timeout must be 1 to 8 digits and H, M, S, m, u or n",
        )
    };
    let (unit, digits) = value.split_last().ok_or_else(refuse)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(refuse());
    }
    // Eight digits times 3600 fit into `u64`, so nothing here overflows.
    let number = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(number * 3600)),
        b'M' => Ok(Duration::from_secs(number * 60)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(refuse()),
    }
}

/// A request body that charges every frame to the call's ticket and fails when there is no room.
struct MeteredBody {
    body: Body,
    ticket: Arc<RequestTicket>,
}

impl MeteredBody {
    fn wrap(body: Body, ticket: Arc<RequestTicket>) -> Body {
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
        // A frame is charged after it arrived, so a call may exceed the limit by one frame.
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::{COUNTED_METHODS, STREAMING_METHODS};
    use crate::server::grpc::proto::{DESCRIPTOR_SET, SERVICE_NAMES};

    #[test]
    fn every_method_of_the_schemas_is_counted_and_streams_know_no_common_deadline() {
        let files = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap().file;
        let services = files.iter().flat_map(|file| {
            file.service.iter().map(|service| (format!("{}.{}", file.package(), service.name()), service))
        });
        let (mut methods, mut streaming) = (Vec::new(), Vec::new());
        for (name, service) in services.filter(|(name, _)| SERVICE_NAMES.contains(&name.as_str())) {
            for method in &service.method {
                let path = format!("/{name}/{}", method.name());
                if method.server_streaming() {
                    streaming.push(path.clone());
                }
                methods.push(path);
            }
        }
        let sorted = |mut paths: Vec<String>| {
            paths.sort();
            paths
        };
        assert_eq!(sorted(methods), sorted(COUNTED_METHODS.map(str::to_owned).to_vec()));
        assert_eq!(sorted(streaming), sorted(STREAMING_METHODS.map(str::to_owned).to_vec()));
    }
}
