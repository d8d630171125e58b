//! A graph as the operations of one function: one arm for each operation of the
//! graph, in the file of its kind.
//!
//! A value of the graph has up to two forms here. *Plain* is its own shape.
//! *Flat* is `[batch, channels, 1, tokens]` for a token sequence `[batch,
//! tokens, channels]`: the Neural Engine's layout, which split attention and
//! what surrounds it are written in. Each form is made when it is first read,
//! and so are the results of operations that only move numbers.

mod attention;
mod constants;
mod elementwise;
mod lookup;
mod movement;
mod norm;
mod product;

use std::collections::HashMap;

use laterna_graph::op::Permutation;
use laterna_graph::{Graph, Node, Op, ValueId, WeightSource};
use laterna_tensor::{DType, Shape};

use super::block::{Block, Var};
use super::error::EmitError;
use super::mil::{DataType, ValueType};
use super::options::{Attention, Options};

pub(super) use constants::Stored;
pub use constants::Tally;

pub(super) type Lowered<T = Var> = Result<T, EmitError>;

/// A graph on its way into a block.
pub(super) struct Lowering<'l, 'b, 's, 'p> {
    pub graph: &'l Graph,
    pub weights: &'l dyn WeightSource,
    pub options: &'l Options,
    pub block: Block<'b, 's>,
    pub stored: &'l mut Stored<'p>,
    plain: HashMap<ValueId, Var>,
    flat: HashMap<ValueId, Var>,
    /// Constants in half precision, by the shape that they are read with.
    fixed: HashMap<(ValueId, Shape), Var>,
}

/// A result, and the form that it came out in.
enum Form {
    Plain(Var),
    Flat(Var),
}

impl<'l, 'b, 's, 'p> Lowering<'l, 'b, 's, 'p> {
    pub fn new(
        graph: &'l Graph,
        weights: &'l dyn WeightSource,
        options: &'l Options,
        block: Block<'b, 's>,
        stored: &'l mut Stored<'p>,
    ) -> Self {
        let (plain, flat, fixed) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { graph, weights, options, block, stored, plain, flat, fixed }
    }

    /// Says what an input of the graph is.
    pub fn define(&mut self, id: ValueId, var: Var) {
        self.plain.insert(id, var);
    }

    /// Writes a node, whose operands are written or can be. One that only moves
    /// numbers waits until it is read.
    pub fn node(&mut self, node: &Node) -> Lowered<()> {
        if !moves_only(&node.op) {
            let form = self.scoped(node, |lowering| lowering.compute(node))?;
            match form {
                Form::Plain(var) => self.plain.insert(node.output, var),
                Form::Flat(var) => self.flat.insert(node.output, var),
            };
        }
        Ok(())
    }

    fn scoped<T>(
        &mut self,
        node: &Node,
        write: impl FnOnce(&mut Self) -> Lowered<T>,
    ) -> Lowered<T> {
        let outer = std::mem::replace(&mut self.block.scope, node.name.to_string());
        let result = write(self);
        self.block.scope = outer;
        result
    }

    fn compute(&mut self, node: &Node) -> Lowered<Form> {
        let inputs = node.inputs.as_slice();
        let x = inputs[0];
        let plain = match &node.op {
            Op::Conv2d(conv) => self.conv2d(conv, node)?,
            Op::Linear(epilogue) => return self.linear(epilogue, node),
            Op::MatMul { transpose_b } => self.matmul(*transpose_b, inputs)?,
            Op::Attention(attention) => return self.attention(attention, inputs),
            Op::GroupNorm(norm) => self.group_norm(norm, inputs)?,
            Op::LayerNorm { eps } => return self.layer_norm(*eps, inputs),
            Op::Softmax => self.softmax(x)?,
            Op::CausalMask => self.causal_mask(x)?,
            Op::Activation(a) => return self.elementwise(x, |l, x| Ok(l.activate(*a, x))),
            Op::Affine { scale, offset } => {
                return self.elementwise(x, |l, x| l.affine(x, *scale, *offset));
            }
            Op::Clamp { min, max } => return self.elementwise(x, |l, x| l.clamp(x, *min, *max)),
            Op::Binary(binary) => return self.binary(*binary, inputs),
            Op::Concat { axis } => self.concat(*axis, inputs)?,
            Op::Slice { axis, start, end } => self.slice(x, *axis, *start, *end)?,
            Op::Reshape { shape } => self.reshape(x, *shape)?,
            Op::Transpose(order) => self.transpose(x, order)?,
            Op::UpsampleNearest { factor } => self.upsample_nearest(x, *factor)?,
            Op::Embedding => self.embedding(node)?,
            Op::SelectToken => self.select_token(inputs)?,
            Op::TimestepEmbedding(embedding) => self.timestep_embedding(embedding, x)?,
            Op::Cast { dtype } => self.cast(x, *dtype)?,
            // A layout is the device's business; the numbers are the same.
            Op::Relayout { .. } => self.plain(x)?,
        };
        Ok(Form::Plain(plain))
    }

    /// A value in its own shape.
    pub fn plain(&mut self, id: ValueId) -> Lowered {
        if let Some(var) = self.plain.get(&id) {
            return Ok(var.clone());
        }
        if self.graph.constant(id).is_some() {
            return self.constant(id, self.graph.shape(id));
        }
        let var = match (self.flat.get(&id).cloned(), self.graph.producer(id)) {
            (Some(flat), _) => self.tokens(&flat),
            (None, Some(node)) => self.moved(node)?,
            (None, None) => return Err(EmitError::unsupported("graph", "a value has no origin")),
        };
        self.plain.insert(id, var.clone());
        Ok(var)
    }

    /// What a node that only moves numbers gives.
    fn moved(&mut self, node: &Node) -> Lowered {
        self.scoped(node, |lowering| {
            if let Some(picture) = lowering.picture_of_flat(node)? {
                return Ok(picture);
            }
            match lowering.compute(node)? {
                Form::Plain(var) | Form::Flat(var) => Ok(var),
            }
        })
    }

    /// A token sequence `[batch, tokens, channels]` as `[batch, channels, 1, tokens]`.
    fn flat(&mut self, id: ValueId) -> Lowered {
        if let Some(var) = self.flat.get(&id) {
            return Ok(var.clone());
        }
        let &[batch, tokens, channels] = &*self.graph.shape(id) else {
            return Err(EmitError::unsupported(&self.block.scope, "reads no token sequence"));
        };
        let flat = [batch, channels, 1, tokens];
        let var = if let Some(picture) = self.picture_behind(id) {
            let picture = self.plain(picture)?;
            self.block.reshape(&picture, flat)
        } else {
            let plain = self.plain(id)?;
            let channels_first = self.block.transpose(&plain, &[0, 2, 1]);
            self.block.reshape(&channels_first, flat)
        };
        self.flat.insert(id, var.clone());
        Ok(var)
    }

    fn tokens(&mut self, flat: &Var) -> Var {
        let &[batch, channels, _, tokens] = &*flat.shape() else { return flat.clone() };
        let rows = self.block.reshape(flat, [batch, channels, tokens]);
        self.block.transpose(&rows, &[0, 2, 1])
    }

    /// The picture `[batch, channels, h, w]` whose pixels a token sequence is.
    fn picture_behind(&self, id: ValueId) -> Option<ValueId> {
        let reshape = self.graph.producer(id)?;
        let transpose = self.graph.producer(reshape.inputs[0])?;
        let channels_last = is_transpose(transpose, &[0, 2, 3, 1]);
        let &[_, h, w, c] = &*self.graph.shape(transpose.output) else { return None };
        let pixels = matches!(reshape.op, Op::Reshape { shape } if shape[1..] == [h * w, c]);
        (channels_last && pixels).then_some(transpose.inputs[0])
    }

    /// The picture that a flat token sequence is put together to, if the node does
    /// the last of that.
    fn picture_of_flat(&mut self, node: &Node) -> Lowered<Option<Var>> {
        let Some(reshape) = self.graph.producer(node.inputs[0]) else { return Ok(None) };
        let (from, to) = (self.graph.shape(reshape.inputs[0]), self.graph.shape(reshape.output));
        let splits_pixels = matches!(reshape.op, Op::Reshape { .. })
            && from.rank() == 3
            && to.rank() == 4
            && (from[0], from[2]) == (to[0], to[3]);
        let flat = self.flat.get(&reshape.inputs[0]).filter(|_| splits_pixels).cloned();
        let flat = flat.filter(|_| is_transpose(node, &[0, 3, 1, 2]));
        let shape = self.graph.shape(node.output);
        Ok(flat.map(|flat| self.block.reshape(&flat, shape)))
    }

    /// Whether what surrounds attention is written flat.
    fn writes_flat(&self) -> bool {
        self.options.attention == Attention::SplitEinsum
    }
}

/// Type of an input or output of the graph.
pub(super) fn port_type(graph: &Graph, id: ValueId) -> Lowered<ValueType> {
    let ty = graph.ty(id);
    let name = &graph.value(id).name;
    if ty.shape.rank() == 0 || ty.shape.contains(&0) {
        let reason = format!("Core ML has no {ty} at an input or output");
        return Err(EmitError::unsupported(name, reason));
    }
    Ok(ValueType::new(data_type(name, ty.dtype)?, ty.shape))
}

/// Half precision for every kind of fraction, 32 bits for whole numbers: Core ML
/// has no wider ones.
fn data_type(node: &str, dtype: DType) -> Lowered<DataType> {
    match dtype {
        DType::F32 | DType::F16 => Ok(DataType::Fp16),
        DType::I64 => Ok(DataType::Int32),
        other => Err(EmitError::unsupported(node, format!("Core ML computes with no {other}"))),
    }
}

/// Whether an operation is written where it stands. Others only move numbers: they
/// are part of what reads them.
pub fn is_written(op: &Op) -> bool {
    !moves_only(op)
}

fn moves_only(op: &Op) -> bool {
    matches!(op, Op::Reshape { .. } | Op::Transpose(_) | Op::Relayout { .. })
}

fn is_transpose(node: &Node, axes: &[usize]) -> bool {
    matches!(&node.op, Op::Transpose(order) if Permutation::axes(order) == axes)
}
