//! The devices that can run a model: the one place that names concrete
//! backends. Adding one is a row in [`REGISTRY`].

mod choices;
mod coreml;
mod memory;
mod precision;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use laterna_coreml::run::ComputeUnits;
use laterna_cpu::{Choices, CpuBackend, CpuError, CpuOptions};
use laterna_graph::Backend;
use laterna_kernels::{Convolutions, Isa, Pool, Precision, ceiling};

use crate::console::Console;
use crate::error::{During, Failure};
use crate::model::Model;
use choices::Kept;
use precision::Wanted;

pub use coreml::units;
#[cfg(target_os = "macos")]
pub use coreml::{answer, cache as coreml_cache, prober as coreml_prober, sysctl};

/// Where and how to compute.
#[derive(Args, Clone, Debug)]
pub struct BackendArgs {
    /// What computes: `cpu`, or on a Mac `coreml`.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub backend: String,
    /// Threads that compute [default: the number of physical cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// How 3x3 convolutions are computed: direct, winograd2, winograd4, auto (each as is cheapest by
    /// a model of costs), or measured (each as is fastest here: seconds, once for each shape)
    /// [default: what LATERNA_CONVOLUTIONS says, or auto].
    #[arg(long, value_name = "WAY")]
    pub convolutions: Option<Convolutions>,
    /// How the CPU rounds the operands of products: f32 (not at all), bf16 (16 bits: up to half the
    /// memory for weights, and faster on some CPUs), int8 (8 bits where many channels are summed:
    /// up to a quarter of the memory), or auto (the one that this CPU multiplies fastest, if the
    /// model's picture stays within 40 dB of f32's).
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub precision: Wanted,
    /// The devices that `--backend coreml` may use: cpu, cpu-gpu, cpu-ne (the Neural Engine), all.
    #[arg(long, value_name = "UNITS", value_parser = units, default_value = "cpu-gpu")]
    pub compute_units: ComputeUnits,
    /// Whether the kernels of a summary tell where Core ML runs them.
    #[arg(skip)]
    #[cfg_attr(not(target_os = "macos"), allow(dead_code, reason = "Core ML alone is asked"))]
    pub placement: bool,
}

impl Default for BackendArgs {
    fn default() -> Self {
        Self {
            backend: "cpu".to_owned(),
            threads: None,
            convolutions: None,
            precision: Wanted::Fixed(Precision::F32),
            compute_units: ComputeUnits::default(),
            placement: false,
        }
    }
}

type Made = Result<Box<dyn Backend>, Failure>;

/// A backend that can be chosen by name.
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Why it is not on this system, and what can be done instead.
    pub absent: Option<[&'static str; 2]>,
    describe: fn(&BackendArgs) -> Result<String, Failure>,
    make: fn(&BackendArgs, &Console) -> Made,
    ceiling: fn(&BackendArgs) -> Result<Option<f64>, Failure>,
}

/// Every backend, the preferred ones first.
pub const REGISTRY: &[Entry] = &[
    Entry {
        name: "cpu",
        about: "SIMD kernels on all cores",
        absent: None,
        describe: describe_cpu,
        make: cpu,
        ceiling: cpu_ceiling,
    },
    Entry {
        name: laterna_coreml::backend::NAME,
        about: "Core ML on the GPU and the Neural Engine, in half precision",
        absent: coreml::ABSENT,
        describe: coreml::describe,
        make: coreml::open,
        // Which device computes, and what it can do at most, Core ML does not tell.
        ceiling: |_| Ok(None),
    },
];

/// The backends of this system.
pub fn present() -> impl Iterator<Item = &'static Entry> {
    REGISTRY.iter().filter(|entry| entry.absent.is_none())
}

impl BackendArgs {
    /// The backend chosen.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be used here.
    pub fn open(&self, console: &Console) -> Result<Box<dyn Backend>, Failure> {
        (self.entry()?.make)(self, console)
    }

    /// The same with a precision that is chosen for a model, if that was left open.
    ///
    /// # Errors
    /// If the model cannot be loaded or run.
    pub fn settled(&self, model: &Model, console: &Console) -> Result<Self, Failure> {
        let precision = match self.precision {
            Wanted::Auto if self.backend == "cpu" => precision::choose(self, model, console)?,
            Wanted::Auto => Precision::F32,
            Wanted::Fixed(precision) => precision,
        };
        Ok(Self { precision: Wanted::Fixed(precision), ..self.clone() })
    }

    /// What computes, with all of this machine that its results may depend on.
    ///
    /// # Errors
    /// As [`BackendArgs::open`].
    pub fn describe(&self) -> Result<String, Failure> {
        (self.entry()?.describe)(self)
    }

    /// What the device's arithmetic units can do at most, measured now, in
    /// f32 GFLOP/s; none where that cannot be known.
    ///
    /// # Errors
    /// As [`BackendArgs::open`].
    pub fn measure_ceiling(&self) -> Result<Option<f64>, Failure> {
        (self.entry()?.ceiling)(self)
    }

    /// How convolutions are computed: what the option, or the environment, says.
    ///
    /// # Errors
    /// If the environment names no way.
    fn ways(&self) -> Result<Convolutions, Failure> {
        let of_environment = || Convolutions::from_environment().map_err(CpuError::from);
        self.convolutions.map_or_else(of_environment, Ok).during("cannot use the CPU backend")
    }

    /// Threads for measurements beside a backend.
    fn pool(&self) -> Pool {
        self.threads.map(usize::from).map_or_else(Pool::with_physical_cores, Pool::new)
    }

    fn entry(&self) -> Result<&'static Entry, Failure> {
        let what = || format!("--backend {}", self.backend);
        let entry = REGISTRY.iter().find(|entry| entry.name == self.backend);
        let entry = entry.ok_or_else(|| {
            let known: Vec<_> = present().map(|entry| entry.name).collect();
            let why = format!("there is no backend of this name, only {}", known.join(", "));
            Failure::input(what(), why)
        })?;
        match entry.absent {
            None => Ok(entry),
            Some([why, hint]) => Err(Failure::input(what(), why).hint(hint)),
        }
    }
}

fn cpu(args: &BackendArgs, console: &Console) -> Result<Box<dyn Backend>, Failure> {
    let measured = args.ways()? == Convolutions::Measured;
    let choices = measured.then(|| Arc::new(Kept::read(console)) as Arc<dyn Choices>);
    Ok(Box::new(open_cpu(args, choices)?))
}

fn describe_cpu(args: &BackendArgs) -> Result<String, Failure> {
    let cpu = open_cpu(args, None)?;
    let convolutions = match cpu.convolutions() {
        Convolutions::Auto => String::new(),
        pinned => format!(", {pinned} convolutions"),
    };
    let precision = match cpu.precision() {
        Precision::F32 => String::new(),
        // The instruction sums in another order, and other algorithms are then the cheapest.
        other if cpu.has_products_of_its_own() => format!(" in {other} by its own instruction"),
        other => format!(" in {other}"),
    };
    let (isa, threads) = (cpu.isa().name(), cpu.threads());
    Ok(format!("cpu: {isa}{precision} on {threads} threads{convolutions}"))
}

fn open_cpu(args: &BackendArgs, choices: Option<Arc<dyn Choices>>) -> Result<CpuBackend, Failure> {
    let threads = args.threads.map(usize::from);
    let options = CpuOptions {
        threads,
        isa: None,
        convolutions: args.convolutions,
        precision: args.precision.fixed()?,
        choices,
    };
    CpuBackend::new(options).during("cannot use the CPU backend")
}

/// Long enough for a busy core to reach its steady clock.
const CEILING_BUDGET: Duration = Duration::from_millis(500);

fn cpu_ceiling(args: &BackendArgs) -> Result<Option<f64>, Failure> {
    let isa = Isa::detect().during("cannot use the CPU backend")?;
    Ok(Some(ceiling::measure_gflops(&args.pool(), isa, Precision::F32, CEILING_BUDGET)))
}
