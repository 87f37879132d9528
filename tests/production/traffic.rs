//! Users while things happen: questions at a steady pace, every answer looked at.
//!
//! An answer must come from one generation: all its chunks are cut as one pipeline cuts, and each
//! holds the bytes of its version. A server may be killed; then the question goes to the next one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contexture::adapters::embedder::bundled;
use contexture::adapters::tokenizer::hugging_face::HuggingFaceTokenizer;
use contexture::ingest::chunk::{ChunkLimits, decode_body, split_into_chunks};
use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use contexture::server::grpc::proto::{Hit, SearchRequest};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
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
pub(crate) struct ChunkCutter {
    pub(crate) tokens_max: usize,
}

impl ChunkCutter {
    pub(crate) fn limits(self) -> ChunkLimits {
        let Self { tokens_max } = self;
        ChunkLimits { tokens_max, tokens_target: tokens_max, tokens_reserved: 0, chunks_max: 1000 }
    }
}

/// Every text that a version of a document ever had.
#[derive(Clone, Default)]
pub(crate) struct ExpectedTexts(Arc<Mutex<HashMap<(String, u64), String>>>);

impl ExpectedTexts {
    pub(crate) fn note(&self, id: &str, version: u64, text: &str) {
        self.0.lock().unwrap().insert((id.to_owned(), version), text.to_owned());
    }

    fn get(&self, id: &str, version: u64) -> Option<String> {
        self.0.lock().unwrap().get(&(id.to_owned(), version)).cloned()
    }
}

/// What users saw.
#[derive(Debug, Default)]
pub(crate) struct AskedQuestions {
    pub(crate) answered: u64,
    pub(crate) tried_again: u64,
    pub(crate) degraded: u64,
    /// Answers that only the first, or only the second pipeline could give.
    pub(crate) by_first: u64,
    pub(crate) by_second: u64,
    pub(crate) slowest: Duration,
    /// The rate of answers that was reached.
    pub(crate) per_second: f64,
}

/// Questions until it is stopped.
pub(crate) struct StormTraffic {
    stop: watch::Sender<bool>,
    asking: JoinHandle<AskedQuestions>,
    told: watch::Receiver<(u64, u64)>,
}

impl StormTraffic {
    /// Asks so many questions a second of the servers in turn.
    pub(crate) fn start(
        servers: &[SocketAddr],
        per_second: u32,
        documents: usize,
        texts: ExpectedTexts,
        cuttings: [ChunkCutter; 2],
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = watch::channel((0, 0));
        let clients = servers.iter().map(|address| {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            ContextServiceClient::new(endpoint.timeout(CALL_MAX).connect_lazy())
        });
        let users = StormUsers {
            clients: clients.collect(),
            texts,
            cuttings,
            known: Mutex::default(),
            tokenizer: bundled::tokenizer().unwrap(),
            asked: Mutex::default(),
            tell,
        };
        let asking = tokio::spawn(Arc::new(users).ask(per_second, documents, stopped));
        Self { stop, asking, told }
    }

    /// Answers that only the first, or only the second pipeline could give, so far.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        assert!(!self.asking.is_finished(), "a question failed");
        *self.told.borrow()
    }

    pub(crate) async fn end(self) -> AskedQuestions {
        self.stop.send_replace(true);
        self.asking.await.unwrap()
    }
}

type ExpectedSpans = HashSet<(u64, u64)>;

/// Questions that are asked at once, at most: then the servers do not keep up, and the next one waits.
const OPEN_MAX: usize = 64;

struct StormUsers {
    clients: Vec<ContextServiceClient<Channel>>,
    texts: ExpectedTexts,
    cuttings: [ChunkCutter; 2],
    known: Mutex<HashMap<(String, u64), [ExpectedSpans; 2]>>,
    tokenizer: HuggingFaceTokenizer,
    asked: Mutex<AskedQuestions>,
    tell: watch::Sender<(u64, u64)>,
}

impl StormUsers {
    /// Asks at a steady pace, whatever became of the questions before.
    async fn ask(
        self: Arc<Self>,
        per_second: u32,
        documents: usize,
        stop: watch::Receiver<bool>,
    ) -> AskedQuestions {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut open = JoinSet::new();
        let (mut number, began) = (0_usize, Instant::now());
        while !*stop.borrow() {
            ticks.tick().await;
            number += 1;
            open.spawn(self.clone().one(number, number * 7 % documents));
            while let Some(done) = open.try_join_next() {
                done.unwrap();
            }
            if open.len() >= OPEN_MAX {
                open.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(done) = open.join_next().await {
            done.unwrap();
        }
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.per_second = f64::from(u32::try_from(asked.answered).unwrap()) / began.elapsed().as_secs_f64();
        asked
    }

    async fn one(self: Arc<Self>, turn: usize, document: usize) {
        let question = format!("what is said of case{document}?");
        let began = Instant::now();
        let hits = self.answer(turn, &question).await;
        let took = began.elapsed();
        let may_be = self.look_at(&question, &hits);
        let mut asked = self.asked.lock().unwrap();
        asked.slowest = asked.slowest.max(took);
        asked.answered += 1;
        asked.by_first += u64::from(may_be == [true, false]);
        asked.by_second += u64::from(may_be == [false, true]);
        self.tell.send_replace((asked.by_first, asked.by_second));
    }

    /// The answer of the next server that gives one.
    async fn answer(&self, turn: usize, question: &str) -> Vec<Hit> {
        let deadline = Instant::now() + ANSWER_MAX;
        for turn in turn.. {
            let request = SearchRequest {
                collection: COLLECTION.to_owned(),
                question: question.to_owned(),
                top_k: Some(TOP_K),
                ..SearchRequest::default()
            };
            let mut client = self.clients[turn % self.clients.len()].clone();
            match client.search(request).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    self.asked.lock().unwrap().degraded += u64::from(!answer.degraded.is_empty());
                    return answer.hits;
                }
                // A server that is killed, or not there yet.
                Err(status)
                    if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) =>
                {
                    assert!(Instant::now() < deadline, "no server answers: {status:?}");
                    self.asked.lock().unwrap().tried_again += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(status) => panic!("a question failed: {status:?}"),
            }
        }
        unreachable!("turns do not end")
    }

    /// Whether the answer may be the first pipeline's, and the second's.
    fn look_at(&self, question: &str, hits: &[Hit]) -> [bool; 2] {
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        let mut may_be = [true; 2];
        for hit in hits {
            let version = *versions.entry(&hit.document_id).or_insert(hit.version);
            assert_eq!(version, hit.version, "R1: two versions of {} in one answer", hit.document_id);
            let text = self.texts.get(&hit.document_id, hit.version);
            let text = text.unwrap_or_else(|| panic!("nobody wrote {} {}", hit.document_id, hit.version));
            let decoded = decode_body(text.as_bytes(), None, &hit.document_id).unwrap();
            let span = hit.span.unwrap();
            let (from, to) = (span.start_byte, span.end_byte);
            let bytes = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
            assert_eq!(decoded.text[bytes], hit.text, "R3: {}", hit.document_id);
            let cuttings = self.cuttings;
            let mut known = self.known.lock().unwrap();
            let spans = known.entry((hit.document_id.clone(), hit.version)).or_insert_with(|| {
                cuttings.map(|cutting| {
                    let cut = split_into_chunks(
                        &decoded,
                        decoded.title.as_deref(),
                        &self.tokenizer,
                        &cutting.limits(),
                    );
                    let spans = cut.unwrap();
                    spans.iter().map(|one| (one.span.start as u64, one.span.end as u64)).collect()
                })
            });
            for (may_be, spans) in may_be.iter_mut().zip(spans) {
                *may_be &= spans.contains(&(from, to));
            }
        }
        assert_ne!(may_be, [false; 2], "an answer to '{question}' mixes generations: {hits:#?}");
        may_be
    }
}
