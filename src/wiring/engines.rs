//! The engines that a configuration names: embedded, or beside this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapters::edge::EdgeVectors;
#[cfg(feature = "postgres")]
use crate::adapters::postgres::{PostgresConfig, PostgresLedger};
#[cfg(feature = "qdrant")]
use crate::adapters::qdrant::{CollectionOptions, QdrantConfig, QdrantVectors};
#[cfg(feature = "rabbitmq")]
use crate::adapters::rabbitmq::{AmqpUrl, RabbitBroker, RabbitConfig, RabbitProducers};
use crate::adapters::sqlite::{Database, SqliteBroker, SqliteLedger, SqliteStates};
use crate::config::{Backends, BrokerConfig, Config, LedgerConfig, VectorsConfig};
use crate::fault::{Fault, Refusal};
use crate::ports::broker::Broker;
use crate::ports::clock::Clock;
use crate::ports::ledger::{CollectionRecord, Ledger};
use crate::ports::producers::{EventSink, Producers};
use crate::ports::states::SharedStates;
use crate::ports::vectors::Vectors;

/// Queues and record of this process.
pub(super) struct Engines {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) states: Arc<dyn SharedStates>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) exchange: Option<Exchange>,
    #[cfg(feature = "rabbitmq")]
    pub(super) rabbit: Option<RabbitBroker>,
}

/// Where producers publish and listen.
pub(super) struct Exchange {
    pub(super) producers: Arc<dyn Producers>,
    pub(super) events: Arc<dyn EventSink>,
}

/// Where the embedded ledger is.
pub(super) fn ledger_file(config: &Config) -> PathBuf {
    config.data_dir.join("ledger.sqlite")
}

/// Opens ledger and queues.
pub(super) async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Engines, Refusal> {
    let Backends { broker, ledger, cache_bytes_max, .. } = &config.backends;
    let database = if ledger.is_none() {
        let file = ledger_file(config);
        Some(tokio::task::spawn_blocking(move || Database::open(&file)).await.map_err(super::internal)??)
    } else {
        None
    };
    let (open_ledger, states): (Arc<dyn Ledger>, Arc<dyn SharedStates>) = match (&database, ledger) {
        (Some(database), _) => {
            let embedded = SqliteLedger::new(database.clone(), clock.clone());
            let states = SqliteStates::new(database.clone(), clock.clone());
            (Arc::new(embedded.with_cache_bytes_max(*cache_bytes_max)), Arc::new(states))
        }
        (None, Some(ledger)) => postgres(ledger, *cache_bytes_max, clock.clone()).await?,
        (None, None) => return Err(absent("ledger", "a ledger")),
    };
    match (broker, database) {
        (Some(broker), _) => with_rabbit(open_ledger, states, broker, clock).await,
        (None, Some(database)) => {
            let broker = Arc::new(SqliteBroker::new(database, clock).await?);
            Ok(Engines {
                ledger: open_ledger,
                states,
                broker,
                exchange: None,
                #[cfg(feature = "rabbitmq")]
                rabbit: None,
            })
        }
        (None, None) => Err(absent("broker", "a broker")),
    }
}

#[cfg(feature = "postgres")]
async fn postgres(
    config: &LedgerConfig,
    cache_bytes_max: u64,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<dyn Ledger>, Arc<dyn SharedStates>), Refusal> {
    let config = PostgresConfig {
        url: config.url.expose().to_owned(),
        schema: config.schema.clone(),
        connections_max: config.connections_max,
        acquire_timeout: config.acquire_max,
        statement_timeout: config.statement_max,
        cache_bytes_max,
    };
    let connected = PostgresLedger::connect(&config, clock).await;
    let ledger = connected.map_err(|fault| unreachable("ledger", fault))?;
    let states = Arc::new(ledger.states());
    Ok((Arc::new(ledger), states))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(
    _: &LedgerConfig,
    _: u64,
    _: Arc<dyn Clock>,
) -> Result<(Arc<dyn Ledger>, Arc<dyn SharedStates>), Refusal> {
    Err(absent("ledger", "Postgres"))
}

#[cfg(feature = "rabbitmq")]
async fn with_rabbit(
    ledger: Arc<dyn Ledger>,
    states: Arc<dyn SharedStates>,
    config: &BrokerConfig,
    clock: Arc<dyn Clock>,
) -> Result<Engines, Refusal> {
    let refuse = |fault| unreachable("broker", fault);
    let prefetch = u16::try_from(config.prefetch_messages_max).unwrap_or(u16::MAX);
    let rabbit = RabbitConfig {
        prefix: config.prefix.clone(),
        prefetch,
        ..RabbitConfig::new(AmqpUrl::parse(config.url.expose()).map_err(refuse)?)
    };
    let rabbit = RabbitBroker::connect(rabbit).await.map_err(refuse)?;
    let prefetch = u16::try_from(config.submit_prefetch_messages_max).unwrap_or(u16::MAX);
    let producers = Arc::new(RabbitProducers::new(rabbit.clone(), clock, prefetch));
    let exchange = Exchange { producers: producers.clone(), events: producers };
    let broker = Arc::new(rabbit.clone());
    Ok(Engines { ledger, states, broker, exchange: Some(exchange), rabbit: Some(rabbit) })
}

#[cfg(not(feature = "rabbitmq"))]
async fn with_rabbit(
    _: Arc<dyn Ledger>,
    _: Arc<dyn SharedStates>,
    _: &BrokerConfig,
    _: Arc<dyn Clock>,
) -> Result<Engines, Refusal> {
    Err(absent("broker", "RabbitMQ"))
}

/// What the collections of this ledger are named after on a shared vector server.
pub(super) fn vectors_prefix(backends: &Backends) -> String {
    backends.ledger.as_ref().map_or_else(|| "contexture".to_owned(), |ledger| ledger.schema.clone())
}

/// The vectors of a generation: in `directory`, or on the server under the prefix.
pub(super) async fn vectors(
    config: Option<&VectorsConfig>,
    prefix: &str,
    record: &CollectionRecord,
    directory: &Path,
    dims: usize,
) -> Result<Arc<dyn Vectors>, Fault> {
    if let Some(config) = config {
        return on_server(config, prefix, record, dims).await;
    }
    let directory = directory.join("vectors");
    let open = move || EdgeVectors::open(&directory, dims);
    Ok(Arc::new(tokio::task::spawn_blocking(open).await.map_err(Fault::transient)??))
}

/// Removes a generation's vectors from the server, if there is one; they may be gone already.
pub(super) async fn remove_vectors(
    config: Option<&VectorsConfig>,
    prefix: &str,
    record: &CollectionRecord,
) -> Result<(), Fault> {
    match config {
        Some(config) => remove_from_server(config, prefix, record).await,
        None => Ok(()),
    }
}

#[cfg(feature = "qdrant")]
async fn remove_from_server(
    config: &VectorsConfig,
    prefix: &str,
    record: &CollectionRecord,
) -> Result<(), Fault> {
    let name = crate::adapters::qdrant::collection_name(prefix, &record.key, record.generation);
    QdrantVectors::remove_named(&server(config), &name).await
}

#[cfg(not(feature = "qdrant"))]
async fn remove_from_server(_: &VectorsConfig, _: &str, _: &CollectionRecord) -> Result<(), Fault> {
    Err(Fault::permanent("not_in_this_build", "this program was built without Qdrant (feature qdrant)"))
}

#[cfg(feature = "qdrant")]
fn server(config: &VectorsConfig) -> QdrantConfig {
    QdrantConfig {
        url: config.url.clone(),
        api_key: config.api_key.as_ref().map(|key| key.expose().to_owned()),
        timeout: config.call_max,
        connect_timeout: config.connect_max,
    }
}

#[cfg(feature = "qdrant")]
async fn on_server(
    config: &VectorsConfig,
    prefix: &str,
    record: &CollectionRecord,
    dims: usize,
) -> Result<Arc<dyn Vectors>, Fault> {
    let options = CollectionOptions {
        int8: config.quantization == crate::config::Quantization::Int8,
        shards: None,
        replicas: None,
    };
    let name = crate::adapters::qdrant::collection_name(prefix, &record.key, record.generation);
    Ok(Arc::new(QdrantVectors::open(&server(config), &name, dims, options).await?))
}

#[cfg(not(feature = "qdrant"))]
async fn on_server(
    _: &VectorsConfig,
    _: &str,
    _: &CollectionRecord,
    _: usize,
) -> Result<Arc<dyn Vectors>, Fault> {
    Err(Fault::permanent("not_in_this_build", "this program was built without Qdrant (feature qdrant)"))
}

fn absent(section: &str, engine: &str) -> Refusal {
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
fn unreachable(section: &str, fault: Fault) -> Refusal {
    let kind = match &fault {
        Fault::Permanent(_) => crate::fault::RefusalKind::Invalid,
        _ => crate::fault::RefusalKind::Unavailable,
    };
    Refusal::new(kind, "engine_unusable", &format!("{section}.url"), format!("{section}: {fault}"))
}
