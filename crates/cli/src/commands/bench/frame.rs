//! The frame under measurement: its graph, its synthetic inputs, and the time
//! of each node of each run.

use std::time::{Duration, Instant};

use laterna_diffusion::noise::{Noise, Stream};
use laterna_diffusion::scheduler::Config;
use laterna_diffusion::session::Size;
use laterna_diffusion::{PromptState, RatedInstance, RatedProgram, one_step};
use laterna_graph::{Backend, CompileOptions, Port, ProgramSummary};
use laterna_models::frame::{self, Frame, StepSource};
use laterna_tensor::Tensor;

use crate::console::Console;
use crate::digest::Digest;
use crate::error::{During, Failure};
use crate::model::Model;
use crate::networks::TOKENS;

/// The seed of all synthetic inputs.
const SEED: u64 = 0;

/// The schedule of Stable Diffusion 1 and 2, for models without a scheduler.
const USUAL_SCHEDULE: &str = r#"{"_class_name": "EulerDiscreteScheduler",
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
    "timestep_spacing": "trailing"}"#;

const WHAT: &str = "cannot run the frame";

/// A compiled frame with its inputs and what was measured of it.
pub struct Bench {
    program: RatedProgram,
    instance: RatedInstance,
    prompt: PromptState,
    image: Tensor,
    noise: Tensor,
    output: Tensor,
    /// The length of each frame.
    pub frames: Vec<Duration>,
    /// The time of each node, frame by frame.
    pub nodes: Vec<Vec<Duration>>,
}

impl Bench {
    /// Compiles the frame and runs its prompt program.
    ///
    /// # Errors
    /// If the model is not supported or cannot be loaded.
    pub fn load(
        model: &Model,
        size: Size,
        strength: f32,
        backend: &dyn Backend,
        console: &Console,
    ) -> Result<Self, Failure> {
        let (unet, vae) = (model.unet()?, model.vae()?);
        let Size { width, height } = size;
        let step = one_step(&schedule(model)?, None, strength).during("cannot make a schedule")?;
        let step = StepSource::Fixed(step);
        let frame = Frame { unet: &unet, vae: &vae, height, width, tokens: TOKENS, step };
        let graph = frame::graph(&frame).during("cannot build the frame")?;
        let weights = model.weights(&["vae", "unet"], console)?;
        let program = RatedProgram::compile(backend, &graph, &weights, &CompileOptions::default())
            .during("cannot load the model")?;
        let mut instance = program.spawn().during(WHAT)?;
        let inputs: Vec<_> =
            program.prompt().inputs().iter().map(|port| prompt_input(port, size)).collect();
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        let prompt = instance.prepare(&views).during(WHAT)?;
        let factor = vae.encoder_factor();
        let latent = [1, vae.latent_channels(), height / factor, width / factor];
        Ok(Self {
            program,
            instance,
            prompt,
            image: picture(size),
            noise: normal(Stream::Initial, latent.into()),
            output: Tensor::zeros([1, 3, height, width]),
            frames: Vec::new(),
            nodes: Vec::new(),
        })
    }

    /// Runs and measures one frame.
    ///
    /// # Errors
    /// If it cannot run.
    pub fn run(&mut self) -> Result<(), Failure> {
        let mut nodes = vec![Duration::ZERO; self.summary().nodes.len()];
        let inputs = [self.image.view(), self.noise.view()];
        let outputs = &mut [self.output.view_mut()];
        let start = Instant::now();
        self.instance.run_timed(&inputs, &self.prompt, outputs, &mut nodes).during(WHAT)?;
        self.frames.push(start.elapsed());
        self.nodes.push(nodes);
        Ok(())
    }

    /// Starts over: what ran so far was to warm up.
    pub fn forget_times(&mut self) {
        self.frames.clear();
        self.nodes.clear();
    }

    /// What runs for every frame.
    pub fn summary(&self) -> &ProgramSummary {
        self.program.frame().summary()
    }

    /// The last picture, `[1, 3, height, width]`.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// The digest of the output's f32 values.
    pub fn output_hash(&self) -> u64 {
        let mut digest = Digest::default();
        let values = self.output.as_f32().unwrap_or_default();
        digest.update(values.iter().flat_map(|value| value.to_le_bytes()));
        digest.value()
    }
}

/// The checkpoint's schedule, or the usual one.
fn schedule(model: &Model) -> Result<Config, Failure> {
    match model.has("scheduler") {
        true => model.scheduler(),
        false => {
            Config::parse("the usual schedule", USUAL_SCHEDULE).during("cannot make a schedule")
        }
    }
}

/// What stands for an encoded prompt: normal values, and of SDXL the sizes.
fn prompt_input(port: &Port, size: Size) -> Tensor {
    let (height, width) = (size.height as f32, size.width as f32);
    let sizes = vec![height, width, 0.0, 0.0, height, width];
    match &*port.name {
        "time_ids" => Tensor::from_f32(port.ty.shape, sizes).expect("SDXL is told six sizes"),
        _ => normal(Stream::Autoencoder, port.ty.shape),
    }
}

fn normal(stream: Stream, shape: laterna_tensor::Shape) -> Tensor {
    let mut tensor = Tensor::zeros(shape);
    Noise::new(SEED).fill(stream, tensor.as_f32_mut().expect("zeros are f32"));
    tensor
}

/// Slow waves of other frequencies in each channel, and a fine texture.
fn picture(Size { width, height }: Size) -> Tensor {
    let mut values = Vec::with_capacity(3 * width * height);
    for channel in 1..=3 {
        for y in 0..height {
            for x in 0..width {
                let wave = (x * channel) as f32 / 37.0 + (y * (4 - channel)) as f32 / 53.0;
                let texture = ((x * 7 + y * 13) % 16) as f32 / 16.0 - 0.5;
                values.push(0.7 * triangle(wave) + 0.2 * texture);
            }
        }
    }
    Tensor::from_f32([1, 3, height, width], values).expect("one value a pixel and channel")
}

/// A wave of period 1 between -1 and 1, without the platform's sine.
fn triangle(phase: f32) -> f32 {
    4.0 * (phase - phase.floor() - 0.5).abs() - 1.0
}
