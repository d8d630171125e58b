//! `laterna eval`: runs one component on named tensors, for comparison with
//! other tools.

mod components;

use std::path::PathBuf;

use laterna_graph::{Backend, CompileOptions, WeightSource};
use laterna_tensor::{Tensor, TensorView};
use laterna_weights::write_safetensors;

use crate::backends::BackendArgs;
use crate::console::Console;
use crate::error::{During, Failure};
use crate::interrupt::uninterrupted;
use crate::model::ModelArgs;
use crate::picture::check_folder;
use crate::tensors::Tensors;
use components::{Call, Component};

/// Run one component of a model on named tensors.
///
/// Tensors have diffusers' names; sizes are read from them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Components:
  unet            sample [b,c,h,w], timestep [1] or [b], encoder_hidden_states [b,n,w];
                  SDXL also text_embeds [b,w], time_ids [b,6]  ->  out_sample
  vae.encode      image [b,3,h,w] in -1..1  ->  latent (the mean, not scaled)
  vae.decode      latent [b,c,h,w], not scaled  ->  image in -1..1
  text_encoder    input_ids [b,n] int64  ->  last_hidden_state, penultimate_hidden_state,
  text_encoder_2  pooler_output or, with a projection, text_embeds

Examples:
  laterna eval --model ./sd-turbo --component unet --inputs in.safetensors --outputs out.safetensors
  laterna eval --model ./taesd --component vae.encode --inputs picture.safetensors --outputs latent.safetensors")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The component to run.
    #[arg(long, value_name = "COMPONENT", value_parser = components::names())]
    component: String,
    /// A safetensors file with the inputs.
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// The safetensors file to write.
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs the command.
///
/// # Errors
/// If the model, the inputs or the outputs do not work.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    check_folder(&args.outputs)?;
    let component = components::find(&args.component);
    let model = args.model.open(console)?;
    let inputs = Tensors::read(&args.inputs)?;
    warn_of_others(component, &inputs, console);
    let call = (component.call)(&model, &inputs)?;
    let backend = args.backend.open(console)?;
    let weights = model.weights(&[component.folder], console)?;
    let outputs = evaluate(&*backend, &call, &weights, console)?;
    let named: Vec<(&str, TensorView<'_>)> =
        outputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    uninterrupted(|| write_safetensors(&args.outputs, &named)).during("cannot write the outputs")
}

fn warn_of_others(component: &Component, inputs: &Tensors, console: &Console) {
    for name in inputs.others(component.inputs) {
        console.warn(format_args!("{name}: {} does not read it", component.name));
    }
}

fn evaluate(
    backend: &dyn Backend,
    call: &Call,
    weights: &dyn WeightSource,
    console: &Console,
) -> Result<Vec<(String, Tensor)>, Failure> {
    let spinner = console.spinner(format!("{}: loading and running", call.graph.name()));
    let what = format!("cannot run {}", call.graph.name());
    let program =
        backend.compile(&call.graph, weights, &CompileOptions::default()).during(&what)?;
    let mut instance = program.spawn().during(&what)?;
    let inputs: Vec<_> = call.inputs.iter().map(Tensor::view).collect();
    let mut outputs: Vec<_> = program
        .outputs()
        .iter()
        .map(|port| (port.name.to_string(), Tensor::zeros(port.ty.shape)))
        .collect();
    let mut views: Vec<_> = outputs.iter_mut().map(|(_, tensor)| tensor.view_mut()).collect();
    instance.run(&inputs, &mut views).during(&what)?;
    drop(spinner);
    Ok(outputs)
}
