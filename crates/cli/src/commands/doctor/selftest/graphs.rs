//! The small graphs that the checks compute, one for each group of operations, with
//! numbers that follow from their position.

use laterna_graph::op::{Activation, Conv2d, Padding, TimestepEmbedding};
use laterna_graph::{BuildError, Builder, Graph, MemoryWeights, Op, Rate, TensorType, ValueId};
use laterna_tensor::{DType, Shape, Tensor};

type Built = Result<ValueId, BuildError>;

/// A graph with its numbers.
pub struct Case {
    pub graph: Graph,
    pub weights: MemoryWeights,
    pub inputs: Vec<Tensor>,
}

impl Case {
    /// The graph of one output that `build` builds.
    ///
    /// # Errors
    /// If it cannot be built: a mistake of ours.
    pub fn of(build: impl FnOnce(&mut Builder) -> Built) -> Result<Self, BuildError> {
        let mut b = Builder::new("selftest");
        let y = build(&mut b)?;
        let graph = b.finish(&[("y", y)]);
        let mut weights = MemoryWeights::new();
        for (name, ty) in graph.weights() {
            weights.insert(&**name, &wave(ty.shape, name.len()));
        }
        let inputs = graph.inputs().iter().map(|&id| number(graph.ty(id))).collect();
        Ok(Self { graph, weights, inputs })
    }
}

fn number(ty: TensorType) -> Tensor {
    match ty.dtype {
        DType::I64 => {
            let indices = (0..ty.shape.elements()).map(|i| (i * 5 % 7) as i64).collect();
            Tensor::from_i64(ty.shape, indices).expect("an index for each element")
        }
        _ => wave(ty.shape, 0),
    }
}

/// Numbers between -1 and 1.
fn wave(shape: Shape, phase: usize) -> Tensor {
    let number = |i: usize| (((i + phase) * (i + 3)) as f32 * 0.37).sin();
    let numbers = (0..shape.elements()).map(number).collect();
    Tensor::from_f32(shape, numbers).expect("a number for each element")
}

fn input(b: &mut Builder, name: &str, shape: impl Into<Shape>) -> ValueId {
    b.input(name, Rate::Frame, TensorType::f32(shape))
}

pub fn convolutions(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 8, 17, 12]);
    let h = b.conv2d("same", x, 16, 3, Conv2d::same(1))?;
    let h = b.conv2d("down", h, 16, 3, Conv2d { stride: [2, 2], ..Conv2d::same(1) })?;
    let h = b.conv2d("groups", h, 16, 3, Conv2d { groups: 4, ..Conv2d::same(1) })?;
    let padding = Padding { top: 0, left: 0, bottom: 1, right: 1 };
    let h = b.conv2d("uneven", h, 8, 3, Conv2d { padding, ..Conv2d::same(0) })?;
    b.conv2d("point", h, 4, 1, Conv2d::same(0))
}

pub fn products(b: &mut Builder) -> Built {
    let x = input(b, "x", [2, 5, 12]);
    let h = b.linear("biased", x, 16, true)?;
    let h = b.linear("plain", h, 12, false)?;
    let scores = b.node("scores", Op::MatMul { transpose_b: true }, &[h, x])?;
    b.node("mixed", Op::MatMul { transpose_b: false }, &[scores, x])
}

pub fn norms(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 16, 6, 5]);
    let h = b.group_norm("group", x, 4, 1e-5)?;
    let tokens = b.to_tokens("tokens", h)?;
    let h = b.layer_norm("layer", tokens, 1e-5)?;
    b.node("softmax", Op::Softmax, &[h])
}

pub fn activations(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 4, 8, 8]);
    let results = Activation::ALL.into_iter().map(|a| b.activation(a.name(), x, a));
    let results: Vec<_> = results.collect::<Result<_, _>>()?;
    b.concat("all", &results, 1)
}

pub fn arithmetic(b: &mut Builder) -> Built {
    let x = input(b, "x", [2, 4, 6]);
    let row = input(b, "row", [6]);
    let h = b.add("sum", x, row)?;
    let h = b.mul("product", h, x)?;
    let h = b.affine("affine", h, 1.5, -0.25)?;
    b.node("clamp", Op::Clamp { min: -0.5, max: 0.75 }, &[h])
}

pub fn movement(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 4, 6, 6]);
    let left = b.slice("left", x, 3, 0, 3)?;
    let right = b.slice("right", x, 3, 3, 6)?;
    let swapped = b.concat("swapped", &[right, left], 3)?;
    let tokens = b.to_tokens("tokens", swapped)?;
    let turned = b.transpose("turned", tokens, &[0, 2, 1])?;
    let picture = b.reshape("picture", turned, [1, 4, 6, 6])?;
    b.add("both", picture, x)
}

pub fn enlargements(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 4, 5, 7]);
    let doubled = b.upsample_nearest("doubled", x, 2)?;
    let h = b.conv2d("conv", doubled, 4, 3, Conv2d::same(1))?;
    b.upsample_nearest("tripled", h, 3)
}

/// Rows of a table and one of its tokens by number.
pub fn lookups(b: &mut Builder) -> Built {
    let ids = b.input("ids", Rate::Prompt, TensorType::i64([1, 6]));
    let chosen = b.input("chosen", Rate::Prompt, TensorType::i64([1]));
    let table = b.weight("table", [7, 16])?;
    let tokens = b.node("tokens", Op::Embedding, &[ids, table])?;
    b.node("token", Op::SelectToken, &[tokens, chosen])
}

/// A timestep that is no constant, as a live session has it.
pub fn timesteps(b: &mut Builder) -> Built {
    let t = input(b, "t", [2]);
    let t = b.affine("scaled", t, 400.0, 450.0)?;
    let sines =
        TimestepEmbedding { dim: 32, flip_sin_to_cos: true, freq_shift: 0.0, max_period: 10_000.0 };
    let h = b.timestep_embedding("sines", t, sines)?;
    b.linear("linear", h, 16, true)
}

/// Self-attention of a picture's tokens and cross-attention to a text.
pub fn attention(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 32, 8, 8]);
    let text = input(b, "text", [1, 7, 24]);
    let tokens = b.to_tokens("tokens", x)?;
    let tokens = attend(b, "self", tokens, tokens, false)?;
    let tokens = attend(b, "cross", tokens, text, false)?;
    b.from_tokens("picture", tokens, 8, 8)
}

pub fn causal_attention(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 11, 32]);
    attend(b, "self", x, x, true)
}

/// More queries than split attention takes at once.
pub fn long_attention(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 1100, 16]);
    attend(b, "self", x, x, false)
}

fn attend(b: &mut Builder, path: &str, x: ValueId, context: ValueId, causal: bool) -> Built {
    let channels = b.shape(x)[2];
    let norm = b.layer_norm(&format!("{path}.norm"), x, 1e-5)?;
    let context = if context == x { norm } else { context };
    let q = b.linear(&format!("{path}.q"), norm, channels, false)?;
    let k = b.linear(&format!("{path}.k"), context, channels, false)?;
    let v = b.linear(&format!("{path}.v"), context, channels, false)?;
    let mixed = b.attention(path, [q, k, v], 2, causal)?;
    let out = b.linear(&format!("{path}.out"), mixed, channels, true)?;
    b.add(path, out, x)
}

/// Layers with enough weights for every format.
pub fn layers(b: &mut Builder) -> Built {
    let x = input(b, "x", [1, 64, 6, 6]);
    let h = b.conv2d("conv", x, 64, 3, Conv2d::same(1))?;
    let tokens = b.to_tokens("tokens", h)?;
    b.linear("linear", tokens, 64, true)
}

/// A picture in, a picture out.
pub fn painter(b: &mut Builder) -> Built {
    let x = input(b, "picture", [1, 3, 24, 40]);
    b.affine("painted", x, -0.5, 0.125)
}
