//! The backend itself: options, what it supports, and the steps of compiling.

use std::sync::Arc;

use laterna_graph::backend::{check_support, check_weights};
use laterna_graph::passes::{self, layout};
use laterna_graph::plan::{FinalCopy, Needs, Place, Plan};
use laterna_graph::{
    Backend, CompileError, CompileOptions, Graph, Node, NodeSummary, Op, OpFacts, Origin, Port,
    Program, ProgramSummary, Support, ValueId, WeightSource, cost,
};
use laterna_kernels::{Convolutions, Isa, IsaError, Pool, Precision, UnknownConvolutions};
use laterna_tensor::DType;

use crate::choices::{Choices, Fleeting};
use crate::constants::Constants;
use crate::lower::{Lowered, Lowering, lower_nodes};
use crate::memory::{ELEMENT_BYTES, Operand, StepOperands};
use crate::program::{CpuProgram, Machine, OutputCopy, Shared, Step};

/// What a user may choose.
#[derive(Clone, Default)]
pub struct CpuOptions {
    /// Threads that compute; the number of physical cores if not given.
    pub threads: Option<usize>,
    /// Instruction set; the best one that the CPU has if not given.
    pub isa: Option<Isa>,
    /// How 3x3 convolutions are computed; each as is cheapest if not given.
    pub convolutions: Option<Convolutions>,
    /// How the operands of linear layers and convolutions are rounded, those of minimal filtering
    /// once they are transformed. Layers of few channels and attention stay in f32.
    pub precision: Precision,
    /// Where [`Convolutions::Measured`] remembers what it measured; for as long as the backend
    /// lives if not given.
    pub choices: Option<Arc<dyn Choices>>,
}

/// Why the backend cannot be used as asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// The instruction set is unknown or missing.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// The environment names no way to compute convolutions.
    #[error(transparent)]
    Convolutions(#[from] UnknownConvolutions),
}

/// A CPU with a pool of threads, shared by all programs compiled on it.
pub struct CpuBackend {
    machine: Arc<Machine>,
}

impl CpuBackend {
    /// A backend with a pool of its own.
    ///
    /// # Errors
    /// If what is asked for, here or in the environment, is unknown or missing.
    pub fn new(options: CpuOptions) -> Result<Self, CpuError> {
        let pool = match options.threads {
            Some(threads) => Pool::new(threads.max(1)),
            None => Pool::with_physical_cores(),
        };
        Self::on(Arc::new(pool), options)
    }

    /// A backend whose programs run on the threads of `pool`, whatever `options` say of threads.
    ///
    /// # Errors
    /// As [`CpuBackend::new`].
    pub fn on(pool: Arc<Pool>, options: CpuOptions) -> Result<Self, CpuError> {
        let isa = match options.isa {
            Some(isa) => isa.require()?,
            None => Isa::detect()?,
        };
        let convolutions = match options.convolutions {
            Some(convolutions) => convolutions,
            None => Convolutions::from_environment()?,
        };
        let precision = options.precision;
        let choices = options.choices.unwrap_or_else(|| Arc::new(Fleeting::default()));
        Ok(Self { machine: Arc::new(Machine { isa, pool, convolutions, choices, precision }) })
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.machine.isa
    }

    /// How operands are rounded.
    pub fn precision(&self) -> Precision {
        self.machine.precision
    }

    /// Whether the CPU has an instruction for products of operands that are rounded so.
    pub fn has_products_of_its_own(&self) -> bool {
        self.precision().has_products(self.isa())
    }

    /// How 3x3 convolutions are computed.
    pub fn convolutions(&self) -> Convolutions {
        self.machine.convolutions
    }

    /// The number of threads in use.
    pub fn threads(&self) -> usize {
        self.machine.pool.threads()
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn supports(&self, op: &Op, facts: OpFacts<'_>) -> Support {
        let integers_are_indices = matches!(op, Op::Embedding | Op::SelectToken);
        let is_float = |dtype: DType| dtype == DType::F32;
        let inputs_are_f32 = facts.inputs.iter().all(|ty| is_float(ty.dtype));
        if is_float(facts.output.dtype) && (inputs_are_f32 || integers_are_indices) {
            Support::Yes
        } else {
            Support::No("only f32 values are computed".into())
        }
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &dyn WeightSource,
        options: &CompileOptions<'_>,
    ) -> Result<Arc<dyn Program>, CompileError> {
        check_weights(graph, weights)?;
        let passes = [passes::STANDARD, &[layout::CHANNELS_LAST]].concat();
        let graph = passes::run(graph, &passes, weights, options)?;
        let runs = |node: &&Node| !layout::is_view(&graph, node);
        check_support(self, &graph, graph.nodes().iter().filter(runs))?;
        let mut constants = Constants::new(&graph, weights, &self.machine);
        let lowered = lower_nodes(&graph, &mut constants)?;
        let plan = Plan::new(&graph, &LoweredNeeds { lowered: &lowered })?;
        let program = assemble(&graph, &plan, lowered, constants, self.machine.clone())?;
        Ok(Arc::new(program))
    }
}

/// The error for a node that this backend cannot run.
pub fn unsupported(node: &Node, reason: String) -> CompileError {
    let (node, op) = (node.name.to_string(), node.op.name());
    CompileError::Unsupported { node, backend: "cpu", op, reason }
}

struct LoweredNeeds<'a> {
    lowered: &'a [Lowering],
}

impl LoweredNeeds<'_> {
    fn of(&self, graph: &Graph, node: &Node) -> &Lowering {
        match graph.value(node.output).origin {
            Origin::Node(id) => &self.lowered[id.index()],
            _ => unreachable!("a node's output is computed"),
        }
    }
}

impl Needs for LoweredNeeds<'_> {
    fn view_of(&self, graph: &Graph, node: &Node) -> Option<usize> {
        matches!(self.of(graph, node), Lowering::View).then_some(0)
    }

    fn scratch_bytes(&self, graph: &Graph, node: &Node) -> usize {
        match self.of(graph, node) {
            Lowering::Kernel(lowered) => lowered.scratch_elements * ELEMENT_BYTES,
            Lowering::View | Lowering::PartOf(_) => 0,
        }
    }

    fn part_of(&self, graph: &Graph, node: &Node) -> Option<usize> {
        match self.of(graph, node) {
            Lowering::PartOf(last) => Some(*last),
            Lowering::View | Lowering::Kernel(_) => None,
        }
    }
}

fn assemble(
    graph: &Graph,
    plan: &Plan,
    lowered: Vec<Lowering>,
    mut constants: Constants<'_>,
    machine: Arc<Machine>,
) -> Result<CpuProgram, CompileError> {
    let mut summary = ProgramSummary { arena_bytes: plan.arena_bytes, ..Default::default() };
    let mut steps = Vec::new();
    for (index, (node, lowered)) in graph.nodes().iter().zip(lowered).enumerate() {
        let Lowering::Kernel(lowered) = lowered else { continue };
        summary.nodes.push(node_summary(graph, index, &lowered, machine.isa));
        let inputs = lowered.inputs.iter().map(|&id| operand(graph, plan, &mut constants, id));
        let inputs = inputs.collect::<Result<_, _>>()?;
        let output = operand(graph, plan, &mut constants, node.output)?;
        let operands = StepOperands { inputs, output, scratch: plan.scratch[index] };
        steps.push(Step { kernel: lowered.kernel, operands });
    }
    let mut copies = Vec::new();
    for &copy in &plan.copies {
        let FinalCopy { value, .. } = copy;
        let from = operand(graph, plan, &mut constants, value)?;
        copies.push(OutputCopy { from, plan: copy });
    }
    summary.weight_bytes = constants.size_bytes();
    let input_ports = graph.inputs().iter().map(|&id| port(graph, &graph.value(id).name, id));
    let output_ports = graph.outputs().iter().map(|(name, id)| port(graph, name, *id));
    Ok(CpuProgram(Arc::new(Shared {
        machine,
        steps,
        copies,
        arena_elements: plan.arena_bytes.div_ceil(ELEMENT_BYTES),
        inputs: input_ports.collect(),
        outputs: output_ports.collect(),
        constants: constants.into_tables(),
        summary,
    })))
}

/// Of all nodes that the kernel of the node at `last` computes.
fn node_summary(graph: &Graph, last: usize, lowered: &Lowered, isa: Isa) -> NodeSummary {
    let nodes = &graph.nodes()[last + 1 - lowered.nodes..=last];
    let node = &graph.nodes()[last];
    let name = match nodes {
        [_] => node.name.clone(),
        _ => format!("{} .. {}", nodes[0].name, node.name).into(),
    };
    NodeSummary {
        name,
        op: node.op.name(),
        kernel: lowered.kernel.name(isa),
        shape: graph.shape(node.output),
        flops: nodes.iter().map(|node| cost::node_flops(graph, node)).sum(),
    }
}

fn operand(
    graph: &Graph,
    plan: &Plan,
    constants: &mut Constants<'_>,
    id: ValueId,
) -> Result<Operand, CompileError> {
    let ty = graph.ty(id);
    match plan.places[id.index()] {
        Place::Constant => Ok(Operand::constant(constants.table(plan.roots[id.index()])?, ty)),
        place => Ok(Operand::new(place, ty)),
    }
}

fn port(graph: &Graph, name: &Arc<str>, id: ValueId) -> Port {
    Port { name: name.clone(), ty: graph.ty(id) }
}
