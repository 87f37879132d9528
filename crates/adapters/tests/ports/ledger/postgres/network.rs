//! The line to the server: deadlines, lost connections, TLS.

use std::sync::Arc;
use std::time::Duration;

use contexture_core::domain::ids::CollectionKey;
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{IntakeDecision, Ledger};
use sqlx::PgConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::postgres::{PATIENCE, TemporarySchema, number, open, rows, until, url};
use crate::support::{TENANT, collection, document, epoch, submission};

const SHORT: Duration = Duration::from_secs(1);

async fn with_home(ledger: &Arc<dyn Ledger>) -> CollectionKey {
    let home = collection(TENANT, "home");
    ledger.ensure_collection(&home, "", epoch("one")).await.unwrap();
    ledger.accept(vec![submission(&home, "doc", None, "one")]).await.unwrap();
    home
}

/// Holds the document's lock until the connection ends its transaction.
async fn hold_document(connection: &mut PgConnection) {
    rows(connection, "BEGIN").await;
    rows(connection, "SELECT 1 FROM documents FOR UPDATE").await;
}

fn own_backends(schema: &TemporarySchema, condition: &str) -> String {
    format!("FROM pg_stat_activity WHERE application_name = 'contexture {}' {condition}", schema.name)
}

async fn until_waiting(connection: &mut PgConnection, schema: &TemporarySchema) {
    let waits = own_backends(schema, "AND wait_event_type = 'Lock'");
    until(connection, &format!("SELECT EXISTS (SELECT 1 {waits})")).await;
}

async fn end_backends(connection: &mut PgConnection, schema: &TemporarySchema) {
    let all = own_backends(schema, "");
    until(connection, &format!("SELECT bool_and(pg_terminate_backend(pid)) {all}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_ends_at_its_deadline() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut config = schema.config();
    config.statement_timeout = SHORT;
    let ledger = open(&config).await;
    let home = with_home(&ledger).await;
    let mut stranger = schema.connection().await;
    hold_document(&mut stranger).await;
    let fault = ledger.accept(vec![submission(&home, "doc", None, "two")]).await.unwrap_err();
    assert!(matches!(fault, Fault::Transient(_)), "{fault}");
    rows(&mut stranger, "COMMIT").await;
    let receipts = ledger.accept(vec![submission(&home, "doc", None, "two")]).await.unwrap();
    assert_eq!((receipts[0].intake, receipts[0].version.get()), (IntakeDecision::Accepted, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_for_a_connection_ends_at_its_deadline() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut config = schema.config();
    (config.connections_max, config.acquire_timeout) = (1, SHORT);
    let ledger = open(&config).await;
    let home = with_home(&ledger).await;
    let mut stranger = schema.connection().await;
    hold_document(&mut stranger).await;
    let (busy, batch) = (ledger.clone(), vec![submission(&home, "doc", None, "two")]);
    let call = tokio::spawn(async move { busy.accept(batch).await });
    until_waiting(&mut schema.connection().await, &schema).await;
    let fault = ledger.counts(&home).await.unwrap_err();
    assert!(matches!(fault, Fault::Transient(_)), "{fault}");
    rows(&mut stranger, "COMMIT").await;
    assert_eq!(call.await.unwrap().unwrap()[0].intake, IntakeDecision::Accepted);
}

/// Who no longer waits for an answer gives the connection up: the only one, here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_call_does_not_keep_its_connection() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut config = schema.config();
    config.connections_max = 1;
    let ledger = open(&config).await;
    let home = with_home(&ledger).await;
    let mut stranger = schema.connection().await;
    hold_document(&mut stranger).await;
    let (busy, batch) = (ledger.clone(), vec![submission(&home, "doc", None, "two")]);
    let call = tokio::spawn(async move { busy.accept(batch).await });
    until_waiting(&mut schema.connection().await, &schema).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(ledger.counts(&home).await.unwrap().accepted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_lost_while_idle_are_replaced() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let ledger = schema.ledger().await;
    let home = with_home(&ledger).await;
    let mut stranger = schema.connection().await;
    for _ in 0..3 {
        let calls = (0..8).map(|_| ledger.counts(&home));
        for counts in futures::future::join_all(calls).await {
            assert_eq!(counts.unwrap().accepted, 1);
        }
        end_backends(&mut stranger, &schema).await;
    }
    let calls = (0..8).map(|number| {
        let id = format!("doc {number}");
        ledger.accept(vec![submission(&home, &id, None, "text")])
    });
    for receipts in futures::future::join_all(calls).await {
        assert_eq!(receipts.unwrap()[0].intake, IntakeDecision::Accepted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_lost_before_the_commit_is_no_failure() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let ledger = schema.ledger().await;
    let home = with_home(&ledger).await;
    let mut stranger = schema.connection().await;
    hold_document(&mut stranger).await;
    let (busy, batch) = (ledger.clone(), vec![submission(&home, "doc", None, "two")]);
    let call = tokio::spawn(async move { busy.accept(batch).await });
    let mut watcher = schema.connection().await;
    until_waiting(&mut watcher, &schema).await;
    end_backends(&mut watcher, &schema).await;
    until_waiting(&mut watcher, &schema).await;
    rows(&mut stranger, "COMMIT").await;
    let receipts = tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap().unwrap();
    assert_eq!((receipts[0].intake, receipts[0].version.get()), (IntakeDecision::Accepted, 2));
    assert_eq!(ledger.history(&home, &document("doc")).await.unwrap().len(), 2);
}

/// A line that swallows everything: the deadline on this side ends the call, and the only
/// connection of the pool can be opened anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_network_ends_calls_and_keeps_no_connection() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let line = HoldableConnection::open().await;
    let mut config = schema.config();
    (config.url, config.connections_max) = (line.url(), 1);
    (config.acquire_timeout, config.statement_timeout) = (SHORT, SHORT);
    let ledger = open(&config).await;
    let home = with_home(&ledger).await;
    line.flowing.send_replace(false);
    for _ in 0..2 {
        let asking = ledger.accept(vec![submission(&home, "doc", None, "two")]);
        let fault = tokio::time::timeout(PATIENCE, asking).await.unwrap().unwrap_err();
        assert!(matches!(fault, Fault::Transient(_)), "{fault}");
    }
    line.flowing.send_replace(true);
    let receipts = ledger.accept(vec![submission(&home, "doc", None, "two")]).await.unwrap();
    assert_eq!(receipts[0].version.get(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_asked_for_in_the_address() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let mut beside = schema.connection().await;
    if number(&mut beside, "SELECT count(*) FROM pg_settings WHERE name = 'ssl' AND setting = 'on'").await
        == 0
    {
        eprintln!("not tested: the server has no TLS");
        return;
    }
    for (mode, encrypted) in [("require", true), ("disable", false)] {
        let mut config = schema.config();
        config.url = with_parameter(&url(), "sslmode", mode);
        let ledger = open(&config).await;
        assert_eq!(ledger.collections().await.unwrap(), []);
        let own = own_backends(&schema, "");
        let sql =
            format!("SELECT bool_and(ssl = {encrypted}) FROM pg_stat_ssl WHERE pid IN (SELECT pid {own})");
        until(&mut beside, &sql).await;
        drop(ledger);
        until(&mut beside, &format!("SELECT count(*) = 0 {own}")).await;
    }
}

fn with_parameter(url: &str, name: &str, value: &str) -> String {
    format!("{url}{}{name}={value}", if url.contains('?') { '&' } else { '?' })
}

/// A line to the server that can be held.
struct HoldableConnection {
    port: u16,
    server: String,
    flowing: watch::Sender<bool>,
}

impl HoldableConnection {
    async fn open() -> Self {
        let address = url();
        let after_user = address.rsplit_once('@').map_or(address.as_str(), |(_, rest)| rest);
        let server = after_user.split(['/', '?']).next().unwrap().to_owned();
        assert!(server.contains(':'), "the tests' address has to name its port");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let flowing = watch::Sender::new(true);
        let (subscriber, target) = (flowing.clone(), server.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(pump(near_in, far_out, subscriber.subscribe()));
                tokio::spawn(pump(far_in, near_out, subscriber.subscribe()));
            }
        });
        Self { port, server, flowing }
    }

    /// The tests' address, by way of this line.
    fn url(&self) -> String {
        with_parameter(
            &url().replacen(&self.server, &format!("127.0.0.1:{}", self.port), 1),
            "sslmode",
            "disable",
        )
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut flowing: watch::Receiver<bool>,
) {
    let mut buffer = vec![0_u8; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if flowing.wait_for(|flowing| *flowing).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
