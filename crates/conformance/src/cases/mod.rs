//! The cases, by kind of operation.

mod attention;
mod elementwise;
mod lookup;
mod movement;
mod norm;
mod product;

use laterna_graph::{BuildError, Builder, Graph, MemoryWeights, Rate, TensorType, ValueId};
use laterna_tensor::{Shape, Tensor};

use crate::{Random, composite};

/// A graph, the numbers it runs on, and how close a backend must come.
#[derive(Debug)]
pub struct Case {
    /// What it is, for people.
    pub name: String,
    /// The graph as a model would build it: without layouts.
    pub graph: Graph,
    /// Its weights.
    pub weights: MemoryWeights,
    /// Its inputs, in the graph's order.
    pub inputs: Vec<Tensor>,
    /// The largest `max |error| / max |reference|` allowed.
    pub tolerance: f32,
}

/// Tolerance of what only moves or compares numbers.
pub(crate) const EXACT: f32 = 0.0;
/// Tolerance of element-wise functions: a few units in the last place.
pub(crate) const ELEMENTWISE: f32 = 5e-7;
/// Tolerance of sums, which f32 devices take in another order than the
/// reference, which takes them in f64.
pub(crate) const SUM: f32 = 5e-6;
/// Tolerance of several sums after each other.
pub(crate) const COMPOSITE: f32 = 2e-5;

/// All cases.
pub fn cases() -> Vec<Case> {
    let families = [
        product::cases(),
        attention::cases(),
        norm::cases(),
        elementwise::cases(),
        movement::cases(),
        lookup::cases(),
        composite::cases(),
    ];
    families.into_iter().flatten().collect()
}

/// Outputs of a graph being built, with names.
pub(crate) type Outputs = Result<Vec<(&'static str, ValueId)>, BuildError>;

impl Case {
    /// A case with random weights and inputs.
    ///
    /// # Panics
    /// If the graph cannot be built: a mistake in the case.
    pub(crate) fn new(
        name: impl Into<String>,
        tolerance: f32,
        build: impl FnOnce(&mut Builder) -> Outputs,
    ) -> Self {
        let name = name.into();
        let mut b = Builder::new(name.clone());
        let outputs = build(&mut b).unwrap_or_else(|error| panic!("case {name}: {error}"));
        let graph = b.finish(&outputs);
        // Of the name, so that a new case leaves the numbers of the others.
        let seed = name
            .bytes()
            .fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut random = Random::new(seed);
        let (weights, inputs) = (random.weights(&graph), random.inputs(&graph));
        Self { name, graph, weights, inputs, tolerance }
    }

    /// A case with one output.
    pub(crate) fn of(
        name: impl Into<String>,
        tolerance: f32,
        build: impl FnOnce(&mut Builder) -> Result<ValueId, BuildError>,
    ) -> Self {
        Self::new(name, tolerance, |b| Ok(vec![("y", build(b)?)]))
    }
}

/// An f32 input that changes with every frame.
pub(crate) fn input(b: &mut Builder, name: &str, shape: impl Into<Shape>) -> ValueId {
    b.input(name, Rate::Frame, TensorType::f32(shape))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use laterna_graph::Op;
    use laterna_graph::op::{Activation, Binary};

    use super::*;

    /// Names the kind of every operation and lists all kinds. There is no
    /// wildcard: a new operation must be added here, and then needs a case.
    macro_rules! kinds {
        ($($pattern:pat => $kind:literal,)*) => {
            const KINDS: &[&str] = &[$($kind),*];

            fn kind(op: &Op) -> &'static str {
                match op {
                    $($pattern => $kind,)*
                }
            }
        };
    }

    kinds! {
        Op::Conv2d(_) => "conv2d",
        Op::Linear(_) => "linear",
        Op::MatMul { transpose_b: false } => "matmul",
        Op::MatMul { transpose_b: true } => "matmul transposed",
        Op::Attention(_) => "attention",
        Op::GroupNorm(_) => "group_norm",
        Op::LayerNorm { .. } => "layer_norm",
        Op::Softmax => "softmax",
        Op::CausalMask => "causal_mask",
        Op::Activation(Activation::Relu) => "relu",
        Op::Activation(Activation::Silu) => "silu",
        Op::Activation(Activation::Gelu) => "gelu",
        Op::Activation(Activation::GeluTanh) => "gelu_tanh",
        Op::Activation(Activation::QuickGelu) => "quick_gelu",
        Op::Activation(Activation::Tanh) => "tanh",
        Op::Activation(Activation::Sigmoid) => "sigmoid",
        Op::Affine { .. } => "affine",
        Op::Clamp { .. } => "clamp",
        Op::Binary(Binary::Add) => "add",
        Op::Binary(Binary::Sub) => "sub",
        Op::Binary(Binary::Mul) => "mul",
        Op::Binary(Binary::Div) => "div",
        Op::Concat { .. } => "concat",
        Op::Slice { .. } => "slice",
        Op::Reshape { .. } => "reshape",
        Op::Transpose(_) => "transpose",
        Op::UpsampleNearest { .. } => "upsample_nearest",
        Op::Embedding => "embedding",
        Op::SelectToken => "select_token",
        Op::TimestepEmbedding(_) => "timestep_embedding",
        Op::Cast { .. } => "cast",
        Op::Relayout { .. } => "relayout",
    }

    #[test]
    fn every_operation_has_a_case() {
        let all = cases();
        let nodes = all.iter().flat_map(|case| case.graph.nodes());
        let covered: BTreeSet<_> = nodes.map(|node| kind(&node.op)).collect();
        let missing: Vec<_> = KINDS.iter().filter(|kind| !covered.contains(*kind)).collect();
        assert!(missing.is_empty(), "no case for {missing:?}");
    }

    #[test]
    fn names_are_unique() {
        let all = cases();
        let names: BTreeSet<_> = all.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
