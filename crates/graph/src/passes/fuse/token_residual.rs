//! A picture added to tokens that became a picture is added to the tokens
//! instead, where it can be a linear layer's residual:
//!
//! `picture(linear(x)) + r` becomes `picture(linear(x) + tokens(r))`
//!
//! with `picture` from `[batch, h * w, channels]` to `[batch, channels, h, w]` and
//! `tokens` back. A transformer block with linear projections ends so.

use super::{Product, fuse};
use crate::graph::Graph;
use crate::op::{Op, Permutation};
use crate::passes::pattern::{Match, add, any, node, reshape};
use crate::passes::{Pass, PassError};
use crate::{Patch, PatchError, ValueId, WeightSource};

/// The pass.
pub const TOKEN_RESIDUAL: Pass = Pass { name: "token_residual", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let linear = node(|op| matches!(op, Op::Linear(_)), [any("x")]).named("linear");
    let picture = node(is_to_picture, [reshape(linear).named("grid")]).named("picture");
    let formula = add(picture, any("r"));
    fuse(TOKEN_RESIDUAL.name, graph, &formula, |found, patch| add_to_tokens(graph, found, patch))
}

fn is_to_picture(op: &Op) -> bool {
    matches!(op, Op::Transpose(order) if order.axes() == [0, 3, 1, 2])
}

fn add_to_tokens(
    graph: &Graph,
    found: &Match<'_>,
    patch: &mut Patch<'_>,
) -> Result<Option<ValueId>, PatchError> {
    let mut product = Product::new(found.node("linear"));
    let (grid, picture, sum) = (found.node("grid"), found.node("picture"), found.root());
    let r = found.value("r");
    let is_picture = graph.shape(r) == graph.shape(sum.output);
    let has_residual = product.epilogue.residual || product.epilogue.post.is_some();
    let Some(to_tokens) = Permutation::new(&[0, 2, 3, 1]).filter(|_| is_picture && !has_residual)
    else {
        return Ok(None);
    };
    let shape = graph.shape(product.node.output);
    let tokens = patch.node(&sum.name, Op::Transpose(to_tokens), &[r])?;
    let tokens = patch.node(&sum.name, Op::Reshape { shape }, &[tokens])?;
    product.operands.residual = Some(tokens);
    let y = product.finish(patch)?;
    let y = patch.node(&grid.name, grid.op.clone(), &[y])?;
    patch.node(&picture.name, picture.op.clone(), &[y]).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType};

    /// `[picture(linear(x)) + r, grid of linear(x)]`
    fn projected(b: &mut Builder, r: [usize; 4]) -> [ValueId; 2] {
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 6, 5]));
        let r = b.input("r", Rate::Frame, TensorType::f32(r));
        let y = b.linear("linear", x, 4, true).unwrap();
        let grid = b.reshape("picture", y, [2, 2, 3, 4]).unwrap();
        let y = b.transpose("picture", grid, &[0, 3, 1, 2]).unwrap();
        [b.add("add", y, r).unwrap(), grid]
    }

    #[test]
    fn the_picture_is_added_to_the_tokens() {
        let mut b = Builder::new("test");
        let [y, _] = projected(&mut b, [2, 4, 2, 3]);
        // The same steps in the same order.
        let (_, text) = rewritten(&b.finish(&[("y", y)]), &[TOKEN_RESIDUAL], 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn other_shapes_and_other_readers_keep_it() {
        let mut b = Builder::new("test");
        let [y, _] = projected(&mut b, [1, 4, 1, 1]);
        assert_untouched(&b.finish(&[("y", y)]), TOKEN_RESIDUAL);
        let mut b = Builder::new("test");
        let [y, grid] = projected(&mut b, [2, 4, 2, 3]);
        assert_untouched(&b.finish(&[("y", y), ("grid", grid)]), TOKEN_RESIDUAL);
    }
}
