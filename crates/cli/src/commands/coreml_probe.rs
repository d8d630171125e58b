//! `laterna coreml-probe`: loads a compiled model, predicts once and ends, so that a
//! crash of Core ML ends this process and not the one that asks.

use std::path::PathBuf;

use laterna_coreml::run::{ComputeUnits, Feature};

use crate::backends::units;
use crate::error::Failure;

/// Load a compiled Core ML model, predict once on zeros and let go of it: how a model is tried.
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
    /// An input, such as x=f16:1x3x8x8; may be given more than once.
    #[arg(long, value_name = "FEATURE")]
    input: Vec<Feature>,
    /// An output; may be given more than once.
    #[arg(long, value_name = "FEATURE")]
    output: Vec<Feature>,
}

/// Runs the command.
///
/// # Errors
/// If Core ML refuses the model: exit status [`laterna_coreml::run::REFUSED`].
#[cfg(target_os = "macos")]
pub fn run(args: &Args) -> Result<(), Failure> {
    use laterna_coreml::run::{Interface, Options, System};

    use crate::error::During;

    let options = Options { units: args.compute_units, function: args.function.clone() };
    let interface = Interface { inputs: args.input.clone(), outputs: args.output.clone() };
    System
        .probe(&args.model, &interface, &options)
        .during(format_args!("cannot load {}", args.model.display()))
}

/// Runs the command.
///
/// # Errors
/// Always: there is no Core ML.
#[cfg(not(target_os = "macos"))]
pub fn run(args: &Args) -> Result<(), Failure> {
    let Args { model, compute_units, function, input, output } = args;
    let function = function.as_deref().unwrap_or("its only function");
    let (model, given, got) = (model.display(), input.len(), output.len());
    let what = format!("cannot load {model} ({function}, {given} to {got}) for {compute_units}");
    Err(Failure::input(what, "Core ML is on macOS alone"))
}
