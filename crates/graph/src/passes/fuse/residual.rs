//! A value of the same shape added to a convolution or linear layer becomes
//! part of its epilogue:
//!
//! `product(x) + r`

use super::{Product, fuse};
use crate::graph::{Graph, Node, Origin};
use crate::passes::pattern::{add, any};
use crate::passes::{Pass, PassError};
use crate::{Patch, ValueId, WeightSource};

/// The pass.
pub const RESIDUAL: Pass = Pass { name: "residual", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let uses = graph.use_counts();
    fuse(RESIDUAL.name, graph, &add(any("a"), any("b")), |found, patch| {
        let (a, b) = (found.value("a"), found.value("b"));
        // The one computed last finds the other ready: nothing waits for longer.
        let (first, last) = if rank(graph, a) < rank(graph, b) { (a, b) } else { (b, a) };
        let accepting = |id| accepts(graph, &uses, found.root(), id);
        let chosen = [(last, first), (first, last)].into_iter().find(|&(y, _)| accepting(y));
        let Some((y, residual)) = chosen else { return Ok(None) };
        let Some(node) = graph.producer(y) else { return Ok(None) };
        let mut product = Product::new(node);
        product.operands.residual = Some(residual);
        product.finish(patch).map(Some)
    })
}

/// When a value is known: before the first node, or after its own.
fn rank(graph: &Graph, id: ValueId) -> usize {
    match graph.value(id).origin {
        Origin::Node(node) => node.index() + 1,
        Origin::Input(_) | Origin::Constant(_) => 0,
    }
}

/// Whether a value is a product that only the sum reads (so that the other
/// operand cannot depend on it) and that has no residual yet.
fn accepts(graph: &Graph, uses: &[u32], sum: &Node, id: ValueId) -> bool {
    let epilogue = graph.producer(id).and_then(|node| node.op.epilogue());
    let free = epilogue.is_some_and(|e| !e.residual && e.post.is_none());
    let same_shape = sum.inputs.iter().all(|&id| graph.shape(id) == graph.shape(sum.output));
    free && uses[id.index()] == 1 && same_shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Conv2d;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType};

    #[test]
    fn the_last_product_takes_the_residual() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 2, 4, 4]));
        let skip = b.conv2d("shortcut", x, 4, 1, Conv2d::same(0)).unwrap();
        let y = b.conv2d("conv1", x, 4, 3, Conv2d::same(1)).unwrap();
        let y = b.conv2d("conv2", y, 4, 3, Conv2d::same(1)).unwrap();
        let y = b.add("add", skip, y).unwrap();
        let y = b.add("twice", y, skip).unwrap();
        let graph = b.finish(&[("y", y)]);
        // The same steps in the same order.
        let (_, text) = rewritten(&graph, &[RESIDUAL], 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn two_products_become_one_with_a_residual() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([3, 4]));
        let first = b.linear("first", x, 4, true).unwrap();
        let last = b.linear("last", x, 4, true).unwrap();
        let y = b.add("add", last, first).unwrap();
        let (after, _) = rewritten(&b.finish(&[("y", y)]), &[RESIDUAL], 0.0);
        let names: Vec<_> = after.nodes().iter().map(|node| &*node.name).collect();
        assert_eq!(names, ["first", "last"]);
    }

    #[test]
    fn a_product_that_its_residual_depends_on_stays() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([3, 4]));
        let y = b.linear("linear", x, 4, true).unwrap();
        let z = b.affine("affine", y, 2.0, 0.0).unwrap();
        let y = b.add("add", y, z).unwrap();
        assert_untouched(&b.finish(&[("y", y)]), RESIDUAL);
    }

    #[test]
    fn a_broadcast_is_no_residual() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 3, 4]));
        let row = b.input("row", Rate::Frame, TensorType::f32([1, 3, 4]));
        let y = b.linear("linear", x, 4, true).unwrap();
        let y = b.add("add", y, row).unwrap();
        let narrow = b.linear("narrow", row, 4, true).unwrap();
        let z = b.add("widen", narrow, x).unwrap();
        assert_untouched(&b.finish(&[("y", y), ("z", z)]), RESIDUAL);
    }
}
