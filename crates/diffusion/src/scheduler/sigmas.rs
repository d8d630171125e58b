//! Schedules given as sigmas, noise per unit of signal, that the Euler and
//! DPM-Solver families share.

use super::Mix;
use super::config::Config;
use super::error::Problem;
use super::numeric::linspace;
use super::training::{Prediction, Training};

/// The respacings of a schedule that `use_*_sigmas` fields ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Respacing {
    /// Even in sigma^(1/7) (Karras et al. 2022, equation 5).
    Karras,
    /// Even in log sigma.
    Exponential,
}

impl Respacing {
    pub(super) fn read(config: &Config) -> Result<Option<Self>, Problem> {
        config.refuse("use_beta_sigmas")?;
        let karras = config.flag("use_karras_sigmas", false)?;
        if karras {
            config.refuse("use_exponential_sigmas")?;
            return Ok(Some(Self::Karras));
        }
        let exponential = config.flag("use_exponential_sigmas", false)?;
        Ok(exponential.then_some(Self::Exponential))
    }

    /// `steps` sigmas from `most` down to `least`.
    pub(super) fn sigmas(self, most: f64, least: f64, steps: usize) -> Vec<f64> {
        const RHO: f64 = 7.0;
        match self {
            Self::Karras => {
                let (from, to) = (most.powf(1.0 / RHO), least.powf(1.0 / RHO));
                let ramp = linspace(0.0, 1.0, steps);
                ramp.iter().map(|r| (from + r * (to - from)).powf(RHO)).collect()
            }
            Self::Exponential => {
                linspace(most.ln(), least.ln(), steps).iter().map(|log| log.exp()).collect()
            }
        }
    }
}

/// The range that a respacing covers: the file's `sigma_max` and `sigma_min`, or
/// the ends of a falling schedule.
pub(super) fn range(config: &Config, most: f64, least: f64) -> Result<(f64, f64), Problem> {
    let most = config.number("sigma_max", most)?;
    Ok((most, config.number("sigma_min", least)?))
}

/// The sigma after the last step.
pub(super) fn last_sigma(config: &Config, training: &Training) -> Result<f32, Problem> {
    let ends_clean =
        config.choice("final_sigmas_type", true, &[("zero", true), ("sigma_min", false)]);
    let alpha = training.alphas[0];
    Ok(if ends_clean? { 0.0 } else { ((1.0 - alpha) / alpha).sqrt() })
}

/// Natural logarithms in f32.
pub(super) fn logs(sigmas: &[f32]) -> Vec<f32> {
    sigmas.iter().map(|&sigma| f64::from(sigma).ln() as f32).collect()
}

/// The fractional training timestep at which the schedule, `log_sigmas` rising,
/// has this sigma.
pub(super) fn timestep_of(sigma: f64, log_sigmas: &[f32]) -> f64 {
    let log_sigma = sigma.max(1e-10).ln();
    let at = |i: usize| f64::from(log_sigmas[i]);
    let not_above = log_sigmas.iter().rposition(|&log| f64::from(log) <= log_sigma);
    let low = not_above.unwrap_or(0).min(log_sigmas.len().saturating_sub(2));
    let high = (low + 1).min(log_sigmas.len() - 1);
    let weight = ((at(low) - log_sigma) / (at(low) - at(high))).clamp(0.0, 1.0);
    (1.0 - weight) * low as f64 + weight * high as f64
}

/// The clean latent when `sample` is x0 + sigma * n (Karras et al. 2022, with
/// sigma_data 1 for a v prediction).
pub(super) fn x0(prediction: Prediction, sigma: f32, sample: f32, output: f32) -> f32 {
    let square = sigma * sigma + 1.0;
    match prediction {
        Prediction::Epsilon => sample - sigma * output,
        Prediction::V => output * (-sigma / square.sqrt()) + sample / square,
        Prediction::Sample => output,
    }
}

/// Euler's step from `sigma` to `next`: along the line from `sample` to x0.
pub(super) fn euler_step(
    prediction: Prediction,
    sigma: f32,
    next: f32,
) -> impl Fn(f32, f32) -> f32 + use<> {
    let change = next - sigma;
    move |sample, output| {
        let x0 = x0(prediction, sigma, sample, output);
        sample + (sample - x0) / sigma * change
    }
}

/// [`euler_step`] as coefficients, written as a mean of `sample` and x0: the
/// form of the step itself cancels at a large sigma.
pub(super) fn euler_mix(prediction: Prediction, sigma: f32, next: f32) -> Mix {
    let (kept, x0) = (next / sigma, x0_mix(prediction, sigma));
    Mix { sample: kept + (1.0 - kept) * x0.sample, output: (1.0 - kept) * x0.output }
}

/// [`x0`] as coefficients.
pub(super) fn x0_mix(prediction: Prediction, sigma: f32) -> Mix {
    Mix::of(|sample, output| x0(prediction, sigma, sample, output))
}

/// The standard deviation of the latent that a run begins with.
pub(super) fn init_noise_sigma(sigmas: &[f32], from_clean: bool) -> f32 {
    let most = sigmas.iter().copied().fold(0.0, f32::max);
    if from_clean { (most * most + 1.0).sqrt() } else { most }
}
