//! Users while things happen: questions at a steady pace, every answer looked at.
//!
//! An answer must come from one generation: all its chunks are cut as one pipeline cuts, and each
//! holds the bytes of its version. A server may be killed; then the question goes to the next one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contexture::adapters::embedder::bundled;
use contexture::ingest::chunk::{ChunkLimits, cut, decode};
use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use contexture::server::grpc::proto::{Hit, SearchRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::world::COLLECTION;

/// How long a question may look for a server that answers.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const CALL_MAX: Duration = Duration::from_secs(10);
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const TOP_K: i64 = 10;

/// How a pipeline of the tests cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cutting {
    pub(crate) tokens_max: usize,
}

impl Cutting {
    pub(crate) fn limits(self) -> ChunkLimits {
        let Self { tokens_max } = self;
        ChunkLimits { tokens_max, tokens_target: tokens_max, tokens_reserved: 0, chunks_max: 1000 }
    }
}

/// Every text that a version of a document ever had.
#[derive(Clone, Default)]
pub(crate) struct Texts(Arc<Mutex<HashMap<(String, u64), String>>>);

impl Texts {
    pub(crate) fn note(&self, id: &str, version: u64, text: &str) {
        self.0.lock().unwrap().insert((id.to_owned(), version), text.to_owned());
    }

    fn get(&self, id: &str, version: u64) -> Option<String> {
        self.0.lock().unwrap().get(&(id.to_owned(), version)).cloned()
    }
}

/// What users saw.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) answered: u64,
    pub(crate) tried_again: u64,
    pub(crate) degraded: u64,
    /// Answers that only the first, or only the second pipeline could give.
    pub(crate) by_first: u64,
    pub(crate) by_second: u64,
    pub(crate) slowest: Duration,
}

/// Questions until it is stopped.
pub(crate) struct Traffic {
    stop: watch::Sender<bool>,
    asking: JoinHandle<Asked>,
    told: watch::Receiver<(u64, u64)>,
}

impl Traffic {
    /// Asks so many questions a second of the servers in turn.
    pub(crate) fn start(
        servers: &[SocketAddr],
        per_second: u32,
        documents: usize,
        texts: Texts,
        cuttings: [Cutting; 2],
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = watch::channel((0, 0));
        let clients = servers.iter().map(|address| {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            ContextServiceClient::new(endpoint.timeout(CALL_MAX).connect_lazy())
        });
        let user = User { clients: clients.collect(), texts, cuttings, known: HashMap::new() };
        let asking = tokio::spawn(user.ask(per_second, documents, stopped, tell));
        Self { stop, asking, told }
    }

    /// Answers that only the first, or only the second pipeline could give, so far.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        assert!(!self.asking.is_finished(), "a question failed");
        *self.told.borrow()
    }

    pub(crate) async fn end(self) -> Asked {
        self.stop.send_replace(true);
        self.asking.await.unwrap()
    }
}

type Spans = HashSet<(u64, u64)>;

struct User {
    clients: Vec<ContextServiceClient<Channel>>,
    texts: Texts,
    cuttings: [Cutting; 2],
    known: HashMap<(String, u64), [Spans; 2]>,
}

impl User {
    async fn ask(
        mut self,
        per_second: u32,
        documents: usize,
        stop: watch::Receiver<bool>,
        tell: watch::Sender<(u64, u64)>,
    ) -> Asked {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut asked = Asked::default();
        let mut number = 0_usize;
        while !*stop.borrow() {
            ticks.tick().await;
            number += 7;
            let question = format!("case{} queue budget", number % documents);
            let began = Instant::now();
            let hits = self.answer(&question, &mut asked).await;
            asked.slowest = asked.slowest.max(began.elapsed());
            asked.answered += 1;
            self.look_at(&question, &hits, &mut asked);
            tell.send_replace((asked.by_first, asked.by_second));
        }
        asked
    }

    /// The answer of the next server that gives one.
    async fn answer(&mut self, question: &str, asked: &mut Asked) -> Vec<Hit> {
        let deadline = Instant::now() + ANSWER_MAX;
        loop {
            self.clients.rotate_left(1);
            let request = SearchRequest {
                collection: COLLECTION.to_owned(),
                question: question.to_owned(),
                top_k: Some(TOP_K),
                ..SearchRequest::default()
            };
            match self.clients[0].search(request).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    asked.degraded += u64::from(!answer.degraded.is_empty());
                    return answer.hits;
                }
                // A server that is killed, or not there yet.
                Err(status)
                    if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) =>
                {
                    assert!(Instant::now() < deadline, "no server answers: {status:?}");
                    asked.tried_again += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(status) => panic!("a question failed: {status:?}"),
            }
        }
    }

    fn look_at(&mut self, question: &str, hits: &[Hit], asked: &mut Asked) {
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        let mut may_be = [true; 2];
        for hit in hits {
            let version = *versions.entry(&hit.document_id).or_insert(hit.version);
            assert_eq!(version, hit.version, "R1: two versions of {} in one answer", hit.document_id);
            let text = self.texts.get(&hit.document_id, hit.version);
            let text = text.unwrap_or_else(|| panic!("nobody wrote {} {}", hit.document_id, hit.version));
            let decoded = decode(text.as_bytes(), None, &hit.document_id).unwrap();
            let span = hit.span.unwrap();
            let (from, to) = (span.start_byte, span.end_byte);
            let bytes = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
            assert_eq!(decoded.text[bytes], hit.text, "R3: {}", hit.document_id);
            let cuttings = self.cuttings;
            let spans = self.known.entry((hit.document_id.clone(), hit.version)).or_insert_with(|| {
                let tokenizer = bundled::tokenizer().unwrap();
                cuttings.map(|cutting| {
                    let cut = cut(&decoded, decoded.title.as_deref(), &tokenizer, &cutting.limits());
                    let spans = cut.unwrap();
                    spans.iter().map(|one| (one.span.start as u64, one.span.end as u64)).collect()
                })
            });
            for (may_be, spans) in may_be.iter_mut().zip(spans) {
                *may_be &= spans.contains(&(from, to));
            }
        }
        assert_ne!(may_be, [false; 2], "an answer to '{question}' mixes generations: {hits:#?}");
        asked.by_first += u64::from(may_be == [true, false]);
        asked.by_second += u64::from(may_be == [false, true]);
    }
}
