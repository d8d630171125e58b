//! Pseudo linear multistep sampling (Liu et al. 2022, "Pseudo Numerical Methods
//! for Diffusion Models on Manifolds"); diffusers' PNDMScheduler without
//! Runge-Kutta steps, the default of Stable Diffusion 1.x.

use super::config::{Config, unsupported};
use super::spacing::{Run, Spacing, integer_timesteps};
use super::training::{LINEAR_BETAS, Level, NOISE_PREDICTIONS, Training, ZeroSnr};
use super::{Built, Mix, NoiseSource, Noising, Scheduler, check_steps};

/// Adams-Bashforth weights of the newest outputs first, by how many there are,
/// and their divisor.
const WEIGHTS: [([f32; 4], f32); 4] = [
    ([1.0, 0.0, 0.0, 0.0], 1.0),
    ([3.0, -1.0, 0.0, 0.0], 2.0),
    ([23.0, -16.0, 5.0, 0.0], 12.0),
    ([55.0, -59.0, 37.0, -9.0], 24.0),
];

struct Pndm {
    /// The second timestep comes twice: the first step is taken again from its
    /// start with the mean of the outputs at both ends.
    timesteps: Vec<usize>,
    network_timesteps: Vec<f32>,
    training: Training,
    /// Training timesteps in a step.
    stride: usize,
    /// The cumulative alpha before timestep 0.
    last_alpha: f32,
    /// Steps taken since the run began.
    taken: usize,
    /// The latest outputs, newest first.
    outputs: [Vec<f32>; 4],
    /// Where the run began.
    start: Vec<f32>,
}

pub(super) fn build(config: &Config, run: Run) -> Built {
    let training = Training::read(config, &LINEAR_BETAS, ZeroSnr::Unread, NOISE_PREDICTIONS)?;
    check_steps(run, training.steps)?;
    if !config.flag("skip_prk_steps", false)? {
        return Err(unsupported("skip_prk_steps", "false", "true").into());
    }
    let mut timesteps = integer_timesteps(config, Spacing::Leading, training.steps, run)?;
    if let Some(&second) = timesteps.get(1) {
        timesteps.insert(1, second);
    }
    let to_one = config.flag("set_alpha_to_one", false)?;
    Ok(Box::new(Pndm {
        network_timesteps: timesteps.iter().map(|&t| t as f32).collect(),
        timesteps,
        stride: training.steps / run.steps(),
        last_alpha: if to_one { 1.0 } else { training.alphas[0] },
        training,
        taken: 0,
        outputs: Default::default(),
        start: Vec::new(),
    }))
}

impl Pndm {
    /// The move from timestep `from` by one stride (Liu et al., equation 9).
    fn formula(&self, from: usize) -> impl Fn(f32, f32) -> f32 + use<> {
        let prediction = self.training.prediction;
        let alpha = self.training.alphas[from];
        let before = from.checked_sub(self.stride);
        let to_alpha = before.map_or(self.last_alpha, |t| self.training.alphas[t]);
        let level = Level::of_alpha(alpha);
        let keep = (to_alpha / alpha).sqrt();
        let scale = alpha * (1.0 - to_alpha).sqrt() + (alpha * (1.0 - alpha) * to_alpha).sqrt();
        move |sample, output| {
            let epsilon = prediction.epsilon(level, sample, output);
            keep * sample - (to_alpha - alpha) * epsilon / scale
        }
    }

    /// Puts `output` before the older ones.
    fn remember(&mut self, output: &[f32]) {
        self.outputs.rotate_right(1);
        self.outputs[0].clear();
        self.outputs[0].extend_from_slice(output);
    }

    /// Step `i` by the weighted mean of the latest outputs.
    fn multistep(&mut self, i: usize, sample: &mut [f32]) {
        let formula = self.formula(self.timesteps[i]);
        let known = match self.taken {
            0 => 1,
            taken => taken.min(4),
        };
        let (weights, divisor) = WEIGHTS[known - 1];
        for (j, sample) in sample.iter_mut().enumerate() {
            let weighted = |k: usize| weights[k] * self.outputs[k][j];
            let sum: f32 = (1..known).fold(weighted(0), |sum, k| sum + weighted(k));
            *sample = formula(*sample, sum / divisor);
        }
    }

    /// The first step again, with the mean of the outputs at its two ends.
    fn retake_first(&mut self, i: usize, output: &[f32], sample: &mut [f32]) {
        let formula = self.formula(self.timesteps[i] + self.stride);
        sample.copy_from_slice(&self.start);
        let first = &self.outputs[0];
        for ((sample, output), first) in sample.iter_mut().zip(output).zip(first) {
            *sample = formula(*sample, (output + first) / 2.0);
        }
    }
}

impl Scheduler for Pndm {
    fn timesteps(&self) -> &[f32] {
        &self.network_timesteps
    }

    fn noising(&self, i: usize) -> Noising {
        let Level { signal, noise } = self.training.level(self.timesteps[i]);
        Noising { signal, noise }
    }

    fn x0(&self, i: usize) -> Mix {
        self.training.prediction.x0_mix(self.training.level(self.timesteps[i]))
    }

    fn lone_step(&self, i: usize) -> Option<Mix> {
        Some(Mix::of(self.formula(self.timesteps[i])))
    }

    fn reset(&mut self) {
        self.taken = 0;
    }

    fn step(&mut self, i: usize, output: &[f32], sample: &mut [f32], _noise: NoiseSource<'_>) {
        assert_eq!(sample.len(), output.len(), "latents of different sizes");
        if self.taken == 1 {
            self.retake_first(i, output, sample);
        } else {
            if self.taken == 0 {
                self.start.clear();
                self.start.extend_from_slice(sample);
            }
            self.remember(output);
            self.multistep(i, sample);
        }
        self.taken += 1;
    }
}
