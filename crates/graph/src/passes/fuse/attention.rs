//! Written-out attention becomes one operation, so that no device needs the
//! `[queries, keys]` matrix in memory:
//!
//! `merge(softmax(mask(scale * split(q) split(k)^T)) split(v))`
//!
//! where `split` makes `[batch, heads, tokens, d]` of `[batch, tokens, heads * d]`
//! and `merge` undoes it. The factor and the mask may be absent.

use super::fuse;
use crate::graph::{Graph, Node};
use crate::op::{Attention, Op};
use crate::passes::pattern::{Match, Pattern, any, maybe, node, reshape};
use crate::passes::{Pass, PassError};
use crate::{Patch, WeightSource};

/// The pass.
pub const ATTENTION: Pass = Pass { name: "attention", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let [q, k, v] = [("q", "split q"), ("k", "split k"), ("v", "split v")]
        .map(|(name, split)| swap(reshape(any(name)).named(split)));
    let scores = maybe(is_factor, matmul_transposed(q, k)).named("scale");
    let masked = maybe(|op| *op == Op::CausalMask, scores).named("mask");
    let weights = node(|op| *op == Op::Softmax, [masked]);
    let formula = reshape(swap(matmul(weights, v)));
    fuse(ATTENTION.name, graph, &formula, |found, patch| {
        let Some(attention) = attention(graph, found) else { return Ok(None) };
        let inputs = ["q", "k", "v"].map(|name| found.value(name));
        patch.node(&found.root().name, Op::Attention(attention), &inputs).map(Some)
    })
}

/// What the match computes, if its reshapes really split and merge heads.
fn attention(graph: &Graph, found: &Match<'_>) -> Option<Attention> {
    let heads = split_heads(graph, found.node("split q"))?;
    let all_split = ["split k", "split v"]
        .iter()
        .all(|split| split_heads(graph, found.node(split)) == Some(heads));
    let merged = graph.shape(found.root().output) == graph.shape(found.value("q"));
    let scale = match found.maybe_node("scale").map(|node| &node.op) {
        Some(&Op::Affine { scale, .. }) => scale,
        _ => 1.0,
    };
    let causal = found.maybe_node("mask").is_some();
    let square = graph.shape(found.value("q"))[1] == graph.shape(found.value("k"))[1];
    (all_split && merged && (square || !causal)).then_some(Attention { heads, scale, causal })
}

/// The heads of a reshape `[batch, tokens, heads * d]` -> `[batch, tokens, heads, d]`.
fn split_heads(graph: &Graph, reshape: &Node) -> Option<usize> {
    let from = graph.shape(reshape.inputs[0]);
    let to = graph.shape(reshape.output);
    match (&*from, &*to) {
        (&[batch, tokens, channels], &[b, t, heads, d])
            if (batch, tokens, channels) == (b, t, heads * d) =>
        {
            Some(heads)
        }
        _ => None,
    }
}

/// Exchanges heads and tokens.
fn swap(x: Pattern) -> Pattern {
    node(|op| matches!(op, Op::Transpose(order) if order.axes() == [0, 2, 1, 3]), [x])
}

fn matmul(a: Pattern, b: Pattern) -> Pattern {
    node(|op| *op == Op::MatMul { transpose_b: false }, [a, b])
}

fn matmul_transposed(a: Pattern, b: Pattern) -> Pattern {
    node(|op| *op == Op::MatMul { transpose_b: true }, [a, b])
}

fn is_factor(op: &Op) -> bool {
    matches!(op, Op::Affine { offset, .. } if *offset == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{assert_untouched, rewritten};
    use crate::{Builder, Rate, TensorType, ValueId};

    fn qkv(b: &mut Builder) -> [ValueId; 3] {
        [("q", 5), ("k", 7), ("v", 7)]
            .map(|(name, tokens)| b.input(name, Rate::Frame, TensorType::f32([2, tokens, 6])))
    }

    #[test]
    fn written_out_attention_is_fused() {
        let mut b = Builder::new("test");
        let [q, k, v] = qkv(&mut b);
        let y = b.attention("cross", [q, k, v], 3, false).unwrap();
        let y = b.attention("self", [y, y, y], 2, true).unwrap();
        // Both round to f32 after every step; the sums are f64.
        let (_, text) = rewritten(&b.finish(&[("y", y)]), &[ATTENTION], 1e-6);
        insta::assert_snapshot!(text);
    }

    /// The formula by hand: without a factor, with heads split as given.
    fn unscaled(b: &mut Builder, heads: [usize; 3]) -> (ValueId, ValueId) {
        let [q, k, v] = qkv(b);
        let mut split = |x, tokens, heads: usize| {
            let x = b.reshape("split", x, [2, tokens, heads, 6 / heads]).unwrap();
            b.transpose("split", x, &[0, 2, 1, 3]).unwrap()
        };
        let [q, k, v] = [split(q, 5, heads[0]), split(k, 7, heads[1]), split(v, 7, heads[2])];
        let scores = b.node("scores", Op::MatMul { transpose_b: true }, &[q, k]).unwrap();
        let weights = b.node("weights", Op::Softmax, &[scores]).unwrap();
        let y = b.node("mix", Op::MatMul { transpose_b: false }, &[weights, v]).unwrap();
        let y = b.transpose("merge", y, &[0, 2, 1, 3]).unwrap();
        (b.reshape("merge", y, [2, 5, 6]).unwrap(), weights)
    }

    #[test]
    fn a_missing_factor_is_one() {
        let mut b = Builder::new("test");
        let (y, _) = unscaled(&mut b, [2, 2, 2]);
        let (after, _) = rewritten(&b.finish(&[("y", y)]), &[ATTENTION], 1e-6);
        let expected = Op::Attention(Attention { heads: 2, scale: 1.0, causal: false });
        assert_eq!(after.nodes().iter().map(|node| &node.op).collect::<Vec<_>>(), [&expected]);
    }

    #[test]
    fn attention_whose_weights_are_read_stays() {
        let mut b = Builder::new("test");
        let (y, weights) = unscaled(&mut b, [2, 2, 2]);
        assert_untouched(&b.finish(&[("y", y), ("weights", weights)]), ATTENTION);
    }

    #[test]
    fn a_causal_mask_that_is_not_square_stays() {
        let mut b = Builder::new("test");
        let [q, k, v] = qkv(&mut b);
        let y = b.attention("attention", [q, k, v], 2, true).unwrap();
        assert_untouched(&b.finish(&[("y", y)]), ATTENTION);
    }

    #[test]
    fn a_reshape_that_splits_no_heads_stays() {
        let mut b = Builder::new("test");
        // Tokens of another length, not heads: [2, 5, 6] read as [2, 15, 1, 2].
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 5, 6]));
        let x = b.reshape("split", x, [2, 15, 1, 2]).unwrap();
        let x = b.transpose("split", x, &[0, 2, 1, 3]).unwrap();
        let scores = b.node("scores", Op::MatMul { transpose_b: true }, &[x, x]).unwrap();
        let weights = b.node("weights", Op::Softmax, &[scores]).unwrap();
        let y = b.node("mix", Op::MatMul { transpose_b: false }, &[weights, x]).unwrap();
        let y = b.transpose("merge", y, &[0, 2, 1, 3]).unwrap();
        let y = b.reshape("merge", y, [2, 5, 6]).unwrap();
        assert_untouched(&b.finish(&[("y", y)]), ATTENTION);
    }
}
