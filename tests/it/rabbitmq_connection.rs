//! The connection to RabbitMQ: addresses, credentials, deadlines, goodbyes, and what the logs say of them.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contexture::adapters::rabbitmq::{AmqpUrl, RabbitMqBroker, RabbitMqConfig};
use contexture::domain::task::{IngestStage, TaskEnvelope};
use contexture::fault::Fault;
use contexture::ports::broker::{Broker, OutgoingMessage};
use contexture::telemetry::{self, LogFormat};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::rabbit::{PATIENCE, RabbitPrefix};
use crate::support::{TENANT, collection, task, version_key};

const CANARY: &str = "canary-8f3a";
/// Short enough for a test to sit out, long enough for an answer on a busy machine.
const SOON: Duration = Duration::from_secs(4);

fn chunks(ids: &[&str]) -> Vec<OutgoingMessage> {
    let home = collection(TENANT, "home");
    let message = |id: &&str| {
        OutgoingMessage::immediate(TaskEnvelope::new(IngestStage::Chunk, task(version_key(&home, id, 1))))
    };
    ids.iter().map(message).collect()
}

/// A writer that tests can read.
#[derive(Clone, Default)]
struct CapturedRabbitLog(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedRabbitLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_is_in_no_error_and_no_log() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let captured = CapturedRabbitLog::default();
    let writer = captured.clone();
    // The client logs from threads of its own, so this is for the whole process.
    let everything =
        telemetry::log_subscriber("trace,lapin=trace,amq_protocol=trace", LogFormat::Text, move || {
            writer.clone()
        });
    tracing::subscriber::set_global_default(everything.unwrap()).unwrap();
    let proxy = rabbit.through_proxy().await;
    let url = format!("amqp://guest:{CANARY}@{}/%2f", proxy.address());
    let config = RabbitMqConfig { url: AmqpUrl::parse(&url).unwrap(), ..rabbit.config.clone() };
    let shown = format!("{config:?} {} {:?}", config.url, config.url);
    let fault = RabbitMqBroker::connect(config).await.err().unwrap();
    assert!(matches!(&fault, Fault::Unauthorized(what) if what.as_str().contains("127.0.0.1")), "{fault}");
    let invalid = AmqpUrl::parse(&format!("http://guest:{CANARY}@host/")).unwrap_err();
    let hostless = AmqpUrl::parse(&format!("amqp:guest:{CANARY}")).unwrap_err();
    let logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(logs.contains("not connected to the broker") && logs.contains("lapin"), "{logs}");
    for text in [shown, format!("{fault} {fault:?} {invalid} {invalid:?} {hostless} {hostless:?}"), logs] {
        assert!(!text.contains(CANARY), "{text}");
        assert!(!text.contains("99, 97, 110, 97, 114, 121"), "as bytes: {text}");
    }
}

#[test]
fn addresses_are_read_as_they_are_meant() {
    let shown = |text: &str| AmqpUrl::parse(text).map(|url| url.to_string());
    assert_eq!(shown("amqp://u:p@rabbit.example:5673/%2f").unwrap(), "amqp://rabbit.example:5673 vhost '/'");
    assert_eq!(shown("amqps://u:p@10.0.0.7/prod").unwrap(), "amqps://10.0.0.7:5671 vhost 'prod'");
    assert_eq!(shown("amqp://u:p@[2001:db8::7]:5673/%2f").unwrap(), "amqp://2001:db8::7:5673 vhost '/'");
    assert_eq!(shown("amqp://localhost").unwrap(), "amqp://localhost:5672 vhost '/'");
    for wrong in ["", "rabbit", "http://host/", "amqp://u:p@host:5672/", "amqp://u:p@host:99999/%2f"] {
        assert!(matches!(shown(wrong), Err(Fault::Permanent(_))), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_a_transient_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = RabbitMqConfig::new(AmqpUrl::parse(&format!("amqp://u:p@{address}/%2f")).unwrap());
    config.hold_max = Duration::from_millis(300);
    let fault = timeout(PATIENCE, RabbitMqBroker::connect(config)).await.expect("bounded").err().unwrap();
    assert!(
        matches!(&fault, Fault::Transient(what) if what.as_str().contains(&address.to_string())),
        "{fault}"
    );
}

/// lapin would wait for ever, with a thread and a socket per attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_says_nothing_is_given_up_and_its_socket_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://u:p@{}/%2f", listener.local_addr().unwrap());
    let mut config = RabbitMqConfig::new(AmqpUrl::parse(&url).unwrap());
    config.connect_max = Duration::from_millis(300);
    config.hold_max = Duration::from_millis(1);
    let connecting = tokio::spawn(RabbitMqBroker::connect(config));
    let (mut silent, _) = listener.accept().await.unwrap();
    let fault = timeout(PATIENCE, connecting).await.expect("bounded").unwrap().err().unwrap();
    assert!(matches!(&fault, Fault::Transient(what) if what.as_str().contains("no answer")), "{fault}");
    let mut said = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut said);
    timeout(PATIENCE, reading).await.expect("the socket is closed").unwrap();
    assert_eq!(said, b"AMQP\x00\x00\x09\x01");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_has_two_connections_and_leaves_none_behind() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    let broker = rabbit.connect().await;
    let mut consumers = Vec::new();
    for stage in [IngestStage::Chunk, IngestStage::Embed, IngestStage::Embed, IngestStage::Index] {
        consumers.push(broker.consume(stage).await.unwrap());
    }
    let publish = |number: usize| {
        let broker = broker.clone();
        async move { broker.publish(chunks(&[&number.to_string()])).await.unwrap() }
    };
    futures::future::join_all((0..20).map(publish)).await;
    assert_eq!((proxy.connections(), proxy.open_connections()), (2, 2));
    drop((consumers, broker));
    let gone = async {
        while proxy.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("they say goodbye");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_consumers_and_a_later_call_connects_again() {
    let Some(mut rabbit) = RabbitPrefix::find() else { return };
    let proxy = rabbit.through_proxy().await;
    let broker = rabbit.connect().await;
    let mut consumer = broker.consume(IngestStage::Chunk).await.unwrap();
    timeout(PATIENCE, broker.close()).await.expect("bounded");
    assert!(timeout(PATIENCE, consumer.receive(1, SOON)).await.expect("it ends").is_err());
    drop(consumer);
    broker.publish(chunks(&["a"])).await.unwrap();
    assert_eq!(proxy.connections(), 3);
}
