//! Puts calls over HTTP through the admission that gRPC uses, and ends and counts them alike.
//!
//! Where no credential is needed, [`WebPageRule`] comes first. MCP has such a rule of its own. A message of MCP is
//! read whole, within [`MCP_BODY_TIME_MAX`], because nothing else bounds how long one takes to arrive.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use hyper::Request;
use tokio::time::Instant;

use super::browsers::WebPageRule;
use super::operation_names::{self, HttpOperation};
use super::problem::HttpProblem;
use super::request_body::read_body;
use crate::server::admission::{
    AdmittedCall, CallAdmission, MeteredBody, ServerPhase, TimeoutHeader, deadline_passed_refusal,
    panicked_refusal, shutting_down_refusal, stalled_refusal, wait_for_deadline, wait_for_phase,
};
use crate::server::mcp::MCP_MESSAGE_BYTES_MAX;
use contexture_core::fault::Refusal;

/// Longest time until a message of MCP has arrived.
const MCP_BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Admits calls over HTTP.
#[derive(Clone)]
pub(in crate::server) struct HttpAdmission {
    calls: Arc<CallAdmission>,
    /// None where callers need a credential, which no foreign page has.
    pages: Option<Arc<WebPageRule>>,
}

impl HttpAdmission {
    /// Creates the admission of HTTP. Pages of `cors_origins` may call without a credential if none is needed.
    pub(super) fn new(calls: Arc<CallAdmission>, cors_origins: &[String]) -> Self {
        let is_open = !calls.authenticator.needs_credential();
        let pages = is_open.then(|| Arc::new(WebPageRule::new(cors_origins)));
        Self { calls, pages }
    }

    fn check_page(&self, request: &Request<Body>, operation: HttpOperation) -> Result<(), Refusal> {
        match &self.pages {
            Some(pages) if !operation.is_mcp() => pages.check(request),
            _ => Ok(()),
        }
    }
}

/// Admits a call, puts its [`AdmittedCall`] into the extensions, and answers for a handler that does not.
pub(in crate::server) async fn admit_http_call(
    State(admission): State<HttpAdmission>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let operation = operation_names::find(request.method(), route);
    let checked = admission.check_page(&request, operation);
    let calls = &admission.calls;
    let is_stream = operation.streams(request.headers());
    let admitted = match checked {
        Ok(()) => calls.admit(request.headers(), TimeoutHeader::Milliseconds, is_stream).await,
        Err(refusal) => Err(refusal),
    };
    let response = match admitted {
        Ok(admitted) => answer_admitted(request, next, admitted, operation, calls).await,
        Err(refusal) => HttpProblem(refusal).into_response(),
    };
    calls.metrics.called_over_http(operation.name, response.status().as_u16(), began.elapsed());
    response
}

async fn answer_admitted(
    request: Request<Body>,
    next: Next,
    admitted: AdmittedCall,
    operation: HttpOperation,
    admission: &CallAdmission,
) -> Response {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(admitted.clone());
    let AdmittedCall { deadline, ticket, phases, .. } = admitted;
    let body = MeteredBody::new(body, Arc::clone(&ticket), admission.limits.stream_idle_max, |refusal| {
        Box::new(refusal.clone())
    });
    let mut body = Body::new(body);
    let handling = async move {
        if operation.is_mcp() {
            body = read_message(body).await?;
        }
        Ok::<_, Refusal>(next.run(Request::from_parts(head, body)).await)
    };
    let handled = AssertUnwindSafe(handling).catch_unwind();
    let response = tokio::select! {
        // A finished answer wins over a deadline that passes at the same time.
        biased;
        handled = handled => handled.unwrap_or_else(|_panic| Err(panicked_refusal(operation.name))),
        () = wait_for_deadline(deadline) => Err(deadline_passed_refusal()),
        () = wait_for_phase(phases, ServerPhase::Cut) => Err(shutting_down_refusal()),
    };
    // For a stream, its handler still holds a reference of its own to the ticket.
    drop(ticket);
    response.unwrap_or_else(|refusal| HttpProblem(refusal).into_response())
}

/// Reads a message of MCP whole.
async fn read_message(body: Body) -> Result<Body, Refusal> {
    let read = tokio::time::timeout(MCP_BODY_TIME_MAX, read_body(body, MCP_MESSAGE_BYTES_MAX)).await;
    let message = read.unwrap_or_else(|_elapsed| Err(stalled_refusal("sends one message")))?;
    Ok(Body::from(message))
}

impl<S: Sync> FromRequestParts<S> for AdmittedCall {
    type Rejection = HttpProblem;

    async fn from_request_parts(
        parts: &mut hyper::http::request::Parts,
        _state: &S,
    ) -> Result<Self, HttpProblem> {
        let admitted = parts.extensions.get::<Self>().cloned();
        // A route without the layer is a defect of ours, and must not be served to anybody.
        admitted.ok_or_else(|| {
            let refusal: Refusal = panicked_refusal("a call that passed no admission");
            HttpProblem(refusal)
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::{get, post};
    use serde_json::Value;
    use tokio::sync::watch;
    use tower::ServiceExt;

    use super::*;
    use crate::config::{ContextureConfig, ServerLimits};
    use crate::server::auth::Authenticator;
    use crate::server::http::read_body;

    const BODY_BYTES_MAX: usize = 100;

    async fn echo(_: AdmittedCall, request: Request<Body>) -> Result<Response, HttpProblem> {
        Ok(read_body(request.into_body(), BODY_BYTES_MAX).await?.into_response())
    }

    async fn panic() -> Response {
        panic!("scripted panic")
    }

    async fn never(_: AdmittedCall) -> Response {
        std::future::pending().await
    }

    fn admission(change: impl FnOnce(&mut ServerLimits)) -> (Arc<CallAdmission>, watch::Sender<ServerPhase>) {
        let mut limits = ContextureConfig::load(None, []).unwrap().server.limits;
        change(&mut limits);
        let (phase, phases) = watch::channel(ServerPhase::Serving);
        let authenticator = Arc::new(Authenticator::new(Vec::new()).unwrap());
        (Arc::new(CallAdmission::new(authenticator, Arc::default(), Arc::new(limits), phases)), phase)
    }

    fn router(admission: &Arc<CallAdmission>) -> Router {
        Router::new()
            .route("/echo", post(echo))
            .route("/mcp", post(echo))
            .route("/panic", get(panic))
            .route("/v1/whoami", get(never))
            .route_layer(from_fn_with_state(HttpAdmission::new(Arc::clone(admission), &[]), admit_http_call))
    }

    async fn problem(router: Router, request: Request<Body>) -> (u16, String) {
        let answer = router.oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = read_body(answer.into_body(), 10_000).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        (status, problem["code"].as_str().unwrap().to_owned())
    }

    fn sent(body: Body) -> Request<Body> {
        Request::post("/echo").body(body).unwrap()
    }

    fn asked(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_on_which_nothing_arrives_ends_the_call() {
        let (admission, _phase) = admission(|limits| {
            limits.stream_idle_max = Duration::from_secs(2);
        });
        let began = Instant::now();
        let silent = Body::from_stream(futures::stream::pending::<Result<&str, std::io::Error>>());
        assert_eq!(problem(router(&admission), sent(silent)).await, (408, "stream_idle".to_owned()));
        assert_eq!(began.elapsed().as_secs(), 2);

        // One that is slow, but does arrive, is read.
        let drops = futures::stream::unfold(0, |sent| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            (sent < 4).then_some((Ok::<_, std::io::Error>("drop"), sent + 1))
        });
        let answer = router(&admission).oneshot(sent(Body::from_stream(drops))).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!((admission.requests_in_flight(), admission.bytes_in_flight()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_of_mcp_that_trickles_ends_the_call() {
        let (admission, _phase) = admission(|_| {});
        let drops = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>("drop"), ()))
        });
        let began = Instant::now();
        let trickling = Request::post("/mcp").body(Body::from_stream(drops)).unwrap();
        assert_eq!(problem(router(&admission), trickling).await.1, "stream_idle");
        assert_eq!(began.elapsed().as_secs(), MCP_BODY_TIME_MAX.as_secs());
        assert_eq!((admission.requests_in_flight(), admission.bytes_in_flight()), (0, 0));
    }

    #[tokio::test]
    async fn bodies_have_a_maximum() {
        let (admission, _phase) = admission(|_| {});
        let whole = router(&admission).oneshot(sent(Body::from(vec![b'x'; BODY_BYTES_MAX]))).await.unwrap();
        assert_eq!(read_body(whole.into_body(), 1000).await.unwrap().len(), BODY_BYTES_MAX);
        let parts = ["x".repeat(60), "x".repeat(41)].map(Ok::<_, std::io::Error>);
        for beyond in
            [Body::from(vec![b'x'; BODY_BYTES_MAX + 1]), Body::from_stream(futures::stream::iter(parts))]
        {
            assert_eq!(
                problem(router(&admission), sent(beyond)).await,
                (413, "message_too_large".to_owned())
            );
        }
    }

    #[tokio::test]
    async fn bytes_beyond_the_room_are_refused() {
        let (admission, _phase) = admission(|limits| limits.request_bytes_in_flight_max = 10);
        let refused = problem(router(&admission), sent(Body::from(vec![b'x'; 11]))).await;
        assert_eq!(refused, (429, "bytes_in_flight".to_owned()));
        assert_eq!(admission.bytes_in_flight(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_one_calls_error() {
        let (admission, _phase) = admission(|_| {});
        assert_eq!(problem(router(&admission), asked("/panic")).await, (500, "handler_panicked".to_owned()));
        assert_eq!(admission.requests_in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_with_its_deadline_its_room_and_its_server() {
        let (admission, phase) = admission(|limits| limits.requests_in_flight_max = 1);
        let mut hasty = asked("/v1/whoami");
        hasty.headers_mut().insert("x-timeout-ms", "200".parse().unwrap());
        let began = Instant::now();
        assert_eq!(problem(router(&admission), hasty).await, (408, "deadline_passed".to_owned()));
        assert_eq!(began.elapsed().as_millis(), 200);

        let held = tokio::spawn(problem(router(&admission), asked("/v1/whoami")));
        while admission.requests_in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        let refused = problem(router(&admission), asked("/v1/whoami")).await;
        assert_eq!(refused, (429, "requests_in_flight".to_owned()));
        phase.send_replace(ServerPhase::Cut);
        assert_eq!(held.await.unwrap(), (503, "shutting_down".to_owned()));
        let page = admission.metrics.page(None);
        for series in [
            "contexture_http_calls_total{operation=\"whoami\",status=\"408\"} 1",
            "contexture_http_calls_total{operation=\"whoami\",status=\"429\"} 1",
            "contexture_http_calls_total{operation=\"whoami\",status=\"503\"} 1",
        ] {
            assert!(page.contains(series), "{series}: {page}");
        }
    }
}
