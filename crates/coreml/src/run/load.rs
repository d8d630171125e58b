//! The Core ML of this system: compiles packages and loads compiled models.

use std::path::{Path, PathBuf};

use objc2::available;
use objc2::rc::{Retained, autoreleasepool};
use objc2_core_ml::{MLComputeUnits, MLModel, MLModelConfiguration};
use objc2_foundation::NSString;

use super::compile::{compile, reason, system_build, url};
use super::model::Model;
use super::plan::placement;
use super::{ComputeUnits, Device, Interface, Opened, Options, Placement, RunError};
use crate::emit::Target;

/// The Core ML of this system.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl System {
    /// Loads a compiled model, predicts once on zeros and lets go of it: what the child
    /// process of a trial does.
    ///
    /// # Errors
    /// If Core ML does not load it, or the prediction fails.
    pub fn probe(
        &self,
        model: &Path,
        interface: &Interface,
        options: &Options,
    ) -> Result<(), RunError> {
        self.open(model, interface, options)?.predictor()?.predict()
    }
}

impl Device for System {
    fn build(&self) -> String {
        system_build()
    }

    fn target(&self) -> Target {
        if available!(macos = 15.0) { Target::MacOs15 } else { Target::MacOs14 }
    }

    fn compile(&self, package: &Path) -> Result<PathBuf, RunError> {
        autoreleasepool(|_| compile(package))
    }

    fn open(
        &self,
        model: &Path,
        interface: &Interface,
        options: &Options,
    ) -> Result<Box<dyn Opened>, RunError> {
        autoreleasepool(|_| {
            let opened = open(model, options)?;
            Ok(Box::new(Model::new(opened, interface.clone())) as Box<dyn Opened>)
        })
    }

    fn placement(&self, model: &Path, options: &Options) -> Result<Placement, RunError> {
        placement(model, options)
    }
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
    // SAFETY: setters of a fresh object; functions are asked of systems that have them alone.
    unsafe {
        let configuration = MLModelConfiguration::new();
        configuration.setComputeUnits(units(options.units));
        if let Some(function) = &options.function {
            configuration.setFunctionName(Some(&NSString::from_str(function)));
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
