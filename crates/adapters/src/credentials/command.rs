//! A token that a program prints, such as a cloud's own command line.
//!
//! Started directly, without a shell, with the environment of this process and nothing to read.
//! It ends by itself with success, prints at most [`TOKEN_SOURCE_BYTES_MAX`] bytes, or is killed, at its
//! deadline at the latest (what it has started itself is not). It prints a token, or JSON with
//! `access_token` or `token` and perhaps `expires_in`. Neither what it prints nor what it complains
//! about is repeated.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::process;

use super::oauth::token_response;
use super::refreshing::{IssuedToken, TokenSource};
use super::{TOKEN_SOURCE_BYTES_MAX, reject_config, secret};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// A program that prints a token.
#[derive(Clone)]
pub struct TokenCommand {
    /// A path, or a name to be looked up in `PATH`.
    pub program: PathBuf,
    /// Passed as they are; may hold secrets.
    pub arguments: Vec<OsString>,
    /// Longest time that it runs.
    pub time_max: Duration,
    /// Life of a token that is printed without `expires_in`; none keeps it until it is refused.
    pub ttl: Option<Duration>,
}

impl fmt::Debug for TokenCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Command")
            .field("program", &self.program)
            .field("time_max", &self.time_max)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// Tokens from a program.
pub(super) struct CommandTokenSource {
    command: TokenCommand,
    clock: Arc<dyn WallClock>,
}

impl CommandTokenSource {
    pub(super) fn new(command: TokenCommand, clock: Arc<dyn WallClock>) -> Result<Self, Fault> {
        if command.program.as_os_str().is_empty() || command.time_max.is_zero() {
            return Err(reject_config("the command needs a program and a time"));
        }
        Ok(Self { command, clock })
    }

    async fn run(&self) -> Result<Vec<u8>, Fault> {
        let cannot = |what: &str, error: &std::io::Error| self.fault(&format!("cannot be {what}: {error}"));
        let mut child = process::Command::new(&self.command.program)
            .args(&self.command.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot("started", &error))?;
        let mut printed = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(TOKEN_SOURCE_BYTES_MAX as u64 + 1);
            stdout.read_to_end(&mut printed).await.map_err(|error| cannot("read", &error))?;
        }
        if printed.len() > TOKEN_SOURCE_BYTES_MAX {
            return Err(self.fault(&format!("printed more than {TOKEN_SOURCE_BYTES_MAX} bytes")));
        }
        let status = child.wait().await.map_err(|error| cannot("waited for", &error))?;
        if !status.success() {
            return Err(self.fault(&format!("failed ({status})")));
        }
        Ok(printed)
    }

    fn fault(&self, why: &str) -> Fault {
        Fault::Unauthorized(format!("the command {} {why}", self.command.program.display()))
    }
}

#[async_trait]
impl TokenSource for CommandTokenSource {
    async fn fetch(&self, _known: Option<&str>) -> Result<IssuedToken, Fault> {
        let begins_ms = self.clock.now_ms();
        let time_max = self.command.time_max;
        let late = |_| {
            let program = self.command.program.display();
            Fault::Transient(format!("the command {program} did not end within {} ms", time_max.as_millis()))
        };
        let printed = tokio::time::timeout(time_max, self.run()).await.map_err(late)??;
        let printed = std::str::from_utf8(&printed).map_err(|_| self.fault("did not print text"))?.trim();
        let useless = |why: &str| self.fault(&format!("printed nothing of use: {why}"));
        let (text, life) = if printed.starts_with('{') {
            token_response::parse_printed_token(printed).map_err(useless)?
        } else {
            (secret::check_sendable(printed).map_err(useless)?, None)
        };
        let life = life.or(self.command.ttl);
        Ok(IssuedToken {
            text,
            begins_ms,
            expires_ms: life.map(|life| token_response::expiry_ms(begins_ms, life)),
        })
    }
}
