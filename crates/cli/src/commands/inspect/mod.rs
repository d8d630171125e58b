//! `laterna inspect`: what a model consists of and what a backend makes of it.

mod compiled;

use laterna_diffusion::session::Size;
use laterna_graph::{Graph, MemoryWeights, WeightSource, cost, dump};
use laterna_models::presets;
use laterna_tensor::RawTensor;
use serde_json::{Value, json};
use std::path::Path;

use crate::backends::BackendArgs;
use crate::console::{Console, print};
use crate::error::Failure;
use crate::model::{Model, ModelArgs, STARTER};
use crate::networks::{Network, Networks};
use crate::size;
use crate::table::{Align, gflop, grouped, table};

/// Show a model's networks: parameters, operations, graphs, memory, kernels.
///
/// Presets that are not built in need no weights: graphs are then compiled with zeros.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  laterna inspect sdxs-512-0.9
  laterna inspect ./my-model --size 768x512 --json
  laterna inspect sdxs-512-0.9 --graph unet --passes
  laterna inspect sdxs-512-0.9 --graph vae.decode --pass residual
  laterna inspect sdxs-512-0.9 --plan unet
  laterna inspect sdxs-512-0.9 --kernels vae.encode
  laterna inspect sdxs-512-0.9 --kernels unet --backend coreml

Networks: vae.encode, vae.decode, unet, text_encoder, text_encoder_2.")]
pub struct Args {
    /// A folder in diffusers' layout, a preset's name, or a name on the hub (owner/name).
    #[arg(default_value = STARTER)]
    model: String,
    /// Width and height of the picture, such as 640x512 [default: the model's own].
    #[arg(long, value_name = "WxH", value_parser = size::parse)]
    size: Option<Size>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Show the graph of a network as it is built.
    #[arg(long, value_name = "NETWORK", group = "view", conflicts_with = "json")]
    graph: Option<String>,
    /// Show the graph before and after this pass.
    #[arg(long, value_name = "PASS", requires = "graph")]
    pass: Option<String>,
    /// Show the graph after every pass.
    #[arg(long, requires = "graph", conflicts_with = "pass")]
    passes: bool,
    /// Show where every value of a network lies in memory.
    #[arg(long, value_name = "NETWORK", group = "view", conflicts_with = "json")]
    plan: Option<String>,
    /// Show the kernel chosen for every node of a network, or the device that Core ML chooses.
    #[arg(long, value_name = "NETWORK", group = "view", conflicts_with = "json")]
    kernels: Option<String>,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Runs the command.
///
/// # Errors
/// If there is no such model or network.
pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let subject = Subject::open(&args.model, console)?;
    let size = args.size.unwrap_or(subject.size);
    let networks = subject.networks.at(size)?;
    if let Some(name) = &args.graph {
        let network = find(&networks, name)?;
        if args.pass.is_none() && !args.passes {
            return print(dump(&network.graph));
        }
        let weights = subject.weights(network, console)?;
        return compiled::passes(&args.backend, network, &*weights, args.pass.as_deref(), console);
    }
    if let Some(name) = &args.plan {
        let network = find(&networks, name)?;
        let weights = subject.weights(network, console)?;
        return compiled::plan(&args.backend, network, &*weights, console);
    }
    if let Some(name) = &args.kernels {
        let network = find(&networks, name)?;
        let weights = subject.weights(network, console)?;
        return compiled::kernels(&args.backend, network, &*weights, console);
    }
    if args.json {
        print(format_args!("{:#}", json(size, &networks)))
    } else {
        overview(size, &networks)
    }
}

/// A model with its weights, or a preset of which only the configurations are known.
struct Subject {
    model: Option<Model>,
    networks: Networks,
    size: Size,
}

/// The side of pictures for models that say nothing.
const USUAL_SIDE: usize = 512;

impl Subject {
    fn open(name: &str, console: &Console) -> Result<Self, Failure> {
        let preset = presets::find(name).filter(|p| p.hub.is_some() && !Path::new(name).is_dir());
        if let Some(preset) = preset {
            let size = Size { width: preset.size, height: preset.size };
            return Ok(Self { model: None, networks: Networks::of_preset(preset)?, size });
        }
        let model = ModelArgs { model: name.to_owned() }.open(console)?;
        let whole = model.has("unet") && model.has("vae");
        let usual = Size { width: USUAL_SIDE, height: USUAL_SIDE };
        let size = if whole { model.default_size()? } else { usual };
        Ok(Self { networks: Networks::of_model(&model)?, model: Some(model), size })
    }

    /// The network's weights, or zeros for those of a preset.
    fn weights(
        &self,
        network: &Network,
        console: &Console,
    ) -> Result<Box<dyn WeightSource>, Failure> {
        if let Some(model) = &self.model {
            return Ok(Box::new(model.weights(&[network.component], console)?));
        }
        console.note("compiled with zeros for weights");
        Ok(Box::new(zeros(&network.graph)))
    }
}

fn zeros(graph: &Graph) -> MemoryWeights {
    let mut weights = MemoryWeights::new();
    for (name, ty) in graph.weights() {
        let raw = RawTensor::new(ty.dtype, ty.shape, vec![0; ty.size_bytes()]);
        weights.insert_raw(&**name, raw.expect("as many bytes as the type has"));
    }
    weights
}

fn find<'a>(networks: &'a [Network], name: &str) -> Result<&'a Network, Failure> {
    networks.iter().find(|network| network.name == name).ok_or_else(|| {
        let names: Vec<_> = networks.iter().map(|network| network.name).collect();
        let why = format!("the model has no such network, only {}", names.join(", "));
        Failure::input(format_args!("cannot show {name}"), why)
    })
}

fn overview(size: Size, networks: &[Network]) -> Result<(), Failure> {
    let row = |network: &Network| {
        let (parameters, operations) = costs(network);
        let (parameters, operations) = (grouped(parameters), gflop(operations));
        vec![network.name.to_owned(), network.class.to_owned(), parameters, operations]
    };
    let mut rows: Vec<_> = networks.iter().map(row).collect();
    let frame: u64 = frame(networks).map(|network| costs(network).1).sum();
    let parameters = networks.iter().map(|network| costs(network).0).sum();
    rows.push(vec!["all".to_owned(), String::new(), grouped(parameters)]);
    rows.push(vec!["one-step frame".to_owned(), String::new(), String::new(), gflop(frame)]);
    let head = [
        ("network", Align::Left),
        ("class", Align::Left),
        ("parameters", Align::Right),
        ("GFLOP per call", Align::Right),
    ];
    print(format_args!("pictures of {}\n{}", size::shown(&size), table(&head, &rows)))
}

/// Parameters and operations.
fn costs(network: &Network) -> (u64, u64) {
    (cost::parameters(&network.graph), cost::flops(&network.graph))
}

/// What runs for every frame: all but the text encoders.
fn frame(networks: &[Network]) -> impl Iterator<Item = &Network> {
    networks.iter().filter(|network| matches!(network.component, "unet" | "vae"))
}

fn json(size: Size, networks: &[Network]) -> Value {
    let one = |network: &Network| {
        let (parameters, operations) = costs(network);
        json!({
            "name": network.name,
            "class": network.class,
            "parameters": parameters,
            "gflop": operations as f64 / 1e9,
        })
    };
    json!({
        "width": size.width,
        "height": size.height,
        "networks": networks.iter().map(one).collect::<Vec<_>>(),
        "frame_gflop": frame(networks).map(|network| costs(network).1).sum::<u64>() as f64 / 1e9,
    })
}
