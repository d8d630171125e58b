//! What a checkpoint was trained with: the noise level of every training
//! timestep and what the network predicts. All arithmetic is f32 where torch's
//! is, since the schedules of published models include those roundings.

use std::f64::consts::FRAC_PI_2;

use super::Mix;
use super::config::{Config, unsupported};
use super::error::Problem;
use super::numeric::linspace_f32;

/// More training timesteps than any published schedule has; a larger number in
/// a file is a mistake and would only exhaust memory.
const MOST_TRAIN_STEPS: usize = 100_000;

/// The last cumulative alpha in place of an exact 0, whose sigma is infinite:
/// the smallest subnormal of f16.
const SMALLEST_ALPHA: f32 = 1.0 / 16_777_216.0;

/// How the betas run from `beta_start` to `beta_end`.
#[derive(Clone, Copy, Debug)]
pub(super) enum BetaSchedule {
    Linear,
    ScaledLinear,
    SquaredCos,
}

const BETA_SCHEDULES: &[(&str, BetaSchedule)] = &[
    ("linear", BetaSchedule::Linear),
    ("scaled_linear", BetaSchedule::ScaledLinear),
    ("squaredcos_cap_v2", BetaSchedule::SquaredCos),
];

/// The defaults of a scheduler class.
pub(super) struct TrainingDefaults {
    pub(super) beta_start: f64,
    pub(super) beta_end: f64,
    pub(super) beta_schedule: BetaSchedule,
}

/// The defaults of every class but LCM's.
pub(super) const LINEAR_BETAS: TrainingDefaults =
    TrainingDefaults { beta_start: 0.0001, beta_end: 0.02, beta_schedule: BetaSchedule::Linear };

/// How a scheduler treats `rescale_betas_zero_snr`.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum ZeroSnr {
    /// The class has no such field.
    Unread,
    /// The last timestep is pure noise.
    Exact,
    /// The last timestep keeps a finite sigma.
    FiniteSigma,
}

/// The noise levels and the prediction type of a checkpoint.
#[derive(Debug)]
pub(super) struct Training {
    /// `num_train_timesteps`.
    pub(super) steps: usize,
    /// Cumulative product of 1 - beta: `[steps]`, from almost clean to noise.
    pub(super) alphas: Vec<f32>,
    pub(super) prediction: Prediction,
}

impl Training {
    pub(super) fn read(
        config: &Config,
        defaults: &TrainingDefaults,
        zero_snr: ZeroSnr,
        predictions: &[(&str, Prediction)],
    ) -> Result<Self, Problem> {
        let steps = config.count("num_train_timesteps", 1000)?;
        if !(1..=MOST_TRAIN_STEPS).contains(&steps) {
            let range = format!("1 to {MOST_TRAIN_STEPS}");
            return Err(unsupported("num_train_timesteps", steps.to_string(), range));
        }
        let mut betas = read_betas(config, defaults, steps)?;
        let rescale =
            zero_snr != ZeroSnr::Unread && config.flag("rescale_betas_zero_snr", false)?;
        if rescale {
            betas = rescale_to_zero_snr(&betas);
        }
        let mut alphas = cumulative_alphas(&betas);
        if rescale && zero_snr == ZeroSnr::FiniteSigma {
            alphas[steps - 1] = SMALLEST_ALPHA;
        }
        let prediction = config.choice("prediction_type", Prediction::Epsilon, predictions)?;
        Ok(Self { steps, alphas, prediction })
    }

    /// The level of a training timestep.
    pub(super) fn level(&self, timestep: usize) -> Level {
        Level::of_alpha(self.alphas[timestep])
    }

    /// Noise per signal at every training timestep: sqrt((1 - a) / a).
    pub(super) fn sigmas(&self) -> Vec<f32> {
        self.alphas.iter().map(|&a| ((1.0 - a) / a).sqrt()).collect()
    }
}

fn read_betas(
    config: &Config,
    defaults: &TrainingDefaults,
    steps: usize,
) -> Result<Vec<f32>, Problem> {
    if let Some(trained) = config.numbers("trained_betas")? {
        return trained_betas(&trained, steps);
    }
    let start = read_beta(config, "beta_start", defaults.beta_start)?;
    let end = read_beta(config, "beta_end", defaults.beta_end)?;
    let schedule = config.choice("beta_schedule", defaults.beta_schedule, BETA_SCHEDULES)?;
    Ok(match schedule {
        BetaSchedule::Linear => linspace_f32(start as f32, end as f32, steps),
        BetaSchedule::ScaledLinear => {
            let roots = linspace_f32(start.sqrt() as f32, end.sqrt() as f32, steps);
            roots.iter().map(|root| root * root).collect()
        }
        BetaSchedule::SquaredCos => squared_cos_betas(steps),
    })
}

fn read_beta(config: &Config, field: &'static str, default: f64) -> Result<f64, Problem> {
    checked_beta(field, config.number(field, default)?)
}

fn trained_betas(betas: &[f64], steps: usize) -> Result<Vec<f32>, Problem> {
    const FIELD: &str = "trained_betas";
    if betas.len() != steps {
        let expected = format!("num_train_timesteps is {steps}");
        return Err(unsupported(FIELD, format!("an array of {}", betas.len()), expected));
    }
    betas.iter().map(|&beta| Ok(checked_beta(FIELD, beta)? as f32)).collect()
}

/// `beta`, if f32 arithmetic keeps it within (0, 1).
fn checked_beta(field: &'static str, beta: f64) -> Result<f64, Problem> {
    if beta as f32 > 0.0 && (beta as f32) < 1.0 {
        Ok(beta)
    } else {
        Err(unsupported(field, beta.to_string(), "a number between 0 and 1"))
    }
}

/// The cosine schedule of Nichol and Dhariwal (2021), betas capped at 0.999.
fn squared_cos_betas(steps: usize) -> Vec<f32> {
    let alpha = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let at = |i: usize| alpha(i as f64 / steps as f64);
    (0..steps).map(|i| (1.0 - at(i + 1) / at(i)).min(0.999) as f32).collect()
}

/// Running product of 1 - beta, kept in f64 between the f32 results as torch's
/// cumprod does.
fn cumulative_alphas(betas: &[f32]) -> Vec<f32> {
    let mut product = 1.0f64;
    let next = |beta: &f32| {
        product *= f64::from(1.0 - beta);
        product as f32
    };
    betas.iter().map(next).collect()
}

/// Betas shifted and scaled so that the last timestep holds no signal (Lin et
/// al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed",
/// algorithm 1).
fn rescale_to_zero_snr(betas: &[f32]) -> Vec<f32> {
    let mut signal: Vec<f32> = cumulative_alphas(betas).iter().map(|a| a.sqrt()).collect();
    let (first, last) = (signal[0], signal[signal.len() - 1]);
    let scale = first / (first - last);
    signal.iter_mut().for_each(|s| *s = (*s - last) * scale);
    let alphas: Vec<f32> = signal.iter().map(|s| s * s).collect();
    let before = [1.0].into_iter().chain(alphas.iter().copied());
    alphas.iter().zip(before).map(|(a, before)| 1.0 - a / before).collect()
}

/// A noised latent is `signal * x0 + noise * n`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) signal: f32,
    pub(super) noise: f32,
}

impl Level {
    /// The variance-preserving level with cumulative alpha `alpha`.
    pub(super) fn of_alpha(alpha: f32) -> Self {
        Self { signal: alpha.sqrt(), noise: (1.0 - alpha).sqrt() }
    }

    /// The variance-preserving level whose noise is `sigma` times its signal.
    pub(super) fn of_sigma(sigma: f32) -> Self {
        let signal = 1.0 / (sigma * sigma + 1.0).sqrt();
        Self { signal, noise: sigma * signal }
    }
}

/// What the network's output stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Prediction {
    /// The noise n.
    Epsilon,
    /// signal * n - noise * x0 (Salimans and Ho 2022).
    V,
    /// The clean latent x0.
    Sample,
}

/// The prediction types of a scheduler that implements them all.
pub(super) const ALL_PREDICTIONS: &[(&str, Prediction)] = &[
    ("epsilon", Prediction::Epsilon),
    ("v_prediction", Prediction::V),
    ("sample", Prediction::Sample),
];

/// The prediction types of a scheduler whose formula needs the noise.
pub(super) const NOISE_PREDICTIONS: &[(&str, Prediction)] =
    &[("epsilon", Prediction::Epsilon), ("v_prediction", Prediction::V)];

impl Prediction {
    /// The clean latent that `output` implies for `sample` at `level`.
    pub(super) fn x0(self, level: Level, sample: f32, output: f32) -> f32 {
        match self {
            Self::Epsilon => (sample - level.noise * output) / level.signal,
            Self::V => level.signal * sample - level.noise * output,
            Self::Sample => output,
        }
    }

    /// The noise that `output` implies for `sample` at `level`.
    pub(super) fn epsilon(self, level: Level, sample: f32, output: f32) -> f32 {
        match self {
            Self::Epsilon => output,
            Self::V => level.signal * output + level.noise * sample,
            Self::Sample => (sample - level.signal * output) / level.noise,
        }
    }

    /// [`Prediction::x0`] as coefficients.
    pub(super) fn x0_mix(self, level: Level) -> Mix {
        Mix::of(|sample, output| self.x0(level, sample, output))
    }
}
