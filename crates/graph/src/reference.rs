//! What every operation means: a naive interpreter, the oracle for all backends.
//!
//! Values are stored as f32, sums are taken in f64, and physical layouts are
//! ignored: everything here is row-major.

mod image;
mod lookup;
mod math;
mod reduce;
mod shape;

use std::collections::HashMap;

use laterna_tensor::{Shape, Tensor, TensorData, TensorError};
use thiserror::Error;

use crate::graph::{Constant, Graph, Origin};
use crate::op::{Activation, Binary, Epilogue, EpilogueOperands};
use crate::{Op, TensorType, ValueId, WeightError, WeightSource};

pub use math::activate;

/// Why the interpreter stopped.
#[derive(Debug, Error)]
pub enum ReferenceError {
    /// A weight could not be read.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// A tensor has another type than the graph says.
    #[error("{value}: {source}")]
    Tensor {
        /// The value.
        value: String,
        /// What is wrong.
        source: TensorError,
    },
    /// An input is missing or has another type.
    #[error("input {name}: expected {expected}")]
    Input {
        /// The input.
        name: String,
        /// Its type.
        expected: TensorType,
    },
    /// An index lies outside its table.
    #[error("{node}: index {index} is outside 0..{rows}")]
    Index {
        /// The node.
        node: String,
        /// The index.
        index: i64,
        /// Rows of the table.
        rows: usize,
    },
}

/// Runs a graph on inputs in the graph's order; gives its outputs in order.
///
/// # Errors
/// If an input or a weight does not fit.
pub fn run(
    graph: &Graph,
    weights: &dyn WeightSource,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>, ReferenceError> {
    let mut interpreter = Interpreter { graph, weights, values: HashMap::new() };
    interpreter.take_inputs(inputs)?;
    let last_reads = last_reads(graph);
    for (index, node) in graph.nodes().iter().enumerate() {
        let operands = interpreter.operands(&node.inputs)?;
        let ty = graph.ty(node.output);
        let result = evaluate(&node.op, &operands.iter().collect::<Vec<_>>(), ty)
            .map_err(|problem| problem.at(&node.name))?;
        interpreter.values.insert(node.output, result);
        for id in last_reads.get(&index).into_iter().flatten() {
            interpreter.values.remove(id);
        }
    }
    graph.outputs().iter().map(|&(_, id)| interpreter.operand(id)).collect()
}

/// Evaluates one operation.
///
/// # Errors
/// If an operand has another element type or an index is out of range.
pub fn evaluate(op: &Op, inputs: &[&Tensor], output: TensorType) -> Result<Tensor, EvalError> {
    match op {
        Op::Conv2d(conv) => {
            let sums = image::conv2d(conv, inputs[0], inputs[1])?;
            epilogue(&conv.epilogue, sums, &inputs[2..], 1)
        }
        Op::Linear(e) => {
            let sums = math::linear(inputs[0], inputs[1])?;
            let axis = sums.shape().rank() - 1;
            epilogue(e, sums, &inputs[2..], axis)
        }
        Op::MatMul { transpose_b } => math::matmul(inputs[0], inputs[1], *transpose_b),
        Op::Attention(attention) => math::attention(attention, inputs[0], inputs[1], inputs[2]),
        Op::GroupNorm(norm) => {
            let y = reduce::group_norm(norm, inputs[0], inputs[1], inputs[2])?;
            norm.activation.map_or(Ok(y.clone()), |a| math::unary(&y, |x| activate(a, x)))
        }
        Op::LayerNorm { eps } => reduce::layer_norm(inputs[0], inputs[1], inputs[2], *eps),
        Op::Softmax => reduce::softmax(inputs[0]),
        Op::CausalMask => reduce::causal_mask(inputs[0]),
        Op::Activation(a) => math::unary(inputs[0], |x| activate(*a, x)),
        Op::Affine { scale, offset } => math::unary(inputs[0], |x| x * scale + offset),
        Op::Clamp { min, max } => math::unary(inputs[0], |x| x.clamp(*min, *max)),
        Op::Binary(binary) => math::binary(*binary, inputs[0], inputs[1], output.shape),
        Op::Concat { axis } => shape::concat(inputs, *axis, output),
        Op::Slice { axis, start, .. } => shape::slice(inputs[0], *axis, *start, output),
        Op::Reshape { shape } => Ok(inputs[0].clone().reshaped(*shape)?),
        Op::Transpose(order) => shape::transpose(inputs[0], order),
        Op::UpsampleNearest { factor } => image::upsample_nearest(inputs[0], *factor),
        Op::Embedding => lookup::embedding(inputs[0], inputs[1], output),
        Op::SelectToken => lookup::select_token(inputs[0], inputs[1], output),
        Op::TimestepEmbedding(embedding) => lookup::timestep_embedding(embedding, inputs[0]),
        Op::Cast { dtype } => math::cast(inputs[0], *dtype),
        Op::Relayout { .. } => Ok(inputs[0].clone()),
    }
}

/// Why one operation could not be evaluated; the caller knows which node it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvalError {
    /// A tensor has another type.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An index lies outside its table.
    #[error("index {index} is outside 0..{rows}")]
    Index {
        /// The index.
        index: i64,
        /// Rows of the table.
        rows: usize,
    },
}

impl EvalError {
    pub(crate) fn at(self, node: &str) -> ReferenceError {
        let node = node.to_owned();
        match self {
            Self::Tensor(source) => ReferenceError::Tensor { value: node, source },
            Self::Index { index, rows } => ReferenceError::Index { node, index, rows },
        }
    }
}

type Evaluated = Result<Tensor, EvalError>;

struct Interpreter<'a> {
    graph: &'a Graph,
    weights: &'a dyn WeightSource,
    values: HashMap<ValueId, Tensor>,
}

impl Interpreter<'_> {
    fn take_inputs(&mut self, inputs: &[Tensor]) -> Result<(), ReferenceError> {
        for (position, &id) in self.graph.inputs().iter().enumerate() {
            let expected = self.graph.ty(id);
            let fits = |t: &&Tensor| t.shape() == expected.shape && t.dtype() == expected.dtype;
            let Some(tensor) = inputs.get(position).filter(fits) else {
                let name = self.graph.value(id).name.to_string();
                return Err(ReferenceError::Input { name, expected });
            };
            self.values.insert(id, tensor.clone());
        }
        Ok(())
    }

    fn operands(&self, ids: &[ValueId]) -> Result<Vec<Tensor>, ReferenceError> {
        ids.iter().map(|&id| self.operand(id)).collect()
    }

    fn operand(&self, id: ValueId) -> Result<Tensor, ReferenceError> {
        match &self.graph.value(id).origin {
            Origin::Constant(Constant::Weight(name)) => {
                Ok(Tensor::from_raw(&self.weights.read(name)?))
            }
            Origin::Constant(Constant::Data(tensor)) => Ok((**tensor).clone()),
            Origin::Input(_) | Origin::Node(_) => Ok(self.values[&id].clone()),
        }
    }
}

/// For each node, the computed values that nobody reads after it.
fn last_reads(graph: &Graph) -> HashMap<usize, Vec<ValueId>> {
    let mut last: HashMap<ValueId, usize> = HashMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        last.extend(node.inputs.iter().map(|&id| (id, index)));
    }
    for (_, id) in graph.outputs() {
        last.remove(id);
    }
    let mut by_node: HashMap<usize, Vec<ValueId>> = HashMap::new();
    for (id, node) in last {
        by_node.entry(node).or_default().push(id);
    }
    by_node
}

/// Applies an epilogue to sums of products whose channels lie along `axis`.
fn epilogue(e: &Epilogue, sums: Tensor, operands: &[&Tensor], axis: usize) -> Evaluated {
    let ids: Vec<_> = (0..operands.len() as u32).map(ValueId).collect();
    let EpilogueOperands { bias, batch_bias, residual } = e.operands(&ids);
    let operand = |id: ValueId| operands[id.index()];
    let shape = sums.shape();
    let mut y = sums;
    if let Some(bias) = bias {
        let mut extents = vec![1; shape.rank()];
        extents[axis] = shape[axis];
        let bias = operand(bias).clone().reshaped(extents.as_slice())?;
        y = math::binary(Binary::Add, &y, &bias, shape)?;
    }
    if let Some(batch_bias) = batch_bias {
        let mut extents = vec![1; shape.rank()];
        extents[0] = shape[0];
        extents[axis] = shape[axis];
        let bias = operand(batch_bias).clone().reshaped(extents.as_slice())?;
        y = math::binary(Binary::Add, &y, &bias, shape)?;
    }
    if e.geglu {
        let half = shape[axis] / 2;
        let ty = TensorType::f32(shape.with(axis, half));
        let gate = shape::slice(&y, axis, half, ty)?;
        let gate = math::unary(&gate, |x| activate(Activation::Gelu, x))?;
        let value = shape::slice(&y, axis, 0, ty)?;
        y = math::binary(Binary::Mul, &value, &gate, ty.shape)?;
    }
    if let Some(activation) = e.pre {
        y = math::unary(&y, |x| activate(activation, x))?;
    }
    if let Some(residual) = residual {
        let shape = y.shape();
        y = math::binary(Binary::Add, &y, operand(residual), shape)?;
    }
    if let Some(activation) = e.post {
        y = math::unary(&y, |x| activate(activation, x))?;
    }
    Ok(y)
}

fn f32_tensor(shape: Shape, data: Vec<f32>) -> Evaluated {
    Ok(Tensor::new(shape, TensorData::F32(data))?)
}
