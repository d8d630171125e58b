//! Scaling and shifting, such as a picture's normalisation, becomes part of the
//! neighbouring convolution or linear layer:
//!
//! `affine(product(x))` is a product with weight `W * scale` and bias
//! `b * scale + offset`; `product(affine(x))` one with weight `W * scale` and bias
//! `b + offset * sum(W)`. The latter is exact only where no padding is added,
//! because padded zeros are not shifted.

use laterna_tensor::{Shape, Tensor};

use super::Product;
use crate::graph::{Graph, Rate};
use crate::op::{Epilogue, Op, Padding};
use crate::passes::pattern::{Match, affine, any, product, rewrite};
use crate::passes::{Pass, PassError};
use crate::rates::rates;
use crate::{Patch, PatchError, ValueId, WeightSource};

/// The pass.
pub const AFFINE: Pass = Pass { name: "affine", patch };

/// A scaled weight is a copy in memory; above this size an f32 weight stays the
/// checkpoint's.
const LARGEST_WEIGHT_BYTES: usize = 1 << 20;

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    patches(graph).map_err(|source| PassError::Patch { pass: AFFINE.name, source })
}

fn patches(graph: &Graph) -> Result<Patch<'_>, PatchError> {
    let mut patch = Patch::new(graph);
    let after = affine(product(any("x")).named("product"));
    rewrite(&mut patch, graph, &after, |found, patch| scale_output(graph, found, patch))?;
    let before = product(affine(any("x")).named("affine"));
    rewrite(&mut patch, graph, &before, |found, patch| scale_input(graph, found, patch))?;
    Ok(patch)
}

fn scale_output(
    graph: &Graph,
    found: &Match<'_>,
    patch: &mut Patch<'_>,
) -> Result<Option<ValueId>, PatchError> {
    let mut product = Product::new(found.node("product"));
    let Op::Affine { scale, offset } = found.root().op else { return Ok(None) };
    let plain = product.only_adds_biases() && !product.epilogue.batch_bias;
    if !plain || !has_small_weight(graph, &product) {
        return Ok(None);
    }
    let name = &product.node.name;
    let (input, weight) = (product.node.inputs[0], product.node.inputs[1]);
    product.operands.bias = match product.operands.bias {
        Some(bias) => Some(patch.node(name, Op::Affine { scale, offset }, &[bias])?),
        None => shift(patch, &product, graph.shape(weight)[0], offset),
    };
    let weight = patch.node(name, Op::Affine { scale, offset: 0.0 }, &[weight])?;
    product.rebuild(patch, input, weight).map(Some)
}

/// A bias that is everywhere `offset`, if there is anything to add.
fn shift(
    patch: &mut Patch<'_>,
    product: &Product<'_>,
    channels: usize,
    offset: f32,
) -> Option<ValueId> {
    (offset != 0.0)
        .then(|| patch.constant(&product.node.name, filled(Shape::from([channels]), offset)))
}

fn scale_input(
    graph: &Graph,
    found: &Match<'_>,
    patch: &mut Patch<'_>,
) -> Result<Option<ValueId>, PatchError> {
    let mut product = Product::new(found.root());
    let Op::Affine { scale, offset } = found.node("affine").op else { return Ok(None) };
    let exact = offset == 0.0 || !is_padded(&product.node.op);
    if !exact || !has_small_weight(graph, &product) {
        return Ok(None);
    }
    let name = &product.node.name;
    let weight = product.node.inputs[1];
    if offset != 0.0 {
        let bias = shifted_bias(graph, patch, &product, offset)?;
        product.operands.bias = Some(bias);
    }
    let weight = patch.node(name, Op::Affine { scale, offset: 0.0 }, &[weight])?;
    product.rebuild(patch, found.value("x"), weight).map(Some)
}

/// `b + offset * sum(W)` over all but the output channels: a linear layer of a
/// row of offsets.
fn shifted_bias(
    graph: &Graph,
    patch: &mut Patch<'_>,
    product: &Product<'_>,
    offset: f32,
) -> Result<ValueId, PatchError> {
    let name = &product.node.name;
    let shape = graph.shape(product.node.inputs[1]);
    let (out, taps) = (shape[0], shape[1..].iter().product());
    let row = patch.constant(name, filled(Shape::from([1, taps]), offset));
    let to_rows = Op::Reshape { shape: Shape::from([out, taps]) };
    let mut inputs = vec![row, patch.node(name, to_rows, &[product.node.inputs[1]])?];
    inputs.extend(product.operands.bias);
    let linear = Op::Linear(Epilogue::with_bias(product.epilogue.bias));
    let sums = patch.node(name, linear, &inputs)?;
    patch.node(name, Op::Reshape { shape: Shape::from([out]) }, &[sums])
}

fn is_padded(op: &Op) -> bool {
    matches!(op, Op::Conv2d(conv) if conv.padding != Padding::all(0))
}

fn has_small_weight(graph: &Graph, product: &Product<'_>) -> bool {
    let weight = product.node.inputs[1];
    graph.ty(weight).size_bytes() <= LARGEST_WEIGHT_BYTES
        && rates(graph)[weight.index()] == Rate::Model
}

fn filled(shape: Shape, value: f32) -> Tensor {
    Tensor::from_f32(shape, vec![value; shape.elements()]).expect("as many elements as the shape")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
    use crate::graph::TensorType;
    use crate::op::{Activation, Conv2d};
    use crate::passes::fold::FOLD;
    use crate::passes::testing::{assert_untouched, rewritten};

    /// A scaled weight rounds once more for each of its taps.
    const TOLERANCE: f32 = 1e-6;

    /// affine(conv(affine(x)))
    fn scaled_conv(conv: Conv2d, [before, after]: [(f32, f32); 2]) -> Graph {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 2, 4, 4]));
        let y = b.affine("before", x, before.0, before.1).unwrap();
        let y = b.conv2d("conv", y, 3, 3, conv).unwrap();
        let y = b.affine("after", y, after.0, after.1).unwrap();
        b.finish(&[("y", y)])
    }

    fn without_bias(padding: usize) -> Conv2d {
        Conv2d { epilogue: Epilogue::default(), ..Conv2d::same(padding) }
    }

    #[test]
    fn both_sides_become_weight_and_bias() {
        let graph = scaled_conv(Conv2d::same(0), [(0.5, 0.25), (2.0, -1.0)]);
        let (_, text) = rewritten(&graph, &[AFFINE, FOLD], TOLERANCE);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_missing_bias_is_made() {
        let graph = scaled_conv(without_bias(0), [(0.5, 0.25), (2.0, -1.0)]);
        let (after, text) = rewritten(&graph, &[AFFINE, FOLD], TOLERANCE);
        assert_eq!(after.nodes().len(), 1, "{text}");
        let graph = scaled_conv(without_bias(1), [(0.5, 0.0), (2.0, 0.0)]);
        let (after, text) = rewritten(&graph, &[AFFINE, FOLD], TOLERANCE);
        assert!(!after.nodes()[0].op.epilogue().unwrap().bias, "{text}");
    }

    #[test]
    fn linear_layers_are_scaled_too() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 3, 4]));
        let y = b.affine("before", x, 3.0, 0.5).unwrap();
        let y = b.linear("linear", y, 5, true).unwrap();
        let (after, text) = rewritten(&b.finish(&[("y", y)]), &[AFFINE, FOLD], TOLERANCE);
        assert_eq!(after.nodes().len(), 1, "{text}");
    }

    #[test]
    fn padding_is_not_shifted() {
        let graph = scaled_conv(Conv2d::same(1), [(0.5, 0.25), (2.0, -1.0)]);
        let (after, text) = rewritten(&graph, &[AFFINE, FOLD], TOLERANCE);
        assert_eq!(after.nodes().len(), 2, "{text}");
    }

    #[test]
    fn large_weights_activations_and_other_readers_keep_it() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 513]));
        let y = b.affine("before", x, 3.0, 0.0).unwrap();
        let y = b.linear("large", y, 512, true).unwrap();
        assert_untouched(&b.finish(&[("y", y)]), AFFINE);

        let mut activated = Conv2d::same(0);
        activated.epilogue.pre = Some(Activation::Relu);
        let graph = scaled_conv(activated, [(2.0, 0.0), (2.0, 0.0)]);
        let (after, text) = rewritten(&graph, &[AFFINE, FOLD], TOLERANCE);
        assert_eq!(after.nodes().len(), 2, "{text}");

        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 3]));
        let x = b.affine("before", x, 3.0, 0.0).unwrap();
        let y = b.linear("linear", x, 3, true).unwrap();
        assert_untouched(&b.finish(&[("x", x), ("y", y)]), AFFINE);
    }
}
