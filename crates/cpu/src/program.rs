//! A compiled graph: the steps in order, their constants and their memory plan.

use std::sync::Arc;

use laterna_graph::plan::FinalCopy;
use laterna_graph::{Instance, Port, Program, ProgramSummary, RunError};
use laterna_kernels::{Convolutions, Isa, Pool, Precision};

use crate::choices::Choices;
use crate::instance::CpuInstance;
use crate::memory::{Operand, Operands, StepOperands};

/// What a kernel needs of the machine.
pub struct Machine {
    /// The instruction set chosen.
    pub isa: Isa,
    /// The threads.
    pub pool: Arc<Pool>,
    /// How 3x3 convolutions are computed.
    pub convolutions: Convolutions,
    /// What was measured of them.
    pub choices: Arc<dyn Choices>,
    /// How the operands of products are rounded.
    pub precision: Precision,
}

/// One kernel with everything about it decided.
pub trait Kernel: Send + Sync {
    /// The name shown by `inspect`.
    fn name(&self, isa: Isa) -> String;

    /// Computes the output from the inputs.
    ///
    /// # Errors
    /// If an index lies outside its table.
    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError>;
}

/// One kernel and where its operands lie.
pub struct Step {
    pub kernel: Box<dyn Kernel>,
    pub operands: StepOperands,
}

/// An output that must be copied when all steps are done.
pub struct OutputCopy {
    pub from: Operand,
    pub plan: FinalCopy,
}

/// The parts that instances share.
pub struct Shared {
    pub machine: Arc<Machine>,
    pub steps: Vec<Step>,
    pub constants: Vec<Box<[f32]>>,
    pub copies: Vec<OutputCopy>,
    pub arena_elements: usize,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub summary: ProgramSummary,
}

/// A program of the CPU backend.
pub struct CpuProgram(pub Arc<Shared>);

impl Program for CpuProgram {
    fn inputs(&self) -> &[Port] {
        &self.0.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.0.outputs
    }

    fn spawn(&self) -> Result<Box<dyn Instance>, RunError> {
        Ok(Box::new(CpuInstance::new(self.0.clone())))
    }

    fn summary(&self) -> &ProgramSummary {
        &self.0.summary
    }
}
