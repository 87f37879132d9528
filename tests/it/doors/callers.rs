//! A caller with a key, through each door.

use std::net::SocketAddr;

use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use contexture::server::grpc::proto::ingest_service_client::IngestServiceClient;
use contexture::server::grpc::proto::{
    AssembleRequest, GetDocumentRequest, Receipt, SearchRequest, SubmitRequest,
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Puts the key into every gRPC call.
#[derive(Clone)]
pub(super) struct KeyInterceptor(String);

impl Interceptor for KeyInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// Whoever has this key.
#[derive(Clone)]
pub(super) struct DoorCaller {
    address: SocketAddr,
    key: String,
    http: Client,
    channel: Channel,
}

impl DoorCaller {
    pub(super) async fn new(address: SocketAddr, key: &str) -> Self {
        // Fails if it is installed already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let http = Client::builder().no_proxy().build().unwrap();
        Self { address, key: key.to_owned(), http, channel }
    }

    /// One request over HTTP: the status and the JSON of the answer, null where there is none.
    pub(super) async fn http(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
        let json = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            assert!(bytes.is_empty(), "not JSON: {}", String::from_utf8_lossy(&bytes));
            Value::Null
        });
        (status, json)
    }

    /// One tool call over MCP: the result of the JSON-RPC answer.
    pub(super) async fn mcp(&self, tool: &str, arguments: Value) -> Value {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}
        });
        let answer = self
            .http
            .post(format!("http://{}/mcp", self.address))
            .bearer_auth(&self.key)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18")
            .json(&message)
            .send()
            .await
            .unwrap();
        let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
        let answer: Value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| panic!("{status}: {}", String::from_utf8_lossy(&bytes)));
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }

    fn interceptor(&self) -> KeyInterceptor {
        KeyInterceptor(self.key.clone())
    }

    fn ingest(&self) -> IngestServiceClient<InterceptedService<Channel, KeyInterceptor>> {
        IngestServiceClient::with_interceptor(self.channel.clone(), self.interceptor())
    }

    fn context(&self) -> ContextServiceClient<InterceptedService<Channel, KeyInterceptor>> {
        ContextServiceClient::with_interceptor(self.channel.clone(), self.interceptor())
    }

    pub(super) async fn grpc_submit(&self, request: SubmitRequest) -> Result<Receipt, Status> {
        self.ingest().submit(request).await.map(tonic::Response::into_inner)
    }

    /// The context over gRPC, as text with everything that came along.
    pub(super) async fn grpc_assemble(&self, request: AssembleRequest) -> Result<String, Status> {
        self.context().assemble(request).await.map(|answer| format!("{:?}", answer.into_inner()))
    }

    /// The ranking over gRPC, as text with everything that came along.
    pub(super) async fn grpc_search(&self, request: SearchRequest) -> Result<String, Status> {
        self.context().search(request).await.map(|answer| format!("{:?}", answer.into_inner()))
    }

    /// A document over gRPC, as text with everything that came along.
    pub(super) async fn grpc_document(&self, request: GetDocumentRequest) -> Result<String, Status> {
        self.ingest().get_document(request).await.map(|answer| format!("{:?}", answer.into_inner()))
    }
}
