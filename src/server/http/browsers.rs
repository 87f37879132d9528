//! What web pages of other origins may do: nothing, unless their origin is configured.
//!
//! Browsers keep the answers from other pages, but send some requests without asking for leave, and a page can
//! give its own name an address of loopback. Where no credential tells callers apart, [`WebPageRule`] refuses both.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use contexture_core::fault::{Refusal, RefusalKind};

/// How long a browser may remember what is allowed.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Returns the layer that answers browsers for these origins; none if there are none.
///
/// Credentials of the browser's own, such as cookies, are not allowed: callers send a key in a header.
pub(super) fn cors_layer(origins: &[String]) -> Option<CorsLayer> {
    let allowed = match origins {
        [] => return None,
        [every] if every == "*" => AllowOrigin::any(),
        // The configuration holds origins only, which are always values of a header.
        exact => AllowOrigin::list(exact.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let named = HeaderName::from_static;
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                named("x-api-key"),
                named("last-event-id"),
                named("x-timeout-ms"),
            ])
            .expose_headers([header::ETAG, header::LOCATION, header::RETRY_AFTER])
            .max_age(REMEMBERED),
    )
}

/// Who may call a server that needs no credential: callers under a name of this machine, and of web pages those
/// of this machine and of configured origins.
pub(super) struct WebPageRule {
    origins: Vec<String>,
}

impl WebPageRule {
    /// Creates a rule with these origins, or `*` for all.
    pub(super) fn new(origins: &[String]) -> Self {
        Self { origins: origins.to_vec() }
    }

    /// Refuses a request to a foreign name, or of a foreign page.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        // HTTP/2 has the name in `:authority`, which becomes part of the URI.
        if !hosts.all(is_loopback_authority) || !request.uri().host().is_none_or(is_loopback_host) {
            return Err(Refusal::new(
                RefusalKind::PermissionDenied,
                "forbidden_host",
                "host",
                "without credentials the server answers only as localhost, 127.0.0.1 and [::1]",
            ));
        }
        if !request.headers().get_all(header::ORIGIN).iter().all(|origin| self.allows(origin)) {
            return Err(Refusal::new(
                RefusalKind::PermissionDenied,
                "forbidden_origin",
                "origin",
                "web pages of this origin may not call; server.cors_origins names those that may",
            ));
        }
        Ok(())
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        if self.origins.iter().any(|known| known == "*" || known == origin) {
            return true;
        }
        origin
            .parse::<Uri>()
            .is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(is_loopback_host))
    }
}

fn is_loopback_authority(value: &HeaderValue) -> bool {
    let authority = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
    authority.is_some_and(|authority| is_loopback_host(authority.host()))
}

/// Whether a host is this machine under any DNS: the name `localhost`, or an address of loopback.
fn is_loopback_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use super::*;

    fn code(origins: &[&str], uri: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let checked = WebPageRule::new(&origins).check(&request.body(()).unwrap());
        checked.err().map(|refusal| refusal.code)
    }

    #[test]
    fn only_names_of_this_machine_are_served() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:7070"] {
            assert_eq!(code(&[], "/v1/whoami", &[("host", host)]), None, "{host}");
            assert_eq!(code(&[], &format!("http://{host}/v1/whoami"), &[]), None, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:7070", "10.0.0.1", "128.0.0.1", "[::2]:80"] {
            assert_eq!(code(&["*"], "/v1/whoami", &[("host", host)]), Some("forbidden_host"), "{host}");
            let whole = format!("http://{host}/v1/whoami");
            assert_eq!(code(&[], &whole, &[("host", "localhost")]), Some("forbidden_host"), "{host}");
        }
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(code(&[], "/v1/whoami", &two), Some("forbidden_host"));
        assert_eq!(code(&[], "/v1/whoami", &[]), None);
    }

    #[test]
    fn only_pages_of_this_machine_and_configured_ones_may_call() {
        let from = |origins: &[&str], origin: &str| code(origins, "/v1/whoami", &[("origin", origin)]);
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:80"] {
            assert_eq!(from(&[], origin), None, "{origin}");
        }
        let wiki = "https://wiki.example";
        assert_eq!(from(&[wiki], wiki), None);
        assert_eq!(from(&["*"], "null"), None);
        for origin in ["null", "", "localhost", "https://wiki.example:8443", "https://localhost.evil.example"]
        {
            assert_eq!(from(&[wiki], origin), Some("forbidden_origin"), "{origin}");
        }
    }
}
