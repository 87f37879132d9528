//! The engines, and processes of the program that work on them and may be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use contexture::adapters::postgres::{PostgresConfig, PostgresLedger};
use contexture::domain::ids::{CollectionId, CollectionKey, TenantId};
use contexture::ports::clock::SystemClock;
use contexture::ports::ledger::Ledger;

use super::LOOK;
use super::edge_behind_qdrant_grpc::EdgeBehindQdrantGrpc;
use super::node::RabbitNode;

pub(crate) const COLLECTION: &str = "docs";
pub(crate) const PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 128\n";

pub(crate) struct StormWorld {
    pub(crate) node: RabbitNode,
    pub(crate) vectors: EdgeBehindQdrantGrpc,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) place: tempfile::TempDir,
    prefix: String,
    pub(crate) schema: String,
    postgres: String,
}

impl StormWorld {
    /// All engines, and a collection with one document.
    pub(crate) async fn new(name: &str) -> Self {
        let postgres = std::env::var("CONTEXTURE_TEST_POSTGRES_URL")
            .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
        let schema = format!("{name}_{}", std::process::id());
        let config = PostgresConfig {
            url: postgres.clone(),
            schema: schema.clone(),
            connections_max: 4,
            acquire_timeout: std::time::Duration::from_secs(30),
            statement_timeout: std::time::Duration::from_secs(30),
            cache_bytes_max: 1 << 30,
        };
        let node = RabbitNode::start().await;
        let ledger = PostgresLedger::connect(&config, Arc::new(SystemClock)).await.unwrap();
        let world = Self {
            node,
            vectors: EdgeBehindQdrantGrpc::start(None),
            ledger: Arc::new(ledger),
            place: tempfile::tempdir().unwrap(),
            prefix: schema.clone(),
            schema,
            postgres,
        };
        std::fs::write(world.path("pipeline.toml"), PIPELINE).unwrap();
        std::fs::write(world.path("seed.md"), "# Seed\n\nThe first document of all.\n").unwrap();
        let mut ingest = world.command("client");
        ingest.args(["ingest", "--no-wait", "--collection", COLLECTION, "--pipeline"]);
        ingest.arg(world.path("pipeline.toml")).arg(world.path("seed.md"));
        run(ingest).await;
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The exchange that producers publish to, and the queue behind it.
    pub(crate) fn submit(&self) -> String {
        format!("{}.submit", self.prefix)
    }

    pub(crate) fn collection() -> CollectionKey {
        CollectionKey {
            tenant: TenantId::new("local").unwrap(),
            collection: CollectionId::new(COLLECTION).unwrap(),
        }
    }

    fn variables(&self, data: &Path) -> Vec<(String, String)> {
        [
            ("CONTEXTURE_DATA_DIR", data.display().to_string()),
            ("CONTEXTURE__BROKER__URL", self.node.url()),
            ("CONTEXTURE__BROKER__PREFIX", self.prefix.clone()),
            ("CONTEXTURE__LEDGER__URL", self.postgres.clone()),
            ("CONTEXTURE__LEDGER__SCHEMA", self.schema.clone()),
            ("CONTEXTURE__VECTORS__URL", self.vectors.url()),
            ("CONTEXTURE__LOG__LEVEL", "warn".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// The program, with its files in a folder of that name.
    pub(crate) fn command(&self, data: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_contexture"));
        command.envs(self.variables(&self.path(data))).stdin(Stdio::null());
        command
    }

    /// A process that works on stages until it is dropped.
    pub(crate) fn worker(&self, data: &str, stages: &[&str]) -> WorkerProcess {
        let mut command = self.command(data);
        command.arg("work").args(stages);
        WorkerProcess::keep_up(command, &self.log(data))
    }

    /// A process that answers at this address until it is dropped.
    pub(crate) fn server(&self, data: &str, address: std::net::SocketAddr) -> WorkerProcess {
        let mut command = self.command(data);
        command.args(["serve", "--no-workers", "--listen", &address.to_string()]);
        WorkerProcess::keep_up(command, &self.log(data))
    }

    fn log(&self, data: &str) -> PathBuf {
        self.path(&format!("{data}.log"))
    }

    /// What the workers complained about.
    pub(crate) fn complaints(&self) -> String {
        let files = std::fs::read_dir(self.place.path()).unwrap().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
        logs.map(|log| std::fs::read_to_string(log.path()).unwrap_or_default()).collect()
    }
}

impl Drop for StormWorld {
    fn drop(&mut self) {
        let drop_schema = format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", self.schema);
        let url = self.postgres.clone();
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                use sqlx::Connection;
                if let Ok(mut connection) = sqlx::PgConnection::connect(&url).await {
                    let statement = sqlx::AssertSqlSafe(drop_schema);
                    let _ = sqlx::raw_sql(statement).execute(&mut connection).await;
                }
            });
        };
        let _ = std::thread::spawn(remove).join();
    }
}

/// A process, killed when dropped.
pub(crate) struct WorkerProcess(Arc<Mutex<Option<Child>>>);

impl WorkerProcess {
    /// A process that stays down once it is.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(Arc::new(Mutex::new(Some(command.spawn().unwrap()))))
    }

    /// A process that is started again where it gives up by itself, as one does that finds no broker
    /// when it starts: whoever runs containers does that, too. One that crashes stays down.
    pub(crate) fn keep_up(mut command: Command, log: &Path) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let worker = Self::spawn(command.stdout(Stdio::null()).stderr(file));
        let watched = Arc::downgrade(&worker.0);
        std::thread::spawn(move || {
            while let Some(kept) = watched.upgrade() {
                if let Some(child) = &mut *kept.lock().unwrap()
                    && let Some(status) = child.try_wait().unwrap()
                {
                    println!("{command:?} ended by itself: {status}");
                    if status.code().is_none() {
                        return;
                    }
                    *child = command.spawn().unwrap();
                }
                drop(kept);
                std::thread::park_timeout(LOOK);
            }
        });
        worker
    }

    /// SIGKILL, and nobody starts it again.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end and returns what it printed; it must succeed.
pub(crate) async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    });
    String::from_utf8(output.await.unwrap().stdout).unwrap()
}
