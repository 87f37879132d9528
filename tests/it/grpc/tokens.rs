//! Tokens of configured issuers, with real keys and a key set served on loopback.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contexture::config::{IssuerConfig, KeySetSource, ScopeRule, ServerConfig, TenantRule};
use contexture::domain::ids::TenantId;
use contexture::domain::principal::{AccessScope, Principal};
use contexture::server::auth::Authenticator;
use hyper::HeaderMap;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::one_port::ask;
use super::support::*;

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "contexture";
/// What stands before the 32 bytes of an Ed25519 key in PKCS #8. Source: RFC 8410, section 7.
const ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A private key, and its public one as an issuer shows it.
struct SigningPair {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Value,
    id: String,
}

impl SigningPair {
    fn ed25519(id: &str, seed: u8) -> Self {
        let der = [&ED25519_PREFIX[..], &[seed; 32]].concat();
        Self::new(id, EncodingKey::from_ed_der(&der), Algorithm::EdDSA)
    }

    fn p256(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self::new(id, EncodingKey::from_ec_der(pair.serialized_der()), Algorithm::ES256)
    }

    fn new(id: &str, private: EncodingKey, algorithm: Algorithm) -> Self {
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&private, algorithm).unwrap()).unwrap();
        public["kid"] = json!(id);
        public["use"] = json!("sig");
        Self { algorithm, private, public, id: id.to_owned() }
    }

    fn token(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.private).unwrap()
    }
}

/// The page with the keys of an issuer, and how often it was read.
struct IssuerPage {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    reads: Arc<AtomicUsize>,
}

impl IssuerPage {
    async fn serve(keys: Vec<Value>) -> Self {
        let (keys, reads) = (Arc::new(Mutex::new(keys)), Arc::new(AtomicUsize::new(0)));
        let (shown, counted) = (keys.clone(), reads.clone());
        let page = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let set = json!({ "keys": *shown.lock().unwrap() });
            async move { axum::Json(set) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(
            async move { axum::serve(listener, axum::Router::new().route("/keys", get(page))).await },
        );
        Self { url, keys, reads }
    }

    fn config(&self) -> IssuerConfig {
        IssuerConfig {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            keys: KeySetSource::Url(self.url.clone()),
            tenant: TenantRule::Claim("org".to_owned()),
            groups_claim: "groups".to_owned(),
            scopes: ScopeRule::Claim("scope".to_owned()),
        }
    }

    fn authenticator(&self) -> Authenticator {
        Authenticator::with_issuers(Vec::new(), vec![self.config()]).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the library that checks tokens reads this clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 600, "org": "acme", "groups": ["engineering"],
            "scope": "openid read write" })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

async fn principal(authenticator: &Authenticator, token: &str) -> Option<Principal> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let authenticated = authenticator.authenticate(&headers).await;
    authenticated.inspect_err(|refusal| assert_eq!(refusal.code, "unauthenticated")).ok()
}

#[tokio::test]
async fn a_token_names_tenant_groups_and_scopes() {
    let (ed, ec) = (SigningPair::ed25519("first", 1), SigningPair::p256("second"));
    // A key of a kind that nobody here knows does no harm to the others.
    let page = IssuerPage::serve(vec![json!({ "kty": "new" }), ed.public.clone(), ec.public.clone()]).await;
    let authenticator = page.authenticator();
    let expected = Principal::new(
        TenantId::new("acme").unwrap(),
        BTreeSet::from(["engineering".to_owned()]),
        BTreeSet::from([AccessScope::Read, AccessScope::Write]),
    );
    let expected = Some(expected.unwrap());
    for pair in [&ed, &ec] {
        assert_eq!(principal(&authenticator, &pair.token(&claims())).await, expected);
    }
    let listed = ed.token(&with("scope", json!(["write", "read", "delete"])));
    assert_eq!(principal(&authenticator, &listed).await, expected);
    let several = ed.token(&with("aud", json!(["other", AUDIENCE])));
    assert_eq!(principal(&authenticator, &several).await, expected);
    let barely = ed.token(&with("exp", json!(now() - 30)));
    assert_eq!(principal(&authenticator, &barely).await, expected, "within the leeway");
    assert_eq!(page.reads.load(Ordering::SeqCst), 1, "the keys are kept");

    let nobody = principal(&authenticator, &ed.token(&without("scope"))).await.unwrap();
    assert!(nobody.scopes().is_empty());
    let alone = principal(&authenticator, &ed.token(&with("groups", json!("one group")))).await.unwrap();
    assert!(alone.groups().contains("one group"));
}

#[tokio::test]
async fn a_token_with_anything_wrong_is_refused() {
    let pair = SigningPair::ed25519("first", 1);
    let page = IssuerPage::serve(vec![pair.public.clone()]).await;
    let authenticator = page.authenticator();
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", encoded(&json!({ "alg": "none" })), encoded(&claims()));
    // The public key as a secret: what a verifier falls for that trusts the header.
    let public = URL_SAFE_NO_PAD.decode(pair.public["x"].as_str().unwrap()).unwrap();
    let confused = encode(
        &Header { kid: Some("first".to_owned()), ..Header::new(Algorithm::HS256) },
        &claims(),
        &EncodingKey::from_secret(&public).unwrap(),
    );
    let good = pair.token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other_claims =
        format!("{}.{}.{signature}", signed.split('.').next().unwrap(), encoded(&with("org", json!("beta"))));
    let wrong = [
        ("audience", pair.token(&with("aud", json!("other")))),
        ("no audience", pair.token(&without("aud"))),
        ("issuer", pair.token(&with("iss", json!("https://evil.example")))),
        ("no issuer", pair.token(&without("iss"))),
        ("expired", pair.token(&with("exp", json!(now() - 120)))),
        ("no expiry", pair.token(&without("exp"))),
        ("not yet", pair.token(&with("nbf", json!(now() + 120)))),
        ("no tenant", pair.token(&without("org"))),
        ("tenant", pair.token(&with("org", json!("Not a tenant")))),
        ("groups", pair.token(&with("groups", json!([1])))),
        ("scopes", pair.token(&with("scope", json!(7)))),
        ("none", unsigned),
        ("secret", confused.unwrap()),
        ("another's key", SigningPair::ed25519("first", 2).token(&claims())),
        ("unknown key", SigningPair::ed25519("third", 1).token(&claims())),
        ("other claims", other_claims),
        ("no signature", format!("{signed}.")),
        ("nothing", "a.b.c".to_owned()),
        ("long", format!("{signed}.{}", "x".repeat(20_000))),
    ];
    for (what, token) in wrong {
        assert_eq!(principal(&authenticator, &token).await, None, "{what}");
    }
    assert!(principal(&authenticator, &good).await.is_some());
    assert_eq!(page.reads.load(Ordering::SeqCst), 1, "an invented key makes nobody read again at once");
}

#[tokio::test(start_paused = true)]
async fn new_keys_are_found_and_old_ones_outlive_a_failure() {
    let (first, second) = (SigningPair::ed25519("first", 1), SigningPair::ed25519("second", 2));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let write = |keys: &[&Value]| std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
    write(&[&first.public]);
    let page = IssuerPage::serve(Vec::new()).await;
    let config = IssuerConfig { keys: KeySetSource::File(file.clone()), ..page.config() };
    let authenticator = Authenticator::with_issuers(Vec::new(), vec![config]).unwrap();
    let accepts =
        async |pair: &SigningPair| principal(&authenticator, &pair.token(&claims())).await.is_some();
    assert!(accepts(&first).await && !accepts(&second).await);
    write(&[&first.public, &second.public]);
    assert!(!accepts(&second).await, "not read again at once");
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    assert!(accepts(&second).await);

    std::fs::write(&file, "no keys").unwrap();
    tokio::time::advance(std::time::Duration::from_hours(2)).await;
    assert!(accepts(&first).await && accepts(&second).await);
}

#[tokio::test]
async fn keys_and_tokens_open_one_server_and_clients_learn_who_issues() {
    const KEY: &str = "a.key.with-two-dots-in-it";
    let pair = SigningPair::ed25519("first", 1);
    let page = IssuerPage::serve(Vec::new()).await;
    *page.keys.lock().unwrap() = vec![pair.public.clone()];
    let keys = vec![key("reader", KEY, &[AccessScope::Read])];
    let authenticator = Authenticator::with_issuers(keys, vec![page.config()]).unwrap();
    let scripted = Arc::new(ScriptedServices::default());
    let services = contexture::server::ServedApi {
        authenticator: Arc::new(authenticator),
        ..services(&scripted, Vec::new())
    };
    let public_url = Some("https://context.example".to_owned());
    let server = RunningServer::start_with(services, ServerConfig { public_url, ..served(limits()) }).await;
    for (credential, scopes) in
        [(KEY.to_owned(), json!(["read"])), (pair.token(&claims()), json!(["read", "write"]))]
    {
        let bearer = format!("Bearer {credential}");
        let known = ask(server.address, "GET /v1/whoami", &[("authorization", &bearer)]).await;
        assert_eq!((known.status, &known.json()["scopes"]), (200, &scopes));
    }
    let mut context = server.context().await;
    let mut request = tonic::Request::new(question());
    let bearer = format!("Bearer {}", pair.token(&claims()));
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    assert!(context.assemble(request).await.is_ok());

    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let metadata = ask(server.address, &format!("GET {path}"), &[]).await;
        assert_eq!(
            metadata.json(),
            json!({ "resource": "https://context.example/mcp", "authorization_servers": [ISSUER],
                    "bearer_methods_supported": ["header"],
                    "scopes_supported": ["read", "write", "admin", "metrics"] })
        );
    }
}
