//! Which server a command talks to: the one that is named, or the one that holds the data directory.
//!
//! Options win over variables. `--data` and `--tenant` say that the directory is meant, whatever the variables
//! say.

use std::path::{Path, PathBuf};

use super::exit::CommandFailure;
use super::global_args::GlobalArgs;
use super::remote::{ApiKeyText, RemoteServer};
use super::running_server::find_running_server;
use crate::config::ContextureConfig;
use crate::server::auth::{LOCAL_TENANT, local_principal};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

const SERVER_VARIABLE: &str = "CONTEXTURE_SERVER";
const KEY_VARIABLE: &str = "CONTEXTURE_API_KEY";
const KEY_FILE_VARIABLE: &str = "CONTEXTURE_API_KEY_FILE";
/// Largest file of a key, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

impl GlobalArgs {
    /// The server that does the work of a command; none where this process does it.
    pub(super) async fn server(
        &self,
        config: &ContextureConfig,
    ) -> Result<Option<RemoteServer>, CommandFailure> {
        if let Some(url) = self.named_server()? {
            return Ok(Some(RemoteServer::new(&url, self.api_key()?)?));
        }
        // Processes share an external ledger, so whoever serves holds nothing that this one needs. And only the
        // tenant of the server's caller can be reached there.
        let is_shared = config.backends.ledger.is_some();
        if is_shared || self.tenant.as_ref().is_some_and(|tenant| tenant != LOCAL_TENANT) {
            return Ok(None);
        }
        Ok(find_running_server(&config.data_dir, self.api_key()?).await)
    }

    /// Refuses the options of a client for a command that does its work here.
    pub(super) fn refuse_client_options(&self, command: &str) -> Result<(), Refusal> {
        let given = [("--server", self.server.is_some()), ("--tenant", self.tenant.is_some())];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Refusal::invalid(
                "not_on_a_server",
                option.trim_start_matches('-'),
                format!("'contexture {command}' does its work in this process; leave {option} out"),
            )),
        }
    }

    fn named_server(&self) -> Result<Option<String>, Refusal> {
        if let Some(url) = &self.server {
            if self.tenant.is_some() {
                return Err(Refusal::invalid(
                    "tenant_of_key",
                    "tenant",
                    "--tenant is for a local data directory; with --server the API key says the tenant",
                ));
            }
            return Ok(Some(url.clone()));
        }
        let names_directory = self.data.is_some() || self.tenant.is_some();
        Ok(if names_directory { None } else { variable(SERVER_VARIABLE) })
    }

    fn api_key(&self) -> Result<Option<ApiKeyText>, Refusal> {
        if let Some(path) = &self.api_key_file {
            return read_key_file(path).map(Some);
        }
        if let Some(key) = variable(KEY_VARIABLE) {
            return ApiKeyText::new(&key, KEY_VARIABLE).map(Some);
        }
        variable(KEY_FILE_VARIABLE).map(|path| read_key_file(&PathBuf::from(path))).transpose()
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_key_file(path: &Path) -> Result<ApiKeyText, Refusal> {
    let refuse = |why: &dyn std::fmt::Display| {
        let message = format!("the file of the API key, {}: {why}", path.display());
        Refusal::invalid("api_key_file_unreadable", "api-key-file", message)
    };
    let bytes = std::fs::metadata(path).map_err(|error| refuse(&error))?.len();
    if bytes > KEY_FILE_BYTES_MAX {
        return Err(refuse(&format!("{bytes} bytes; at most {KEY_FILE_BYTES_MAX} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&error))?;
    ApiKeyText::new(&text, &path.display().to_string())
}

/// Stands for the caller that a server makes of the key.
pub(super) fn server_side_caller() -> Result<Principal, Refusal> {
    local_principal()
}

/// Refuses an option that only works on a local data directory.
pub(super) fn not_on_a_server(option: &str, advice: &str) -> Refusal {
    let field = option.trim_start_matches('-').split(' ').next().unwrap_or_default();
    let message = format!("{option} does not work with a server: {advice}");
    Refusal::invalid("not_on_a_server", field, message)
}
