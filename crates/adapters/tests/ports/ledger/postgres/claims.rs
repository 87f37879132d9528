//! Claims on texts: which of many processes makes a call that is paid for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::memory::shared_states::MemorySharedStates;
use contexture_adapters::postgres::PostgresLedger;
use contexture_core::domain::ids::{EmbeddingKey, derive_embedding_key};
use contexture_core::ingest::housekeeping;
use contexture_core::ports::ledger::Ledger;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::plant::{ProcessStages, SharedBackends, documents};
use crate::support::postgres::{PATIENCE, TemporarySchema, number};
use crate::support::providers::{DIMS, ProviderSetup, answer_well, refusal, texts_of};
use crate::support::scripted_http::ScriptedHttp;

const TTL: Duration = Duration::from_secs(10);
const ROWS: &str = "SELECT count(*) FROM embedding_claims";

fn keys(names: &str) -> Vec<EmbeddingKey> {
    names.chars().map(|name| derive_embedding_key("model", &name.to_string())).collect()
}

/// Which of the keys a handle gets, or has already.
async fn claimed(ledger: &Arc<dyn Ledger>, names: &str) -> String {
    let answers = ledger.claim_texts(&keys(names), TTL).await.unwrap();
    names.chars().zip(answers).filter_map(|(name, is_mine)| is_mine.then_some(name)).collect()
}

/// Claims go by the server's clock: to let time pass is to move their ends.
async fn pass(beside: &mut PgConnection, by: Duration) {
    let sql = format!("UPDATE embedding_claims SET ends_at = ends_at - interval '{} seconds'", by.as_secs());
    sqlx::query(AssertSqlSafe(sql)).execute(beside).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_its_holders_alone() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let (one, two) = (schema.ledger().await, schema.ledger().await);
    assert_eq!(claimed(&one, "abb").await, "abb");
    assert_eq!(claimed(&two, "abc").await, "c");
    assert_eq!(claimed(&one, "ba").await, "ba", "it has them already");
    two.release_texts(&keys("abc")).await.unwrap();
    assert_eq!(claimed(&two, "ab").await, "", "what another has is not given up");
    one.release_texts(&keys("b")).await.unwrap();
    assert_eq!(claimed(&two, "abc").await, "bc");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_lives_as_long_as_it_is_renewed() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let (one, two) = (schema.ledger().await, schema.ledger().await);
    let mut beside = schema.connection().await;
    assert_eq!(claimed(&one, "a").await, "a");
    for _ in 0..3 {
        pass(&mut beside, TTL * 6 / 10).await;
        assert_eq!(claimed(&two, "a").await, "");
        assert_eq!(claimed(&one, "a").await, "a");
    }
    pass(&mut beside, TTL).await;
    assert_eq!(claimed(&two, "a").await, "a");
    assert_eq!(claimed(&one, "a").await, "", "who was paused finds it taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_dead_left_is_removed() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut beside = schema.connection().await;
    let setup = ProviderSetup::new();
    let ledger = schema.ledger().await;
    assert_eq!(claimed(&ledger, "abc").await, "abc");
    pass(&mut beside, Duration::from_mins(5)).await;
    assert_eq!(claimed(&ledger, "d").await, "d");
    assert_eq!(ledger.forget_claims(Duration::from_mins(10)).await.unwrap(), 0);
    pass(&mut beside, Duration::from_mins(6)).await;
    assert_eq!(claimed(&ledger, "d").await, "d");

    let server = ScriptedHttp::start(answer_well).await;
    let site = SharedBackends::new(setup.states.clone(), setup.clock.clone(), DIMS);
    let plant = ProcessStages::at(&site, ledger.clone(), setup.embedder(&server), 0).await;
    assert!(housekeeping::run_housekeeping_round(&plant.stages, false).await.unwrap());
    assert_eq!(number(&mut beside, ROWS).await, 1, "the last is in use");
    plant.stop().await;
}

/// Whoever claims, renews, gives up and forgets at once: nobody waits for another in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_in_any_order_do_not_block_each_other() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let names = "abcdefghijklmnopqrstuvwxyz";
    let mut running = tokio::task::JoinSet::new();
    for process in 0..4 {
        let ledger = schema.ledger().await;
        running.spawn(async move {
            for round in 0..50 {
                let mut mine = keys(names);
                mine.rotate_left(round * 5 % 26);
                if process % 2 == 1 {
                    mine.reverse();
                }
                ledger.claim_texts(&mine, Duration::from_millis(1)).await.unwrap();
                ledger.forget_claims(Duration::ZERO).await.unwrap();
                ledger.release_texts(&mine).await.unwrap();
            }
        });
    }
    tokio::time::timeout(PATIENCE, running.join_all()).await.unwrap();
}

/// What several processes have of a ledger, and what they share besides.
struct LedgerProcesses {
    schema: Arc<TemporarySchema>,
    setup: ProviderSetup,
    site: SharedBackends,
}

impl LedgerProcesses {
    /// Over real time, for the server's clock does not stand still.
    async fn new(requests_per_minute: u32, embed_claim_max: Duration) -> Option<Self> {
        let schema = TemporarySchema::new().await?;
        let mut setup = ProviderSetup { texts_max: 4, ..ProviderSetup::new() };
        setup.limits.requests_per_minute = Some(requests_per_minute);
        setup.states = Arc::new(MemorySharedStates::new(setup.clock.clone()));
        let mut site = SharedBackends::new(setup.states.clone(), setup.clock.clone(), DIMS);
        site.embed_claim_max = embed_claim_max;
        Some(Self { schema, setup, site })
    }

    async fn start(&self, server: &ScriptedHttp, number: usize) -> ProcessStages {
        let ledger = PostgresLedger::connect(&self.schema.config(), self.setup.clock.clone()).await.unwrap();
        let (states, clock) = (self.setup.states.clone(), self.setup.clock.clone());
        let limits = self.setup.limits;
        let setup = ProviderSetup {
            states,
            clock,
            limits,
            holder: format!("process {number}"),
            ..ProviderSetup::new()
        };
        let embedder = ProviderSetup { texts_max: self.setup.texts_max, ..setup }.embedder(server);
        ProcessStages::at(&self.site, Arc::new(ledger), embedder, 2).await
    }
}

/// Calls wait for their turn for several times as long as a claim lasts that is not renewed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_three_times_over_processes_embeds_each_text_once() {
    const DOCUMENTS: usize = 80;
    let Some(processes) = LedgerProcesses::new(300, Duration::from_millis(600)).await else { return };
    let server = ScriptedHttp::start(|request| answer_well(request).after(Duration::from_millis(50))).await;
    let mut plants = Vec::new();
    for number in 0..3 {
        plants.push(processes.start(&server, number).await);
    }
    plants[0].put(&documents(DOCUMENTS), 3).await;
    let counts = plants[0].drained(PATIENCE).await;
    assert_eq!((counts.visible, counts.dead), (DOCUMENTS as u64, 0));
    for plant in plants {
        plant.stop().await;
    }
    let sent: Vec<String> = server.requests().iter().flat_map(texts_of).collect();
    let unique: BTreeSet<&String> = sent.iter().collect();
    assert_eq!(unique.len(), DOCUMENTS);
    assert!(sent.len() * 100 <= unique.len() * 105, "{} texts for {}", sent.len(), unique.len());
    let mut beside = processes.schema.connection().await;
    assert_eq!(number(&mut beside, ROWS).await, 0, "every claim was given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_given_up_when_the_work_fails() {
    let Some(processes) = LedgerProcesses::new(6000, Duration::from_mins(10)).await else { return };
    let server = ScriptedHttp::always(refusal(500, "on fire")).await;
    let plant = processes.start(&server, 0).await;
    plant.put(&documents(8), 1).await;
    server.arrived(2).await;
    plant.stop().await;
    let mut beside = processes.schema.connection().await;
    assert_eq!(number(&mut beside, ROWS).await, 0);
}
