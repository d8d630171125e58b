//! The frame's graph against its stages run one by one.

use crate::common::{Cases, TOLERANCE, model, relative_error};
use laterna_graph::{Graph, Origin, rates, reference};
use laterna_models::frame::{self, Frame, Step, StepSource};
use laterna_models::unet::{self, Extents};
use laterna_models::{Model, ModelError, Weights, vae};
use laterna_tensor::{Shape, Tensor};
use laterna_weights::Precision;

const STEP: Step = Step {
    timestep: 999.0,
    signal: 0.06827,
    noise: 0.99767,
    input_divisor: 1.5,
    sample: 14.6,
    output: -14.5,
};

const FIXED: StepSource = StepSource::Fixed(STEP);

struct Stages {
    model: Model,
    weights: Weights,
    height: usize,
    width: usize,
}

impl Stages {
    fn open(name: &str, height: usize, width: usize) -> Self {
        let model = Model::open(&model(name), Precision::Full).unwrap();
        let weights = model.weights(&["unet", "vae"]).unwrap();
        Self { model, weights, height, width }
    }

    fn run(&self, graph: &Graph, inputs: &[Tensor]) -> Tensor {
        reference::run(graph, &self.weights, inputs).unwrap().remove(0)
    }

    /// The picture that the stages make; `text` is what the UNet reads of the text.
    fn picture(&self, image: &Tensor, noise: &Tensor, text: &[Tensor]) -> Tensor {
        let (unet, vae) = (self.model.unet().unwrap(), self.model.vae().unwrap());
        let encode = vae::encode_graph(&vae, 1, self.height, self.width).unwrap();
        let raw = self.run(&encode, std::slice::from_ref(image));
        let (factor, shift) = (vae.scaling_factor(), vae.shift_factor());
        let clean = map(&raw, |v| (v - shift) * factor);
        let noisy = zip(&clean, noise, |x, n| STEP.signal * x + STEP.noise * n);
        let mut sample = map(&noisy, |v| v / STEP.input_divisor);
        if unet.in_channels == 2 * vae.latent_channels() {
            sample = joined(&sample, &raw);
        }
        let &[batch, _, height, width] = &*raw.shape() else { panic!() };
        let extents = Extents { batch, height, width, tokens: text[0].shape()[1] };
        let mut inputs = vec![sample, Tensor::from_f32([1], vec![STEP.timestep]).unwrap()];
        inputs.extend_from_slice(text);
        let output = self.run(&unet::graph(&unet, extents).unwrap(), &inputs);
        let result = zip(&noisy, &output, |z, y| STEP.sample * z + STEP.output * y);
        let latent = map(&result, |v| v / factor + shift);
        self.run(&vae::decode_graph(&vae, 1, height, width).unwrap(), &[latent])
    }
}

fn map(x: &Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    let values = x.as_f32().unwrap().iter().map(|&v| f(v)).collect();
    Tensor::from_f32(x.shape(), values).unwrap()
}

fn zip(x: &Tensor, y: &Tensor, f: impl Fn(f32, f32) -> f32) -> Tensor {
    let pairs = x.as_f32().unwrap().iter().zip(y.as_f32().unwrap());
    Tensor::from_f32(x.shape(), pairs.map(|(&a, &b)| f(a, b)).collect()).unwrap()
}

fn joined(x: &Tensor, y: &Tensor) -> Tensor {
    let values = [x.as_f32().unwrap(), y.as_f32().unwrap()].concat();
    Tensor::from_f32(x.shape().with(1, x.shape()[1] + y.shape()[1]), values).unwrap()
}

/// Values between -1 and 1 without a pattern.
fn scatter(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let values = (0..shape.elements()).map(|i| (i as f32 * 12.9898).sin()).collect();
    Tensor::from_f32(shape, values).unwrap()
}

fn check(name: &str, height: usize, width: usize) {
    let stages = Stages::open(name, height, width);
    let (unet, vae) = (stages.model.unet().unwrap(), stages.model.vae().unwrap());
    let cases = Cases::open(name, "unet");
    let mut text = vec![cases.tensor("8x8", "encoder_hidden_states")];
    if unet.text_time.is_some() {
        text.extend(["text_embeds", "time_ids"].map(|input| cases.tensor("8x8", input)));
    }
    let tokens = text[0].shape()[1];
    let frame = Frame { unet: &unet, vae: &vae, height, width, tokens, step: FIXED };
    let graph = frame::graph(&frame).unwrap();

    let factor = vae.encoder_factor();
    let image = scatter([1, 3, height, width]);
    let noise = scatter([1, vae.latent_channels(), height / factor, width / factor]);
    let mut inputs = vec![image.clone(), noise.clone()];
    inputs.extend_from_slice(&text);
    let found = stages.run(&graph, &inputs);
    let expected = stages.picture(&image, &noise, &text);
    let error = relative_error(&found, &expected);
    assert!(error <= TOLERANCE, "{name}: error {error:e}");
}

#[test]
fn one_graph_equals_its_stages() {
    check("tiny-sdxs", 40, 48);
    check("tiny-sdxl", 24, 40);
}

#[test]
fn edit_models_read_the_clean_latent() {
    check("tiny-ip2p", 24, 16);
}

#[test]
fn the_prompt_program_takes_keys_and_values() {
    let model = Model::open(&model("tiny-sdxs"), Precision::Full).unwrap();
    let (unet, vae) = (model.unet().unwrap(), model.vae().unwrap());
    let frame = Frame { unet: &unet, vae: &vae, height: 64, width: 64, tokens: 77, step: FIXED };
    let split = rates::split(&frame::graph(&frame).unwrap()).unwrap();
    let reads_text = |graph: &Graph| {
        let inputs = graph.inputs().iter().map(|&id| graph.value(id));
        inputs.filter(|value| &*value.name == "encoder_hidden_states").count()
    };
    assert_eq!((reads_text(&split.prompt), reads_text(&split.frame)), (1, 0));
    let stages = ["vae.encoder.", "unet.", "vae.decoder."];
    for node in split.frame.nodes() {
        assert!(stages.iter().any(|stage| node.name.starts_with(stage)), "{}", node.name);
    }
}

#[test]
fn the_timestep_hangs_on_constants_alone() {
    let model = Model::open(&model("tiny-sdxs"), Precision::Full).unwrap();
    let (unet, vae) = (model.unet().unwrap(), model.vae().unwrap());
    let frame = Frame { unet: &unet, vae: &vae, height: 64, width: 64, tokens: 77, step: FIXED };
    let graph = frame::graph(&frame).unwrap();
    let rates = rates::rates(&graph);
    let shifts: Vec<_> =
        graph.nodes().iter().filter(|node| node.name.ends_with("time_emb_proj")).collect();
    assert!(!shifts.is_empty());
    for node in shifts {
        let fixed = rates[node.output.index()] == laterna_graph::Rate::Model;
        assert!(fixed && matches!(graph.value(node.output).origin, Origin::Node(_)));
    }
}

#[test]
fn sizes_and_networks_must_fit() {
    let model = |name| Model::open(&model(name), Precision::Full).unwrap();
    let (sdxs, other) = (model("tiny-sdxs"), model("tiny-factor4"));
    let (unet, vae) = (sdxs.unet().unwrap(), sdxs.vae().unwrap());
    let frame = Frame { unet: &unet, vae: &vae, height: 60, width: 64, tokens: 77, step: FIXED };
    let error = frame::graph(&frame).unwrap_err().to_string();
    assert!(error.ends_with("multiples of 8; 64x64 would work"), "{error}");
    let vae = other.vae().unwrap();
    let frame = Frame { unet: &unet, vae: &vae, height: 64, width: 64, tokens: 77, step: FIXED };
    let error = frame::graph(&frame).unwrap_err();
    assert!(matches!(error, ModelError::Input { input: "sample", .. }), "{error}");
}
