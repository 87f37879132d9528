//! A process that serves until it is asked to stop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::CliSandbox;

/// `contexture serve` in a home, with its logs kept.
pub(super) struct ServeProcess {
    process: Option<Child>,
    /// What it printed when it was ready.
    pub(super) ready: Value,
}

impl ServeProcess {
    /// Starts one on a free port, with these variables.
    pub(super) fn start(cli: &CliSandbox, variables: &[(&str, &str)]) -> Self {
        Self::start_with(cli, &[], variables)
    }

    /// Starts one with further arguments.
    pub(super) fn start_with(cli: &CliSandbox, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = cli.command(&[&["serve", "--listen", "127.0.0.1:0", "--json"], arguments].concat());
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { ready: serde_json::from_str(&line).unwrap(), process: Some(process) }
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Where its API is.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.ready["listening"].as_str().unwrap())
    }

    /// Kills it, as a crash would.
    pub(super) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Asks it to stop, and returns what it logged; its exit code must be 0.
    pub(super) fn stop(mut self) -> String {
        let mut process = self.process.take().unwrap();
        assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
        let mut logs = String::new();
        process.stderr.as_mut().unwrap().read_to_string(&mut logs).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(0), "{logs}");
        logs
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// One request over HTTP/1.1: the status code, the head and the body of the answer.
pub(super) fn http(address: &str, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_lowercase(), body.to_owned())
}
