//! Ledgers that another version of the program wrote.

use std::sync::Arc;
use std::time::Duration;

use contexture_adapters::sqlite::{SqliteBroker, SqliteDatabase, SqliteLedger};
use contexture_core::domain::ids::derive_embedding_key;
use contexture_core::domain::task::{IngestStage, TaskEnvelope};
use contexture_core::fault::Fault;
use contexture_core::ports::broker::{Broker, OutgoingMessage};
use contexture_core::ports::ledger::{Ledger, embedding_cache_cost};

use crate::support::clock::ManualClock;
use crate::support::{TENANT, collection, task, version_key};

macro_rules! migration {
    ($name:literal) => {
        include_str!(concat!("../../../src/sqlite/migrations/", $name, ".sql"))
    };
}

const FIRST_SCHEMA: &str = migration!("0001_ledger");
/// The schemas in which all queues shared a table.
const ONE_TABLE_OF_MESSAGES: [&str; 6] = [
    FIRST_SCHEMA,
    migration!("0002_cache_bound"),
    migration!("0003_log"),
    migration!("0004_redeliveries"),
    migration!("0005_states"),
    migration!("0006_generations"),
];

#[tokio::test]
async fn sqlite_cache_without_a_bound_gets_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(FIRST_SCHEMA).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let (vector, bytes) = (vec![1.0_f32, 2.0], [1.0_f32.to_le_bytes(), 2.0_f32.to_le_bytes()].concat());
    let keys: Vec<_> = (0..8).map(|number| derive_embedding_key("model", &number.to_string())).collect();
    for key in &keys {
        old.execute("INSERT INTO embedding_cache VALUES (?1, ?2)", (key.as_bytes().as_slice(), &bytes))
            .unwrap();
    }
    drop(old);

    let database = SqliteDatabase::open(&path).unwrap();
    let ledger = SqliteLedger::new(database, Arc::new(ManualClock::new()))
        .with_cache_bytes_max(8 * embedding_cache_cost(&vector));
    assert_eq!(ledger.cached_vectors(&keys).await.unwrap(), vec![Some(vector.clone()); 8]);
    let new = derive_embedding_key("model", "new");
    ledger.cache_vectors(vec![(new, vector.clone())]).await.unwrap();
    let kept = ledger.cached_vectors(&keys).await.unwrap().into_iter().flatten().count();
    assert!((6..8).contains(&kept), "{kept}: what was there counts");
    assert_eq!(ledger.cached_vectors(&[new]).await.unwrap(), [Some(vector)]);
}

/// What waited in the queues of an older program is handed out by this one, in its order.
#[tokio::test]
async fn sqlite_messages_of_an_older_program_are_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    for schema in ONE_TABLE_OF_MESSAGES {
        old.execute_batch(schema).unwrap();
    }
    old.pragma_update(None, "user_version", ONE_TABLE_OF_MESSAGES.len()).unwrap();
    let home = collection(TENANT, "home");
    let envelope = |stage: IngestStage, id: &str| TaskEnvelope::new(stage, task(version_key(&home, id, 1)));
    for number in 0..4 {
        for stage in IngestStage::ALL {
            let body = serde_json::to_vec(&envelope(stage, &format!("old {number}"))).unwrap();
            old.execute("INSERT INTO messages (queue, body) VALUES (?1, ?2)", (stage.name(), body)).unwrap();
        }
    }
    drop(old);

    let database = SqliteDatabase::open(&path).unwrap();
    let broker = SqliteBroker::new(database, Arc::new(ManualClock::new())).await.unwrap();
    for stage in IngestStage::ALL {
        broker.publish(vec![OutgoingMessage::immediate(envelope(stage, "new"))]).await.unwrap();
        let mut consumer = broker.consume(stage).await.unwrap();
        let received = consumer.receive(10, Duration::ZERO).await.unwrap();
        let told: Vec<_> = received
            .iter()
            .map(|delivery| {
                let (addressed, task) = delivery.envelope.clone().unwrap().open();
                assert_eq!(addressed, stage);
                (task.key.document_id.to_string(), delivery.redelivered)
            })
            .collect();
        let expected = [("old 0", true), ("old 1", true), ("old 2", true), ("old 3", true), ("new", false)];
        assert_eq!(told, expected.map(|(id, redelivered)| (id.to_owned(), redelivered)));
        consumer.ack(received.iter().map(|delivery| delivery.tag).collect()).await.unwrap();
        assert_eq!(broker.depth(stage).await.unwrap(), 0);
    }
}

#[test]
fn sqlite_of_a_newer_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    drop(SqliteDatabase::open(&path).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 1000).unwrap();
    let Err(Fault::Permanent(reason)) = SqliteDatabase::open(&path).map(drop) else {
        panic!("must be refused")
    };
    assert_eq!(reason.code, "ledger_too_new");
}
