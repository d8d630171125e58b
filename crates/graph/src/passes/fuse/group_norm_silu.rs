//! The activation after a group normalisation is applied while its result is
//! written:
//!
//! `silu(group_norm(x))`, or any other activation

use super::fuse;
use crate::graph::Graph;
use crate::op::{GroupNorm, Op};
use crate::passes::pattern::{activation, any, node};
use crate::passes::{Pass, PassError};
use crate::{Patch, WeightSource};

/// The pass.
pub const GROUP_NORM_SILU: Pass = Pass { name: "group_norm_silu", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let norm = node(|op| matches!(op, Op::GroupNorm(n) if n.activation.is_none()), [any("x")]);
    let formula = activation(norm.named("norm"));
    fuse(GROUP_NORM_SILU.name, graph, &formula, |found, patch| {
        let norm = found.node("norm");
        let (Op::GroupNorm(plain), Op::Activation(a)) = (&norm.op, &found.root().op) else {
            return Ok(None);
        };
        let op = Op::GroupNorm(GroupNorm { activation: Some(*a), ..*plain });
        patch.node(&norm.name, op, &norm.inputs).map(Some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Activation;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType, ValueId};

    fn normalised(b: &mut Builder) -> ValueId {
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 4, 3, 3]));
        b.group_norm("norm", x, 2, 1e-5).unwrap()
    }

    #[test]
    fn the_activation_is_fused() {
        let mut b = Builder::new("test");
        let y = normalised(&mut b);
        let y = b.activation("silu", y, Activation::Silu).unwrap();
        // The same steps in the same order.
        let (_, text) = rewritten(&b.finish(&[("y", y)]), &[GROUP_NORM_SILU], 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_norm_that_others_read_stays() {
        let mut b = Builder::new("test");
        let x = normalised(&mut b);
        let y = b.activation("silu", x, Activation::Silu).unwrap();
        let y = b.add("add", x, y).unwrap();
        assert_untouched(&b.finish(&[("y", y)]), GROUP_NORM_SILU);
    }
}
