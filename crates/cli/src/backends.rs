//! The devices that can run a model: the one place that names concrete
//! backends. Adding one is a row in [`REGISTRY`].

use std::time::Duration;

use clap::Args;
use laterna_cpu::{CpuBackend, CpuOptions};
use laterna_graph::Backend;
use laterna_kernels::{Convolutions, Isa, Pool, ceiling};

use crate::error::{During, Failure};

/// Where and how to compute.
#[derive(Args, Clone, Debug)]
pub struct BackendArgs {
    /// What computes: `cpu`.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub backend: String,
    /// Threads that compute [default: the number of physical cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// How 3x3 convolutions are computed: auto, direct, winograd2 or winograd4 [default: what
    /// LATERNA_CONVOLUTIONS says, or auto: each as is cheapest].
    #[arg(long, value_name = "WAY")]
    pub convolutions: Option<Convolutions>,
}

/// A backend that can be chosen by name.
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    describe: fn(&BackendArgs) -> Result<String, Failure>,
    make: fn(&BackendArgs) -> Result<Box<dyn Backend>, Failure>,
    ceiling: fn(&BackendArgs) -> Result<f64, Failure>,
}

/// Every backend, the preferred ones first.
pub const REGISTRY: &[Entry] = &[Entry {
    name: "cpu",
    about: "SIMD kernels on all cores",
    describe: describe_cpu,
    make: cpu,
    ceiling: cpu_ceiling,
}];

impl BackendArgs {
    /// The backend chosen.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be used here.
    pub fn open(&self) -> Result<Box<dyn Backend>, Failure> {
        (self.entry()?.make)(self)
    }

    /// What computes, with all of this machine that its results may depend on.
    ///
    /// # Errors
    /// As [`BackendArgs::open`].
    pub fn describe(&self) -> Result<String, Failure> {
        (self.entry()?.describe)(self)
    }

    /// What the device's arithmetic units can do at most, measured now, in
    /// f32 GFLOP/s.
    ///
    /// # Errors
    /// As [`BackendArgs::open`].
    pub fn measure_ceiling(&self) -> Result<f64, Failure> {
        (self.entry()?.ceiling)(self)
    }

    fn entry(&self) -> Result<&'static Entry, Failure> {
        let entry = REGISTRY.iter().find(|entry| entry.name == self.backend);
        let unknown = || {
            let known: Vec<_> = REGISTRY.iter().map(|entry| entry.name).collect();
            let why = format!("there is no backend of this name, only {}", known.join(", "));
            Failure::input(format!("--backend {}", self.backend), why)
        };
        entry.ok_or_else(unknown)
    }
}

fn cpu(args: &BackendArgs) -> Result<Box<dyn Backend>, Failure> {
    Ok(Box::new(open_cpu(args)?))
}

fn describe_cpu(args: &BackendArgs) -> Result<String, Failure> {
    let cpu = open_cpu(args)?;
    let convolutions = match cpu.convolutions() {
        Convolutions::Auto => String::new(),
        pinned => format!(", {pinned} convolutions"),
    };
    Ok(format!("cpu: {} on {} threads{convolutions}", cpu.isa().name(), cpu.threads()))
}

fn open_cpu(args: &BackendArgs) -> Result<CpuBackend, Failure> {
    let threads = args.threads.map(usize::from);
    let options = CpuOptions { threads, isa: None, convolutions: args.convolutions };
    CpuBackend::new(options).during("cannot use the CPU backend")
}

/// Long enough for a busy core to reach its steady clock.
const CEILING_BUDGET: Duration = Duration::from_millis(500);

fn cpu_ceiling(args: &BackendArgs) -> Result<f64, Failure> {
    let isa = Isa::detect().during("cannot use the CPU backend")?;
    let threads = args.threads.map(usize::from);
    let pool = threads.map_or_else(Pool::with_physical_cores, Pool::new);
    Ok(ceiling::measure_gflops(&pool, isa, CEILING_BUDGET))
}
