//! The backends that a configuration names: ledger, broker and vectors, embedded or on a server.
//!
//! A backend whose feature is off is refused at startup, with the section that names it. Functions that
//! depend on a feature stand twice, once for each case.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{BackendsConfig, BrokerConfig, ContextureConfig, LedgerConfig, VectorsConfig};
use contexture_adapters::edge::{QdrantEdgeReader, QdrantEdgeVectors};
#[cfg(feature = "postgres")]
use contexture_adapters::postgres::{PostgresConfig, PostgresLedger};
#[cfg(feature = "qdrant")]
use contexture_adapters::qdrant::{CollectionOptions, QdrantConfig, QdrantVectors, QdrantVectorsOnDemand};
#[cfg(feature = "rabbitmq")]
use contexture_adapters::rabbitmq::{AmqpUrl, RabbitMqBroker, RabbitMqConfig, RabbitMqProducers};
use contexture_adapters::sqlite::{SqliteBroker, SqliteDatabase, SqliteLedger, SqliteSharedStates};
use contexture_core::fault::{Fault, Refusal, RefusalKind};
use contexture_core::ports::broker::Broker;
use contexture_core::ports::clock::WallClock;
use contexture_core::ports::ledger::{CollectionRecord, Ledger};
use contexture_core::ports::producers::{ProducerEventSink, ProducerQueue};
use contexture_core::ports::shared_states::SharedStateStore;
use contexture_core::ports::vectors::VectorStore;

/// The open ledger, shared states and broker.
pub(super) struct OpenedBackends {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) states: Arc<dyn SharedStateStore>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) exchange: Option<ProducerExchange>,
    #[cfg(feature = "rabbitmq")]
    pub(super) rabbit: Option<RabbitMqBroker>,
}

/// Where producers publish documents and receive events.
pub(super) struct ProducerExchange {
    pub(super) producers: Arc<dyn ProducerQueue>,
    pub(super) events: Arc<dyn ProducerEventSink>,
}

/// The file of the embedded ledger.
pub(super) fn ledger_file(config: &ContextureConfig) -> PathBuf {
    config.data_dir.join("ledger.sqlite")
}

/// Opens the ledger and the broker. A server must be reachable. With `reads_beside` an embedded ledger is
/// opened for reading only.
pub(super) async fn open_backends(
    config: &ContextureConfig,
    clock: Arc<dyn WallClock>,
    reads_beside: bool,
) -> Result<OpenedBackends, Refusal> {
    let BackendsConfig { broker, ledger, cache_bytes_max, .. } = &config.backends;
    let database = if ledger.is_none() {
        let file = ledger_file(config);
        let open = move || {
            if reads_beside { SqliteDatabase::open_read_only(&file) } else { SqliteDatabase::open(&file) }
        };
        Some(tokio::task::spawn_blocking(open).await.map_err(internal_refusal)??)
    } else {
        None
    };
    let (open_ledger, states): (Arc<dyn Ledger>, Arc<dyn SharedStateStore>) = match (&database, ledger) {
        (Some(database), _) => {
            let embedded = SqliteLedger::new(database.clone(), clock.clone());
            let states = SqliteSharedStates::new(database.clone(), clock.clone());
            (Arc::new(embedded.with_cache_bytes_max(*cache_bytes_max)), Arc::new(states))
        }
        (None, Some(ledger)) => connect_postgres(ledger, *cache_bytes_max, clock.clone()).await?,
        // There is a database exactly where no ledger is configured, so this arm is never taken.
        (None, None) => return Err(refuse_missing_feature("ledger", "a ledger")),
    };
    match (broker, database) {
        (Some(broker), _) => connect_rabbitmq(open_ledger, states, broker, clock).await,
        (None, Some(database)) => {
            let broker = Arc::new(SqliteBroker::new(database, clock).await?);
            Ok(OpenedBackends {
                ledger: open_ledger,
                states,
                broker,
                exchange: None,
                #[cfg(feature = "rabbitmq")]
                rabbit: None,
            })
        }
        (None, None) => Err(refuse_missing_feature("broker", "a broker")),
    }
}

#[cfg(feature = "postgres")]
async fn connect_postgres(
    config: &LedgerConfig,
    cache_bytes_max: u64,
    clock: Arc<dyn WallClock>,
) -> Result<(Arc<dyn Ledger>, Arc<dyn SharedStateStore>), Refusal> {
    let config = PostgresConfig {
        url: config.url.expose().to_owned(),
        schema: config.schema.clone(),
        connections_max: config.connections_max,
        acquire_timeout: config.acquire_max,
        statement_timeout: config.statement_max,
        cache_bytes_max,
    };
    let connected = PostgresLedger::connect(&config, clock).await;
    let ledger = connected.map_err(|fault| refuse_backend("ledger", fault))?;
    let states = Arc::new(ledger.states());
    Ok((Arc::new(ledger), states))
}

#[cfg(not(feature = "postgres"))]
async fn connect_postgres(
    _: &LedgerConfig,
    _: u64,
    _: Arc<dyn WallClock>,
) -> Result<(Arc<dyn Ledger>, Arc<dyn SharedStateStore>), Refusal> {
    Err(refuse_missing_feature("ledger", "Postgres"))
}

#[cfg(feature = "rabbitmq")]
async fn connect_rabbitmq(
    ledger: Arc<dyn Ledger>,
    states: Arc<dyn SharedStateStore>,
    config: &BrokerConfig,
    clock: Arc<dyn WallClock>,
) -> Result<OpenedBackends, Refusal> {
    let refuse = |fault| refuse_backend("broker", fault);
    // AMQP has 16 bits for the prefetch count.
    let prefetch = u16::try_from(config.prefetch_messages_max).unwrap_or(u16::MAX);
    let rabbit = RabbitMqConfig {
        prefix: config.prefix.clone(),
        prefetch,
        ..RabbitMqConfig::new(AmqpUrl::parse(config.url.expose()).map_err(refuse)?)
    };
    let rabbit = RabbitMqBroker::connect(rabbit).await.map_err(refuse)?;
    let prefetch = u16::try_from(config.submit_prefetch_messages_max).unwrap_or(u16::MAX);
    let producers = Arc::new(RabbitMqProducers::new(rabbit.clone(), clock, prefetch));
    let exchange = ProducerExchange { producers: producers.clone(), events: producers };
    let broker = Arc::new(rabbit.clone());
    Ok(OpenedBackends { ledger, states, broker, exchange: Some(exchange), rabbit: Some(rabbit) })
}

#[cfg(not(feature = "rabbitmq"))]
async fn connect_rabbitmq(
    _: Arc<dyn Ledger>,
    _: Arc<dyn SharedStateStore>,
    _: &BrokerConfig,
    _: Arc<dyn WallClock>,
) -> Result<OpenedBackends, Refusal> {
    Err(refuse_missing_feature("broker", "RabbitMQ"))
}

/// The prefix of this ledger's collections on a vector server that several ledgers may share: the schema,
/// which is unique per ledger on its database.
pub(super) fn vectors_prefix(backends: &BackendsConfig) -> String {
    backends.ledger.as_ref().map_or_else(|| "contexture".to_owned(), |ledger| ledger.schema.clone())
}

/// Opens the vectors of a generation: in `directory`, or on the server under the prefix.
pub(super) async fn open_vectors(
    config: Option<&VectorsConfig>,
    prefix: &str,
    record: &CollectionRecord,
    directory: &Path,
    dims: usize,
    is_writer: bool,
) -> Result<Arc<dyn VectorStore>, Fault> {
    // A configured server takes precedence. The directory then holds the lexical index only.
    if let Some(config) = config {
        return open_qdrant_vectors(config, prefix, record, dims).await;
    }
    let directory = directory.join("vectors");
    if !is_writer {
        return Ok(Arc::new(QdrantEdgeReader::new(directory, dims)));
    }
    // Opening reads files, so it must not run on a thread of the runtime.
    let open = move || QdrantEdgeVectors::open(&directory, dims);
    Ok(Arc::new(
        tokio::task::spawn_blocking(open)
            .await
            .map_err(|error| Fault::transient_error("opening the vectors", error))??,
    ))
}

/// Deletes a generation's vectors from the server, if there is one. Does nothing where they are gone.
pub(super) async fn remove_vectors(
    config: Option<&VectorsConfig>,
    prefix: &str,
    record: &CollectionRecord,
) -> Result<(), Fault> {
    match config {
        Some(config) => remove_qdrant_vectors(config, prefix, record).await,
        None => Ok(()),
    }
}

#[cfg(feature = "qdrant")]
async fn remove_qdrant_vectors(
    config: &VectorsConfig,
    prefix: &str,
    record: &CollectionRecord,
) -> Result<(), Fault> {
    let name = contexture_adapters::qdrant::collection_name(prefix, &record.key, record.generation);
    QdrantVectors::remove_named(&qdrant_config(config), &name).await
}

#[cfg(not(feature = "qdrant"))]
async fn remove_qdrant_vectors(_: &VectorsConfig, _: &str, _: &CollectionRecord) -> Result<(), Fault> {
    Err(Fault::permanent("not_in_this_build", "this program was built without Qdrant (feature qdrant)"))
}

#[cfg(feature = "qdrant")]
fn qdrant_config(config: &VectorsConfig) -> QdrantConfig {
    QdrantConfig {
        url: config.url.clone(),
        api_key: config.api_key.as_ref().map(|key| key.expose().to_owned()),
        timeout: config.call_max,
        connect_timeout: config.connect_max,
    }
}

#[cfg(feature = "qdrant")]
async fn open_qdrant_vectors(
    config: &VectorsConfig,
    prefix: &str,
    record: &CollectionRecord,
    dims: usize,
) -> Result<Arc<dyn VectorStore>, Fault> {
    let options = CollectionOptions {
        int8: config.quantization == crate::config::Quantization::Int8,
        // Left to the server, whose operator knows how many nodes there are.
        shards: None,
        replicas: None,
    };
    let name = contexture_adapters::qdrant::collection_name(prefix, &record.key, record.generation);
    Ok(Arc::new(QdrantVectorsOnDemand::open(&qdrant_config(config), &name, dims, options).await?))
}

#[cfg(not(feature = "qdrant"))]
async fn open_qdrant_vectors(
    _: &VectorsConfig,
    _: &str,
    _: &CollectionRecord,
    _: usize,
) -> Result<Arc<dyn VectorStore>, Fault> {
    Err(Fault::permanent("not_in_this_build", "this program was built without Qdrant (feature qdrant)"))
}

fn refuse_missing_feature(section: &str, engine: &str) -> Refusal {
    Refusal::invalid(
        "not_in_this_build",
        &format!("{section}.url"),
        format!(
            "{section}.url names {engine}, and this program was built without it; build it with default features"
        ),
    )
}

#[cfg(any(feature = "postgres", feature = "rabbitmq"))]
#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refuse_backend(section: &str, fault: Fault) -> Refusal {
    // A permanent fault, such as a wrong password or schema, will not pass by itself. Others may.
    let kind = match &fault {
        Fault::Permanent(_) => RefusalKind::Invalid,
        _ => RefusalKind::Unavailable,
    };
    Refusal::new(kind, "engine_unusable", &format!("{section}.url"), format!("{section}: {fault}"))
}

/// The refusal of a blocking task that panicked or was cancelled.
#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
pub(super) fn internal_refusal(error: tokio::task::JoinError) -> Refusal {
    Refusal::new(RefusalKind::Internal, "internal", "", error.to_string())
}
