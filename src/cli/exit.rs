//! How a command ends: exit codes, and errors as one line or one JSON object.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::json;

use contexture_core::fault::{Fault, Refusal, RefusalKind};

/// Exit codes. They are a contract for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandExitCode {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or input.
    Usage = 2,
    /// Not found.
    NotFound = 3,
    /// Not yet: a deadline passed, or a precondition does not hold yet.
    NotYet = 4,
}

impl From<CommandExitCode> for ExitCode {
    fn from(exit: CommandExitCode) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CommandFailure {
    /// The service refused the request.
    Refused(Refusal),
    /// The command ran and its result is bad, or something around it broke.
    Failed {
        /// Stable, `snake_case`.
        code: &'static str,
        /// One line: what, where and what to do.
        message: String,
    },
    /// The reader closed stdout, as `head` does. Not an error.
    ReaderGone,
}

impl CommandFailure {
    /// A failure that is not a refusal; exit code 1.
    pub(crate) fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into() }
    }

    /// A failure of writing to stdout.
    pub(crate) fn from_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::failed("output_failed", format!("cannot write to standard output: {error}"))
    }
}

impl From<Refusal> for CommandFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for CommandFailure {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.into())
    }
}

fn exit_code_of_refusal(refusal: &Refusal) -> CommandExitCode {
    match refusal.kind {
        RefusalKind::Invalid => CommandExitCode::Usage,
        RefusalKind::NotFound => CommandExitCode::NotFound,
        RefusalKind::Deadline | RefusalKind::Precondition => CommandExitCode::NotYet,
        RefusalKind::Conflict
        | RefusalKind::Exhausted
        | RefusalKind::Unauthenticated
        | RefusalKind::PermissionDenied
        | RefusalKind::Unavailable
        | RefusalKind::Internal => CommandExitCode::Failed,
    }
}

/// Prints the error on stderr and returns the exit code.
pub(crate) fn report_failure(failure: &CommandFailure, json: bool) -> CommandExitCode {
    match failure {
        CommandFailure::Refused(refusal) => {
            print_error(refusal.code, &refusal.field, &refusal.message, json);
            exit_code_of_refusal(refusal)
        }
        CommandFailure::Failed { code, message } => {
            print_error(code, "", message, json);
            CommandExitCode::Failed
        }
        CommandFailure::ReaderGone => CommandExitCode::Done,
    }
}

fn print_error(code: &str, field: &str, message: &str, json: bool) {
    // Messages from libraries may have several lines; the contract is one line.
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = if json {
        json!({"error": {"code": code, "field": field, "message": line}}).to_string()
    } else {
        format!("contexture: {line} [{code}]")
    };
    // If stderr is closed, the error has nowhere to go; the exit code still tells.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints the result of a failed parse: help and version on stdout, anything else as an error.
pub(crate) fn report_parser_error(error: &clap::Error, json: bool) -> CommandExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = write!(io::stdout().lock(), "{}", error.render());
        return CommandExitCode::Done;
    }
    // For a missing command clap would print the whole help; the contract is one line.
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        print_error("usage", "", "a command is missing; see 'contexture --help'", json);
        return CommandExitCode::Usage;
    }
    // clap's text goes on with usage and tips after an empty line; only the first paragraph is kept.
    let rendered = error.render().to_string();
    let first = rendered.split("\n\n").next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first);
    let field = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        Some(ContextValue::Strings(arguments)) => arguments.join(" "),
        _ => String::new(),
    };
    let way_out = if error.kind() == ErrorKind::UnknownArgument && !field.starts_with("--") {
        // A question such as "-Xmx" is taken for a flag.
        "; text that begins with a dash stands behind -- , as in: contexture search -- \"-Xmx\""
    } else {
        ""
    };
    print_error("usage", &field, &format!("{what}{way_out}; see 'contexture --help'"), json);
    CommandExitCode::Usage
}

#[cfg(test)]
mod tests {
    use super::{CommandExitCode, exit_code_of_refusal};
    use contexture_core::fault::{Refusal, RefusalKind};

    #[test]
    fn refusals_have_the_promised_exit_codes() {
        let exit = |kind, code| exit_code_of_refusal(&Refusal::new(kind, code, "", ""));
        assert_eq!(exit(RefusalKind::Invalid, "invalid_budget"), CommandExitCode::Usage);
        assert_eq!(exit(RefusalKind::NotFound, "unknown_collection"), CommandExitCode::NotFound);
        assert_eq!(exit(RefusalKind::Deadline, "deadline_passed"), CommandExitCode::NotYet);
        assert_eq!(exit(RefusalKind::Precondition, "version_not_visible"), CommandExitCode::NotYet);
        assert_eq!(exit(RefusalKind::Unavailable, "data_dir_in_use"), CommandExitCode::Failed);
        assert_eq!(exit(RefusalKind::PermissionDenied, "missing_scope"), CommandExitCode::Failed);
        assert_eq!(exit(RefusalKind::Conflict, "pipeline_differs"), CommandExitCode::Failed);
        assert_eq!(exit(RefusalKind::Internal, "backend_failed"), CommandExitCode::Failed);
    }
}
