//! A provider with a limit, over real sockets, and the plain client that benches compare with.

#![allow(dead_code, unreachable_pub, reason = "each bench is a crate of its own")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Calls allowed in any 60 s.
pub const PER_MINUTE: u32 = 600;
/// Numbers of a vector.
pub const DIMS: usize = 8;
const LATENCY: Duration = Duration::from_millis(50);
const MINUTE: Duration = Duration::from_mins(1);
/// Calls that a plain client makes at once.
const PLAIN_CALLS: usize = 4;
/// Times that a plain client tries a text.
const PLAIN_TRIES: usize = 6;
/// How long it waits after a refusal.
const PLAIN_WAIT: Duration = Duration::from_secs(1);

/// What it has seen.
#[derive(Default)]
struct ProviderRecord {
    served_at: Mutex<VecDeque<Instant>>,
    served: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    called: AtomicBool,
}

/// The provider; serves as long as the runtime lives.
pub struct BenchProvider {
    url: String,
    seen: Arc<ProviderRecord>,
}

impl BenchProvider {
    /// Starts one on a free port of loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/embeddings", listener.local_addr().unwrap());
        let seen = Arc::new(ProviderRecord::default());
        let answering = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answering.clone()));
            }
        });
        Self { url, seen }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns once somebody calls.
    pub async fn until_called(&self) {
        while !self.seen.called.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Calls that were served and refused.
    pub fn counts(&self) -> (u64, u64) {
        (self.seen.served.load(Ordering::SeqCst), self.seen.refused.load(Ordering::SeqCst))
    }

    /// Texts that a client said it has given up.
    pub fn lost(&self) -> u64 {
        self.seen.lost.load(Ordering::SeqCst)
    }
}

impl ProviderRecord {
    fn admits(&self) -> bool {
        let mut served_at = self.served_at.lock().unwrap();
        let now = Instant::now();
        while served_at.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            served_at.pop_front();
        }
        let admitted = served_at.len() < PER_MINUTE as usize;
        if admitted {
            served_at.push_back(now);
        }
        admitted
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<ProviderRecord>) {
    stream.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    loop {
        let Some((path, _)) = read(&mut stream, &mut bytes).await else { return };
        let reply = if path.contains("/lost") {
            seen.lost.fetch_add(1, Ordering::SeqCst);
            reply(200, "{}")
        } else if seen.admits() {
            seen.called.store(true, Ordering::SeqCst);
            tokio::time::sleep(LATENCY).await;
            seen.served.fetch_add(1, Ordering::SeqCst);
            let vector = [0.5; DIMS].map(|number: f32| number.to_string()).join(",");
            reply(200, &format!("{{\"data\":[{{\"index\":0,\"embedding\":[{vector}]}}]}}"))
        } else {
            seen.refused.fetch_add(1, Ordering::SeqCst);
            reply(429, "{\"error\":{\"message\":\"rate limit reached\"}}")
        };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn reply(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The first line of the next message on a connection, and its body.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..end + 4 + length].to_vec();
                bytes.drain(..end + 4 + length);
                return Some((head.lines().next().unwrap_or_default().to_owned(), body));
            }
        }
        if stream.read_buf(bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// A client without a limiter: some calls at once, a pause after a refusal, then it gives up.
pub async fn plain(url: &str, number: usize) {
    let address = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let calling = (0..PLAIN_CALLS).map(|call| {
        let address = address.clone();
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut bytes = Vec::new();
            for text in 0_u64.. {
                let body = format!("{{\"input\":[\"text {number} {call} {text}\"]}}");
                let mut tries = 0;
                while tries < PLAIN_TRIES && !post(&mut stream, &mut bytes, "/v1/embeddings", &body).await {
                    tries += 1;
                    tokio::time::sleep(PLAIN_WAIT).await;
                }
                if tries == PLAIN_TRIES {
                    post(&mut stream, &mut bytes, "/lost", "").await;
                }
            }
        })
    });
    futures::future::join_all(calling.collect::<Vec<_>>()).await;
}

/// Whether it was served.
async fn post(stream: &mut TcpStream, bytes: &mut Vec<u8>, path: &str, body: &str) -> bool {
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    read(stream, bytes).await.is_some_and(|(first, _)| first.contains(" 200 "))
}
