//! Floating-point operations and parameters of a graph.
//!
//! Counted as is customary for these networks: two operations for each
//! multiply-add of convolutions, linear layers and attention products; nothing
//! for what is linear in the activations.

use crate::graph::{Constant, Graph, Node, Origin};
use crate::{Op, TensorType};

/// Operations of one node.
pub fn node_flops(graph: &Graph, node: &Node) -> u64 {
    let types: Vec<_> = node.inputs.iter().map(|&id| graph.ty(id)).collect();
    op_flops(&node.op, &types, &graph.ty(node.output))
}

/// Operations of a whole graph.
pub fn flops(graph: &Graph) -> u64 {
    graph.nodes().iter().map(|node| node_flops(graph, node)).sum()
}

/// Elements of all weights that the graph reads, each counted once.
pub fn parameters(graph: &Graph) -> u64 {
    let is_weight = |origin: &Origin| matches!(origin, Origin::Constant(Constant::Weight(_)));
    let weights = graph.values().iter().filter(|value| is_weight(&value.origin));
    weights.map(|value| value.ty.shape.elements() as u64).sum()
}

/// Operations of `op` for operands of these types.
pub fn op_flops(op: &Op, inputs: &[TensorType], output: &TensorType) -> u64 {
    let products = match op {
        Op::Conv2d(conv) => {
            let gated = if conv.epilogue.geglu { 2 } else { 1 };
            let per_output: usize = inputs[1].shape[1..].iter().product();
            output.shape.elements() * gated * per_output
        }
        Op::Linear(_) => {
            let rows = inputs[0].shape.elements() / inputs[1].shape[1].max(1);
            rows * inputs[1].shape.elements()
        }
        Op::MatMul { .. } => output.shape.elements() * inputs[0].shape.last().copied().unwrap_or(0),
        Op::Attention(_) => 2 * inputs[0].shape.elements() * inputs[1].shape[1],
        Op::GroupNorm(_)
        | Op::LayerNorm { .. }
        | Op::Softmax
        | Op::CausalMask
        | Op::Activation(_)
        | Op::Affine { .. }
        | Op::Clamp { .. }
        | Op::Binary(_)
        | Op::Concat { .. }
        | Op::Slice { .. }
        | Op::Reshape { .. }
        | Op::Transpose(_)
        | Op::UpsampleNearest { .. }
        | Op::Embedding
        | Op::SelectToken
        | Op::TimestepEmbedding(_)
        | Op::Cast { .. }
        | Op::Relayout { .. } => 0,
    };
    2 * products as u64
}
