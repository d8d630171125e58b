//! A gated linear layer becomes one operation with half the output:
//!
//! `y = linear(x); first_half(y) * gelu(second_half(y))`

use super::{Product, fuse};
use crate::graph::{Graph, Node};
use crate::op::{Activation, Op};
use crate::passes::pattern::{Match, any, mul, node};
use crate::passes::{Pass, PassError};
use crate::{Patch, WeightSource};

/// The pass.
pub const GEGLU: Pass = Pass { name: "geglu", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let y = node(|op| matches!(op, Op::Linear(_)), [any("x")]).named("y");
    let value = node(is_slice, [y.clone()]).named("value");
    let gate = node(is_slice, [y]).named("gate");
    let formula = mul(value, node(|op| *op == Op::Activation(Activation::Gelu), [gate]));
    fuse(GEGLU.name, graph, &formula, |found, patch| {
        let mut product = Product::new(found.node("y"));
        if !product.only_adds_biases() || !halves(graph, found) {
            return Ok(None);
        }
        product.epilogue.geglu = true;
        product.finish(patch).map(Some)
    })
}

fn is_slice(op: &Op) -> bool {
    matches!(op, Op::Slice { .. })
}

/// Whether the value is the first half of the channels and the gate the second.
fn halves(graph: &Graph, found: &Match<'_>) -> bool {
    let shape = graph.shape(found.value("y"));
    let (axis, channels) = (shape.rank() - 1, shape[shape.rank() - 1]);
    let keeps = |slice: &Node, start, end| slice.op == Op::Slice { axis, start, end };
    keeps(found.node("value"), 0, channels / 2)
        && keeps(found.node("gate"), channels / 2, channels)
        && channels.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType, ValueId};

    fn linear(b: &mut Builder) -> ValueId {
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 3, 5]));
        b.linear("proj", x, 8, true).unwrap()
    }

    #[test]
    fn a_gated_linear_layer_is_fused() {
        let mut b = Builder::new("test");
        let y = linear(&mut b);
        let y = b.geglu("geglu", y).unwrap();
        // The same steps in the same order.
        let (_, text) = rewritten(&b.finish(&[("y", y)]), &[GEGLU], 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn other_parts_as_value_and_gate_stay() {
        for [value, gate] in [[4..8, 0..4], [0..4, 0..4], [4..8, 4..8], [2..6, 4..8]] {
            let mut b = Builder::new("test");
            let y = linear(&mut b);
            let value = b.slice("value", y, 2, value.start, value.end).unwrap();
            let gate = b.slice("gate", y, 2, gate.start, gate.end).unwrap();
            let gate = b.activation("gelu", gate, Activation::Gelu).unwrap();
            let y = b.mul("mul", value, gate).unwrap();
            assert_untouched(&b.finish(&[("y", y)]), GEGLU);
        }
    }

    #[test]
    fn a_layer_that_others_read_stays() {
        let mut b = Builder::new("test");
        let y = linear(&mut b);
        let gated = b.geglu("geglu", y).unwrap();
        assert_untouched(&b.finish(&[("gated", gated), ("y", y)]), GEGLU);
    }
}
