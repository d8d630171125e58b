//! From a package to a model that runs, on a thread of its own.
//!
//! Preparing a model for a GPU can end the process (MPSGraph aborts on what it
//! cannot lower). So the first load for a kind of devices happens in a child
//! process, and a marker beside the model remembers a try that never ended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use objc2::rc::Retained;
use objc2::{available, rc::autoreleasepool};
use objc2_core_ml::{
    MLComputeUnits, MLModel, MLModelConfiguration, MLOptimizationHints, MLSpecializationStrategy,
};
use objc2_foundation::NSString;

use super::compile::{compiled, reason, url};
use super::{ComputeUnits, Entry, Interface, Model, Options, RunError, Stage, Trust};

/// The command of a child process that calls [`probe`] for a compiled model.
pub type Prober = Box<Probe>;

type Probe = dyn Fn(&Path, &Options) -> Command + Send;

/// A model that is being loaded.
pub struct Loading {
    stages: Receiver<Stage>,
    thread: JoinHandle<Result<Model, RunError>>,
}

impl Loading {
    /// The next stage; blocks until it begins, `None` when loading has ended.
    pub fn next_stage(&self) -> Option<Stage> {
        self.stages.recv().ok()
    }

    /// Whether [`Loading::finish`] will not block.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// The model.
    ///
    /// # Errors
    /// If the package cannot be read, compiled or loaded.
    pub fn finish(self) -> Result<Model, RunError> {
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Begins to load a package. `cache` is the folder of compiled models; without a
/// `prober` the first load happens in this process, which a crash then ends.
pub fn load(
    package: PathBuf,
    cache: PathBuf,
    interface: Interface,
    options: Options,
    prober: Option<Prober>,
) -> Loading {
    let (sender, stages) = channel();
    let thread = std::thread::spawn(move || {
        let progress = |stage| {
            // Nobody need listen.
            let _ = sender.send(stage);
        };
        autoreleasepool(|_| {
            let entry = compiled(&package, &cache, &progress)?;
            tried(&entry, &options, prober.as_deref(), &progress)?;
            progress(Stage::Loading);
            let model = remembered(&entry, &options)?;
            Model::new(entry.model(), model, &interface)
        })
    });
    Loading { stages, thread }
}

/// Loads a compiled model and lets go of it: what the child process does.
///
/// # Errors
/// If Core ML does not load it.
pub fn probe(model: &Path, options: &Options) -> Result<(), RunError> {
    autoreleasepool(|_| open(model, options).map(drop))
}

/// Loads the model in a child process, unless it was loaded before.
fn tried(
    entry: &Entry,
    options: &Options,
    prober: Option<&Probe>,
    progress: &dyn Fn(Stage),
) -> Result<(), RunError> {
    let units = options.units;
    match (entry.trust(units), prober) {
        (Trust::Proven, _) | (Trust::New, None) => Ok(()),
        (Trust::Crashed, _) => Err(RunError::CrashedBefore {
            model: entry.model().to_owned(),
            units,
            marker: entry.trying(units),
        }),
        (Trust::New, Some(prober)) => {
            progress(Stage::Trying);
            entry.begin(units)?;
            let output = prober(entry.model(), options).output();
            let output = output.map_err(RunError::io(entry.model()))?;
            // A child that exits has reported a refusal; one that a signal ended has
            // crashed, which the marker goes on telling.
            if output.status.code().is_some() {
                entry.end(units, output.status.success())?;
            }
            if output.status.success() {
                return Ok(());
            }
            let words = String::from_utf8_lossy(&output.stderr);
            let reason = format!("{}: {}", output.status, words.trim());
            Err(RunError::Trial { model: entry.model().to_owned(), units, reason })
        }
    }
}

/// Loads the model in this process, remembering whether that ended.
fn remembered(entry: &Entry, options: &Options) -> Result<Retained<MLModel>, RunError> {
    if entry.trust(options.units) == Trust::Proven {
        return open(entry.model(), options);
    }
    entry.begin(options.units)?;
    let opened = open(entry.model(), options);
    entry.end(options.units, opened.is_ok())?;
    opened
}

fn open(model: &Path, options: &Options) -> Result<Retained<MLModel>, RunError> {
    let (url, configuration) = (url(model)?, configuration(options)?);
    // SAFETY: the URL is a folder's, the configuration a fresh one.
    let opened =
        unsafe { MLModel::modelWithContentsOfURL_configuration_error(&url, &configuration) };
    opened.map_err(|error| RunError::CoreMl {
        action: "loading the compiled model",
        reason: reason(&error),
    })
}

pub(super) fn configuration(options: &Options) -> Result<Retained<MLModelConfiguration>, RunError> {
    if options.function.is_some() && !available!(macos = 15.0) {
        return Err(RunError::System {
            feature: "a package with several functions",
            version: "15",
        });
    }
    // SAFETY: setters of a fresh object; those of later systems are guarded.
    unsafe {
        let configuration = MLModelConfiguration::new();
        configuration.setComputeUnits(units(options.units));
        configuration.setAllowLowPrecisionAccumulationOnGPU(options.low_precision_accumulation);
        if let Some(function) = &options.function {
            configuration.setFunctionName(Some(&NSString::from_str(function)));
        }
        if options.fast_prediction && available!(macos = 15.0) {
            let hints = MLOptimizationHints::new();
            hints.setSpecializationStrategy(MLSpecializationStrategy::FastPrediction);
            configuration.setOptimizationHints(&hints);
        }
        Ok(configuration)
    }
}

fn units(units: ComputeUnits) -> MLComputeUnits {
    match units {
        ComputeUnits::Cpu => MLComputeUnits::CPUOnly,
        ComputeUnits::CpuAndGpu => MLComputeUnits::CPUAndGPU,
        ComputeUnits::CpuAndNeuralEngine => MLComputeUnits::CPUAndNeuralEngine,
        ComputeUnits::All => MLComputeUnits::All,
    }
}
