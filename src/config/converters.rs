//! Converters: programs and servers that make text of documents that are not read here.
//!
//! A converter is a command or a URL, never both. Keys of a server come from environment variables and files, never
//! from the configuration itself.

mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backends::ConfigSecret;
use super::providers::CredentialSource;
pub(super) use raw::{RawConverter, validate_converters};

/// Most entries of `converters`.
pub const CONVERTERS_MAX: usize = 16;

/// When a converter is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "enum When")]
pub enum ConversionTime {
    /// After the readers here found no text that they read.
    #[default]
    Unreadable,
    /// Instead of them.
    Always,
}

/// How the answer of a converter is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "enum Output")]
pub enum ConversionOutput {
    /// Plain text.
    #[default]
    Text,
    /// Markdown.
    Markdown,
    /// A page.
    Html,
}

/// The method of a server's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", expecting = "enum Method")]
pub enum ConversionMethod {
    /// PUT.
    Put,
    /// POST.
    Post,
}

/// A converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConverterConfig {
    /// Its name.
    pub name: String,
    /// What to blame if it cannot be used.
    pub field: String,
    /// Media types, in lower case: `type/subtype` or `type/*`.
    pub media_types: Vec<String>,
    /// Endings of names, in lower case, without a dot.
    pub extensions: Vec<String>,
    /// When it is asked.
    pub when: ConversionTime,
    /// The program or the server.
    pub via: ConversionVia,
    /// How its answer is read.
    pub output: ConversionOutput,
    /// What ends a page in its answer, beside a form feed; may be empty.
    pub page_break: String,
    /// Longest time for a document.
    pub call_max: Duration,
    /// Most bytes of an answer.
    pub output_bytes_max: usize,
    /// Documents at once.
    pub calls_max: usize,
}

/// The program or the server of a converter.
#[derive(Clone, PartialEq, Eq)]
pub enum ConversionVia {
    /// A program.
    Command {
        /// Its name or path.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Its environment, beside `PATH`.
        environment: BTreeMap<String, String>,
        /// Memory of each of its processes, in bytes.
        memory_bytes_max: u64,
    },
    /// A server.
    Http {
        /// Where it is.
        url: ConfigSecret,
        /// How it is called.
        method: ConversionMethod,
        /// Sent with every call.
        headers: BTreeMap<String, String>,
        /// Its key, or the file of its key.
        credential: CredentialSource,
        /// The field of a form that is the file; none: the document is the body.
        form_file: Option<String>,
        /// Other fields of the form.
        form: BTreeMap<String, String>,
        /// Where the text is in a JSON answer; none: the answer is the text.
        json_pointer: Option<String>,
    },
}

// Headers, variables and form fields may be secrets.
impl fmt::Debug for ConversionVia {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { program, .. } => {
                formatter.debug_struct("Command").field("program", program).finish_non_exhaustive()
            }
            Self::Http { method, .. } => {
                formatter.debug_struct("Http").field("method", method).finish_non_exhaustive()
            }
        }
    }
}
