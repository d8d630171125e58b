//! The operations of the graph: a closed enum, so that the compiler names every
//! place that a new one must answer.
//!
//! Shapes are logical. Pictures and feature maps are `[batch, channels, height,
//! width]`, token sequences `[batch, tokens, channels]`, whatever the physical
//! layout; `infer.rs` has each rule, `reference.rs` each meaning.

use laterna_tensor::{DType, MAX_RANK, Shape};

use crate::{Layout, ValueId};

/// An operation: one output, inputs as each variant says.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Inputs: x, weight `[out, in / groups, kernel_h, kernel_w]`, then the
    /// operands of the epilogue.
    Conv2d(Conv2d),
    /// Inputs: x `[.., in]`, weight `[out, in]`, then the operands of the epilogue.
    Linear(Epilogue),
    /// Inputs: a `[.., m, k]`, b `[.., k, n]` or, transposed, `[.., n, k]`.
    MatMul {
        /// Whether b is given as `[.., n, k]`.
        transpose_b: bool,
    },
    /// Scaled dot-product attention. Inputs: q `[batch, queries, heads * d]`,
    /// k and v `[batch, keys, heads * d]`.
    Attention(Attention),
    /// Inputs: x `[batch, channels, ..]`, gamma and beta `[channels]`.
    GroupNorm(GroupNorm),
    /// Over the last axis. Inputs: x, gamma and beta `[channels]`.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Over the last axis. Input: x.
    Softmax,
    /// Input: x `[.., queries, keys]`; entries with key > query become -inf.
    CausalMask,
    /// Element-wise. Input: x.
    Activation(Activation),
    /// `x * scale + offset`. Input: x.
    Affine {
        /// Factor.
        scale: f32,
        /// Summand.
        offset: f32,
    },
    /// Input: x; each element limited to `min..=max`.
    Clamp {
        /// Lower limit.
        min: f32,
        /// Upper limit.
        max: f32,
    },
    /// Element-wise with NumPy broadcasting. Inputs: a, b.
    Binary(Binary),
    /// Inputs: one or more values that differ only along the axis.
    Concat {
        /// The axis they are joined along.
        axis: usize,
    },
    /// Input: x; keeps `start..end` of an axis.
    Slice {
        /// The axis cut.
        axis: usize,
        /// First index kept.
        start: usize,
        /// One past the last index kept.
        end: usize,
    },
    /// Input: x; the same row-major elements under another shape.
    Reshape {
        /// The new shape.
        shape: Shape,
    },
    /// Input: x; output axis i is input axis `axes[i]`.
    Transpose(Permutation),
    /// Input: x `[batch, channels, h, w]`; every pixel repeated `factor` times
    /// along height and width.
    UpsampleNearest {
        /// Repetitions along each axis.
        factor: usize,
    },
    /// Inputs: indices (i64, any shape), table `[rows, channels]`; output
    /// `[indices.., channels]`.
    Embedding,
    /// Inputs: x `[batch, tokens, channels]`, index (i64) `[batch]`; output
    /// `[batch, channels]`, the chosen token of each row.
    SelectToken,
    /// Sinusoidal position of a timestep. Input: t `[n]`; output `[n, dim]`.
    TimestepEmbedding(TimestepEmbedding),
    /// Input: x; the same values in another element type.
    Cast {
        /// The new element type.
        dtype: DType,
    },
    /// Input: x; the same logical value in another physical layout.
    Relayout {
        /// The new layout.
        to: Layout,
    },
}

impl Op {
    /// The name used in dumps, summaries and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::Linear(_) => "linear",
            Self::MatMul { .. } => "matmul",
            Self::Attention(_) => "attention",
            Self::GroupNorm(_) => "group_norm",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Softmax => "softmax",
            Self::CausalMask => "causal_mask",
            Self::Activation(a) => a.name(),
            Self::Affine { .. } => "affine",
            Self::Clamp { .. } => "clamp",
            Self::Binary(b) => b.name(),
            Self::Concat { .. } => "concat",
            Self::Slice { .. } => "slice",
            Self::Reshape { .. } => "reshape",
            Self::Transpose(_) => "transpose",
            Self::UpsampleNearest { .. } => "upsample_nearest",
            Self::Embedding => "embedding",
            Self::SelectToken => "select_token",
            Self::TimestepEmbedding(_) => "timestep_embedding",
            Self::Cast { .. } => "cast",
            Self::Relayout { .. } => "relayout",
        }
    }

    /// The epilogue, for the operations that have one.
    pub fn epilogue(&self) -> Option<&Epilogue> {
        match self {
            Self::Conv2d(conv) => Some(&conv.epilogue),
            Self::Linear(epilogue) => Some(epilogue),
            _ => None,
        }
    }

    /// The same operation with another epilogue.
    ///
    /// # Panics
    /// If the operation has none.
    pub fn with_epilogue(&self, epilogue: Epilogue) -> Self {
        match self {
            Self::Conv2d(conv) => Self::Conv2d(Conv2d { epilogue, ..conv.clone() }),
            Self::Linear(_) => Self::Linear(epilogue),
            _ => panic!("{} has no epilogue", self.name()),
        }
    }
}

/// A two-dimensional convolution (cross-correlation, as every framework has it).
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Steps along height and width.
    pub stride: [usize; 2],
    /// Zeros around the (upsampled) input.
    pub padding: Padding,
    /// Channel groups; 1 for an ordinary convolution.
    pub groups: usize,
    /// Nearest-neighbour enlargement of the input before the convolution; 1 for
    /// none. A power of two, so that a device finds a source pixel by shifting.
    pub upsample: usize,
    /// What follows the sum of products.
    pub epilogue: Epilogue,
}

impl Conv2d {
    /// Stride 1, one group, a bias, and `padding` zeros on every side.
    pub fn same(padding: usize) -> Self {
        Self {
            stride: [1, 1],
            padding: Padding::all(padding),
            groups: 1,
            upsample: 1,
            epilogue: Epilogue { bias: true, ..Epilogue::default() },
        }
    }
}

/// Zeros around a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the side of that name")]
pub struct Padding {
    pub top: usize,
    pub left: usize,
    pub bottom: usize,
    pub right: usize,
}

impl Padding {
    /// The same on every side.
    pub const fn all(pixels: usize) -> Self {
        Self { top: pixels, left: pixels, bottom: pixels, right: pixels }
    }
}

/// What a convolution or linear layer does to its sum of products before it is
/// stored, in this order: add the bias, add the batch bias, gate, `pre`
/// activation, add the residual, `post` activation.
///
/// Operands follow the weight in the node's inputs in the same order, each only
/// if its flag is set.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Epilogue {
    /// Adds an operand `[out]`.
    pub bias: bool,
    /// Adds an operand `[batch, out]` to every position of a batch entry.
    pub batch_bias: bool,
    /// Halves the channels: `first_half * gelu(second_half)` (GEGLU, Shazeer
    /// 2020, arXiv 2002.05202). Excludes `pre`.
    pub geglu: bool,
    /// Applied before the residual.
    pub pre: Option<Activation>,
    /// Adds an operand of the output's shape.
    pub residual: bool,
    /// Applied after the residual.
    pub post: Option<Activation>,
}

/// The operands of an [`Epilogue`], by role.
#[derive(Clone, Copy, Debug, Default)]
pub struct EpilogueOperands {
    /// `[out]`.
    pub bias: Option<ValueId>,
    /// `[batch, out]`.
    pub batch_bias: Option<ValueId>,
    /// The output's shape.
    pub residual: Option<ValueId>,
}

impl Epilogue {
    /// A bias and nothing else.
    pub fn with_bias(bias: bool) -> Self {
        Self { bias, ..Self::default() }
    }

    /// Number of operands behind the weight.
    pub fn operand_count(&self) -> usize {
        usize::from(self.bias) + usize::from(self.batch_bias) + usize::from(self.residual)
    }

    /// Names the operands in `inputs`, the node's inputs behind the weight.
    pub fn operands(&self, inputs: &[ValueId]) -> EpilogueOperands {
        let mut rest = inputs.iter().copied();
        let mut take = |present: bool| if present { rest.next() } else { None };
        EpilogueOperands {
            bias: take(self.bias),
            batch_bias: take(self.batch_bias),
            residual: take(self.residual),
        }
    }
}

/// Scaled dot-product attention over `heads` heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Number of heads; divides the channels.
    pub heads: usize,
    /// Factor of `q k^T`, usually `1 / sqrt(d)`.
    pub scale: f32,
    /// Whether a query sees only keys up to its own position; then there are as
    /// many keys as queries.
    pub causal: bool,
}

/// Group normalisation (Wu and He 2018, arXiv 1803.08494), then an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Number of groups; divides the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Applied to the normalised value.
    pub activation: Option<Activation>,
}

/// Element-wise functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `x * sigmoid(x)`
    Silu,
    /// `x * (1 + erf(x / sqrt(2))) / 2`
    Gelu,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`
    GeluTanh,
    /// `x * sigmoid(1.702 x)`
    QuickGelu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 7] = [
        Self::Relu,
        Self::Silu,
        Self::Gelu,
        Self::GeluTanh,
        Self::QuickGelu,
        Self::Tanh,
        Self::Sigmoid,
    ];

    /// The name used in dumps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::QuickGelu => "quick_gelu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }
}

/// Element-wise functions of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the function of that name")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

impl Binary {
    /// The name used in dumps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
        }
    }
}

/// Sinusoidal embedding of a timestep, as diffusers' `get_timestep_embedding`:
/// `freq[i] = exp(-ln(max_period) * i / (dim / 2 - freq_shift))`, sine and
/// cosine of `t * freq`, zero-padded if `dim` is odd.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimestepEmbedding {
    /// Channels of the output.
    pub dim: usize,
    /// Cosines before sines.
    pub flip_sin_to_cos: bool,
    /// Subtracted from `dim / 2` in the exponent's denominator.
    pub freq_shift: f32,
    /// Longest period, usually 10,000.
    pub max_period: f32,
}

/// An order of axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permutation {
    axes: [usize; MAX_RANK],
    rank: usize,
}

impl Permutation {
    /// Output axis i is input axis `axes[i]`; `None` unless `axes` names each of
    /// `0..axes.len()` once.
    pub fn new(axes: &[usize]) -> Option<Self> {
        let names_all = (0..axes.len()).all(|axis| axes.contains(&axis));
        if !names_all || axes.len() > MAX_RANK {
            return None;
        }
        let mut all = [0; MAX_RANK];
        all[..axes.len()].copy_from_slice(axes);
        Some(Self { axes: all, rank: axes.len() })
    }

    /// The axes, outermost first.
    pub fn axes(&self) -> &[usize] {
        &self.axes[..self.rank]
    }

    /// The permuted shape.
    pub fn apply(&self, shape: &Shape) -> Shape {
        let mut out = *shape;
        for (to, &from) in self.axes().iter().enumerate() {
            out = out.with(to, shape[from]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epilogue_operands_follow_the_flags() {
        let ids = [ValueId(7), ValueId(9)];
        let epilogue = Epilogue { batch_bias: true, residual: true, ..Epilogue::default() };
        let operands = epilogue.operands(&ids);
        assert_eq!(operands.bias, None);
        assert_eq!(operands.batch_bias, Some(ValueId(7)));
        assert_eq!(operands.residual, Some(ValueId(9)));
    }

    #[test]
    fn permutations_are_checked() {
        assert!(Permutation::new(&[0, 2, 2]).is_none());
        let nhwc = Permutation::new(&[0, 2, 3, 1]).unwrap();
        assert_eq!(nhwc.apply(&Shape::from([1, 3, 4, 5])), Shape::from([1, 4, 5, 3]));
    }
}
