//! `contexture mcp`: a server of the Model Context Protocol over stdio, for desktop clients.
//!
//! It passes messages on to a running server: the one of `--server`, or the one that serves the data
//! directory. Without a server it opens the data directory for reading and answers itself. Standard output
//! has the messages of the protocol and nothing else. It ends when standard input does.

use std::io::ErrorKind;
use std::sync::Arc;

use clap::Args;
use tokio::io::BufReader;

use super::command_target::CommandTarget;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;
use crate::server::mcp::{McpEndpoint, serve_mcp_over_stdio};
use crate::wiring::{ProcessRole, RemoteMcpEndpoint};

/// What `mcp` takes.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {}

/// Answers messages until standard input ends.
pub(crate) async fn run(
    _arguments: McpArgs,
    global: &GlobalArgs,
    _console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let (stack, config) = match global.open_for(ProcessRole::Ask { awaits: false }, None).await? {
        CommandTarget::Server(server) => {
            return speak(Arc::new(RemoteMcpEndpoint::new(server.url(), server.api_key())?)).await;
        }
        CommandTarget::Here(stack, config) => (stack, config),
    };
    let outcome = match stack.local_mcp_endpoint(&config) {
        Ok(endpoint) => speak(Arc::new(endpoint)).await,
        Err(refusal) => Err(refusal.into()),
    };
    stack.shutdown().await;
    outcome
}

async fn speak(endpoint: Arc<dyn McpEndpoint>) -> Result<CommandExitCode, CommandFailure> {
    let (input, output) = (BufReader::new(tokio::io::stdin()), tokio::io::stdout());
    match serve_mcp_over_stdio(endpoint, input, output).await {
        Ok(()) => Ok(CommandExitCode::Done),
        // A client that closes its end of the pipe has stopped listening; that is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(CommandExitCode::Done),
        Err(error) => {
            Err(CommandFailure::failed("stdio_failed", format!("standard input or output: {error}")))
        }
    }
}
