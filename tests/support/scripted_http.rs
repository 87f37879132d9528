//! An HTTP service that answers as a test says, over real sockets: whole, late, in drops, cut off,
//! without end, or not at all. It remembers what it was sent.
//!
//! One request per connection, on a free port of loopback. Requests have at most
//! [`REQUEST_BYTES_MAX`]; what does not end with them is dropped. Gone with the value that stands
//! for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl RecordedRequest {
    /// A header's value; names in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// How a body is sent.
#[derive(Debug, Clone, Copy)]
enum BodyPace {
    Whole,
    /// A byte at a time.
    Drops(Duration),
    /// So many bytes, then the connection closes.
    CutAfter(usize),
    /// Again and again, until the other side has enough.
    Endless,
    /// Not even a status, and the connection stays open.
    Never,
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedReply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    pace: BodyPace,
}

impl ScriptedReply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO, pace: BodyPace::Whole }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new(200, value.to_string()).header("content-type", "application/json")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Begins so long after the request has arrived.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn in_drops(self, interval: Duration) -> Self {
        Self { pace: BodyPace::Drops(interval), ..self }
    }

    pub(crate) fn cut_after(self, bytes: usize) -> Self {
        Self { pace: BodyPace::CutAfter(bytes), ..self }
    }

    pub(crate) fn endless(self) -> Self {
        Self { pace: BodyPace::Endless, ..self }
    }

    pub(crate) fn never() -> Self {
        Self { pace: BodyPace::Never, ..Self::new(200, "") }
    }

    /// Stands for whatever a service that is well would answer; to be replaced by the script.
    pub(crate) fn well() -> Self {
        Self::new(0, "")
    }

    pub(crate) fn is_well(&self) -> bool {
        self.status == 0
    }

    fn head(&self) -> String {
        let length = match self.pace {
            BodyPace::Endless => String::new(),
            _ => format!("content-length: {}\r\n", self.body.len()),
        };
        let lines: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = lines.concat();
        format!("HTTP/1.1 {} Scripted\r\n{headers}{length}connection: close\r\n\r\n", self.status)
    }

    /// Errors mean that the other side has had enough.
    async fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        if matches!(self.pace, BodyPace::Never) {
            return std::future::pending().await;
        }
        tokio::time::sleep(self.delay).await;
        stream.write_all(self.head().as_bytes()).await?;
        match self.pace {
            BodyPace::Never => {}
            BodyPace::Whole => stream.write_all(&self.body).await?,
            BodyPace::CutAfter(bytes) => stream.write_all(&self.body[..bytes]).await?,
            BodyPace::Drops(interval) => {
                for byte in &self.body {
                    tokio::time::sleep(interval).await;
                    stream.write_all(&[*byte]).await?;
                }
            }
            BodyPace::Endless => loop {
                stream.write_all(&self.body).await?;
            },
        }
        stream.shutdown().await
    }
}

type ReplyScript = dyn Fn(&RecordedRequest) -> ScriptedReply + Send + Sync;

/// The service.
pub(crate) struct ScriptedHttp {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    arrived: watch::Sender<usize>,
    serving: JoinHandle<()>,
}

impl ScriptedHttp {
    pub(crate) async fn start(
        script: impl Fn(&RecordedRequest) -> ScriptedReply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, arrived) = (Arc::<Mutex<Vec<RecordedRequest>>>::default(), watch::Sender::new(0));
        let script: Arc<ReplyScript> = Arc::new(script);
        let (seen, counted) = (requests.clone(), arrived.clone());
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen, counted) = (script.clone(), seen.clone(), counted.clone());
                connections.spawn(async move {
                    // Who goes away in the middle is a case that tests make.
                    let _ = answer(stream, &*script, &seen, &counted).await;
                });
            }
        });
        Self { address, requests, arrived, serving }
    }

    /// The same answer to everything.
    pub(crate) async fn always(reply: ScriptedReply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns once so many requests have arrived.
    pub(crate) async fn arrived(&self, requests: usize) {
        self.arrived.subscribe().wait_for(|arrived| *arrived >= requests).await.unwrap();
    }
}

impl Drop for ScriptedHttp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    script: &ReplyScript,
    seen: &Mutex<Vec<RecordedRequest>>,
    counted: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let request = read(&mut stream).await?;
    let reply = script(&request);
    seen.lock().unwrap().push(request);
    counted.send_modify(|arrived| *arrived += 1);
    reply.send(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> std::io::Result<RecordedRequest> {
    let too_large = || std::io::Error::other("the request is too large for a test");
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(too_large());
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    if length > REQUEST_BYTES_MAX {
        return Err(too_large());
    }
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    Ok(RecordedRequest { method, path, headers, body })
}
