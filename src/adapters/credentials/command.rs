//! A token that a program prints, such as a cloud's own command line.
//!
//! Started directly, without a shell, with the environment of this process and nothing to read.
//! It ends by itself with success, prints at most [`SOURCE_BYTES_MAX`] bytes, or is killed, at its
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

use super::cycle::{Issued, Source};
use super::oauth::reply;
use super::{SOURCE_BYTES_MAX, refuse, secret};
use crate::fault::Fault;
use crate::ports::clock::Clock;

/// A program that prints a token.
#[derive(Clone)]
pub struct Command {
    /// A path, or a name to be looked up in `PATH`.
    pub program: PathBuf,
    /// Passed as they are; may hold secrets.
    pub arguments: Vec<OsString>,
    /// Longest time that it runs.
    pub time_max: Duration,
    /// Life of a token that is printed without `expires_in`; none keeps it until it is refused.
    pub ttl: Option<Duration>,
}

impl fmt::Debug for Command {
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
pub(super) struct Printed {
    command: Command,
    clock: Arc<dyn Clock>,
}

impl Printed {
    pub(super) fn new(command: Command, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        if command.program.as_os_str().is_empty() || command.time_max.is_zero() {
            return Err(refuse("the command needs a program and a time"));
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
            let mut stdout = stdout.take(SOURCE_BYTES_MAX as u64 + 1);
            stdout.read_to_end(&mut printed).await.map_err(|error| cannot("read", &error))?;
        }
        if printed.len() > SOURCE_BYTES_MAX {
            return Err(self.fault(&format!("printed more than {SOURCE_BYTES_MAX} bytes")));
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
impl Source for Printed {
    async fn fetch(&self, _known: Option<&str>) -> Result<Issued, Fault> {
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
            reply::printed(printed).map_err(useless)?
        } else {
            (secret::sendable(printed).map_err(useless)?, None)
        };
        let life = life.or(self.command.ttl);
        Ok(Issued { text, begins_ms, expires_ms: life.map(|life| reply::end_ms(begins_ms, life)) })
    }
}
