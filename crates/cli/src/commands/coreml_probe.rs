//! `laterna coreml-probe`: loads a compiled model and ends, so that a crash of Core
//! ML ends this process and not the one that asks.

use std::path::PathBuf;

use laterna_coreml::run::ComputeUnits;

use crate::backends::units;
use crate::error::Failure;

/// Load a compiled Core ML model and let go of it: how a model is tried.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The compiled model, a folder that ends in .mlmodelc.
    model: PathBuf,
    /// The devices that Core ML may use.
    #[arg(long, value_name = "UNITS", value_parser = units)]
    compute_units: ComputeUnits,
    /// The function of a model that has several.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// If Core ML refuses the model: exit status 1, as
/// [`laterna_coreml::run::REFUSED`] has it.
#[cfg(target_os = "macos")]
pub fn run(args: &Args) -> Result<(), Failure> {
    use laterna_coreml::run::{Options, System};

    use crate::error::During;

    let options = Options {
        units: args.compute_units,
        function: args.function.clone(),
        ..Options::default()
    };
    System::probe(&args.model, &options)
        .during(format_args!("cannot load {}", args.model.display()))
}

/// Runs the command.
///
/// # Errors
/// Always: there is no Core ML.
#[cfg(not(target_os = "macos"))]
pub fn run(args: &Args) -> Result<(), Failure> {
    let Args { model, compute_units, function } = args;
    let function = function.as_deref().unwrap_or("its only function");
    let what = format!("cannot load {} ({function}) for {compute_units}", model.display());
    Err(Failure::input(what, "Core ML is on macOS alone"))
}
