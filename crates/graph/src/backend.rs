//! The contract between a graph and a device that runs it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use laterna_tensor::{Shape, TensorError, TensorView, TensorViewMut};
use thiserror::Error;

use crate::passes::PassError;
use crate::plan::PlanError;
use crate::{Graph, Layout, Node, Op, TensorType, WeightError, WeightSource};

/// A device that runs graphs.
pub trait Backend: Send + Sync {
    /// The name users give to choose it.
    fn name(&self) -> &'static str;

    /// Whether an operation with these operand types can run here.
    fn supports(&self, op: &Op, facts: OpFacts<'_>) -> Support;

    /// Rewrites, plans and lowers a graph, reading each weight once.
    ///
    /// # Errors
    /// If a weight is missing or has another shape, or an operation is not
    /// supported.
    fn compile(
        &self,
        graph: &Graph,
        weights: &dyn WeightSource,
        options: &CompileOptions<'_>,
    ) -> Result<Arc<dyn Program>, CompileError>;
}

/// A compiled graph: immutable, shared.
pub trait Program: Send + Sync {
    /// The inputs that [`Instance::run`] takes, in order.
    fn inputs(&self) -> &[Port];

    /// The outputs that [`Instance::run`] fills, in order.
    fn outputs(&self) -> &[Port];

    /// A running copy with memory of its own.
    ///
    /// # Errors
    /// If the memory cannot be had.
    fn spawn(&self) -> Result<Box<dyn Instance>, RunError>;

    /// What was compiled, for people and benchmarks.
    fn summary(&self) -> &ProgramSummary;

    /// Whether an input is read where its surface is, if it has one
    /// ([`laterna_tensor::Surface`]).
    fn reads_surface(&self, _input: usize) -> bool {
        false
    }
}

/// One running copy of a program; allocates nothing.
pub trait Instance: Send {
    /// Runs once.
    ///
    /// # Errors
    /// If the views do not have the ports' types.
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), RunError>;

    /// Runs once and adds each node's time to `times`, in the order of
    /// [`ProgramSummary::nodes`].
    ///
    /// # Errors
    /// As [`Instance::run`].
    fn run_timed(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
        times: &mut [Duration],
    ) -> Result<(), RunError>;
}

/// Operand facts that decide whether an operation can run.
#[derive(Clone, Copy, Debug)]
pub struct OpFacts<'a> {
    /// Types of the inputs.
    pub inputs: &'a [TensorType],
    /// Layouts of the inputs.
    pub layouts: &'a [Layout],
    /// Type of the output.
    pub output: TensorType,
}

/// Whether an operation can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Yes,
    /// It cannot, and why.
    No(String),
}

/// Is told a stage's name and the graph after it.
pub type Observer<'a> = &'a (dyn Fn(&str, &Graph) + 'a);

/// What a caller may ask of a compilation.
#[derive(Clone, Copy, Default)]
pub struct CompileOptions<'a> {
    /// Called with the graph as built (`"input"`) and after each pass.
    pub observer: Option<Observer<'a>>,
    /// Inputs and outputs that are 8-bit pictures, `[1, 3, height, width]` in -1..=1: a
    /// device that has a form of its own for such may round them to it. Names that a
    /// graph lacks are passed over.
    pub pictures: &'a [&'a str],
}

impl fmt::Debug for CompileOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { observer, pictures } = self;
        let mut text = f.debug_struct("CompileOptions");
        text.field("observer", &observer.is_some()).field("pictures", pictures).finish()
    }
}

/// A named input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: Arc<str>,
    /// Its type; data is always row-major at a port.
    pub ty: TensorType,
}

/// What was compiled.
#[derive(Clone, Debug, Default)]
pub struct ProgramSummary {
    /// Every node that runs, in order.
    pub nodes: Vec<NodeSummary>,
    /// Bytes of an instance's arena: all activations and scratch memory.
    pub arena_bytes: usize,
    /// Bytes of packed weights.
    pub weight_bytes: usize,
}

impl ProgramSummary {
    /// Floating-point operations of one run, multiply and add counted apart.
    pub fn flops(&self) -> u64 {
        self.nodes.iter().map(|node| node.flops).sum()
    }
}

/// One node that runs.
#[derive(Clone, Debug)]
pub struct NodeSummary {
    /// Its path in the model.
    pub name: Arc<str>,
    /// Its operation.
    pub op: &'static str,
    /// The kernel that runs it.
    pub kernel: String,
    /// Extents of its output.
    pub shape: Shape,
    /// Floating-point operations.
    pub flops: u64,
}

/// Why a graph could not be compiled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A weight could not be read.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// A weight has another shape than the model's configuration says.
    #[error("weight {name}: the checkpoint has {found}, the configuration needs {expected}")]
    WeightShape {
        /// The weight.
        name: String,
        /// Shape in the checkpoint.
        found: Shape,
        /// Shape that the graph needs.
        expected: Shape,
    },
    /// The device cannot run an operation.
    #[error("{node}: {backend} cannot run {op}: {reason}")]
    Unsupported {
        /// The node.
        node: String,
        /// The device.
        backend: &'static str,
        /// The operation.
        op: &'static str,
        /// Why.
        reason: String,
    },
    /// A pass failed.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The memory plan failed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device or its driver does not take the compiled graph.
    #[error("{device}: {reason}")]
    Device {
        /// The device.
        device: &'static str,
        /// Its words.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
}

/// Why a program could not run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The number of inputs or outputs is wrong.
    #[error("the program has {expected} {what}, not {found}")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// Ports of the program.
        expected: usize,
        /// Views given.
        found: usize,
    },
    /// An input or output has another type.
    #[error("{name}: expected {expected}, found {found}")]
    Type {
        /// The port.
        name: Arc<str>,
        /// Its type.
        expected: String,
        /// The view's type.
        found: String,
    },
    /// An index lies outside its table.
    #[error("{node}: index {index} is outside 0..{rows}")]
    Index {
        /// The node that looks up.
        node: Arc<str>,
        /// The index.
        index: i64,
        /// Rows of the table.
        rows: usize,
    },
    /// A tensor is not what it should be.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The device or its driver failed.
    #[error("{device}: {reason}")]
    Device {
        /// The device.
        device: &'static str,
        /// Its words.
        reason: String,
    },
}

/// Checks that every weight exists with the shape that the graph needs, before
/// anything is read.
///
/// # Errors
/// The first weight that does not fit.
pub fn check_weights(graph: &Graph, weights: &dyn WeightSource) -> Result<(), CompileError> {
    for (name, ty) in graph.weights() {
        let found = weights.info(name).ok_or_else(|| WeightError::missing(name))?;
        if found.shape != ty.shape {
            let (name, found, expected) = (name.to_string(), found.shape, ty.shape);
            return Err(CompileError::WeightShape { name, found, expected });
        }
    }
    Ok(())
}

/// Whether a device runs a node of a graph.
pub fn support(backend: &dyn Backend, graph: &Graph, node: &Node) -> Support {
    let inputs: Vec<_> = node.inputs.iter().map(|&id| graph.ty(id)).collect();
    let layouts: Vec<_> = node.inputs.iter().map(|&id| graph.value(id).layout).collect();
    let output = graph.ty(node.output);
    backend.supports(&node.op, OpFacts { inputs: &inputs, layouts: &layouts, output })
}

/// Checks that a device runs the nodes, which are of `graph`.
///
/// # Errors
/// The first node that it does not run.
pub fn check_support<'n>(
    backend: &dyn Backend,
    graph: &Graph,
    nodes: impl IntoIterator<Item = &'n Node>,
) -> Result<(), CompileError> {
    for node in nodes {
        if let Support::No(reason) = support(backend, graph, node) {
            let (backend, op) = (backend.name(), node.op.name());
            return Err(CompileError::Unsupported {
                node: node.name.to_string(),
                backend,
                op,
                reason,
            });
        }
    }
    Ok(())
}

/// Checks the views against a program's ports.
///
/// # Errors
/// The first difference found.
pub fn check_ports(
    program: &dyn Program,
    inputs: &[TensorView<'_>],
    outputs: &[TensorViewMut<'_>],
) -> Result<(), RunError> {
    let given = inputs.iter().map(|v| TensorType { dtype: v.dtype(), shape: v.shape() });
    check_side("inputs", program.inputs(), given)?;
    let given = outputs.iter().map(|v| TensorType { dtype: v.dtype(), shape: v.shape() });
    check_side("outputs", program.outputs(), given)
}

fn check_side(
    what: &'static str,
    ports: &[Port],
    given: impl ExactSizeIterator<Item = TensorType>,
) -> Result<(), RunError> {
    if ports.len() != given.len() {
        return Err(RunError::Count { what, expected: ports.len(), found: given.len() });
    }
    for (port, found) in ports.iter().zip(given) {
        if port.ty != found {
            return Err(RunError::Type {
                name: port.name.clone(),
                expected: port.ty.to_string(),
                found: found.to_string(),
            });
        }
    }
    Ok(())
}
