//! `--precision auto`: what this CPU multiplies fastest without a change of the picture that could be
//! seen. The choice is remembered for the model, the CPU and the version.

use std::str::FromStr;
use std::time::Duration;

use laterna_diffusion::session::Size;
use laterna_kernels::{Isa, Precision, UnknownPrecision, ceiling};
use serde::{Deserialize, Serialize};

use super::BackendArgs;
use super::memory::Memory;
use crate::commands::bench::frame::Bench;
use crate::console::Console;
use crate::error::{Cause, During, Failure};
use crate::machine;
use crate::model::Model;

/// A precision, or that one is to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By [`choose`].
    Auto,
    /// This one.
    Fixed(Precision),
}

impl Wanted {
    /// The precision.
    ///
    /// # Errors
    /// If it was not chosen: then there is no picture by which it could be.
    pub fn fixed(self) -> Result<Precision, Failure> {
        match self {
            Self::Fixed(precision) => Ok(precision),
            Self::Auto => {
                let why = "there is no whole picture here to choose by";
                Err(Failure::input("--precision auto", why).hint("name f32, bf16 or int8"))
            }
        }
    }
}

impl FromStr for Wanted {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        if name == "auto" { Ok(Self::Auto) } else { name.parse().map(Self::Fixed) }
    }
}

/// How near to the picture in f32 another must be.
const LEAST_DB: f64 = 40.0;

/// How much faster than f32's products others must be to be worth a try.
const LEAST_GAIN: f64 = 1.25;

/// How long the products of each precision are timed.
const RATE_BUDGET: Duration = Duration::from_millis(50);

/// Picture by which models are tried: small ones tell as much as large ones.
const SIZE: Size = Size { width: 256, height: 256 };

/// Frames of every strength are painted; one in the middle is tried.
const STRENGTH: f32 = 0.5;

/// Chooses a precision for a model and says so.
///
/// # Errors
/// If the model cannot be loaded or run.
pub fn choose(args: &BackendArgs, model: &Model, console: &Console) -> Result<Precision, Failure> {
    let isa = Isa::detect().during("cannot use the CPU backend")?;
    let key = key(args, model, isa)?;
    let mut memory: Memory<Choice> = Memory::read("precision.json", MOST_CHOICES);
    let chosen = match memory.get(&key).and_then(Choice::known) {
        Some(chosen) => chosen,
        None => {
            let chosen = try_all(args, model, isa, console)?;
            // That it cannot be kept stops nothing.
            if let Err(error) = memory.remember(key, chosen.into()) {
                console.detail(format_args!("the choice is not remembered: {error}"));
            }
            chosen
        }
    };
    let (precision, why) = match chosen {
        (Precision::F32, _) => (Precision::F32, "no other is faster and near enough".to_owned()),
        (other, decibels) => (other, format!("its picture is within {decibels:.1} dB of f32's")),
    };
    console.note(format_args!("precision {precision}: {why}"));
    Ok(precision)
}

/// The first that is near enough, and how near, from the fastest on.
fn try_all(
    args: &BackendArgs,
    model: &Model,
    isa: Isa,
    console: &Console,
) -> Result<(Precision, f64), Failure> {
    let candidates = faster_than_f32(args, isa);
    if candidates.is_empty() {
        return Ok((Precision::F32, f64::INFINITY));
    }
    let _spinner = console.spinner("choosing a precision");
    let reference = picture(args, model, Precision::F32, console)?;
    for precision in candidates {
        let found = picture(args, model, precision, console)?;
        let decibels = laterna_quality::psnr(&found, &reference, 2.0).during("cannot compare")?;
        console.detail(format_args!("{precision}: {decibels:.1} dB from f32"));
        if decibels >= LEAST_DB {
            return Ok((precision, decibels));
        }
    }
    Ok((Precision::F32, f64::INFINITY))
}

/// The fastest first.
fn faster_than_f32(args: &BackendArgs, isa: Isa) -> Vec<Precision> {
    let pool = args.pool();
    let rate = |precision| ceiling::measure_gflops(&pool, isa, precision, RATE_BUDGET);
    let least = LEAST_GAIN * rate(Precision::F32);
    let others = Precision::ALL.into_iter().filter(|&other| other != Precision::F32);
    let own = others.filter(|other| other.has_products(isa));
    let mut rates: Vec<_> = own.map(|other| (other, rate(other))).collect();
    rates.retain(|&(_, rate)| rate >= least);
    rates.sort_by(|a, b| b.1.total_cmp(&a.1));
    rates.into_iter().map(|(precision, _)| precision).collect()
}

impl Cause for laterna_quality::QualityError {}

/// The model's picture of a synthetic one.
fn picture(
    args: &BackendArgs,
    model: &Model,
    precision: Precision,
    console: &Console,
) -> Result<Vec<f32>, Failure> {
    let args = BackendArgs { precision: Wanted::Fixed(precision), ..args.clone() };
    let mut bench = Bench::load(model, SIZE, STRENGTH, &*args.open(console)?, console)?;
    bench.run()?;
    Ok(bench.output().as_f32().unwrap_or_default().to_vec())
}

/// What a choice depends on.
///
/// # Errors
/// If the environment names no way to compute convolutions.
fn key(args: &BackendArgs, model: &Model, isa: Isa) -> Result<String, Failure> {
    let convolutions = args.ways()?;
    let (machine, model) = (machine::of_findings(), model.fingerprint());
    Ok(format!("{machine} {isa} {convolutions} {model}"))
}

/// Choices that are kept.
const MOST_CHOICES: usize = 100;

/// A choice that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Choice {
    precision: String,
    /// From f32's picture; none for f32 itself.
    decibels: Option<f64>,
}

impl From<(Precision, f64)> for Choice {
    fn from((precision, decibels): (Precision, f64)) -> Self {
        let decibels = decibels.is_finite().then_some(decibels);
        Self { precision: precision.name().to_owned(), decibels }
    }
}

impl Choice {
    fn known(&self) -> Option<(Precision, f64)> {
        Some((self.precision.parse().ok()?, self.decibels.unwrap_or(f64::INFINITY)))
    }
}
