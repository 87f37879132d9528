//! The `contexture` command. Everything is in [`contexture::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    contexture::cli::run(std::env::args_os())
}
