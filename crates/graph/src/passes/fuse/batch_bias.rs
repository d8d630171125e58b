//! One number a channel added to a convolution becomes part of its bias if it
//! never changes, else a bias of its own for each batch entry:
//!
//! `conv(x) + constant` with a constant `[1 or batch, channels, 1, 1]`, and
//! `conv(x) + reshape(t)` with t `[batch, channels]`
//!
//! A residual block adds its timestep embedding so.

use laterna_tensor::{Shape, Tensor};

use super::Product;
use crate::graph::{Constant, Graph};
use crate::op::{Binary, Op};
use crate::passes::pattern::{Match, Pattern, add, any, constant, node, reshape, rewrite};
use crate::passes::{Pass, PassError};
use crate::{Patch, PatchError, ValueId, WeightSource};

/// The pass.
pub const BATCH_BIAS: Pass = Pass { name: "batch_bias", patch };

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    patches(graph).map_err(|source| PassError::Patch { pass: BATCH_BIAS.name, source })
}

fn patches(graph: &Graph) -> Result<Patch<'_>, PatchError> {
    let mut patch = Patch::new(graph);
    let fixed = add(conv(), constant("c"));
    rewrite(&mut patch, graph, &fixed, |found, patch| add_constant(graph, found, patch))?;
    let varying = add(conv(), reshape(any("t")).named("c"));
    rewrite(&mut patch, graph, &varying, |found, patch| add_rows(graph, found, patch))?;
    Ok(patch)
}

fn conv() -> Pattern {
    node(|op| matches!(op, Op::Conv2d(_)), [any("x")]).named("conv")
}

/// Folding adds the two constants later.
fn add_constant(
    graph: &Graph,
    found: &Match<'_>,
    patch: &mut Patch<'_>,
) -> Result<Option<ValueId>, PatchError> {
    let mut product = Product::new(found.node("conv"));
    let c = found.value("c");
    let Some([batch, channels]) = per_channel(graph, found) else { return Ok(None) };
    if !product.only_adds_biases() {
        return Ok(None);
    }
    let name = &product.node.name;
    if !has_equal_rows(graph, c) {
        if product.operands.batch_bias.is_some() {
            return Ok(None);
        }
        let shape = Shape::from([batch, channels]);
        product.operands.batch_bias = Some(patch.node(name, Op::Reshape { shape }, &[c])?);
        return product.finish(patch).map(Some);
    }
    let row = patch.node(name, Op::Slice { axis: 0, start: 0, end: 1 }, &[c])?;
    let shape = Shape::from([channels]);
    let row = patch.node(name, Op::Reshape { shape }, &[row])?;
    let bias = match product.operands.bias {
        Some(bias) => patch.node(name, Op::Binary(Binary::Add), &[bias, row])?,
        None => row,
    };
    product.operands.bias = Some(bias);
    product.finish(patch).map(Some)
}

fn add_rows(
    graph: &Graph,
    found: &Match<'_>,
    patch: &mut Patch<'_>,
) -> Result<Option<ValueId>, PatchError> {
    let mut product = Product::new(found.node("conv"));
    let t = found.value("t");
    let batch = graph.shape(product.node.output)[0];
    let fits = per_channel(graph, found)
        .is_some_and(|[rows, channels]| rows == batch && *graph.shape(t) == [batch, channels]);
    if !fits || !product.only_adds_biases() || product.epilogue.batch_bias {
        return Ok(None);
    }
    product.operands.batch_bias = Some(t);
    product.finish(patch).map(Some)
}

/// The extents of a summand `[1 or batch, channels, 1, 1]`.
fn per_channel(graph: &Graph, found: &Match<'_>) -> Option<[usize; 2]> {
    let out = graph.shape(found.value("conv"));
    match *graph.shape(found.value("c")) {
        [batch, channels, 1, 1] if channels == out[1] && (batch == 1 || batch == out[0]) => {
            Some([batch, channels])
        }
        _ => None,
    }
}

/// Whether every batch entry of a constant is the same.
fn has_equal_rows(graph: &Graph, id: ValueId) -> bool {
    let batch = graph.shape(id)[0];
    batch == 1
        || match graph.constant(id) {
            Some(Constant::Data(tensor)) => rows_equal(tensor, batch),
            Some(Constant::Weight(_)) | None => false,
        }
}

fn rows_equal(tensor: &Tensor, batch: usize) -> bool {
    let Ok(data) = tensor.as_f32() else { return false };
    let length = data.len() / batch.max(1);
    data.chunks_exact(length.max(1)).all(|row| row == &data[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
    use crate::graph::{Rate, TensorType};
    use crate::op::{Activation, Conv2d};
    use crate::passes::fold::FOLD;
    use crate::passes::testing::{assert_untouched, numbers, rewritten};

    const BATCH: usize = 2;

    /// conv(x) + c
    fn conv_plus(c: impl FnOnce(&mut Builder) -> ValueId, conv: Conv2d) -> Graph {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([BATCH, 2, 4, 4]));
        let y = b.conv2d("conv", x, 3, 3, conv).unwrap();
        let c = c(&mut b);
        let y = b.add("add", y, c).unwrap();
        b.finish(&[("y", y)])
    }

    fn constant_rows(b: &mut Builder, rows: usize) -> ValueId {
        b.constant("c", numbers(TensorType::f32([rows, 3, 1, 1]), 5))
    }

    fn varying(b: &mut Builder, shape: [usize; 2]) -> ValueId {
        let t = b.input("t", Rate::Frame, TensorType::f32(shape));
        let [rows, channels] = shape;
        b.reshape("t", t, [rows, channels, 1, 1]).unwrap()
    }

    #[test]
    fn a_varying_summand_becomes_a_batch_bias() {
        let graph = conv_plus(|b| varying(b, [BATCH, 3]), Conv2d::same(1));
        // The same steps in the same order.
        let (_, text) = rewritten(&graph, &[BATCH_BIAS], 0.0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_constant_summand_becomes_bias() {
        let graph = conv_plus(|b| constant_rows(b, 1), Conv2d::same(1));
        // x + (b + c) instead of (x + b) + c: one rounding differs.
        let (_, text) = rewritten(&graph, &[BATCH_BIAS, FOLD], 2e-7);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn equal_rows_are_one_bias_and_others_are_not() {
        let equal = |b: &mut Builder| {
            let data = [0.5, -1.0, 2.0].repeat(BATCH);
            b.constant("c", Tensor::from_f32([BATCH, 3, 1, 1], data).unwrap())
        };
        let (after, _) = rewritten(&conv_plus(equal, Conv2d::same(1)), &[BATCH_BIAS, FOLD], 2e-7);
        assert!(!after.nodes()[0].op.epilogue().unwrap().batch_bias);
        let graph = conv_plus(|b| constant_rows(b, BATCH), Conv2d::same(1));
        let (after, _) = rewritten(&graph, &[BATCH_BIAS, FOLD], 0.0);
        assert!(after.nodes()[0].op.epilogue().unwrap().batch_bias);
    }

    #[test]
    fn what_an_epilogue_adds_later_or_elsewhere_stays() {
        let mut gated = Conv2d::same(1);
        gated.epilogue.pre = Some(Activation::Silu);
        assert_untouched(&conv_plus(|b| varying(b, [BATCH, 3]), gated), BATCH_BIAS);
        let one_row = conv_plus(|b| varying(b, [1, 3]), Conv2d::same(1));
        assert_untouched(&one_row, BATCH_BIAS);
        let picture = |b: &mut Builder| b.constant("c", numbers(TensorType::f32([1, 3, 4, 4]), 5));
        assert_untouched(&conv_plus(picture, Conv2d::same(1)), BATCH_BIAS);
    }
}
