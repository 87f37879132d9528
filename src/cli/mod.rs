//! The command line: one file per command.
//!
//! A contract that other people's scripts hold on to. Exit codes: 0 done, 1 failed, 2 wrong
//! usage or input, 3 not found, 4 not yet. Results go to stdout; progress and notes to stderr.
//! An error is one line on stderr that says what, where and what to do. With `--json`, stdout
//! is one JSON object, stderr holds no prose, and an error is
//! `{"error":{"code","field","message"}}`. A reader that closes the pipe is not an error.

mod audit;
mod check_config;
mod console;
mod dead;
mod delete;
mod demo;
mod dry_run;
mod eval;
mod exit;
mod explain;
mod feed;
mod global;
mod ingest;
mod interrupt;
mod listen;
mod meter;
mod query;
mod reindex;
mod repair;
mod scan;
mod scratch;
mod search;
mod serve;
mod settle;
mod status;
mod table;
mod work;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use console::Console;
use exit::{Exit, Failure};
use global::Global;

/// Documents in, context for prompts out: within budget, with citations.
#[derive(Debug, Parser)]
#[command(name = "contexture", version)]
struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ingest a few real documents into a temporary place, ask one question, print the context
    Demo(demo::Arguments),
    /// Ingest files and folders, and wait until they can be found
    Ingest(ingest::Arguments),
    /// Pack a context for a question, within a budget of tokens
    Query(query::Arguments),
    /// Rank chunks for a question, without packing them
    Search(search::Arguments),
    /// Delete documents
    Delete(delete::Arguments),
    /// Show collections, one collection's counts, or one document's history
    Status(status::Arguments),
    /// Work with documents that were given up
    Dead(dead::Arguments),
    /// Build a collection anew under another pipeline, without downtime
    Reindex(reindex::Arguments),
    /// Compare index and vectors with the ledger
    Audit(audit::Arguments),
    /// Mend what an audit finds, or rebuild what is gone
    Repair(repair::Arguments),
    /// Measure retrieval and packing against questions with known answers
    Eval(eval::Arguments),
    /// Serve the API and run the stages
    Serve(serve::Arguments),
    /// Run some stages only, for scaling out
    Work(work::Arguments),
    /// Check the configuration and print what it comes to, secrets masked
    CheckConfig,
}

/// Runs one command and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command_line = match CommandLine::try_parse_from(&arguments) {
        Ok(command_line) => command_line,
        Err(error) => {
            let json = arguments.iter().any(|argument| argument == "--json");
            return exit::from_parser(&error, json).into();
        }
    };
    let json = command_line.global.json;
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("no_runtime", format!("cannot start threads: {error}")))
        .and_then(|runtime| runtime.block_on(dispatch(command_line, Console::new(json))));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => exit::report(&failure, json).into(),
    }
}

async fn dispatch(command_line: CommandLine, console: Console) -> Result<Exit, Failure> {
    let global = command_line.global;
    match command_line.command {
        Command::Demo(arguments) => demo::run(arguments, &global, console).await,
        Command::Ingest(arguments) => ingest::run(arguments, &global, console).await,
        Command::Query(arguments) => query::run(arguments, &global, console).await,
        Command::Search(arguments) => search::run(arguments, &global, console).await,
        Command::Delete(arguments) => delete::run(arguments, &global, console).await,
        Command::Status(arguments) => status::run(arguments, &global, console).await,
        Command::Dead(arguments) => dead::run(arguments, &global, console).await,
        Command::Reindex(arguments) => reindex::run(arguments, &global, console).await,
        Command::Audit(arguments) => audit::run(arguments, &global, console).await,
        Command::Repair(arguments) => repair::run(arguments, &global, console).await,
        Command::Eval(arguments) => eval::run(arguments, &global, console).await,
        Command::Serve(arguments) => serve::run(arguments, &global, console).await,
        Command::Work(arguments) => work::run(arguments, &global, console).await,
        Command::CheckConfig => check_config::run(&global, console).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_parser_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}
