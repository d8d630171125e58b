//! A convolution reads its input enlarged instead of an enlarged copy of it:
//!
//! `conv(upsample_nearest(x))`

use super::fuse;
use crate::graph::Graph;
use crate::op::{Conv2d, Op};
use crate::passes::pattern::{any, node};
use crate::passes::{Pass, PassError};
use crate::{Patch, WeightSource};

/// The pass.
pub const UPSAMPLE: Pass = Pass { name: "upsample", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let enlarged = node(|op| matches!(op, Op::UpsampleNearest { .. }), [any("x")]);
    let formula = node(is_plain_conv, [enlarged.named("enlarged")]);
    fuse(UPSAMPLE.name, graph, &formula, |found, patch| {
        let (conv, enlarged) = (found.root(), found.node("enlarged"));
        let (Op::Conv2d(plain), Op::UpsampleNearest { factor }) = (&conv.op, &enlarged.op) else {
            return Ok(None);
        };
        if !factor.is_power_of_two() {
            return Ok(None);
        }
        let op = Op::Conv2d(Conv2d { upsample: *factor, ..plain.clone() });
        let mut inputs = conv.inputs.clone();
        inputs[0] = found.value("x");
        patch.node(&conv.name, op, &inputs).map(Some)
    })
}

fn is_plain_conv(op: &Op) -> bool {
    matches!(op, Op::Conv2d(conv) if conv.stride == [1, 1] && conv.upsample == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType};

    fn conv_after_upsampling(factor: usize, conv: Conv2d, also_read: bool) -> Graph {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 2, 3, 4]));
        let large = b.upsample_nearest("up", x, factor).unwrap();
        let y = b.conv2d("conv", large, 3, 3, conv).unwrap();
        let outputs = [("y", y), ("large", large)];
        b.finish(&outputs[..if also_read { 2 } else { 1 }])
    }

    #[test]
    fn upsampling_is_fused() {
        let graph = conv_after_upsampling(2, Conv2d::same(1), false);
        // The same steps in the same order.
        let (_, text) = rewritten(&graph, &[UPSAMPLE], 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn strides_other_readers_and_odd_factors_keep_it() {
        let strided = Conv2d { stride: [2, 2], ..Conv2d::same(1) };
        assert_untouched(&conv_after_upsampling(2, strided, false), UPSAMPLE);
        assert_untouched(&conv_after_upsampling(2, Conv2d::same(1), true), UPSAMPLE);
        assert_untouched(&conv_after_upsampling(3, Conv2d::same(1), false), UPSAMPLE);
    }
}
