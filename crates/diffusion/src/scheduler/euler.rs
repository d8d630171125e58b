//! Euler's method on the probability flow (Karras et al. 2022, algorithm 2
//! without churn); diffusers' EulerDiscreteScheduler.

use super::config::Config;
use super::error::Problem;
use super::numeric::{interpolate, linspace_f32};
use super::sigmas::{self, Respacing};
use super::spacing::{Run, Spacing, timesteps};
use super::training::{ALL_PREDICTIONS, LINEAR_BETAS, Prediction, Training, ZeroSnr};
use super::{Built, Mix, NoiseSource, Noising, Scheduler, check_steps, update};

struct Euler {
    timesteps: Vec<f32>,
    /// One more than steps: where each step begins and the last one ends.
    sigmas: Vec<f32>,
    spacing: Spacing,
    prediction: Prediction,
}

pub(super) fn build(config: &Config, run: Run) -> Built {
    let predictions = [ALL_PREDICTIONS, &[("original_sample", Prediction::Sample)]].concat();
    let training = Training::read(config, &LINEAR_BETAS, ZeroSnr::FiniteSigma, &predictions)?;
    check_steps(run, training.steps)?;
    config.choice("timestep_type", (), &[("discrete", ())])?;
    let spacing = Spacing::read(config, Spacing::Linspace)?;
    let (timesteps, mut sigmas) = schedule(config, &training, spacing, run)?;
    sigmas.push(sigmas::last_sigma(config, &training)?);
    Ok(Box::new(Euler { timesteps, sigmas, spacing, prediction: training.prediction }))
}

/// The timesteps and their sigmas.
fn schedule(
    config: &Config,
    training: &Training,
    spacing: Spacing,
    run: Run,
) -> Result<(Vec<f32>, Vec<f32>), Problem> {
    let offset = config.count("steps_offset", 0)?;
    let timesteps = timesteps_f32(spacing, training.steps, run, offset);
    let trained = training.sigmas();
    let at = |&t: &f32| interpolate(f64::from(t), &trained);
    let Run::Steps(steps) = run else {
        let sigmas = timesteps.iter().map(|t| at(t) as f32).collect();
        return Ok((timesteps, sigmas));
    };
    let log_linear = [("linear", false), ("log_linear", true)];
    let sigmas = if config.choice("interpolation_type", false, &log_linear)? {
        log_linear_sigmas(&trained, steps)
    } else {
        timesteps.iter().map(at).collect()
    };
    let Some(respacing) = Respacing::read(config)? else {
        return Ok((timesteps, to_f32(&sigmas)));
    };
    let (most, least) = sigmas::range(config, sigmas[0], sigmas[sigmas.len() - 1])?;
    let sigmas = respacing.sigmas(most, least, steps);
    let logs = sigmas::logs(&trained);
    let timesteps = sigmas.iter().map(|&s| sigmas::timestep_of(s, &logs) as f32).collect();
    Ok((timesteps, to_f32(&sigmas)))
}

/// Falling timesteps of the Euler family, which are not rounded to integers.
pub(super) fn timesteps_f32(
    spacing: Spacing,
    training: usize,
    run: Run,
    offset: usize,
) -> Vec<f32> {
    to_f32(&timesteps(spacing, training, run, offset))
}

pub(super) fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// `steps + 1` sigmas, even in log sigma over the whole training schedule.
fn log_linear_sigmas(trained: &[f32], steps: usize) -> Vec<f64> {
    let logs = sigmas::logs(trained);
    let even = linspace_f32(logs[logs.len() - 1], logs[0], steps + 1);
    even.iter().map(|&log| f64::from(log).exp() as f32).map(f64::from).collect()
}

impl Scheduler for Euler {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f32 {
        sigmas::init_noise_sigma(&self.sigmas, self.spacing == Spacing::Leading)
    }

    fn input_divisor(&self, i: usize) -> f32 {
        (self.sigmas[i] * self.sigmas[i] + 1.0).sqrt()
    }

    fn noising(&self, i: usize) -> Noising {
        Noising { signal: 1.0, noise: self.sigmas[i] }
    }

    fn x0(&self, i: usize) -> Mix {
        sigmas::x0_mix(self.prediction, self.sigmas[i])
    }

    fn lone_step(&self, i: usize) -> Option<Mix> {
        Some(sigmas::euler_mix(self.prediction, self.sigmas[i], self.sigmas[i + 1]))
    }

    fn step(&mut self, i: usize, output: &[f32], sample: &mut [f32], _noise: NoiseSource<'_>) {
        let step = sigmas::euler_step(self.prediction, self.sigmas[i], self.sigmas[i + 1]);
        update(sample, output, step);
    }
}
