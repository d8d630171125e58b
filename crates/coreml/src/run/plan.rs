//! Which device Core ML means to run each operation on.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use block2::RcBlock;
use objc2::rc::{Retained, autoreleasepool};
use objc2::{ClassType, available};
use objc2_core_ml::{
    MLCPUComputeDevice, MLComputePlan, MLGPUComputeDevice, MLModelStructureProgramOperation,
    MLNeuralEngineComputeDevice,
};
use objc2_foundation::{NSArray, NSError, NSObjectProtocol, NSString};

use super::compile::{Handed, refusal, url};
use super::load::configuration;
use super::{Options, Placed, Placement, RunError, Unit};

const ACTION: &str = "asking where operations run";

/// The placement of a compiled model's function, "main" by default.
///
/// # Errors
/// If the system is older than macOS 14.4, or Core ML gives no plan.
pub(super) fn placement(model: &Path, options: &Options) -> Result<Placement, RunError> {
    if !available!(macos = 14.4) {
        return Err(RunError::System { feature: "the plan of a model", version: "14.4" });
    }
    autoreleasepool(|_| {
        let plan = plan(model, options)?;
        let name = options.function.as_deref().unwrap_or("main");
        let operations = operations(&plan, name).ok_or_else(|| refusal(ACTION, None))?;
        let placed = operations.iter().filter_map(|operation| place(&plan, &operation));
        Ok(Placement(placed.collect()))
    })
}

/// The operations of a function; `None` if the model has no such function.
fn operations(
    plan: &MLComputePlan,
    function: &str,
) -> Option<Retained<NSArray<MLModelStructureProgramOperation>>> {
    // SAFETY: plain getters.
    let functions = unsafe { plan.modelStructure().program()?.functions() };
    let function = functions.objectForKey(&NSString::from_str(function))?;
    // SAFETY: as above.
    Some(unsafe { function.block().operations() })
}

fn plan(model: &Path, options: &Options) -> Result<Retained<MLComputePlan>, RunError> {
    let (url, configuration) = (url(model)?, configuration(options)?);
    let (done, result) = sync_channel(1);
    let handler = RcBlock::new(move |plan: *mut MLComputePlan, error: *mut NSError| {
        // SAFETY: Core ML gives a plan or an error, each valid during the call.
        let (plan, error) = unsafe { (Retained::retain(plan), error.as_ref()) };
        // The receiver waits for exactly this.
        let _ = done.send(plan.map(Handed).ok_or_else(|| refusal(ACTION, error)));
    });
    // SAFETY: the URL is a folder's, and the block takes what the method gives.
    unsafe {
        MLComputePlan::loadContentsOfURL_configuration_completionHandler(
            &url,
            &configuration,
            &handler,
        );
    }
    let received = result.recv().unwrap_or_else(|_| Err(refusal(ACTION, None)));
    received.map(|plan| plan.0)
}

/// None for constants, which have no device, and for devices that are new to us.
fn place(plan: &MLComputePlan, operation: &MLModelStructureProgramOperation) -> Option<Placed> {
    // SAFETY: plain getters; the operation is the plan's.
    let device = unsafe {
        plan.computeDeviceUsageForMLProgramOperation(operation)?.preferredComputeDevice()
    };
    let units = [
        (MLCPUComputeDevice::class(), Unit::Cpu),
        (MLGPUComputeDevice::class(), Unit::Gpu),
        (MLNeuralEngineComputeDevice::class(), Unit::NeuralEngine),
    ];
    let (_, unit) = units.into_iter().find(|(class, _)| device.isKindOfClass(class))?;
    // SAFETY: as above.
    let (name, result, cost) = unsafe {
        (
            operation.operatorName().to_string(),
            operation.outputs().firstObject().map(|output| output.name().to_string()),
            plan.estimatedCostOfMLProgramOperation(operation).map(|cost| cost.weight()),
        )
    };
    Some(Placed { operation: name, result: result.unwrap_or_default(), unit, cost })
}
