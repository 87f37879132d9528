//! `contexture keys new`: makes an API key, shows it once, and prints what belongs into the configuration.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::console::ConsoleOutput;
use super::exit::{CommandExitCode, CommandFailure};
use contexture_core::fault::Refusal;

/// Random bytes of a key.
const KEY_BYTES: usize = 32;
/// What keys begin with, so that those who find one know what it opens.
const KEY_PREFIX: &str = "ctx_";

/// What `keys` takes.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key, print it once, and print the block for the configuration
    New(NewKeyArgs),
}

#[derive(Debug, Args)]
struct NewKeyArgs {
    /// Name of the key, for logs
    #[arg(long, value_name = "NAME", default_value = "key")]
    name: String,
}

/// A key and what the configuration keeps of it.
#[derive(Serialize)]
struct CreatedKey {
    key: String,
    hash: String,
}

/// Runs the command. Nothing is stored: the key is only in what is printed.
pub(crate) fn run(arguments: KeysArgs, console: ConsoleOutput) -> Result<CommandExitCode, CommandFailure> {
    let KeysCommand::New(NewKeyArgs { name }) = arguments.command;
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        let message = "--name takes 1 to 128 bytes without control characters";
        return Err(Refusal::invalid("invalid_key_name", "name", message).into());
    }
    let created = create_key()?;
    console.result(&created, |created| key_text(created, &name))?;
    Ok(CommandExitCode::Done)
}

fn create_key() -> Result<CreatedKey, CommandFailure> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        CommandFailure::failed("no_randomness", format!("the system gives no random bytes: {error}"))
    })?;
    let key = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = blake3::hash(key.as_bytes()).to_hex().to_string();
    Ok(CreatedKey { key, hash })
}

fn key_text(created: &CreatedKey, name: &str) -> String {
    // TOML's own quoting: a name may hold quotation marks.
    let name = toml::Value::from(name);
    let CreatedKey { key, hash } = created;
    format!(
        "{key}\n\nThe key is shown this once. For the configuration, with its tenant and scopes:\n\n\
         [[auth.keys]]\nname = {name}\ntenant = \"local\"\nscopes = [\"read\", \"write\"]\nhash = \"{hash}\"\n"
    )
}
