//! Multistep sampling of a latent consistency model (Luo et al. 2023, algorithm
//! 3): each step jumps to x0 and returns with fresh noise; diffusers'
//! LCMScheduler.

use super::config::{Config, unsupported};
use super::ddim::{clipped, read_clip};
use super::error::Problem;
use super::spacing::{Run, timestep_of};
use super::training::{
    ALL_PREDICTIONS, BetaSchedule, Level, Prediction, Training, TrainingDefaults, ZeroSnr,
};
use super::{Built, Mix, NoiseSource, Noising, Scheduler, check_steps, update, update_with_noise};

/// The standard deviation of the data in the boundary condition.
const SIGMA_DATA: f32 = 0.5;

const DEFAULTS: TrainingDefaults = TrainingDefaults {
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: BetaSchedule::ScaledLinear,
};

struct Lcm {
    timesteps: Vec<f32>,
    /// The level at which each step begins.
    levels: Vec<Level>,
    prediction: Prediction,
    /// `timestep_scaling`.
    scaling: f32,
    /// x0 is clamped to +- this.
    clip: Option<f32>,
    scratch: Vec<f32>,
}

pub(super) fn build(config: &Config, run: Run) -> Built {
    let training = Training::read(config, &DEFAULTS, ZeroSnr::Exact, ALL_PREDICTIONS)?;
    let distilled = distilled_timesteps(config, training.steps)?;
    check_steps(run, distilled.len())?;
    config.refuse("thresholding")?;
    let timesteps = match run {
        Run::Steps(steps) => evenly(&distilled, steps),
        Run::At(strength) => vec![timestep_of(strength, training.steps)],
    };
    Ok(Box::new(Lcm {
        levels: timesteps.iter().map(|&t| training.level(t)).collect(),
        timesteps: timesteps.iter().map(|&t| t as f32).collect(),
        prediction: training.prediction,
        scaling: config.number("timestep_scaling", 10.0)? as f32,
        clip: read_clip(config, false)?,
        scratch: Vec::new(),
    }))
}

/// The falling timesteps that the model was distilled at.
fn distilled_timesteps(config: &Config, training: usize) -> Result<Vec<usize>, Problem> {
    let count = config.count("original_inference_steps", 50)?;
    if !(1..=training).contains(&count) {
        let range = format!("1 to {training}");
        return Err(unsupported("original_inference_steps", count.to_string(), range));
    }
    let stride = training / count;
    Ok((1..=count).rev().map(|i| i * stride - 1).collect())
}

/// `count` of the values, evenly spaced from the first.
fn evenly(values: &[usize], count: usize) -> Vec<usize> {
    let stride = values.len() as f64 / count as f64;
    (0..count).map(|i| values[(i as f64 * stride) as usize]).collect()
}

impl Lcm {
    /// The denoised latent: x0 and the sample in the proportions of the
    /// boundary condition.
    fn denoise(&self, i: usize) -> impl Fn(f32, f32) -> f32 + use<> {
        let (prediction, clip, level) = (self.prediction, self.clip, self.levels[i]);
        let scaled = self.timesteps[i] * self.scaling;
        let (scaled2, data2) = (scaled * scaled, SIGMA_DATA * SIGMA_DATA);
        let skip = data2 / (scaled2 + data2);
        let out = scaled / (scaled2 + data2).sqrt();
        move |sample, output| {
            out * clipped(prediction.x0(level, sample, output), clip) + skip * sample
        }
    }

    fn is_last(&self, i: usize) -> bool {
        i + 1 == self.timesteps.len()
    }
}

impl Scheduler for Lcm {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn noising(&self, i: usize) -> Noising {
        let Level { signal, noise } = self.levels[i];
        Noising { signal, noise }
    }

    fn x0(&self, i: usize) -> Mix {
        self.prediction.x0_mix(self.levels[i])
    }

    fn lone_step(&self, i: usize) -> Option<Mix> {
        let linear = self.is_last(i) && self.clip.is_none();
        linear.then(|| Mix::of(self.denoise(i)))
    }

    fn step(&mut self, i: usize, output: &[f32], sample: &mut [f32], noise: NoiseSource<'_>) {
        let denoise = self.denoise(i);
        if self.is_last(i) {
            return update(sample, output, denoise);
        }
        let next = self.levels[i + 1];
        let formula = |sample, output| next.signal * denoise(sample, output);
        update_with_noise(sample, output, next.noise, &mut self.scratch, noise, formula);
    }
}
