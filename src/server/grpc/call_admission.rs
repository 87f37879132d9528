//! Puts every gRPC call through admission.
//!
//! It puts into the request's extensions what handlers need: the [`Principal`], the [`CallDeadline`] if there is
//! one, and the call's [`RequestTicket`]. It turns a panic, a passed deadline and the end of draining into
//! statuses, and replaces errors that the transport made. Request bodies are charged as they arrive. Every call is
//! counted by method and code, refused ones too.
//!
//! [`Principal`]: contexture_core::domain::principal::Principal
//! [`CallDeadline`]: crate::server::admission::CallDeadline
//! [`RequestTicket`]: crate::server::limits::RequestTicket

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};

use crate::server::admission::{
    AdmittedCall, CallAdmission, MeteredBody, ServerPhase, TimeoutHeader, deadline_passed_refusal,
    panicked_refusal, shutting_down_refusal, wait_for_deadline, wait_for_phase,
};
use crate::server::status;
use contexture_core::fault::Refusal;

/// Methods with streams, whose calls have no default deadline.
const STREAMING_METHODS: [&str; 6] = [
    "/contexture.v1.IngestService/SubmitStream",
    "/contexture.v1.IngestService/WatchDocuments",
    "/contexture.v1.AdminService/WatchReindex",
    "/contexture.v1.AdminService/Compare",
    "/contexture.v1.AdminService/Audit",
    "/contexture.v1.AdminService/Repair",
];

/// Methods that are counted by name. The list is closed because a caller may send any path.
const COUNTED_METHODS: [&str; 35] = [
    "/contexture.v1.IngestService/Submit",
    "/contexture.v1.IngestService/SubmitStream",
    "/contexture.v1.IngestService/Delete",
    "/contexture.v1.IngestService/GetDocument",
    "/contexture.v1.IngestService/ListDocuments",
    "/contexture.v1.IngestService/DeleteDocuments",
    "/contexture.v1.IngestService/WatchDocuments",
    "/contexture.v1.ContextService/Assemble",
    "/contexture.v1.ContextService/Search",
    "/contexture.v1.CollectionService/CreateCollection",
    "/contexture.v1.CollectionService/GetCollection",
    "/contexture.v1.CollectionService/ListCollections",
    "/contexture.v1.CollectionService/UpdateCollection",
    "/contexture.v1.CollectionService/DeleteCollection",
    "/contexture.v1.DeadLetterService/ListDeadLetters",
    "/contexture.v1.DeadLetterService/GetDeadLetter",
    "/contexture.v1.DeadLetterService/ListDeadLetterReasons",
    "/contexture.v1.DeadLetterService/ReplayDeadLetters",
    "/contexture.v1.DeadLetterService/DropDeadLetters",
    "/contexture.v1.StatusService/GetStatus",
    "/contexture.v1.StatusService/GetUsage",
    "/contexture.v1.StatusService/ListPipelines",
    "/contexture.v1.StatusService/WhoAmI",
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

/// A service behind admission.
#[derive(Clone)]
pub struct GatedService<S> {
    inner: S,
    keeper: Arc<CallAdmission>,
}

impl<S> GatedService<S> {
    pub(super) fn new(inner: S, keeper: Arc<CallAdmission>) -> Self {
        Self { inner, keeper }
    }

    /// Returns the running calls of all services that share this admission.
    pub fn requests_in_flight(&self) -> usize {
        self.keeper.requests_in_flight()
    }

    /// Returns the bytes of requests in memory, of all services that share this admission.
    pub fn request_bytes_in_flight(&self) -> usize {
        self.keeper.bytes_in_flight()
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
        // `poll_ready` was called on the original, not on the clone; so the call uses the original.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let keeper = Arc::clone(&self.keeper);
        Box::pin(async move {
            let (began, name) = (Instant::now(), method_label(request.uri().path()));
            let is_stream = STREAMING_METHODS.contains(&request.uri().path());
            let response = match keeper.admit(request.headers(), TimeoutHeader::Grpc, is_stream).await {
                Ok(admitted) => answer_admitted(inner, request, admitted, &keeper).await,
                Err(refusal) => refusal_response(&refusal),
            };
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            keeper.metrics.called(name, status::code_name(code), began.elapsed());
            Ok(response)
        })
    }
}

async fn answer_admitted<S>(
    mut inner: S,
    request: Request<Body>,
    admitted: AdmittedCall,
    keeper: &CallAdmission,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let AdmittedCall { principal, deadline, ticket, phases } = admitted;
    let method = request.uri().path().to_owned();
    let (mut head, body) = request.into_parts();
    head.extensions.insert(principal);
    head.extensions.insert(Arc::clone(&ticket));
    if let Some(deadline) = deadline {
        head.extensions.insert(deadline);
    }
    let body = MeteredBody::new(body, Arc::clone(&ticket), keeper.limits.stream_idle_max, body_error);
    let request = Request::from_parts(head, Body::new(body));
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
    response
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

fn body_error(refusal: &Refusal) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(status::status_from_refusal(refusal))
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
