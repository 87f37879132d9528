//! `contexture lab`: parts of the pipeline by themselves, measured against what is known to be right.
//!
//! `lab extract` reads the files of a folder as the pipeline reads them, and compares the text with the one that stands
//! beside each. It stores nothing.

mod extraction_report;
mod extraction_run;
mod extraction_set;

use clap::{Args, Subcommand};

use extraction_run::ExtractArgs;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::GlobalArgs;

/// What `lab` takes.
#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Read the files of a folder, and compare their text with the one that stands beside each
    Extract(ExtractArgs),
}

/// Runs the command.
pub(crate) async fn run(
    arguments: LabArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    match arguments.command {
        LabCommand::Extract(arguments) => extraction_run::run(arguments, global, console).await,
    }
}
