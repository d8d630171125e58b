//! Which training timesteps a run of a few steps visits.

use super::config::{Config, unsupported};
use super::error::Problem;
use super::numeric::{arange_down, linspace};

/// Which timesteps a run visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Run {
    /// So many, spread as the configuration says.
    Steps(usize),
    /// One: the training timestep that a strength in 0..=1 stands for.
    At(f64),
}

impl Run {
    pub(super) fn steps(self) -> usize {
        match self {
            Self::Steps(steps) => steps,
            Self::At(_) => 1,
        }
    }
}

/// The last of the training timesteps that make up `strength` of them.
pub(super) fn timestep_of(strength: f64, training: usize) -> usize {
    ((strength * training as f64).round() as usize).clamp(1, training) - 1
}

/// How the timesteps of a run are spread over the training timesteps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spacing {
    /// Multiples of an integer ratio, from 0 up.
    Leading,
    /// Both ends included.
    Linspace,
    /// From the last training timestep down.
    Trailing,
}

const SPACINGS: &[(&str, Spacing)] = &[
    ("leading", Spacing::Leading),
    ("linspace", Spacing::Linspace),
    ("trailing", Spacing::Trailing),
];

impl Spacing {
    pub(super) fn read(config: &Config, default: Self) -> Result<Self, Problem> {
        config.choice("timestep_spacing", default, SPACINGS)
    }
}

/// A run's timesteps in falling order (Lin et al. 2023, table 2); those of
/// linspace are not rounded.
pub(super) fn timesteps(spacing: Spacing, training: usize, run: Run, offset: usize) -> Vec<f64> {
    let steps = match run {
        Run::Steps(steps) => steps,
        Run::At(strength) => return vec![timestep_of(strength, training) as f64],
    };
    match spacing {
        Spacing::Leading => (0..steps)
            .rev()
            .map(|i| (i * (training / steps)).saturating_add(offset) as f64)
            .collect(),
        Spacing::Linspace => {
            let mut rising = linspace(0.0, (training - 1) as f64, steps);
            rising.reverse();
            rising
        }
        Spacing::Trailing => trailing(training, training, steps),
    }
}

/// At most `steps` timesteps down from `last`, `training / steps` apart.
pub(super) fn trailing(last: usize, training: usize, steps: usize) -> Vec<f64> {
    let ratio = training as f64 / steps as f64;
    let falling = arange_down(last as f64, ratio, steps);
    falling.iter().map(|t| t.round_ties_even() - 1.0).collect()
}

/// The timesteps of a scheduler that looks levels up by integer timestep.
pub(super) fn integer_timesteps(
    config: &Config,
    default: Spacing,
    training: usize,
    run: Run,
) -> Result<Vec<usize>, Problem> {
    let spacing = Spacing::read(config, default)?;
    let offset = config.count("steps_offset", 0)?;
    let falling = timesteps(spacing, training, run, offset);
    let rounded: Vec<usize> = falling.iter().map(|t| t.round_ties_even() as usize).collect();
    match rounded.iter().find(|&&t| t >= training) {
        Some(t) => Err(unsupported(
            "steps_offset",
            offset.to_string(),
            format!("with {} steps it leads to timestep {t} of {training}", run.steps()),
        )),
        None => Ok(rounded),
    }
}
