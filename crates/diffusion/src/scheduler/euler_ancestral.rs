//! Euler steps that go below the next noise level and return to it with fresh
//! noise; diffusers' EulerAncestralDiscreteScheduler.

use super::config::Config;
use super::euler::timesteps_f32;
use super::numeric::interpolate;
use super::sigmas;
use super::spacing::{Run, Spacing};
use super::training::{LINEAR_BETAS, NOISE_PREDICTIONS, Prediction, Training, ZeroSnr};
use super::{Built, Mix, NoiseSource, Noising, Scheduler, check_steps, update_with_noise};

struct EulerAncestral {
    timesteps: Vec<f32>,
    /// One more than steps: where each step begins and the last one ends.
    sigmas: Vec<f32>,
    spacing: Spacing,
    prediction: Prediction,
    scratch: Vec<f32>,
}

pub(super) fn build(config: &Config, run: Run) -> Built {
    let training = Training::read(config, &LINEAR_BETAS, ZeroSnr::FiniteSigma, NOISE_PREDICTIONS)?;
    check_steps(run, training.steps)?;
    let spacing = Spacing::read(config, Spacing::Linspace)?;
    let offset = config.count("steps_offset", 0)?;
    let timesteps = timesteps_f32(spacing, training.steps, run, offset);
    let trained = training.sigmas();
    let at = |&t: &f32| interpolate(f64::from(t), &trained) as f32;
    let sigmas = timesteps.iter().map(at).chain([0.0]).collect();
    let prediction = training.prediction;
    Ok(Box::new(EulerAncestral { timesteps, sigmas, spacing, prediction, scratch: Vec::new() }))
}

impl EulerAncestral {
    /// The sigma that the deterministic part of step `i` reaches, and the noise
    /// added after it: the squares of both add up to the next sigma's.
    fn down_and_up(&self, i: usize) -> (f32, f32) {
        let (from, to) = (self.sigmas[i], self.sigmas[i + 1]);
        let (from2, to2) = (from * from, to * to);
        let up = (to2 * (from2 - to2) / from2).sqrt();
        ((to2 - up * up).sqrt(), up)
    }
}

impl Scheduler for EulerAncestral {
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
        let (down, up) = self.down_and_up(i);
        (up == 0.0).then(|| sigmas::euler_mix(self.prediction, self.sigmas[i], down))
    }

    fn step(&mut self, i: usize, output: &[f32], sample: &mut [f32], noise: NoiseSource<'_>) {
        let (down, up) = self.down_and_up(i);
        let step = sigmas::euler_step(self.prediction, self.sigmas[i], down);
        update_with_noise(sample, output, up, &mut self.scratch, noise, step);
    }
}
