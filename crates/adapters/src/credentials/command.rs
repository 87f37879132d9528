//! A token that a program prints, such as a cloud's own command line.
//!
//! The program is started without a shell, with this process's environment and an empty standard
//! input. It must succeed within its deadline and print at most [`TOKEN_SOURCE_BYTES_MAX`] bytes; otherwise it
//! is killed. Its own children are not. It prints a token, or JSON with `access_token` or
//! `token` and optionally `expires_in`. Neither its output nor its error output is repeated anywhere.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::process;

use super::fault_messages::reject_config;
use super::oauth::token_response;
use super::refreshing::{IssuedToken, TokenSource};
use super::token::{TOKEN_SOURCE_BYTES_MAX, check_sendable};
use contexture_core::fault::Fault;
use contexture_core::ports::clock::WallClock;

/// A program that prints a token.
#[derive(Clone)]
pub struct TokenCommand {
    /// A path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// Passed unchanged; may contain secrets.
    pub arguments: Vec<OsString>,
    /// Longest time that it may run.
    pub time_max: Duration,
    /// Life of a token that is printed without `expires_in`. `None` keeps it until it is refused.
    pub ttl: Option<Duration>,
}

impl fmt::Debug for TokenCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenCommand")
            .field("program", &self.program)
            .field("time_max", &self.time_max)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// Runs the program for each token.
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
            // Complaints may quote the arguments, which may contain secrets.
            .stderr(Stdio::null())
            // The caller's timeout drops this future, and the program with it.
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot("started", &error))?;
        // Read before waiting: a program blocks on a full pipe and would never exit.
        let mut printed = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            // One byte more than allowed tells too much from just enough.
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
        Fault::unauthorized(format!("the command {} {why}", self.command.program.display()))
    }
}

#[async_trait]
impl TokenSource for CommandTokenSource {
    async fn fetch(&self, _known: Option<&str>) -> Result<IssuedToken, Fault> {
        // Before the call: a life that begins too early only makes the refresh earlier.
        let begins_ms = self.clock.now_ms();
        let time_max = self.command.time_max;
        let late = |_| {
            let program = self.command.program.display();
            Fault::transient(format!("the command {program} did not end within {} ms", time_max.as_millis()))
        };
        let printed = tokio::time::timeout(time_max, self.run()).await.map_err(late)??;
        let printed = std::str::from_utf8(&printed).map_err(|_| self.fault("did not print text"))?.trim();
        let unusable = |why: &str| self.fault(&format!("printed nothing of use: {why}"));
        let (text, life) = if printed.starts_with('{') {
            token_response::parse_printed_token(printed).map_err(unusable)?
        } else {
            (check_sendable(printed).map_err(unusable)?, None)
        };
        let life = life.or(self.command.ttl);
        Ok(IssuedToken {
            text,
            begins_ms,
            expires_ms: life.map(|life| token_response::expiry_ms(begins_ms, life)),
        })
    }
}
