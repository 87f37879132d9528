//! The gate every call passes: who is it, when must it be answered, is there room.
//!
//! It leaves in the request's extensions what handlers need: the [`Principal`], the
//! [`Deadline`] if there is one, and the call's [`Ticket`]. It turns a panic, a passed deadline
//! and the end of draining into statuses, and errors that the transport made into ours. Every call is
//! counted by method and code, those refused here, too.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::Phase;
use super::body::Metered;
use crate::config::ServerLimits;
use crate::domain::principal::Principal;
use crate::fault::{Refusal, RefusalKind};
use crate::server::auth::Authenticator;
use crate::server::limits::{Admission, Ticket};
use crate::server::status;
use crate::telemetry::metrics::Metrics;

/// The methods whose calls live as long as they are busy.
const STREAMING_METHODS: [&str; 5] = [
    "/contexture.v1.IngestService/SubmitStream",
    "/contexture.v1.AdminService/WatchReindex",
    "/contexture.v1.AdminService/Compare",
    "/contexture.v1.AdminService/Audit",
    "/contexture.v1.AdminService/Repair",
];

/// The methods whose calls are counted by name: a caller may send any path.
const METHODS: [&str; 18] = [
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

/// A path's name in the metrics.
fn counted(path: &str) -> &'static str {
    METHODS
        .into_iter()
        .find(|method| *method == path)
        .and_then(|method| method.rsplit('/').next())
        .unwrap_or("other")
}

/// When a call must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(pub(super) Instant);

/// Decides at the gate; shared by all services.
pub(super) struct Keeper {
    authenticator: Arc<Authenticator>,
    metrics: Arc<Metrics>,
    admission: Admission,
    limits: Arc<ServerLimits>,
    phases: watch::Receiver<Phase>,
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    keeper: Arc<Keeper>,
}

struct Admitted {
    principal: Principal,
    deadline: Option<Deadline>,
    ticket: Arc<Ticket>,
}

impl Keeper {
    pub(super) fn new(
        authenticator: Arc<Authenticator>,
        metrics: Arc<Metrics>,
        limits: Arc<ServerLimits>,
        phases: watch::Receiver<Phase>,
    ) -> Self {
        Self { authenticator, metrics, admission: Admission::new(&limits), limits, phases }
    }

    fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Admitted, Refusal> {
        let principal = self.authenticator.authenticate(headers)?;
        let deadline = self.deadline(path, headers)?;
        let ticket = Arc::new(self.admission.admit()?);
        Ok(Admitted { principal, deadline, ticket })
    }

    fn deadline(&self, path: &str, headers: &HeaderMap) -> Result<Option<Deadline>, Refusal> {
        let asked = headers.get("grpc-timeout").map(|value| parse_timeout(value.as_bytes())).transpose()?;
        let timeout = match asked {
            Some(timeout) if timeout.is_zero() => return Err(deadline_passed()),
            _ if STREAMING_METHODS.contains(&path) => asked,
            _ => Some(asked.unwrap_or(self.limits.request_deadline).min(self.limits.request_deadline_max)),
        };
        Ok(timeout.and_then(|timeout| Instant::now().checked_add(timeout)).map(Deadline))
    }
}

impl<S> Gate<S> {
    pub(super) fn new(inner: S, keeper: Arc<Keeper>) -> Self {
        Self { inner, keeper }
    }

    /// Calls in work, of all services behind this gate.
    pub fn requests_in_flight(&self) -> usize {
        self.keeper.admission.requests_in_flight()
    }

    /// Bytes of requests in memory, of all services behind this gate.
    pub fn request_bytes_in_flight(&self) -> usize {
        self.keeper.admission.bytes_in_flight()
    }
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Gate<S>
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
        let (began, name) = (Instant::now(), counted(request.uri().path()));
        let metrics = self.keeper.metrics.clone();
        let admitted = match self.keeper.admit(request.uri().path(), request.headers()) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                metrics.called(name, status::name(status::code(refusal.kind)), began.elapsed());
                return Box::pin(std::future::ready(Ok(answer(&refusal))));
            }
        };
        let Admitted { principal, deadline, ticket } = admitted;
        let method = request.uri().path().to_owned();
        let (mut head, body) = request.into_parts();
        head.extensions.insert(principal);
        head.extensions.insert(Arc::clone(&ticket));
        if let Some(deadline) = deadline {
            head.extensions.insert(deadline);
        }
        let request = Request::from_parts(head, Metered::wrap(body, Arc::clone(&ticket)));
        // The clone has not been polled ready; the original has.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let phases = self.keeper.phases.clone();
        Box::pin(async move {
            let handled = AssertUnwindSafe(async move { inner.call(request).await }).catch_unwind();
            let response = tokio::select! {
                biased;
                handled = handled => match handled {
                    Ok(Ok(response)) => translate(response),
                    Err(_panic) => answer(&panicked(&method)),
                },
                () = passed(deadline) => answer(&deadline_passed()),
                () = reached(phases, Phase::Cut) => answer(&shutting_down()),
            };
            drop(ticket);
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            metrics.called(name, status::name(code), began.elapsed());
            Ok(response)
        })
    }
}

/// Ends when the deadline passes; never, if there is none.
pub(super) async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(Deadline(instant)) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Ends when the server's life has come to `phase`.
pub(super) async fn reached(mut phases: watch::Receiver<Phase>, phase: Phase) {
    if phases.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(super) fn deadline_passed() -> Refusal {
    Refusal::new(RefusalKind::Deadline, "deadline_passed", "", "the deadline passed; the outcome is unknown")
}

pub(super) fn shutting_down() -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "shutting_down", "", "the server is shutting down")
}

pub(super) fn panicked(method: &str) -> Refusal {
    Refusal::new(RefusalKind::Internal, "handler_panicked", "", format!("{method} panicked"))
}

fn answer(refusal: &Refusal) -> Response<Body> {
    status::from_refusal(refusal).into_http()
}

/// Replaces an error that the transport made while it read the request.
fn translate(response: Response<Body>) -> Response<Body> {
    let Some(made) = Status::from_header_map(response.headers()) else { return response };
    let refusal = match made.code() {
        Code::Ok => None,
        code => status::from_transport(code, !made.details().is_empty()),
    };
    refusal.map_or(response, |refusal| answer(&refusal))
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::{METHODS, STREAMING_METHODS};
    use crate::server::grpc::{DESCRIPTOR_SET, SERVICE_NAMES};

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
        assert_eq!(sorted(methods), sorted(METHODS.map(str::to_owned).to_vec()));
        assert_eq!(sorted(streaming), sorted(STREAMING_METHODS.map(str::to_owned).to_vec()));
    }
}
