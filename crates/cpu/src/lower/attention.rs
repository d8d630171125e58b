//! Attention in tiles: the matrix of queries by keys never exists.

use laterna_graph::{Graph, Node, RunError, op};
use laterna_kernels::Isa;
use laterna_kernels::attention::{self, AttentionShape, Tokens};

use super::Lowered;
use super::product::suffix;
use crate::constants::Constants;
use crate::memory::Operands;
use crate::program::{Kernel, Machine};

/// Lowers scaled dot-product attention.
pub fn attention(
    graph: &Graph,
    node: &Node,
    op: &op::Attention,
    constants: &Constants<'_>,
) -> Lowered {
    let (q, k) = (graph.shape(node.inputs[0]), graph.shape(node.inputs[1]));
    let shape = AttentionShape {
        batch: q[0],
        heads: op.heads,
        queries: q[1],
        keys: k[1],
        head_dim: q[2] / op.heads,
        scale: op.scale,
        causal: op.causal,
        precision: constants.attention_precision(),
    };
    let scratch_elements = attention::attention_scratch_len(constants.isa(), &shape);
    Lowered { scratch_elements, ..Lowered::plain(node, Attention(shape)) }
}

struct Attention(AttentionShape);

impl Kernel for Attention {
    fn name(&self, isa: Isa) -> String {
        format!("attention.tiled{}.{isa}", suffix(self.0.precision))
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let stride = self.0.heads * self.0.head_dim;
        let tokens = |index| Tokens { values: operands.input(index), stride };
        let [q, k, v] = [tokens(0), tokens(1), tokens(2)];
        let (out, scratch) = operands.write();
        let Machine { isa, pool, .. } = machine;
        attention::attention(*isa, pool, &self.0, q, k, v, scratch, out, stride);
        Ok(())
    }
}
