//! Stand-in for the configuration, to be dropped at the merge.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::fault::Refusal;

/// Trusted configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Server settings.
    pub server: Server,
    /// Limits.
    pub limits: Limits,
    /// Logs.
    pub log: Log,
}

/// Logs.
#[derive(Debug, Clone)]
pub struct Log {
    /// Level.
    pub level: String,
    /// Form.
    pub format: crate::telemetry::LogFormat,
}

/// Server settings.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where to listen.
    pub listen: SocketAddr,
}

/// Limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest body.
    pub body_bytes_max: usize,
}

impl Config {
    /// Loads it.
    pub fn load(
        _file: Option<&Path>,
        _env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            data_dir: PathBuf::from("contexture-data"),
            server: Server { listen: SocketAddr::from(([127, 0, 0, 1], 7070)) },
            limits: Limits { body_bytes_max: 64 * 1024 * 1024 },
            log: Log { level: "info".to_owned(), format: crate::telemetry::LogFormat::Text },
        })
    }

    /// As TOML, secrets masked.
    pub fn masked_toml(&self) -> String {
        String::new()
    }
}
