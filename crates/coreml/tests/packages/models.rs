//! The networks of every family, and every way to store weights: a package
//! computes what the interpreter does with the numbers that it stores.

use std::path::Path;

use laterna_coreml::emit::{self, Options, Target, WeightFormat};
use laterna_graph::{Constant, Graph, Op, Patch, ValueId, WeightSource, rates, reference};
use laterna_models::clip::text::{self, Output};
use laterna_models::frame::{self, Frame, Step, StepSource};
use laterna_models::unet::{self, Extents};
use laterna_models::{Model, vae};
use laterna_starter::FILES;
use laterna_tensor::{DType, Tensor};
use laterna_weights::{BuiltIn, ModelFolder, Precision};

use crate::checker::{Checker, TOLERANCE, differences};
use crate::operations::forms;

/// Of three networks behind one another, which the prompt's keys and values,
/// rounded on their way, reach too.
const FRAME_TOLERANCE: f32 = 1e-2;

/// Sides of a latent, not equal.
const LATENT: [usize; 2] = [8, 12];
const TOKENS: usize = 7;

static STARTER: BuiltIn = BuiltIn { root: "starter", files: FILES };

fn fixture(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name);
    Model::open(&folder, Precision::Full).unwrap()
}

fn starter() -> Model {
    Model::of(ModelFolder::built_in(&STARTER), Precision::Full).unwrap()
}

/// A network and the component that its weights are in.
type Network = (&'static str, Graph);

fn networks(model: &Model) -> Vec<Network> {
    let mut all = Vec::new();
    let [height, width] = LATENT;
    if model.has("unet") {
        let extents = Extents { batch: 1, height, width, tokens: TOKENS };
        all.push(("unet", unet::graph(&model.unet().unwrap(), extents).unwrap()));
    }
    if model.has("vae") {
        let config = model.vae().unwrap();
        let factor = config.encoder_factor();
        let encoder = vae::encode_graph(&config, 1, height * factor, width * factor);
        all.push(("vae", encoder.unwrap()));
        all.push(("vae", vae::decode_graph(&config, 1, height, width).unwrap()));
    }
    for name in ["text_encoder", "text_encoder_2"].into_iter().filter(|name| model.has(name)) {
        let encoder = model.text_encoder(name).unwrap();
        let pooled = if encoder.projection { Output::TextEmbeds } else { Output::PoolerOutput };
        let outputs = [Output::LastHiddenState, Output::PenultimateHiddenState, pooled];
        let tokens = encoder.config.max_tokens.min(11);
        all.push((name, text::graph(name, &encoder.config, 1, tokens, &outputs).unwrap()));
    }
    all
}

/// Numbers of the size that each input usually has.
fn inputs(graph: &Graph) -> Vec<Tensor> {
    let input = |(position, &id): (usize, &ValueId)| {
        let (value, ty) = (graph.value(id), graph.ty(id));
        let count = ty.shape.elements();
        if ty.dtype == DType::I64 {
            let ids = (0..count as i64).map(|i| if count == 1 { 5 } else { i * 37 % 900 });
            return Tensor::from_i64(ty.shape, ids.collect()).unwrap();
        }
        let wave = |i: usize| ((i * 7 + position * 13) as f32 * 0.618).sin();
        let number = |i| match &*value.name {
            "timestep" => 500.0,
            "time_ids" => 64.0 * i as f32,
            _ => wave(i),
        };
        Tensor::from_f32(ty.shape, (0..count).map(number).collect()).unwrap()
    };
    graph.inputs().iter().enumerate().map(input).collect()
}

/// The graph as it is written, with the weights of its layers as they are stored.
fn with_stored(graph: &Graph, weights: &dyn WeightSource, options: &Options) -> Graph {
    let graph = emit::prepare(graph, weights).unwrap();
    let mut patch = Patch::new(&graph);
    let layers = graph.nodes().iter().filter(|n| matches!(n.op, Op::Conv2d(_) | Op::Linear(_)));
    let mut layers: Vec<_> = layers.map(|node| node.inputs[1]).collect();
    layers.sort();
    layers.dedup();
    for id in layers {
        let (shape, name) = (graph.shape(id), &graph.value(id).name);
        let numbers = match graph.constant(id).unwrap() {
            Constant::Weight(name) => weights.read(name).unwrap().to_f32(),
            Constant::Data(tensor) => tensor.as_f32().unwrap().to_vec(),
        };
        let stored = emit::decoded(&numbers, shape, options).unwrap();
        let constant = patch.constant(name, Tensor::from_f32(shape, stored).unwrap());
        patch.replace(id, constant).unwrap();
    }
    patch.apply().unwrap()
}

fn check(
    checker: &mut Checker,
    model: &Model,
    (component, graph): &Network,
    options: &Options,
) -> Result<(), String> {
    let weights = model.weights(&[component]).unwrap();
    let inputs = inputs(graph);
    let expected = reference::run(&with_stored(graph, &weights, options), &weights, &inputs);
    let found = checker.execute(graph, &weights, &inputs, options)?;
    differences(graph, &expected.unwrap(), &found, TOLERANCE)
        .map_err(|problem| format!("{} as {options:?}: {problem}", graph.name()))
}

/// Both systems, each with two forms by turns.
fn check_family(model: &Model) {
    let Some(mut checker) = Checker::find() else { return };
    for (index, network) in networks(model).iter().enumerate() {
        for options in [forms()[index % 2 * 2], forms()[1 + index % 2 * 2]] {
            check(&mut checker, model, network, &options).unwrap();
        }
    }
}

macro_rules! families {
    ($($test:ident: $model:expr,)*) => {
        $(#[test] fn $test() { check_family(&$model); })*
    };
}

families! {
    the_starter: starter(),
    sdxs: fixture("tiny-sdxs"),
    sdxs_dreamshaper: fixture("tiny-sdxs-dreamshaper"),
    sd_turbo: fixture("tiny-sd-turbo"),
    tiny_sd: fixture("tiny-tinysd"),
    small_sd: fixture("tiny-smallsd"),
    sd15: fixture("tiny-sd15"),
    sd21: fixture("tiny-sd21"),
    sdxl: fixture("tiny-sdxl"),
    instruct_pix2pix: fixture("tiny-ip2p"),
    six_latent_channels: fixture("tiny-factor4"),
    autoencoder_of_factor_2: fixture("tiny-factor2"),
    autoencoder_kl_of_factor_4: fixture("tiny-kl-factor4"),
}

const STEP: Step = Step {
    timestep: 499.0,
    signal: 0.6,
    noise: 0.8,
    input_divisor: 1.0,
    sample: 1.6,
    output: -1.3,
};

/// A whole frame as one package whose timestep is folded, fed with the keys and
/// values that another one makes of the prompt.
#[test]
fn a_frame_is_one_package() {
    let Some(mut checker) = Checker::find() else { return };
    for model in [starter(), fixture("tiny-sdxl"), fixture("tiny-ip2p")] {
        let (unet, vae) = (model.unet().unwrap(), model.vae().unwrap());
        let factor = vae.encoder_factor();
        let [height, width] = LATENT.map(|side| side * factor);
        let step = StepSource::Fixed(STEP);
        let frame = Frame { unet: &unet, vae: &vae, height, width, tokens: TOKENS, step };
        let whole = frame::graph(&frame).unwrap();
        let weights = model.weights(&["unet", "vae"]).unwrap();
        let given = inputs(&whole);
        let expected = reference::run(&whole, &weights, &given).unwrap();

        let halves = rates::split(&whole).unwrap();
        let of = |graph: &Graph| -> Vec<Tensor> {
            let names = graph.inputs().iter().map(|&id| graph.value(id).name.clone());
            let at = |name: &str| {
                let mut all = whole.inputs().iter();
                all.position(|&id| *whole.value(id).name == *name)
            };
            names.filter_map(|name| at(&name).map(|i| given[i].clone())).collect()
        };
        for options in [forms()[0], forms()[3]] {
            let prompt = checker.execute(&halves.prompt, &weights, &of(&halves.prompt), &options);
            let mut frame_inputs = of(&halves.frame);
            frame_inputs.extend(prompt.unwrap());
            let found = checker.execute(&halves.frame, &weights, &frame_inputs, &options).unwrap();
            differences(&whole, &expected, &found, FRAME_TOLERANCE).unwrap();
        }
    }
}

fn formats(target: Target) -> Vec<WeightFormat> {
    let palette = |bits, group| WeightFormat::Palette { bits, group };
    let mut all = vec![
        WeightFormat::Fp16,
        WeightFormat::Int8 { symmetric: true },
        WeightFormat::Int8 { symmetric: false },
        palette(8, None),
        palette(6, None),
        palette(4, None),
        palette(2, None),
        palette(1, None),
        WeightFormat::Sparse { density: 0.5 },
    ];
    if target == Target::MacOs15 {
        let new = [palette(3, None), palette(4, Some(8)), WeightFormat::Int4 { block: 32 }];
        all.extend(new);
    }
    all
}

/// The starter's UNet in every format, and a tiny one with every weight in it.
#[test]
fn every_format_is_read_as_it_was_meant() {
    let Some(mut checker) = Checker::find() else { return };
    let (starter, tiny) = (starter(), fixture("tiny-sdxs"));
    let unet = |model| networks(model).into_iter().find(|(name, _)| *name == "unet").unwrap();
    let [large, small] = [&starter, &tiny].map(unet);
    for target in [Target::MacOs14, Target::MacOs15] {
        for weights in formats(target) {
            let options = Options { weights, ..Options::new(target) };
            check(&mut checker, &starter, &large, &options).unwrap();
            let all = Options { min_elements: 0, ..options };
            check(&mut checker, &tiny, &small, &all).unwrap();
        }
    }
}
