//! The `contexture` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    contexture::cli::run(std::env::args_os())
}
