//! `cargo run -p xtask -- COMMAND`: what `.ci/run` needs to link and check the
//! macOS binary where there is no Mac.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use xtask::{Result, macho, stubs};

const USAGE: &str = "\
usage: xtask darwin-stubs OUT LIBSYSTEM
         writes a folder of stub libraries to link macOS binaries against
       xtask darwin-check BINARY
         prints a macOS binary's libraries, and fails unless it is one";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Some(Ok(report)) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// `None` if the arguments name no command.
fn run(arguments: &[&str]) -> Option<Result<String>> {
    match arguments {
        ["darwin-stubs", out, libsystem] => {
            Some(stubs::write(Path::new(out), Path::new(libsystem)))
        }
        ["darwin-check", binary] => Some(macho::check(Path::new(binary))),
        _ => None,
    }
}
