//! Schedulers: the noise levels at which the network is called, and how each
//! call moves the latent. One file each, behind one trait; [`REGISTRY`] names
//! them. Results agree with the diffusers classes of the same names.
//!
//! An image-to-image run of `steps` steps at some strength is
//! ```text
//! schedule, start = build_img2img(config, name, steps, strength)
//! latent = add_noise(start, x0, noise)
//! for i in start..timesteps().len() {
//!     output = network(scale_model_input(i, latent), timesteps()[i])
//!     step(i, output, latent)
//! }
//! ```
//! and a text-to-image run starts at 0 from `init_noise_sigma() * noise`.

mod config;
mod ddim;
mod dpm_solver;
mod error;
mod euler;
mod euler_ancestral;
mod lcm;
mod numeric;
mod pndm;
mod sigmas;
mod spacing;
mod training;

use spacing::Run;

pub use config::Config;
pub use error::{Problem, SchedulerError};

/// One scheduler, set up for one number of steps.
///
/// `i` is always an index into [`Scheduler::timesteps`]; slices are latents of
/// any one shape, and methods panic if their lengths differ.
pub trait Scheduler: Send {
    /// The timestep that the network is given at each step: one for each step
    /// asked for, and one more for PNDM, which takes its second step twice.
    fn timesteps(&self) -> &[f32];

    /// The standard deviation of the latent that a text-to-image run starts from.
    fn init_noise_sigma(&self) -> f32 {
        1.0
    }

    /// What the latent is divided by before the network sees it at step `i`.
    fn input_divisor(&self, _i: usize) -> f32 {
        1.0
    }

    /// How a clean latent is noised to the level at which step `i` begins.
    fn noising(&self, i: usize) -> Noising;

    /// The clean latent x0 that the network's output implies at step `i`.
    fn x0(&self, i: usize) -> Mix;

    /// Step `i` as a formula, if it were the first step of a run: what a graph
    /// of a one-step frame folds in. None if the step draws noise or clips.
    fn lone_step(&self, i: usize) -> Option<Mix>;

    /// Forgets the steps taken, before another run with the same settings.
    fn reset(&mut self) {}

    /// Moves `sample` from the level of step `i` to the next by the network's
    /// `output`. `noise` fills a slice with normal values; it is called once by
    /// each step of a scheduler that draws noise, and never by the others.
    fn step(&mut self, i: usize, output: &[f32], sample: &mut [f32], noise: NoiseSource<'_>);

    /// Writes the network's input at step `i` to `scaled`.
    fn scale_model_input(&self, i: usize, sample: &[f32], scaled: &mut [f32]) {
        assert_eq!(sample.len(), scaled.len(), "latents of different sizes");
        let divisor = self.input_divisor(i);
        for (scaled, sample) in scaled.iter_mut().zip(sample) {
            *scaled = sample / divisor;
        }
    }

    /// Writes `x0`, noised with `noise` to the level of step `i`, to `noisy`.
    fn add_noise(&self, i: usize, x0: &[f32], noise: &[f32], noisy: &mut [f32]) {
        assert_eq!(
            (x0.len(), noise.len()),
            (noisy.len(), noisy.len()),
            "latents of different sizes"
        );
        let Noising { signal, noise: level } = self.noising(i);
        for ((noisy, x0), noise) in noisy.iter_mut().zip(x0).zip(noise) {
            *noisy = signal * x0 + level * noise;
        }
    }
}

/// Fills a latent with normal values.
pub type NoiseSource<'a> = &'a mut dyn FnMut(&mut [f32]);

/// `signal * x0 + noise * n`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noising {
    /// The factor of the clean latent.
    pub signal: f32,
    /// The factor of the noise.
    pub noise: f32,
}

/// `sample * x + output * y` for the latent x and the network's output y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// The factor of the latent, before any division by `input_divisor`.
    pub sample: f32,
    /// The factor of the network's output.
    pub output: f32,
}

impl Mix {
    /// The coefficients of a linear `formula(sample, output)`.
    fn of(formula: impl Fn(f32, f32) -> f32) -> Self {
        Self { sample: formula(1.0, 0.0), output: formula(0.0, 1.0) }
    }
}

/// A scheduler that can be chosen by name.
pub struct Entry {
    /// The name on a command line.
    pub name: &'static str,
    /// The `_class_name` of diffusers.
    pub class: &'static str,
    build: fn(&Config, Run) -> Built,
}

/// Every scheduler.
pub const REGISTRY: &[Entry] = &[
    Entry { name: "euler", class: "EulerDiscreteScheduler", build: euler::build },
    Entry {
        name: "euler-a",
        class: "EulerAncestralDiscreteScheduler",
        build: euler_ancestral::build,
    },
    Entry { name: "ddim", class: "DDIMScheduler", build: ddim::build },
    Entry { name: "lcm", class: "LCMScheduler", build: lcm::build },
    Entry { name: "dpm++2m", class: "DPMSolverMultistepScheduler", build: dpm_solver::build },
    Entry { name: "pndm", class: "PNDMScheduler", build: pndm::build },
];

/// The scheduler `name`, or the one that the file names, set up for `steps`.
///
/// # Errors
/// If there is no such scheduler, it does not implement a value in the file, or
/// it cannot run this many steps.
pub fn build(
    config: &Config,
    name: Option<&str>,
    steps: usize,
) -> Result<Box<dyn Scheduler>, SchedulerError> {
    build_run(config, name, Run::Steps(steps))
}

/// The scheduler of an image-to-image run, set up, and the step at which the
/// run starts.
///
/// Of several steps the last ones are run, `strength` of them, as diffusers'
/// pipelines do. A single step is run whatever the strength, at the training
/// timestep `round(strength * training timesteps) - 1`, as diffusers' schedulers
/// do when they are given their timesteps; at strength 1 it is the schedule's own.
///
/// # Errors
/// As [`build`] and [`img2img_start`].
pub fn build_img2img(
    config: &Config,
    name: Option<&str>,
    steps: usize,
    strength: f64,
) -> Result<(Box<dyn Scheduler>, usize), SchedulerError> {
    if steps == 1 && strength > 0.0 && strength < 1.0 {
        return Ok((build_run(config, name, Run::At(strength))?, 0));
    }
    Ok((build(config, name, steps)?, img2img_start(steps, strength)?))
}

fn build_run(
    config: &Config,
    name: Option<&str>,
    run: Run,
) -> Result<Box<dyn Scheduler>, SchedulerError> {
    let entry = entry(config, name)?;
    (entry.build)(config, run).map_err(|error| match error {
        BuildError::Config(problem) => config.error(problem),
        BuildError::Steps { most } => {
            SchedulerError::Steps { scheduler: entry.name, steps: run.steps(), most }
        }
    })
}

fn entry(config: &Config, name: Option<&str>) -> Result<&'static Entry, SchedulerError> {
    let by = |matches: &dyn Fn(&Entry) -> bool| REGISTRY.iter().find(|entry| matches(entry));
    let known = || REGISTRY.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => by(&|entry| entry.name == name)
            .ok_or_else(|| SchedulerError::Name { name: name.to_owned(), known: known() }),
        None => by(&|entry| entry.class == config.class()).ok_or_else(|| {
            let class = config.class().to_owned();
            config.error(Problem::UnknownClass { class, known: known() })
        }),
    }
}

/// The step of a schedule of `steps` steps at which an image-to-image run starts.
///
/// # Errors
/// If `strength` is outside 0..=1, or so small that no step is left.
pub fn img2img_start(steps: usize, strength: f64) -> Result<usize, SchedulerError> {
    if !(0.0..=1.0).contains(&strength) {
        return Err(SchedulerError::Strength(strength));
    }
    match (steps as f64 * strength) as usize {
        0 => Err(SchedulerError::NoStep { strength, steps }),
        taken => Ok(steps - taken.min(steps)),
    }
}

type Built = Result<Box<dyn Scheduler>, BuildError>;

/// Why a scheduler cannot be built, before the file and its name are known.
enum BuildError {
    Config(Problem),
    Steps { most: usize },
}

impl From<Problem> for BuildError {
    fn from(problem: Problem) -> Self {
        Self::Config(problem)
    }
}

/// Refuses a number of steps outside 1..=most.
fn check_steps(run: Run, most: usize) -> Result<(), BuildError> {
    if (1..=most).contains(&run.steps()) { Ok(()) } else { Err(BuildError::Steps { most }) }
}

/// Replaces each value of `sample` by `formula(sample, output)`.
fn update(sample: &mut [f32], output: &[f32], formula: impl Fn(f32, f32) -> f32) {
    assert_eq!(sample.len(), output.len(), "latents of different sizes");
    for (sample, &output) in sample.iter_mut().zip(output) {
        *sample = formula(*sample, output);
    }
}

/// [`update`], then `level` times fresh noise, which is drawn into `scratch`.
fn update_with_noise(
    sample: &mut [f32],
    output: &[f32],
    level: f32,
    scratch: &mut Vec<f32>,
    noise: NoiseSource<'_>,
    formula: impl Fn(f32, f32) -> f32,
) {
    scratch.resize(sample.len(), 0.0);
    noise(scratch);
    update(sample, output, formula);
    update(sample, scratch, |sample, noise| sample + noise * level);
}
