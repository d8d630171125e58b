//! The commands, one file each.

mod bench;
mod doctor;
mod eval;
mod fetch;
mod image;
mod inspect;

use clap::Subcommand;

use crate::console::Console;
use crate::error::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Image(image::Args),
    Eval(eval::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
    Fetch(fetch::Args),
    Doctor(doctor::Args),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// What to tell the user.
    pub fn run(self, console: &Console) -> Result<(), Failure> {
        match self {
            Self::Image(args) => image::run(&args, console),
            Self::Eval(args) => eval::run(&args, console),
            Self::Bench(args) => bench::run(&args, console),
            Self::Inspect(args) => inspect::run(&args, console),
            Self::Fetch(args) => fetch::run(&args, console),
            Self::Doctor(args) => doctor::run(&args),
        }
    }
}
