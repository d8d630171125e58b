//! The deterministic implicit sampler of Song et al. (2020), equation 12 with
//! sigma 0; diffusers' DDIMScheduler with eta 0.

use super::config::Config;
use super::spacing::{Run, Spacing, integer_timesteps};
use super::training::{ALL_PREDICTIONS, LINEAR_BETAS, Level, Training, ZeroSnr};
use super::{BuildError, Built, Mix, NoiseSource, Noising, Scheduler, check_steps, update};

struct Ddim {
    timesteps: Vec<f32>,
    /// The levels at which each step begins and ends: `[steps]`.
    levels: Vec<(Level, Level)>,
    training: Training,
    /// x0 is clamped to +- this.
    clip: Option<f32>,
}

pub(super) fn build(config: &Config, run: Run) -> Built {
    let training = Training::read(config, &LINEAR_BETAS, ZeroSnr::Exact, ALL_PREDICTIONS)?;
    check_steps(run, training.steps)?;
    config.refuse("thresholding")?;
    let timesteps = integer_timesteps(config, Spacing::Leading, training.steps, run)?;
    let clip = read_clip(config, true)?;
    let to_one = config.flag("set_alpha_to_one", true)?;
    let last = Level::of_alpha(if to_one { 1.0 } else { training.alphas[0] });
    let stride = training.steps / run.steps();
    let ends =
        |&t: &usize| (training.level(t), t.checked_sub(stride).map_or(last, |t| training.level(t)));
    let levels = timesteps.iter().map(ends).collect();
    let timesteps = timesteps.iter().map(|&t| t as f32).collect();
    Ok(Box::new(Ddim { timesteps, levels, training, clip }))
}

/// The range that `clip_sample` and `clip_sample_range` ask for.
pub(super) fn read_clip(config: &Config, default: bool) -> Result<Option<f32>, BuildError> {
    let range = config.number("clip_sample_range", 1.0)? as f32;
    Ok(config.flag("clip_sample", default)?.then_some(range))
}

/// `x0` within the clip range.
pub(super) fn clipped(x0: f32, clip: Option<f32>) -> f32 {
    match clip {
        Some(range) => x0.max(-range).min(range),
        None => x0,
    }
}

impl Ddim {
    fn formula(&self, i: usize) -> impl Fn(f32, f32) -> f32 + use<> {
        let (prediction, clip) = (self.training.prediction, self.clip);
        let (from, to) = self.levels[i];
        move |sample, output| {
            let x0 = clipped(prediction.x0(from, sample, output), clip);
            to.signal * x0 + to.noise * prediction.epsilon(from, sample, output)
        }
    }
}

impl Scheduler for Ddim {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn noising(&self, i: usize) -> Noising {
        let Level { signal, noise } = self.levels[i].0;
        Noising { signal, noise }
    }

    fn x0(&self, i: usize) -> Mix {
        self.training.prediction.x0_mix(self.levels[i].0)
    }

    fn lone_step(&self, i: usize) -> Option<Mix> {
        self.clip.is_none().then(|| Mix::of(self.formula(i)))
    }

    fn step(&mut self, i: usize, output: &[f32], sample: &mut [f32], _noise: NoiseSource<'_>) {
        update(sample, output, self.formula(i));
    }
}
