//! The commands, one file each.

pub mod bench;
mod coreml_probe;
mod doctor;
mod eval;
mod export;
mod fetch;
mod image;
mod inspect;
mod run;
mod video;

use clap::Subcommand;

use crate::console::Console;
use crate::error::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Args),
    Image(image::Args),
    Video(video::Args),
    Eval(eval::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
    Export(export::Args),
    Fetch(fetch::Args),
    Doctor(doctor::Args),
    #[command(hide = true)]
    CoremlProbe(coreml_probe::Args),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// What to tell the user.
    pub fn run(self, console: &Console) -> Result<(), Failure> {
        match self {
            Self::Run(args) => run::run(&args, console),
            Self::Video(args) => video::run(&args, console),
            Self::Image(args) => image::run(&args, console),
            Self::Eval(args) => eval::run(&args, console),
            Self::Bench(args) => bench::run(&args, console),
            Self::Inspect(args) => inspect::run(&args, console),
            Self::Export(args) => export::run(&args, console),
            Self::Fetch(args) => fetch::run(&args, console),
            Self::Doctor(args) => doctor::run(&args, console),
            Self::CoremlProbe(args) => coreml_probe::run(&args),
        }
    }
}
