//! The `laterna` command: live pictures and single ones through diffusion
//! models, and the tools to look at models, measure them and check this machine.
#![forbid(unsafe_code)]

mod backends;
mod commands;
mod console;
mod digest;
mod error;
mod interrupt;
mod live;
mod machine;
mod model;
mod networks;
mod picture;
mod size;
mod table;
mod tensors;

use std::panic::PanicHookInfo;
use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use console::Console;

/// Real-time diffusion, picture to picture: one binary, no Python.
#[derive(Debug, Parser)]
#[command(name = "laterna", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 the system or a bug, 2 bad input, 130 interrupted.")]
struct Cli {
    /// Without one: run.
    #[command(subcommand)]
    command: Option<Command>,
    /// Show errors only.
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,
    /// Show what is being done.
    #[arg(short, long, global = true, display_order = 901, conflicts_with = "quiet")]
    verbose: bool,
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_bug));
    interrupt::install();
    let cli = Cli::parse();
    let console = Console::new(cli.quiet, cli.verbose);
    match command(cli).run(&console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit() as u8)
        }
    }
}

/// What to do: paint live, unless something else is asked for.
fn command(cli: Cli) -> Command {
    let live = || Cli::parse_from(std::env::args_os().chain(["run".into()])).command;
    cli.command.or_else(live).expect("run is a command")
}

/// Whatever is foreign gives an error, so a panic is our bug: one line says so,
/// and the process then ends with code 101.
fn report_bug(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("panic");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let message = message.replace('\n', " ");
    anstream::eprintln!("this is a bug in laterna: {message}{place}; please report it");
}
