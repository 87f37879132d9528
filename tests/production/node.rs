//! A RabbitMQ node of this test alone, which may be killed and started again; or, where its
//! program is not installed, the broker of this machine, which may not.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

const START_MAX: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(200);

pub(crate) struct RabbitNode {
    port: u16,
    private: Option<PrivateNodeFolder>,
}

struct PrivateNodeFolder {
    program: PathBuf,
    place: tempfile::TempDir,
    distribution_port: u16,
    server: Option<Child>,
}

/// `rabbitmq-server` itself: what stands on the path insists on another user.
fn program() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/rabbitmq/lib").ok()?;
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("sbin/rabbitmq-server"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RabbitNode {
    pub(crate) async fn start() -> Self {
        let Some(program) = program() else { return Self { port: 5672, private: None } };
        let place = tempfile::tempdir().unwrap();
        let private = PrivateNodeFolder { program, place, distribution_port: free_port(), server: None };
        let mut node = Self { port: free_port(), private: Some(private) };
        node.run().await;
        node
    }

    pub(crate) fn url(&self) -> String {
        match (&self.private, std::env::var("CONTEXTURE_TEST_AMQP_URL")) {
            (None, Ok(url)) => url,
            _ => format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port),
        }
    }

    /// Whether it may be killed.
    pub(crate) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// SIGKILL, then the same node with the same disk.
    pub(crate) async fn kill_and_restart(&mut self) {
        if let Some(private) = &mut self.private {
            private.kill();
            self.run().await;
        }
    }

    async fn run(&mut self) {
        let Some(private) = &mut self.private else { return };
        private.run(self.port);
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "RabbitMQ did not start: {}", private.log());
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl PrivateNodeFolder {
    fn run(&mut self, port: u16) {
        let home = self.place.path();
        let log = std::fs::File::create(home.join("out.log")).unwrap();
        let server = Command::new(&self.program)
            .env("RABBITMQ_NODENAME", format!("contexture-{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", home.join("data"))
            .env("RABBITMQ_LOG_BASE", home.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", home.join("none"))
            .env("RABBITMQ_PID_FILE", home.join("pid"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
    }

    /// The script starts the virtual machine as a child: its id is in the pid file.
    fn kill(&mut self) {
        let pid_file = self.place.path().join("pid");
        if let Ok(pid) = std::fs::read_to_string(&pid_file) {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = std::fs::remove_file(pid_file);
    }

    fn log(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        read(&self.place.path().join("out.log"))
    }
}

impl Drop for PrivateNodeFolder {
    fn drop(&mut self) {
        self.kill();
    }
}
