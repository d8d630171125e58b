//! The activation after a convolution or linear layer becomes part of its
//! epilogue:
//!
//! `activation(product(x))`, before or after the residual

use super::{Product, fuse};
use crate::graph::Graph;
use crate::op::Op;
use crate::passes::pattern::{activation, any, product};
use crate::passes::{Pass, PassError};
use crate::{Patch, WeightSource};

/// The pass.
pub const ACTIVATION: Pass = Pass { name: "activation", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let formula = activation(product(any("x")).named("product"));
    fuse(ACTIVATION.name, graph, &formula, |found, patch| {
        let Op::Activation(a) = found.root().op else { return Ok(None) };
        let mut product = Product::new(found.node("product"));
        let epilogue = &mut product.epilogue;
        if epilogue.post.is_some() {
            return Ok(None);
        }
        if epilogue.residual || epilogue.pre.is_some() || epilogue.geglu {
            epilogue.post = Some(a);
        } else {
            epilogue.pre = Some(a);
        }
        product.finish(patch).map(Some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, Conv2d};
    use crate::passes::fuse::residual::RESIDUAL;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType};

    #[test]
    fn activations_are_fused_around_the_residual() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 2, 4, 4]));
        let y = b.conv2d("conv", x, 2, 3, Conv2d::same(1)).unwrap();
        let y = b.activation("silu", y, Activation::Silu).unwrap();
        let y = b.add("add", x, y).unwrap();
        let y = b.activation("relu", y, Activation::Relu).unwrap();
        // The same steps in the same order.
        let passes = [ACTIVATION, RESIDUAL, ACTIVATION];
        let (_, text) = rewritten(&b.finish(&[("y", y)]), &passes, 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_product_that_others_read_stays() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([3, 4]));
        let y = b.linear("linear", x, 4, true).unwrap();
        let z = b.activation("silu", y, Activation::Silu).unwrap();
        assert_untouched(&b.finish(&[("y", y), ("z", z)]), ACTIVATION);
    }
}
