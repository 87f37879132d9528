//! How a command ends: exit codes, and errors on one line or as one object.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::json;

use crate::fault::{Fault, Refusal, RefusalKind};

/// The exit codes that scripts may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or input.
    Usage = 2,
    /// Not found.
    NotFound = 3,
    /// Not yet: a deadline passed.
    NotYet = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The service said no.
    Refused(Refusal),
    /// The command did its work and the result is bad, or something around it broke.
    Failed {
        /// Stable, `snake_case`.
        code: &'static str,
        /// One line: what, where and what to do.
        message: String,
    },
    /// Whoever read stdout has left; nothing to report.
    ReaderGone,
}

impl Failure {
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

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.into())
    }
}

fn exit_of(refusal: &Refusal) -> Exit {
    match refusal.kind {
        RefusalKind::Invalid => Exit::Usage,
        RefusalKind::NotFound => Exit::NotFound,
        RefusalKind::Deadline | RefusalKind::Precondition => Exit::NotYet,
        RefusalKind::Conflict
        | RefusalKind::Exhausted
        | RefusalKind::Unauthenticated
        | RefusalKind::Unavailable
        | RefusalKind::Internal => Exit::Failed,
    }
}

/// Says why on stderr and returns the exit code.
pub(crate) fn report(failure: &Failure, json: bool) -> Exit {
    match failure {
        Failure::Refused(refusal) => {
            print_error(refusal.code, &refusal.field, &refusal.message, json);
            exit_of(refusal)
        }
        Failure::Failed { code, message } => {
            print_error(code, "", message, json);
            Exit::Failed
        }
        Failure::ReaderGone => Exit::Done,
    }
}

fn print_error(code: &str, field: &str, message: &str, json: bool) {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = if json {
        json!({"error": {"code": code, "field": field, "message": line}}).to_string()
    } else {
        format!("contexture: {line} [{code}]")
    };
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Reports what the parser has to say: help and version on stdout, the rest as an error.
pub(crate) fn from_parser(error: &clap::Error, json: bool) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = write!(io::stdout().lock(), "{}", error.render());
        return Exit::Done;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        print_error("usage", "", "a command is missing; see 'contexture --help'", json);
        return Exit::Usage;
    }
    let rendered = error.render().to_string();
    let first = rendered.split("\n\n").next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first);
    let field = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        Some(ContextValue::Strings(arguments)) => arguments.join(" "),
        _ => String::new(),
    };
    print_error("usage", &field, &format!("{what}; see 'contexture --help'"), json);
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::{Exit, exit_of};
    use crate::fault::{Refusal, RefusalKind};

    #[test]
    fn refusals_have_the_promised_exit_codes() {
        let exit = |kind, code| exit_of(&Refusal::new(kind, code, "", ""));
        assert_eq!(exit(RefusalKind::Invalid, "invalid_budget"), Exit::Usage);
        assert_eq!(exit(RefusalKind::NotFound, "unknown_collection"), Exit::NotFound);
        assert_eq!(exit(RefusalKind::Deadline, "deadline_passed"), Exit::NotYet);
        assert_eq!(exit(RefusalKind::Precondition, "version_not_visible"), Exit::NotYet);
        assert_eq!(exit(RefusalKind::Unavailable, "data_dir_in_use"), Exit::Failed);
        assert_eq!(exit(RefusalKind::Conflict, "pipeline_differs"), Exit::Failed);
        assert_eq!(exit(RefusalKind::Internal, "backend_failed"), Exit::Failed);
    }
}
