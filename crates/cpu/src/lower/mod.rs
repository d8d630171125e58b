//! A kernel for each node, or for several in a row: `lower_nodes` chooses it and
//! decides everything about it that can be known before the first run.

mod attention;
mod chain;
mod elementwise;
mod lookup;
mod movement;
mod norm;
mod product;

use laterna_graph::passes::layout;
use laterna_graph::{CompileError, Graph, Node, Op, ValueId};

use crate::constants::Constants;
use crate::program::Kernel;

/// A node's kernel and what it reads while it runs.
pub struct Lowered {
    /// The kernel.
    pub kernel: Box<dyn Kernel>,
    /// The values that the kernel reads, in the order in which it asks for them.
    pub inputs: Vec<ValueId>,
    /// f32 elements of scratch memory.
    pub scratch_elements: usize,
    /// How many nodes it computes: the node and those right before it.
    pub nodes: usize,
}

/// How a node is computed.
pub enum Lowering {
    /// Not at all: its output is its input.
    View,
    /// By a kernel.
    Kernel(Lowered),
    /// By the kernel of the node at this position.
    PartOf(usize),
}

impl Lowered {
    /// A kernel that reads all of the node's inputs and needs no scratch memory.
    fn plain(node: &Node, kernel: impl Kernel + 'static) -> Self {
        Self::new(kernel, node.inputs.clone(), 0)
    }

    /// A kernel of one node.
    fn new(kernel: impl Kernel + 'static, inputs: Vec<ValueId>, scratch_elements: usize) -> Self {
        Self { kernel: Box::new(kernel), inputs, scratch_elements, nodes: 1 }
    }
}

/// Chooses the kernels of all nodes, packing the weights they need.
///
/// # Errors
/// If a weight cannot be read or an operation cannot run here.
pub fn lower_nodes(
    graph: &Graph,
    constants: &mut Constants<'_>,
) -> Result<Vec<Lowering>, CompileError> {
    let mut lowered = Vec::new();
    while let Some(node) = graph.nodes().get(lowered.len()) {
        if layout::is_view(graph, node) {
            lowered.push(Lowering::View);
            continue;
        }
        let first = lowered.len();
        let kernel = match chain::chain(graph, first, constants)? {
            Some(chain) => chain,
            None => lower(graph, node, constants)?,
        };
        let last = first + kernel.nodes - 1;
        lowered.extend((first..last).map(|_| Lowering::PartOf(last)));
        lowered.push(Lowering::Kernel(kernel));
    }
    Ok(lowered)
}

/// Chooses one node's kernel.
fn lower(
    graph: &Graph,
    node: &Node,
    constants: &mut Constants<'_>,
) -> Result<Lowered, CompileError> {
    match &node.op {
        Op::Conv2d(conv) => product::conv2d(graph, node, conv, constants),
        Op::Linear(epilogue) => product::linear(graph, node, epilogue, constants),
        Op::MatMul { transpose_b } => {
            Ok(product::matmul(graph, node, *transpose_b, constants.isa()))
        }
        Op::Attention(op) => Ok(attention::attention(graph, node, op, constants)),
        Op::GroupNorm(norm) => Ok(norm::group_norm(graph, node, norm)),
        Op::LayerNorm { eps } => Ok(norm::layer_norm(node, *eps)),
        Op::Softmax => Ok(norm::softmax(graph, node)),
        Op::CausalMask => Ok(norm::causal_mask(graph, node)),
        Op::Activation(activation) => Ok(elementwise::activation(node, *activation)),
        Op::Affine { scale, offset } => Ok(elementwise::affine(node, *scale, *offset)),
        Op::Clamp { min, max } => Ok(elementwise::clamp(node, *min, *max)),
        Op::Binary(op) => Ok(elementwise::binary(graph, node, *op)),
        Op::Concat { axis } => Ok(movement::concat(graph, node, *axis)),
        Op::Slice { axis, start, .. } => Ok(movement::slice(graph, node, *axis, *start)),
        Op::Reshape { .. } => Ok(movement::copy(node)),
        Op::Transpose(order) => Ok(movement::transpose(graph, node, order)),
        Op::UpsampleNearest { factor } => Ok(movement::upsample_nearest(graph, node, *factor)),
        Op::Embedding => Ok(lookup::embedding(graph, node)),
        Op::SelectToken => Ok(lookup::select_token(graph, node)),
        Op::TimestepEmbedding(embedding) => Ok(lookup::timestep_embedding(node, embedding)),
        Op::Cast { .. } => Ok(movement::copy(node)),
        Op::Relayout { .. } => Ok(movement::relayout(graph, node)),
    }
}
