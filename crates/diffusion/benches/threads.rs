//! How a frame would scale over many threads, by simulation on one: the tasks that the kernels make
//! for so many threads are run and timed one by one, and handed to simulated threads
//! ([`Pool::simulated`]). What threads share (caches, memory, the clock of the processor) and what
//! it takes to wake them is left out, so that this is what the partition of the work allows.
//!
//! `cargo bench -p laterna-diffusion --bench threads -- FOLDER SIZE ROUNDS` prints JSON for a model
//! in diffusers' layout, by default the built-in one at 512 in 5 rounds. Without `--bench`, as `cargo
//! test` runs it, it checks that the built-in model's small picture is the same with all of them.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the run")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_diffusion::{PromptState, RatedInstance, RatedProgram};
use laterna_graph::CompileOptions;
use laterna_kernels::Pool;
use laterna_models::frame::{self, Frame, Step, StepSource};
use laterna_models::{Model, Weights};
use laterna_tensor::{Shape, Tensor};
use laterna_weights::{BuiltIn, ModelFolder, Precision};
use serde_json::{Value, json};

static STARTER: BuiltIn = BuiltIn { root: "starter", files: laterna_starter::FILES };
const THREADS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const TOKENS: usize = 77;

/// Half picture, half noise.
const STEP: Step = Step {
    timestep: 999.0,
    signal: 0.7,
    noise: 0.7,
    input_divisor: 1.0,
    sample: 1.4,
    output: -1.0,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<_> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    if arguments.iter().any(|a| a == "--bench") {
        let folder = given.first().map(|folder| Path::new(folder.as_str()));
        let number = |at: usize, or| given.get(at).map_or(or, |n| n.parse().unwrap());
        println!("{:#}", table(&measured(folder, number(1, 512), number(2, 5))));
    } else {
        check(&measured(None, 128, 1));
    }
}

/// The same frame with each number of threads, in alternating rounds.
fn measured(folder: Option<&Path>, size: usize, rounds: usize) -> Vec<Run> {
    let folder = folder.map_or_else(|| Ok(ModelFolder::built_in(&STARTER)), ModelFolder::open);
    let model = Model::of(folder.unwrap(), Precision::Full).unwrap();
    let weights = model.weights(&["unet", "vae"]).unwrap();
    let mut runs = THREADS.map(|threads| Run::new(&model, &weights, size, threads));
    for _ in 0..rounds {
        runs.iter_mut().for_each(Run::frame);
    }
    runs.into()
}

/// A frame on simulated threads.
struct Run {
    threads: usize,
    pool: Arc<Pool>,
    program: RatedProgram,
    instance: RatedInstance,
    prompt: PromptState,
    inputs: [Tensor; 2],
    output: Tensor,
    /// The shortest time of each node.
    nodes: Vec<Duration>,
}

impl Run {
    fn new(model: &Model, weights: &Weights, size: usize, threads: usize) -> Self {
        let (unet, vae) = (model.unet().unwrap(), model.vae().unwrap());
        let step = StepSource::Fixed(STEP);
        let (height, width) = (size, size);
        let frame = Frame { unet: &unet, vae: &vae, height, width, tokens: TOKENS, step };
        let pool = Arc::new(Pool::simulated(threads));
        let backend = CpuBackend::on(pool.clone(), CpuOptions::default()).unwrap();
        let graph = frame::graph(&frame).unwrap();
        let options = CompileOptions::default();
        let program = RatedProgram::compile(&backend, &graph, weights, &options).unwrap();
        let mut instance = program.spawn().unwrap();
        let ports = program.prompt().inputs().iter();
        let given: Vec<_> = ports.map(|port| values(port.ty.shape)).collect();
        let views: Vec<_> = given.iter().map(Tensor::view).collect();
        let prompt = instance.prepare(&views).unwrap();
        let side = size / vae.encoder_factor();
        let latent = [1, vae.latent_channels(), side, side];
        Self {
            threads,
            pool,
            nodes: vec![Duration::MAX; program.frame().summary().nodes.len()],
            inputs: [values([1, 3, size, size].into()), values(latent.into())],
            output: Tensor::zeros([1, 3, size, size]),
            program,
            instance,
            prompt,
        }
    }

    fn frame(&mut self) {
        let mut nodes = vec![Duration::ZERO; self.nodes.len()];
        let [image, noise] = &self.inputs;
        let inputs = [image.view(), noise.view()];
        let outputs = &mut [self.output.view_mut()];
        self.pool.repeat();
        self.instance.run_timed(&inputs, &self.prompt, outputs, &mut nodes).unwrap();
        self.nodes.iter_mut().zip(nodes).for_each(|(least, time)| *least = time.min(*least));
    }

    fn ms(&self) -> f64 {
        self.nodes.iter().map(ms).sum()
    }

    /// Milliseconds by kernel.
    fn kernels(&self) -> BTreeMap<&str, f64> {
        let mut kernels = BTreeMap::new();
        for (node, time) in self.program.frame().summary().nodes.iter().zip(&self.nodes) {
            *kernels.entry(&*node.kernel).or_default() += ms(time);
        }
        kernels
    }
}

fn ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Repeatable values in -1..=1.
fn values(shape: Shape) -> Tensor {
    let wave = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
    Tensor::from_f32(shape, (0..shape.elements()).map(wave).collect()).unwrap()
}

/// The share of the threads' time in which they are busy.
fn efficiency(alone: &Run, run: &Run) -> f64 {
    alone.ms() / run.ms() / run.threads as f64
}

fn table(runs: &[Run]) -> Value {
    let alone = &runs[0];
    let frame = runs.iter().map(|run| {
        let (ms, efficiency) = (run.ms(), efficiency(alone, run));
        json!({ "threads": run.threads, "ms": ms, "speed_up": alone.ms() / ms, "efficiency": efficiency })
    });
    let mut kernels: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, ms) in runs.iter().flat_map(Run::kernels) {
        kernels.entry(name).or_default().push(ms);
    }
    let nodes = alone.program.frame().summary().nodes.iter().enumerate();
    let layers = nodes.map(|(index, node)| {
        let ms: Vec<_> = runs.iter().map(|run| ms(&run.nodes[index])).collect();
        json!({ "name": *node.name, "kernel": node.kernel, "output": node.shape.to_string(), "ms": ms })
    });
    json!({
        "threads": THREADS,
        "frame": frame.collect::<Vec<_>>(),
        "kernels_ms": kernels,
        "layers": layers.collect::<Vec<_>>(),
    })
}

/// The picture does not depend on the threads. Times are for `--bench`: they decide nothing here.
fn check(runs: &[Run]) {
    for pair in runs.windows(2) {
        let (fewer, more) = (&pair[0], &pair[1]);
        let same = fewer.output.as_f32().unwrap() == more.output.as_f32().unwrap();
        assert!(same, "{} threads make another picture than {}", more.threads, fewer.threads);
        assert!(more.nodes.iter().all(|time| *time < Duration::MAX), "every node was timed");
    }
}
