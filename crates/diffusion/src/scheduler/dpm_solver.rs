//! DPM-Solver++ of order 1 and 2, multistep (Lu et al. 2022, algorithm 2);
//! diffusers' DPMSolverMultistepScheduler with algorithm_type dpmsolver++.

use super::config::{Config, unsupported};
use super::error::Problem;
use super::euler::to_f32;
use super::numeric::{interpolate, linspace};
use super::sigmas::{self, Respacing};
use super::spacing::{Run, Spacing, timestep_of, trailing};
use super::training::{ALL_PREDICTIONS, LINEAR_BETAS, Level, Prediction, Training, ZeroSnr};
use super::{BuildError, Built, Mix, NoiseSource, Noising, Scheduler, check_steps, update};

/// Runs shorter than this may end with a step of order 1 (`lower_order_final`).
const SHORT_RUN: usize = 15;

/// How the change of x0 over a step is weighted.
#[derive(Clone, Copy, Debug)]
enum Solver {
    Midpoint,
    Heun,
}

/// diffusers reads the solver types of related schedulers as midpoint.
const SOLVERS: &[(&str, Solver)] = &[
    ("midpoint", Solver::Midpoint),
    ("heun", Solver::Heun),
    ("logrho", Solver::Midpoint),
    ("bh1", Solver::Midpoint),
    ("bh2", Solver::Midpoint),
];

struct DpmSolver {
    timesteps: Vec<f32>,
    /// One more than steps: where each step begins and the last one ends.
    sigmas: Vec<f32>,
    prediction: Prediction,
    solver: Solver,
    second_order: bool,
    /// The last step is of order 1.
    simple_end: bool,
    /// x0 of the step before.
    previous: Vec<f32>,
    /// Whether there was a step before.
    has_previous: bool,
}

pub(super) fn build(config: &Config, run: Run) -> Built {
    let training = Training::read(config, &LINEAR_BETAS, ZeroSnr::FiniteSigma, ALL_PREDICTIONS)?;
    refuse_variants(config)?;
    let solver = config.choice("solver_type", Solver::Midpoint, SOLVERS)?;
    let second_order = second_order(config)?;
    let (timesteps, mut sigmas) = schedule(config, &training, run)?;
    sigmas.push(sigmas::last_sigma(config, &training)?);
    let short = config.flag("lower_order_final", true)? && timesteps.len() < SHORT_RUN;
    let to_zero = sigmas.last() == Some(&0.0);
    Ok(Box::new(DpmSolver {
        simple_end: config.flag("euler_at_final", false)? || short || to_zero,
        prediction: training.prediction,
        timesteps,
        sigmas,
        solver,
        second_order,
        previous: Vec::new(),
        has_previous: false,
    }))
}

/// Refuses the algorithms of the class that are not DPM-Solver++.
fn refuse_variants(config: &Config) -> Result<(), Problem> {
    config.choice("algorithm_type", (), &[("dpmsolver++", ()), ("deis", ())])?;
    config.choice::<()>("variance_type", (), &[])?;
    config.refuse("use_flow_sigmas")?;
    config.refuse("use_dynamic_shifting")?;
    config.refuse("thresholding")
}

fn second_order(config: &Config) -> Result<bool, Problem> {
    match config.count("solver_order", 2)? {
        1 => Ok(false),
        2 => Ok(true),
        order => Err(unsupported("solver_order", order.to_string(), "1, 2")),
    }
}

/// The timesteps and their sigmas.
fn schedule(
    config: &Config,
    training: &Training,
    run: Run,
) -> Result<(Vec<f32>, Vec<f32>), BuildError> {
    let trained = training.sigmas();
    let logs = sigmas::logs(&trained);
    let spaced = spaced_timesteps(config, training, run)?;
    let (most, least) = (trained[trained.len() - 1], trained[0]);
    let (most, least) = sigmas::range(config, f64::from(most), f64::from(least))?;
    let lu = config.flag("use_lu_lambdas", false)?;
    let respacing = Respacing::read(config)?;
    let sigmas = match (run, respacing) {
        (Run::Steps(steps), Some(respacing)) => respacing.sigmas(most, least, steps),
        (Run::Steps(steps), None) if lu => lu_sigmas(&logs, steps),
        _ => {
            let sigmas = spaced.iter().map(|&t| interpolate(t, &trained) as f32).collect();
            return Ok((to_f32(&spaced), sigmas));
        }
    };
    let cosine = config.choice(
        "beta_schedule",
        false,
        &[("linear", false), ("scaled_linear", false), ("squaredcos_cap_v2", true)],
    )?;
    let rounds = !cosine && respacing != Some(Respacing::Exponential);
    let integer = |t: f64| if rounds { t.round_ties_even() } else { t.trunc() };
    let timestep = |&sigma: &f64| integer(sigmas::timestep_of(sigma, &logs)) as f32;
    Ok((sigmas.iter().map(timestep).collect(), to_f32(&sigmas)))
}

/// Integer timesteps in falling order: one end of the schedule is left out,
/// being where the last step arrives.
fn spaced_timesteps(
    config: &Config,
    training: &Training,
    run: Run,
) -> Result<Vec<f64>, BuildError> {
    let last = clipped_length(training, config.number("lambda_min_clipped", f64::NEG_INFINITY)?);
    let spacing = Spacing::read(config, Spacing::Linspace)?;
    let offset = config.count("steps_offset", 0)? as f64;
    let most = if spacing == Spacing::Trailing { training.steps } else { last.saturating_sub(1) };
    check_steps(run, most)?;
    let steps = match run {
        Run::Steps(steps) => steps,
        Run::At(strength) => return Ok(vec![timestep_of(strength, training.steps) as f64]),
    };
    Ok(match spacing {
        Spacing::Linspace => {
            let rising = linspace(0.0, (last - 1) as f64, steps + 1);
            rising.iter().skip(1).rev().map(|t| t.round_ties_even()).collect()
        }
        Spacing::Leading => {
            let ratio = last / (steps + 1);
            (1..=steps).rev().map(|i| (i * ratio) as f64 + offset).collect()
        }
        Spacing::Trailing => trailing(last, training.steps, steps),
    })
}

/// How many training timesteps have log(signal / noise) of `least` or more.
fn clipped_length(training: &Training, least: f64) -> usize {
    let lambda = |&alpha: &f32| {
        let level = Level::of_alpha(alpha);
        level.signal.ln() - level.noise.ln()
    };
    training.alphas.iter().filter(|alpha| f64::from(lambda(alpha)) >= least).count()
}

/// Sigmas even in log sigma over the whole training schedule.
fn lu_sigmas(logs: &[f32], steps: usize) -> Vec<f64> {
    let (from, to) = (f64::from(logs[logs.len() - 1]), f64::from(logs[0]));
    linspace(0.0, 1.0, steps).iter().map(|ramp| (from + ramp * (to - from)).exp()).collect()
}

/// log(signal / noise).
fn lambda(level: Level) -> f32 {
    level.signal.ln() - level.noise.ln()
}

impl DpmSolver {
    fn level(&self, i: usize) -> Level {
        Level::of_sigma(self.sigmas[i])
    }

    /// The factors of the sample and of x0 in a step of order 1, and the change
    /// of lambda.
    fn first_order(&self, i: usize) -> (f32, f32, f32) {
        let (from, to) = (self.level(i), self.level(i + 1));
        let h = lambda(to) - lambda(from);
        (to.noise / from.noise, -(to.signal * ((-h).exp() - 1.0)), h)
    }

    fn first_order_formula(&self, i: usize) -> impl Fn(f32, f32) -> f32 + use<> {
        let (prediction, level) = (self.prediction, self.level(i));
        let (keep, data, _) = self.first_order(i);
        move |sample, output| keep * sample + data * prediction.x0(level, sample, output)
    }

    /// The factors of the change of x0 since the step before, per step, and of
    /// that step's length relative to this one's.
    fn slope(&self, i: usize) -> (f32, f32) {
        let (_, data, h) = self.first_order(i);
        let before = lambda(self.level(i)) - lambda(self.level(i - 1));
        let weight = match self.solver {
            Solver::Midpoint => 0.5 * data,
            Solver::Heun => self.level(i + 1).signal * (((-h).exp() - 1.0) / h + 1.0),
        };
        (weight, 1.0 / (before / h))
    }

    /// A step of order 2; `previous` holds x0 of the step before and receives
    /// this step's.
    fn second_order_step(
        &self,
        i: usize,
        output: &[f32],
        sample: &mut [f32],
        previous: &mut [f32],
    ) {
        let (prediction, level) = (self.prediction, self.level(i));
        let (keep, data, _) = self.first_order(i);
        let (weight, rate) = self.slope(i);
        let values = sample.iter_mut().zip(output).zip(previous);
        for ((sample, &output), previous) in values {
            let x0 = prediction.x0(level, *sample, output);
            let change = rate * (x0 - *previous);
            *sample = keep * *sample + data * x0 + weight * change;
            *previous = x0;
        }
    }

    /// A step of order 1, which remembers its x0.
    fn first_order_step(
        &self,
        i: usize,
        output: &[f32],
        sample: &mut [f32],
        previous: &mut Vec<f32>,
    ) {
        let (prediction, level) = (self.prediction, self.level(i));
        let x0 = |(&sample, &output): (&f32, &f32)| prediction.x0(level, sample, output);
        previous.clear();
        previous.extend(sample.iter().zip(output).map(x0));
        update(sample, output, self.first_order_formula(i));
    }

    fn is_simple_end(&self, i: usize) -> bool {
        self.simple_end && i + 1 == self.timesteps.len()
    }
}

impl Scheduler for DpmSolver {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn noising(&self, i: usize) -> Noising {
        let Level { signal, noise } = self.level(i);
        Noising { signal, noise }
    }

    fn x0(&self, i: usize) -> Mix {
        self.prediction.x0_mix(self.level(i))
    }

    fn lone_step(&self, i: usize) -> Option<Mix> {
        Some(Mix::of(self.first_order_formula(i)))
    }

    fn reset(&mut self) {
        self.has_previous = false;
    }

    fn step(&mut self, i: usize, output: &[f32], sample: &mut [f32], _noise: NoiseSource<'_>) {
        assert_eq!(sample.len(), output.len(), "latents of different sizes");
        let mut previous = std::mem::take(&mut self.previous);
        if self.has_previous && self.second_order && !self.is_simple_end(i) {
            assert_eq!(sample.len(), previous.len(), "latents of different sizes");
            self.second_order_step(i, output, sample, &mut previous);
        } else {
            self.first_order_step(i, output, sample, &mut previous);
        }
        self.previous = previous;
        self.has_previous = true;
    }
}
