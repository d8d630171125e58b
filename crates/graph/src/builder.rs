//! Builds a graph node by node, checking every shape on the way.
//!
//! Layers that read weights take the layer's path, such as
//! `unet.conv_in`, and find `<path>.weight` and `<path>.bias` there. Attention
//! and GEGLU are written out as the formulas they are; passes fuse them.

use std::collections::HashMap;
use std::sync::Arc;

use laterna_tensor::{DType, Shape, Tensor};
use thiserror::Error;

use crate::graph::{Constant, Graph, Layout, Node, NodeId, Origin, Rate, TensorType, Value};
use crate::op::{
    Activation, Binary, Conv2d, Epilogue, GroupNorm, Op, Permutation, TimestepEmbedding,
};
use crate::{InferError, ValueId, infer};

/// Why a node could not be added.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The operation does not fit its inputs.
    #[error("{node}: {source}")]
    Infer {
        /// The node's path.
        node: String,
        /// What does not fit.
        source: InferError,
    },
    /// One weight was asked for with two shapes.
    #[error("{name}: used as {first} and as {second}")]
    WeightShape {
        /// The weight.
        name: String,
        /// The shape of the first use.
        first: Shape,
        /// The shape of this use.
        second: Shape,
    },
    /// The axes are not an order.
    #[error("{node}: {axes:?} is not an order of axes")]
    Axes {
        /// The node's path.
        node: String,
        /// The axes given.
        axes: Vec<usize>,
    },
}

type Built = Result<ValueId, BuildError>;

/// Collects nodes into a [`Graph`].
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    weights: HashMap<Arc<str>, ValueId>,
}

impl Builder {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        let graph = Graph { name: name.into(), ..Graph::default() };
        Self { graph, weights: HashMap::new() }
    }

    /// The finished graph with these outputs.
    pub fn finish(mut self, outputs: &[(&str, ValueId)]) -> Graph {
        self.graph.outputs = outputs.iter().map(|&(name, id)| (name.into(), id)).collect();
        self.graph
    }

    /// Element type and extents of a value built so far.
    pub fn ty(&self, id: ValueId) -> TensorType {
        self.graph.ty(id)
    }

    /// Extents of a value built so far.
    pub fn shape(&self, id: ValueId) -> Shape {
        self.graph.shape(id)
    }

    /// A value that the caller gives, changing at this rate.
    pub fn input(&mut self, name: &str, rate: Rate, ty: TensorType) -> ValueId {
        let id = self.value(name.into(), ty, Origin::Input(rate));
        self.graph.inputs.push(id);
        id
    }

    /// A tensor of the checkpoint.
    ///
    /// # Errors
    /// If the same weight was used with another shape.
    pub fn weight(&mut self, name: &str, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        if let Some(&id) = self.weights.get(name) {
            let first = self.shape(id);
            return if first == shape {
                Ok(id)
            } else {
                Err(BuildError::WeightShape { name: name.into(), first, second: shape })
            };
        }
        let name: Arc<str> = name.into();
        let origin = Origin::Constant(Constant::Weight(name.clone()));
        let id = self.value(name.clone(), TensorType::f32(shape), origin);
        self.weights.insert(name, id);
        Ok(id)
    }

    /// A constant held by the graph.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        let ty = TensorType { dtype: tensor.dtype(), shape: tensor.shape() };
        self.value(name.into(), ty, Origin::Constant(Constant::Data(Arc::new(tensor))))
    }

    /// Any operation.
    ///
    /// # Errors
    /// If the operation does not fit its inputs; the same holds for every method below.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Built {
        let types: Vec<_> = inputs.iter().map(|&id| self.ty(id)).collect();
        let ty =
            infer(&op, &types).map_err(|source| BuildError::Infer { node: name.into(), source })?;
        let name: Arc<str> = name.into();
        let node = NodeId(self.graph.nodes.len() as u32);
        let output = self.value(name.clone(), ty, Origin::Node(node));
        self.graph.nodes.push(Node { name, op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// A convolution to `out` channels; `conv.epilogue.bias` says whether
    /// `<path>.bias` exists.
    pub fn conv2d(
        &mut self,
        path: &str,
        x: ValueId,
        out: usize,
        kernel: usize,
        conv: Conv2d,
    ) -> Built {
        let channels = self.channels(x);
        let per_group = channels / conv.groups.max(1);
        let weight = self.weight(&format!("{path}.weight"), [out, per_group, kernel, kernel])?;
        let mut inputs = vec![x, weight];
        if conv.epilogue.bias {
            inputs.push(self.weight(&format!("{path}.bias"), [out])?);
        }
        self.node(path, Op::Conv2d(conv), &inputs)
    }

    /// A linear layer to `out` features.
    pub fn linear(&mut self, path: &str, x: ValueId, out: usize, bias: bool) -> Built {
        let features = self.shape(x).last().copied().unwrap_or(0);
        let weight = self.weight(&format!("{path}.weight"), [out, features])?;
        let mut inputs = vec![x, weight];
        if bias {
            inputs.push(self.weight(&format!("{path}.bias"), [out])?);
        }
        self.node(path, Op::Linear(Epilogue::with_bias(bias)), &inputs)
    }

    /// Group normalisation with `<path>.weight` and `<path>.bias`.
    pub fn group_norm(&mut self, path: &str, x: ValueId, groups: usize, eps: f32) -> Built {
        let (gamma, beta) = self.norm_weights(path, self.channels(x))?;
        let norm = GroupNorm { groups, eps, activation: None };
        self.node(path, Op::GroupNorm(norm), &[x, gamma, beta])
    }

    /// Layer normalisation over the last axis with `<path>.weight` and `<path>.bias`.
    pub fn layer_norm(&mut self, path: &str, x: ValueId, eps: f32) -> Built {
        let channels = self.shape(x).last().copied().unwrap_or(0);
        let (gamma, beta) = self.norm_weights(path, channels)?;
        self.node(path, Op::LayerNorm { eps }, &[x, gamma, beta])
    }

    /// An element-wise function.
    pub fn activation(&mut self, path: &str, x: ValueId, activation: Activation) -> Built {
        self.node(path, Op::Activation(activation), &[x])
    }

    /// `a + b`, broadcasting.
    pub fn add(&mut self, path: &str, a: ValueId, b: ValueId) -> Built {
        self.node(path, Op::Binary(Binary::Add), &[a, b])
    }

    /// `a * b`, broadcasting.
    pub fn mul(&mut self, path: &str, a: ValueId, b: ValueId) -> Built {
        self.node(path, Op::Binary(Binary::Mul), &[a, b])
    }

    /// `x * scale + offset`.
    pub fn affine(&mut self, path: &str, x: ValueId, scale: f32, offset: f32) -> Built {
        self.node(path, Op::Affine { scale, offset }, &[x])
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, path: &str, x: ValueId, shape: impl Into<Shape>) -> Built {
        self.node(path, Op::Reshape { shape: shape.into() }, &[x])
    }

    /// Axes in another order.
    pub fn transpose(&mut self, path: &str, x: ValueId, axes: &[usize]) -> Built {
        let order = Permutation::new(axes)
            .ok_or_else(|| BuildError::Axes { node: path.into(), axes: axes.to_vec() })?;
        self.node(path, Op::Transpose(order), &[x])
    }

    /// `start..end` of one axis.
    pub fn slice(
        &mut self,
        path: &str,
        x: ValueId,
        axis: usize,
        start: usize,
        end: usize,
    ) -> Built {
        self.node(path, Op::Slice { axis, start, end }, &[x])
    }

    /// Values joined along one axis.
    pub fn concat(&mut self, path: &str, inputs: &[ValueId], axis: usize) -> Built {
        self.node(path, Op::Concat { axis }, inputs)
    }

    /// Nearest-neighbour enlargement.
    pub fn upsample_nearest(&mut self, path: &str, x: ValueId, factor: usize) -> Built {
        self.node(path, Op::UpsampleNearest { factor }, &[x])
    }

    /// Sinusoidal embedding of timesteps `[n]`.
    pub fn timestep_embedding(
        &mut self,
        path: &str,
        t: ValueId,
        embedding: TimestepEmbedding,
    ) -> Built {
        self.node(path, Op::TimestepEmbedding(embedding), &[t])
    }

    /// `[batch, channels, h, w]` as tokens `[batch, h * w, channels]`.
    pub fn to_tokens(&mut self, path: &str, x: ValueId) -> Built {
        let shape = self.shape(x);
        let tokens = self.transpose(path, x, &[0, 2, 3, 1])?;
        let &[batch, channels, height, width] = &*shape else { return Ok(tokens) };
        self.reshape(path, tokens, [batch, height * width, channels])
    }

    /// Tokens `[batch, h * w, channels]` as `[batch, channels, h, w]`.
    pub fn from_tokens(&mut self, path: &str, x: ValueId, height: usize, width: usize) -> Built {
        let channels = self.shape(x).last().copied().unwrap_or(0);
        let batch = self.shape(x).first().copied().unwrap_or(0);
        let picture = self.reshape(path, x, [batch, height, width, channels])?;
        self.transpose(path, picture, &[0, 3, 1, 2])
    }

    /// `softmax(q k^T / sqrt(d)) v` over `heads` heads, written out (Vaswani et
    /// al. 2017, arXiv 1706.03762). q `[batch, queries, heads * d]`, k and v
    /// `[batch, keys, heads * d]`.
    pub fn attention(
        &mut self,
        path: &str,
        [q, k, v]: [ValueId; 3],
        heads: usize,
        causal: bool,
    ) -> Built {
        let shape = self.shape(q);
        let head_dim = shape.last().copied().unwrap_or(0) / heads.max(1);
        let [q, k, v] = [
            self.split_heads(path, q, heads)?,
            self.split_heads(path, k, heads)?,
            self.split_heads(path, v, heads)?,
        ];
        let scores = self.node(path, Op::MatMul { transpose_b: true }, &[q, k])?;
        let scale = (1.0 / (head_dim.max(1) as f64).sqrt()) as f32;
        let mut scores = self.affine(path, scores, scale, 0.0)?;
        if causal {
            scores = self.node(path, Op::CausalMask, &[scores])?;
        }
        let weights = self.node(path, Op::Softmax, &[scores])?;
        let mixed = self.node(path, Op::MatMul { transpose_b: false }, &[weights, v])?;
        let tokens = self.transpose(path, mixed, &[0, 2, 1, 3])?;
        self.reshape(path, tokens, shape)
    }

    /// `first_half * gelu(second_half)` of the last axis (GEGLU, Shazeer 2020,
    /// arXiv 2002.05202), written out.
    pub fn geglu(&mut self, path: &str, x: ValueId) -> Built {
        let shape = self.shape(x);
        let axis = shape.rank().saturating_sub(1);
        let channels = shape.last().copied().unwrap_or(0);
        let value = self.slice(path, x, axis, 0, channels / 2)?;
        let gate = self.slice(path, x, axis, channels / 2, channels)?;
        let gate = self.activation(path, gate, Activation::Gelu)?;
        self.mul(path, value, gate)
    }

    /// Element type conversion.
    pub fn cast(&mut self, path: &str, x: ValueId, dtype: DType) -> Built {
        self.node(path, Op::Cast { dtype }, &[x])
    }

    /// `[batch, tokens, heads * d]` as `[batch, heads, tokens, d]`.
    fn split_heads(&mut self, path: &str, x: ValueId, heads: usize) -> Built {
        let &[batch, tokens, channels] = &*self.shape(x) else {
            return self.transpose(path, x, &[0, 2, 1, 3]);
        };
        let split = self.reshape(path, x, [batch, tokens, heads, channels / heads.max(1)])?;
        self.transpose(path, split, &[0, 2, 1, 3])
    }

    fn norm_weights(
        &mut self,
        path: &str,
        channels: usize,
    ) -> Result<(ValueId, ValueId), BuildError> {
        let gamma = self.weight(&format!("{path}.weight"), [channels])?;
        let beta = self.weight(&format!("{path}.bias"), [channels])?;
        Ok((gamma, beta))
    }

    fn channels(&self, x: ValueId) -> usize {
        self.shape(x).get(1).copied().unwrap_or(0)
    }

    fn value(&mut self, name: Arc<str>, ty: TensorType, origin: Origin) -> ValueId {
        let id = ValueId(self.graph.values.len() as u32);
        self.graph.values.push(Value { name, ty, layout: Layout::RowMajor, origin });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misfit_names_the_node() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 6, 8, 8]));
        let error = b.group_norm("mid.norm", x, 4, 1e-5).unwrap_err().to_string();
        assert!(error.starts_with("mid.norm: group_norm: 6 channels do not fit 4 groups"));
    }

    #[test]
    fn weights_are_shared_by_name() {
        let mut b = Builder::new("test");
        let first = b.weight("w", [2, 2]).unwrap();
        assert_eq!(b.weight("w", [2, 2]).unwrap(), first);
        assert!(b.weight("w", [4]).is_err());
    }
}
