//! The password is nowhere but in the address.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contexture_adapters::postgres::{PostgresConfig, PostgresLedger};
use contexture_core::fault::Fault;
use contexture_core::ports::ledger::{EMBEDDING_CACHE_BYTES_MAX, Ledger};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::clock::ManualClock;
use crate::support::postgres::{TemporarySchema, url};

const CANARY: &str = "c4n4ry-in-the-coal";

/// Everything that was logged.
#[derive(Clone, Default)]
struct CapturedPostgresLog(Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedPostgresLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for CapturedPostgresLog {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl CapturedPostgresLog {
    /// Records everything this thread logs until the guard is dropped.
    fn record() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(log.clone())
            .with_ansi(false)
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        tracing::info!("recording");
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

fn config(url: String) -> PostgresConfig {
    PostgresConfig {
        url,
        schema: "never_made".to_owned(),
        connections_max: 1,
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(2),
        cache_bytes_max: EMBEDDING_CACHE_BYTES_MAX,
    }
}

async fn refused(config: &PostgresConfig) -> Fault {
    let connected = PostgresLedger::connect(config, Arc::new(ManualClock::new())).await;
    let Err(fault) = connected else { panic!("must not connect") };
    fault
}

fn code(fault: Fault) -> String {
    let Fault::Permanent(reason) = fault else { panic!("must be refused for good: {fault}") };
    reason.code
}

#[tokio::test]
async fn password_is_in_no_error_and_no_log() {
    let (log, _recording) = CapturedPostgresLog::record();
    let mut said = Vec::new();
    for url in [
        format!("postgres://user:{CANARY}@127.0.0.1:port/db"),
        format!("postgres://user:{CANARY}@127.0.0.1:5432/db?{CANARY}=1"),
        format!("postgres://user:pass?{CANARY}&x@127.0.0.1:5432/db"),
        format!("postgres://user@127.0.0.1:5432/db?password={CANARY}"),
        format!("postgres://user@127.0.0.1:5432/db?sslmode={CANARY}"),
        format!("postgres://user:{CANARY}%ff@127.0.0.1:5432/db"),
        format!("mysql://user:{CANARY}@127.0.0.1:5432/db"),
        format!("user={CANARY} host=127.0.0.1"),
    ] {
        let config = config(url);
        said.push(format!("{config:?}"));
        let fault = refused(&config).await;
        said.push(fault.to_string());
        assert_eq!(code(fault), "ledger_url_invalid");
    }
    // Nobody listens there; then somebody who refuses the password.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = refused(&config(format!("postgres://user:{CANARY}@{silent}/db"))).await;
    assert!(matches!(fault, Fault::Transient(_)), "{fault}");
    said.push(fault.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = format!("postgres://user:{CANARY}@{}/db?sslmode=disable", listener.local_addr().unwrap());
    tokio::spawn(refuse_password(listener));
    let fault = refused(&config(refusing)).await;
    assert!(matches!(fault, Fault::Unauthorized(_)), "{fault}");
    said.push(fault.to_string());

    said.push(log.text());
    assert!(log.text().contains("recording"), "the log is read");
    for text in said {
        assert!(!text.contains(CANARY), "{text}");
    }
}

/// Answers the greeting as a server does that finds the password wrong.
async fn refuse_password(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut greeting = [0_u8; 1024];
    assert!(stream.read(&mut greeting).await.unwrap() > 0);
    let fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"user\"\0\0";
    let mut answer = vec![b'E'];
    answer.extend(u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
    answer.extend(fields);
    stream.write_all(&answer).await.unwrap();
}

#[tokio::test]
async fn password_that_is_used_is_not_logged() {
    let Some(schema) = TemporarySchema::new().await else { return };
    let (user, rest) = url().split_once('@').map(|(user, rest)| (user.to_owned(), rest.to_owned())).unwrap();
    if user.trim_start_matches("postgres://").contains(':') {
        eprintln!("not tested: the tests' address has a password of its own");
        return;
    }
    let (log, _recording) = CapturedPostgresLog::record();
    let mut config = schema.config();
    config.url = format!("{user}:{CANARY}@{rest}");
    let ledger = PostgresLedger::connect(&config, Arc::new(ManualClock::new())).await.unwrap();
    assert_eq!(ledger.collections().await.unwrap(), []);
    drop(ledger);
    assert!(log.text().contains("recording") && !log.text().contains(CANARY), "{}", log.text());
}

#[tokio::test]
async fn limits_and_names_are_checked_before_anything_is_sent() {
    let fine = || config("postgres://user@127.0.0.1:1/db".to_owned());
    for schema in ["", "Big", "1st", "pg_own", "a b", "a\"b", "a;b", &"a".repeat(64), "ä"] {
        let fault = refused(&PostgresConfig { schema: schema.to_owned(), ..fine() }).await;
        assert_eq!(code(fault), "ledger_schema_invalid", "{schema}");
    }
    for config in [
        PostgresConfig { connections_max: 0, ..fine() },
        PostgresConfig { acquire_timeout: Duration::ZERO, ..fine() },
        PostgresConfig { statement_timeout: Duration::from_micros(10), ..fine() },
    ] {
        assert_eq!(code(refused(&config).await), "ledger_limits_invalid", "{config:?}");
    }
}
