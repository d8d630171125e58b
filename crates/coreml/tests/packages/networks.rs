//! The graphs of a model that packages are made of, small, and their inputs.

use std::path::Path;

use laterna_graph::{Graph, ValueId, rates};
use laterna_models::clip::text::{self, Output};
use laterna_models::frame::{self, Frame, Step, StepSource};
use laterna_models::unet::{self, Extents};
use laterna_models::{Model, vae};
use laterna_starter::FILES;
use laterna_tensor::{DType, Tensor};
use laterna_weights::{BuiltIn, ModelFolder, Precision};

/// Sides of a latent, not equal.
const LATENT: [usize; 2] = [8, 12];
const TOKENS: usize = 7;

static STARTER: BuiltIn = BuiltIn { root: "starter", files: FILES };

/// A model of `fixtures/models`.
pub fn fixture(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name);
    Model::open(&folder, Precision::Full).unwrap()
}

/// The built-in model.
pub fn starter() -> Model {
    Model::of(ModelFolder::built_in(&STARTER), Precision::Full).unwrap()
}

/// A graph and the components that its weights are in.
pub struct Network {
    pub components: &'static [&'static str],
    pub graph: Graph,
}

/// Each network of a model, and both halves of its frame.
pub fn networks(model: &Model) -> Vec<Network> {
    let mut all = Vec::new();
    if model.has("unet") {
        all.push(unet(model));
    }
    if model.has("vae") {
        all.extend(autoencoder(model));
    }
    for component in [&["text_encoder"], &["text_encoder_2"]] {
        if model.has(component[0]) {
            all.push(Network { components: component, graph: text(model, component[0]) });
        }
    }
    if model.has("unet") && model.has("vae") {
        let halves = rates::split(&whole_frame(model)).unwrap();
        all.push(Network { components: &["unet"], graph: halves.prompt });
        all.push(Network { components: &["unet", "vae"], graph: halves.frame });
    }
    all
}

/// One call of the UNet.
pub fn unet(model: &Model) -> Network {
    let [height, width] = LATENT;
    let extents = Extents { batch: 1, height, width, tokens: TOKENS };
    let graph = unet::graph(&model.unet().unwrap(), extents).unwrap();
    Network { components: &["unet"], graph }
}

fn autoencoder(model: &Model) -> [Network; 2] {
    let config = model.vae().unwrap();
    let [height, width] = LATENT;
    let factor = config.encoder_factor();
    let encoder = vae::encode_graph(&config, 1, height * factor, width * factor);
    let decoder = vae::decode_graph(&config, 1, height, width);
    [encoder, decoder].map(|graph| Network { components: &["vae"], graph: graph.unwrap() })
}

fn text(model: &Model, component: &str) -> Graph {
    let encoder = model.text_encoder(component).unwrap();
    let pooled = if encoder.projection { Output::TextEmbeds } else { Output::PoolerOutput };
    let outputs = [Output::LastHiddenState, Output::PenultimateHiddenState, pooled];
    let tokens = encoder.config.max_tokens.min(11);
    text::graph(component, &encoder.config, 1, tokens, &outputs).unwrap()
}

const STEP: Step = Step {
    timestep: 499.0,
    signal: 0.6,
    noise: 0.8,
    input_divisor: 1.0,
    sample: 1.6,
    output: -1.3,
};

/// Encoder, UNet at a fixed timestep and decoder.
pub fn whole_frame(model: &Model) -> Graph {
    frame_of(model, StepSource::Fixed(STEP))
}

/// What runs for every frame of a live picture.
pub fn live_frame(model: &Model) -> Graph {
    rates::split(&frame_of(model, StepSource::Live)).unwrap().frame
}

fn frame_of(model: &Model, step: StepSource) -> Graph {
    let (unet, vae) = (model.unet().unwrap(), model.vae().unwrap());
    let [height, width] = LATENT.map(|side| side * vae.encoder_factor());
    frame::graph(&Frame { unet: &unet, vae: &vae, height, width, tokens: TOKENS, step }).unwrap()
}

/// Numbers of the size that each input usually has.
pub fn inputs(graph: &Graph) -> Vec<Tensor> {
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
