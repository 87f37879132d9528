//! `contexture collections`: makes, lists, shows, changes and deletes collections.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::command_target::CommandOperations;
use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use super::global_args::{GlobalArgs, read_pipeline};
use super::text_format::{self, ColumnAlignment, TextTable};
use crate::operations::messages::collection::{
    CollectionList, CollectionSettings, CollectionSettingsChange, CollectionView, CreateCollectionRequest,
    SettingsPatch,
};
use crate::wiring::ProcessRole;
use contexture_core::fault::Refusal;

/// What `collections` takes.
#[derive(Debug, Args)]
pub(crate) struct CollectionsArgs {
    #[command(subcommand)]
    action: CollectionsCommand,
}

#[derive(Debug, Subcommand)]
enum CollectionsCommand {
    /// Make one; one that exists with the same pipeline is left as it is
    Create {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Its pipeline: a TOML file, or the name of a configured one
        #[arg(long, value_name = "FILE|NAME")]
        pipeline: Option<String>,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// List them
    List {
        /// Only names that start with this
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
    },
    /// Show one with its pipeline
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Change its settings
    Set {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        settings: SettingsArgs,
        /// Remove the template
        #[arg(long, conflicts_with = "url_template")]
        no_url_template: bool,
        /// Go back to the key `url`
        #[arg(long, conflicts_with = "url_metadata_key")]
        no_url_metadata_key: bool,
    },
    /// Delete one with everything in it
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct SettingsArgs {
    /// Address of a document, such as `https://wiki.example/{document_id}`; also `{collection}`, `{title}` and
    /// `{metadata.KEY}`
    #[arg(long, value_name = "TEMPLATE")]
    url_template: Option<String>,
    /// The metadata key that holds a document's address
    #[arg(long, value_name = "KEY")]
    url_metadata_key: Option<String>,
}

/// What was deleted. The field names are a contract.
#[derive(Debug, Serialize)]
struct DeletedCollection<'a> {
    deleted: &'a str,
}

/// Runs one command on collections.
pub(crate) async fn run(
    arguments: CollectionsArgs,
    global: &GlobalArgs,
    console: ConsoleOutput,
) -> Result<CommandExitCode, CommandFailure> {
    let action = arguments.action;
    let operations = match &action {
        CollectionsCommand::Create { .. } => global.operations_or_new(ProcessRole::Change).await?,
        CollectionsCommand::Delete { name, yes } => {
            // Asked before anything is opened: an answer may take long, and the directory would be locked.
            confirm_deletion(name, *yes)?;
            global.operations(ProcessRole::Change).await?
        }
        CollectionsCommand::Set { .. } => global.operations(ProcessRole::Change).await?,
        CollectionsCommand::List { .. } | CollectionsCommand::Show { .. } => {
            global.operations(ProcessRole::Look).await?
        }
    };
    let outcome = run_command(&operations, action, console).await;
    operations.close().await;
    outcome.map(|()| CommandExitCode::Done)
}

async fn run_command(
    operations: &CommandOperations,
    action: CollectionsCommand,
    console: ConsoleOutput,
) -> Result<(), CommandFailure> {
    let (collections, caller) = (&operations.collections, &operations.caller);
    match action {
        CollectionsCommand::Create { name, pipeline, settings } => {
            let request = CreateCollectionRequest {
                name,
                pipeline: pipeline.as_deref().map(pipeline_text).transpose()?,
                settings: settings.given(),
            };
            let (view, is_new) = collections.create_collection(caller, request).await?;
            console.result(&view, collection_text)?;
            console.note(if is_new { "made" } else { "there was one with this pipeline; nothing changed" });
            Ok(())
        }
        CollectionsCommand::List { prefix } => {
            let mut list = operations.list_collections(None).await?;
            list.retain(|view| prefix.as_ref().is_none_or(|prefix| view.name.starts_with(prefix)));
            let list = CollectionList { collections: list, next_cursor: None };
            console.result(&list, |list| collections_table(&list.collections))
        }
        CollectionsCommand::Show { name } => {
            console.result(&collections.collection(caller, &name).await?, collection_text)
        }
        CollectionsCommand::Set { name, settings, no_url_template, no_url_metadata_key } => {
            let change = settings.change(no_url_template, no_url_metadata_key)?;
            console.result(&collections.change_settings(caller, &name, change).await?, collection_text)
        }
        CollectionsCommand::Delete { name, .. } => {
            collections.delete_collection(caller, &name).await?;
            console
                .result(&DeletedCollection { deleted: &name }, |done| format!("deleted '{}'\n", done.deleted))
        }
    }
}

impl SettingsArgs {
    fn given(self) -> Option<CollectionSettings> {
        let Self { url_template, url_metadata_key } = self;
        let is_given = url_template.is_some() || url_metadata_key.is_some();
        is_given.then_some(CollectionSettings { url_template, url_metadata_key })
    }

    fn change(self, no_template: bool, no_key: bool) -> Result<CollectionSettingsChange, Refusal> {
        // In a patch, null removes and what is absent stays.
        let patched =
            |given: Option<String>, removed: bool| if removed { Some(None) } else { given.map(Some) };
        let settings = SettingsPatch {
            url_template: patched(self.url_template, no_template),
            url_metadata_key: patched(self.url_metadata_key, no_key),
        };
        if settings.url_template.is_none() && settings.url_metadata_key.is_none() {
            let message = "nothing to change; give --url-template, --url-metadata-key, or their --no- forms";
            return Err(Refusal::invalid("nothing_to_change", "settings", message));
        }
        Ok(CollectionSettingsChange { settings })
    }
}

/// The text of a pipeline file, or a name, which the operations know.
fn pipeline_text(given: &str) -> Result<String, Refusal> {
    let path = Path::new(given);
    let is_file = path.exists() || given.contains(std::path::is_separator) || path.extension().is_some();
    if !is_file {
        return Ok(given.to_owned());
    }
    let pipeline = read_pipeline(Some(path))?;
    pipeline.map_or_else(|| Ok(given.to_owned()), |pipeline| pipeline.to_toml())
}

/// Asks on a terminal whether a collection is to be deleted. Elsewhere `--yes` has to say so.
fn confirm_deletion(name: &str, yes: bool) -> Result<(), CommandFailure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let message = format!("'{name}' would be deleted with everything in it; give --yes to say so");
        return Err(Refusal::invalid("not_confirmed", "yes", message).into());
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "Delete '{name}' with everything in it? Type its name: ")
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    match asked {
        Ok(_) if answer.trim() == name => Ok(()),
        _ => Err(CommandFailure::failed("not_confirmed", format!("'{name}' was not deleted"))),
    }
}

fn collections_table(collections: &[CollectionView]) -> String {
    let mut lines = TextTable::new(&[
        ("collection", ColumnAlignment::Left),
        ("documents", ColumnAlignment::Right),
        ("in flight", ColumnAlignment::Right),
        ("dead", ColumnAlignment::Right),
        ("generation", ColumnAlignment::Right),
    ]);
    for view in collections {
        let counts = [view.counts.documents, view.counts.in_flight, view.counts.dead, view.generation.into()];
        lines.row(std::iter::once(view.name.clone()).chain(counts.map(text_format::count)));
    }
    lines.render()
}

fn collection_text(view: &CollectionView) -> String {
    let mut text = format!(
        "collection   {}\ndocuments    {}\nin flight    {}\ndead         {}\ngeneration   {}\n",
        view.name,
        text_format::count(view.counts.documents),
        text_format::count(view.counts.in_flight),
        text_format::count(view.counts.dead),
        view.generation
    );
    // Writing to a string cannot fail.
    if let Some(template) = &view.settings.url_template {
        let _ = writeln!(text, "address      {template}");
    }
    if let Some(key) = &view.settings.url_metadata_key {
        let _ = writeln!(text, "address in   metadata key {key}");
    }
    let _ = write!(text, "\n{}\n", view.pipeline.trim_end());
    text
}
