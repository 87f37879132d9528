//! The command line: one file per command; `check-config`, which takes no arguments, is in this one.
//!
//! Its behaviour is a contract for scripts. Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 not
//! found, 4 not yet. Results go to stdout; progress and notes go to stderr. An error is one line on stderr
//! that says what, where and what to do. With `--json`, stdout is one JSON object, stderr has no prose,
//! and an error is `{"error":{"code","field","message"}}`. A reader that closes the pipe is no error.
//!
//! A command works on the data directory in this process, or, where a server is named or holds the directory, over
//! HTTP on that server, with the same output.

mod answer_text;
mod audit;
mod batch_submitter;
mod collections;
mod command_target;
mod console;
mod dead_letter_text;
mod dead_letters;
mod delete;
mod demo;
mod documents;
mod drain;
mod dry_run;
mod eval;
mod exit;
mod explain;
mod file_intake;
mod global_args;
mod ingest;
mod ingest_run;
mod ingest_summary;
mod keys;
mod lab;
mod listen;
mod markup;
mod mcp;
mod progress_meter;
mod query;
mod reindex;
mod remote;
mod repair;
mod running_server;
mod scan;
mod scratch;
mod search;
mod serve;
mod server_choice;
mod server_ingest;
mod sidecar;
mod signals;
mod source_sync;
mod status;
mod text_format;
mod work;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use console::ConsoleOutput;
use exit::{CommandExitCode, CommandFailure};
use global_args::GlobalArgs;

use crate::wiring;

/// Documents in, context for prompts out: within budget, with citations.
#[derive(Debug, Parser)]
#[command(name = "contexture", version)]
struct CommandLine {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Ingest a few real documents into a temporary place, ask one question, print the context
    Demo(demo::DemoArgs),
    /// Ingest files and folders, and wait until they can be found
    Ingest(ingest::IngestArgs),
    /// Pack a context for a question, within a budget of tokens
    Query(query::QueryArgs),
    /// Rank chunks for a question, without packing them
    Search(search::SearchArgs),
    /// Delete documents
    Delete(delete::DeleteArgs),
    /// Make, list, show, change and delete collections
    Collections(collections::CollectionsArgs),
    /// List, show and delete stored documents
    Documents(documents::DocumentsArgs),
    /// Show collections, one collection's counts, or one document's history
    Status(status::StatusArgs),
    /// Work with documents that were given up
    Dead(dead_letters::DeadLetterArgs),
    /// Build a collection anew under another pipeline, without downtime
    Reindex(reindex::ReindexArgs),
    /// Compare index and vectors with the ledger
    Audit(audit::AuditArgs),
    /// Mend what an audit finds, or rebuild what is gone
    Repair(repair::RepairArgs),
    /// Measure retrieval and packing against questions with known answers
    Eval(eval::EvalArgs),
    /// Measure parts of the pipeline by themselves
    Lab(lab::LabArgs),
    /// Serve the API and run the stages
    Serve(serve::ServeArgs),
    /// Speak MCP over standard input and output, for desktop clients
    Mcp(mcp::McpArgs),
    /// Run some stages only, for scaling out
    Work(work::WorkArgs),
    /// Make keys for callers of the API
    Keys(keys::KeysArgs),
    /// Read one document from standard input for the program that started this one
    #[command(hide = true, name = wiring::document_extraction::EXTRACT_COMMAND)]
    Extract,
    /// Check the configuration and print what it comes to, secrets masked
    CheckConfig,
}

impl CliCommand {
    /// The name of a command that never talks to a server.
    fn works_here_only(&self) -> Option<&'static str> {
        match self {
            Self::Demo(_) => Some("demo"),
            Self::Eval(_) => Some("eval"),
            Self::Lab(_) => Some("lab"),
            Self::Serve(_) => Some("serve"),
            Self::Work(_) => Some("work"),
            Self::CheckConfig => Some("check-config"),
            Self::Extract => Some("extract"),
            Self::Keys(_) => Some("keys"),
            _ => None,
        }
    }
}

/// Runs one command and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    wiring::document_extraction::name_this_program();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1..).is_some_and(|rest| rest == [wiring::document_extraction::EXTRACT_COMMAND]) {
        // Before any thread starts: its limits hold for all that come. And before the commands are described, which
        // would cost each document some processor time.
        return wiring::document_extraction::run_child();
    }
    let command_line = match CommandLine::try_parse_from(&arguments) {
        Ok(command_line) => command_line,
        Err(error) => {
            // The parser failed, so the flag is looked for by hand: a program expects JSON here, too.
            let json = arguments.iter().any(|argument| argument == "--json");
            return exit::report_parser_error(&error, json).into();
        }
    };
    if matches!(command_line.command, CliCommand::Extract) {
        // Before any thread starts: its limits hold for all that come.
        return wiring::document_extraction::run_child();
    }
    let json = command_line.global.json;
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandFailure::failed("no_runtime", format!("cannot start threads: {error}")))
        .and_then(|runtime| runtime.block_on(dispatch(command_line, ConsoleOutput::new(json))));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => exit::report_failure(&failure, json).into(),
    }
}

async fn dispatch(
    command_line: CommandLine,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let global = command_line.global;
    if let Some(name) = command_line.command.works_here_only() {
        global.refuse_client_options(name)?;
    }
    match command_line.command {
        CliCommand::Demo(arguments) => demo::run(arguments, &global, console).await,
        CliCommand::Ingest(arguments) => ingest::run(arguments, &global, console).await,
        CliCommand::Query(arguments) => query::run(arguments, &global, console).await,
        CliCommand::Search(arguments) => search::run(arguments, &global, console).await,
        CliCommand::Delete(arguments) => delete::run(arguments, &global, console).await,
        CliCommand::Collections(arguments) => collections::run(arguments, &global, console).await,
        CliCommand::Documents(arguments) => documents::run(arguments, &global, console).await,
        CliCommand::Status(arguments) => status::run(arguments, &global, console).await,
        CliCommand::Dead(arguments) => dead_letters::run(arguments, &global, console).await,
        CliCommand::Reindex(arguments) => reindex::run(arguments, &global, console).await,
        CliCommand::Audit(arguments) => audit::run(arguments, &global, console).await,
        CliCommand::Repair(arguments) => repair::run(arguments, &global, console).await,
        CliCommand::Eval(arguments) => eval::run(arguments, &global, console).await,
        CliCommand::Lab(arguments) => lab::run(arguments, &global, console).await,
        CliCommand::Serve(arguments) => serve::run(arguments, &global, console).await,
        CliCommand::Mcp(arguments) => mcp::run(arguments, &global, console).await,
        CliCommand::Work(arguments) => work::run(arguments, &global, console).await,
        CliCommand::Keys(arguments) => keys::run(arguments, console),
        CliCommand::CheckConfig | CliCommand::Extract => check_config(&global, console).await,
    }
}

/// What `check-config` prints for a program.
#[derive(Serialize)]
struct CheckedConfig {
    config: toml::Table,
}

/// `contexture check-config`: prints the sum of all configuration layers, with secrets masked.
async fn check_config(
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let config = global.config()?;
    wiring::check_named_resources(&config).await?;
    // Only masked text leaves; the JSON is made from it, so no secret can slip through.
    let shown = config.masked_toml();
    let config = shown
        .parse()
        .map_err(|error| CommandFailure::failed("output_failed", format!("cannot read back: {error}")))?;
    console.result(&CheckedConfig { config }, |_| shown.clone())?;
    Ok(CommandExitCode::Done)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_parser_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}
