//! The networks that packages are made of, and laterna's own results of them.

use std::collections::BTreeMap;
use std::path::Path;

use laterna_coreml::emit::{WeightFormat, as_stored};
use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_diffusion::one_step;
use laterna_diffusion::scheduler::Config;
use laterna_graph::{Backend, CompileOptions, Graph, rates};
use laterna_models::clip::text::{self, Output};
use laterna_models::frame::{self, Frame, StepSource};
use laterna_models::unet::{self, Extents};
use laterna_models::{Model, vae};
use laterna_tensor::{DType, Tensor};
use serde_json::Value;

use crate::checks;
use crate::formats::Format;

const SIDE: usize = 512;
const TOKENS: usize = 77;
/// What `laterna export` takes unless it is told.
const STRENGTH: f32 = 0.5;

pub type Tensors = BTreeMap<String, Tensor>;

/// A model's networks with the weights of one format.
pub struct Networks<'m> {
    model: &'m Model,
    format: &'m Format,
    backend: CpuBackend,
    /// Results by the package's name; systems do not differ in them.
    known: BTreeMap<&'static str, (Tensors, Tensors)>,
}

/// Packages of each `--parts`, in the order in which they are run.
const SEPARATE: &[&str] = &["text_encoder", "vae_encoder", "unet", "vae_decoder"];
const FRAME: &[&str] = &["prompt", "frame"];

impl<'m> Networks<'m> {
    pub fn of(model: &'m Model, format: &'m Format) -> Self {
        let backend = CpuBackend::new(CpuOptions::default()).unwrap();
        Self { model, format, backend, known: BTreeMap::new() }
    }

    /// Runs the packages of a folder; gives a row of the record for each.
    pub fn check(&mut self, parts: &str, folder: &Path, told: &Value) -> Vec<Value> {
        let mut made = Tensors::new();
        let mut rows = Vec::new();
        for &name in if parts == "frame" { FRAME } else { SEPARATE } {
            let (given, expected) = self.result(name);
            let mut given: Tensors =
                given.into_iter().map(|(name, x)| (name, checks::as_f32(&x))).collect();
            if name == "frame" {
                // It is given what the prompt's package made.
                given.append(&mut made);
            }
            let package = folder.join(format!("{name}.mlpackage"));
            let (row, found) = checks::run(&package, &given, &expected, told);
            made = found;
            rows.push(row);
        }
        rows
    }

    /// Inputs and laterna's outputs.
    fn result(&mut self, name: &'static str) -> (Tensors, Tensors) {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let graph = graph(self.model, name);
        let mut given = inputs(&graph);
        if name == "frame" {
            let (_, prompt) = self.result("prompt");
            given.extend(prompt);
        }
        let mut outputs = self.run(name, &graph, &given);
        // A package does not repeat what it is given.
        outputs.retain(|output, _| name == "frame" || !given.contains_key(output));
        let result = (given, outputs);
        self.known.insert(name, result.clone());
        result
    }

    /// With the weights that the package stores; with half precision, as they are.
    fn run(&self, name: &str, graph: &Graph, given: &Tensors) -> Tensors {
        let weights = self.model.weights(components(name)).unwrap();
        let stored = match self.format.weights {
            WeightFormat::Fp16 => graph.clone(),
            _ => as_stored(graph, &weights, &self.format.options()).unwrap(),
        };
        let compiled = self.backend.compile(&stored, &weights, &CompileOptions::default());
        let program = compiled.unwrap();
        let inputs: Vec<_> =
            program.inputs().iter().map(|port| given[&*port.name].view()).collect();
        let ports = program.outputs().iter();
        let mut outputs: Vec<_> = ports.map(|port| Tensor::zeros(port.ty.shape)).collect();
        let mut views: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
        program.spawn().unwrap().run(&inputs, &mut views).unwrap();
        let names = program.outputs().iter().map(|port| port.name.to_string());
        names.zip(outputs).collect()
    }
}

fn components(name: &str) -> &'static [&'static str] {
    match name {
        "text_encoder" => &["text_encoder"],
        "unet" | "prompt" => &["unet"],
        "frame" => &["unet", "vae"],
        _ => &["vae"],
    }
}

fn graph(model: &Model, name: &str) -> Graph {
    let factor = model.vae().unwrap().encoder_factor();
    let [height, width] = [SIDE / factor; 2];
    let extents = Extents { batch: 1, height, width, tokens: TOKENS };
    match name {
        "text_encoder" => text_graph(model),
        "vae_encoder" => vae::encode_graph(&model.vae().unwrap(), 1, SIDE, SIDE).unwrap(),
        "vae_decoder" => vae::decode_graph(&model.vae().unwrap(), 1, height, width).unwrap(),
        "unet" => unet::graph(&model.unet().unwrap(), extents).unwrap(),
        "prompt" => rates::split(&frame_graph(model)).unwrap().prompt,
        _ => rates::split(&frame_graph(model)).unwrap().frame,
    }
}

fn text_graph(model: &Model) -> Graph {
    let encoder = model.text_encoder("text_encoder").unwrap();
    let pooled = if encoder.projection { Output::TextEmbeds } else { Output::PoolerOutput };
    let outputs = [Output::LastHiddenState, Output::PenultimateHiddenState, pooled];
    text::graph("text_encoder", &encoder.config, 1, TOKENS, &outputs).unwrap()
}

fn frame_graph(model: &Model) -> Graph {
    let (unet, vae) = (model.unet().unwrap(), model.vae().unwrap());
    let (file, json) = model.json("scheduler", "scheduler_config.json").unwrap();
    let config = Config::parse(&file.display().to_string(), &json).unwrap();
    let step = StepSource::Recurrent(one_step(&config, None, STRENGTH).unwrap());
    let (height, width) = (SIDE, SIDE);
    frame::graph(&Frame { unet: &unet, vae: &vae, height, width, tokens: TOKENS, step }).unwrap()
}

/// Numbers of the size that each input has: a smooth picture, normal noise.
fn inputs(graph: &Graph) -> Tensors {
    let input = |&id| {
        let (name, ty) = (graph.value(id).name.to_string(), graph.ty(id));
        let count = ty.shape.elements();
        let tensor = match (&*name, ty.dtype) {
            (_, DType::I64) => {
                let ids = (0..count as i64).map(|i| if count == 1 { 9 } else { i * 637 % 49_000 });
                Tensor::from_i64(ty.shape, ids.collect())
            }
            ("keep" | "feedback", _) => Tensor::from_f32(ty.shape, vec![0.5; count]),
            ("timestep", _) => Tensor::from_f32(ty.shape, vec![499.0; count]),
            ("image", _) => Tensor::from_f32(ty.shape, (0..count).map(colour).collect()),
            _ => Tensor::from_f32(ty.shape, normal(count)),
        };
        (name, tensor.unwrap())
    };
    graph.inputs().iter().map(input).collect()
}

/// Of a picture's number at an index: waves of several lengths.
fn colour(index: usize) -> f32 {
    let (x, y) = ((index % SIDE) as f32, (index / SIDE % SIDE) as f32);
    let channel = (index / SIDE / SIDE) as f32;
    ((x * 0.02 + channel).sin() + (y * 0.03 - channel).cos() + (x * y * 1e-3).sin()) / 3.0
}

/// Nearly normal numbers, the same on every run: sums of twelve uniform ones.
fn normal(count: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 40) as f32 / 16_777_216.0
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}
