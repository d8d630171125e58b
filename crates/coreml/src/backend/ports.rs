//! Which of a program's inputs and outputs are the model's, and where the others
//! come from: Core ML has no input that nothing reads, and what is not computed
//! needs no device.

use std::sync::Arc;

use laterna_graph::{CompileError, Constant, Graph, Op, Port, TensorType, ValueId, WeightSource};
use laterna_tensor::{DType, Tensor};

use super::error::unsupported;
use crate::emit::Interface;

/// A program's inputs and outputs.
pub(super) struct Ports {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// The model's inputs, in its order.
    pub given: Vec<Given>,
    /// Every output, in the program's order.
    pub sources: Vec<OutputSource>,
}

/// An input of the model.
pub(super) struct Given {
    /// Its position among the program's.
    pub position: usize,
    /// The nodes that look something up with it, and the rows that they have.
    pub tables: Vec<(Arc<str>, usize)>,
    /// It is a pixel buffer.
    pub is_picture: bool,
}

/// Where an output comes from.
pub(super) enum OutputSource {
    /// The model's output of that position.
    Model(usize),
    /// The program's input of that position.
    Input(usize),
    /// It is always the same.
    Constant(Tensor),
}

impl Ports {
    /// The ports of a graph as it is written.
    ///
    /// # Errors
    /// If one has a type that no view has, or a constant cannot be read.
    pub fn new(
        graph: &Graph,
        weights: &dyn WeightSource,
        interface: &Interface,
    ) -> Result<Self, CompileError> {
        let inputs = graph.inputs().iter().map(|&id| port(graph, &graph.value(id).name, id));
        let outputs = graph.outputs().iter().map(|(name, id)| port(graph, name, *id));
        let given = interface.inputs.iter().map(|(position, parameter)| Given {
            position: *position,
            tables: tables(graph, graph.inputs()[*position]),
            is_picture: parameter.image,
        });
        let of_model = |position| interface.outputs.iter().position(|&(at, _)| at == position);
        let sources = graph.outputs().iter().enumerate().map(|(position, &(_, id))| {
            of_model(position).map_or_else(
                || elsewhere(graph, weights, id),
                |index| Ok(OutputSource::Model(index)),
            )
        });
        Ok(Self {
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: outputs.collect::<Result<_, _>>()?,
            given: given.collect(),
            sources: sources.collect::<Result<_, _>>()?,
        })
    }
}

fn port(graph: &Graph, name: &Arc<str>, id: ValueId) -> Result<Port, CompileError> {
    let ty @ TensorType { dtype, .. } = graph.ty(id);
    if !matches!(dtype, DType::F32 | DType::I64) {
        let reason = format!("inputs and outputs are f32 or i64, not {dtype}");
        return Err(unsupported(name, "this", reason));
    }
    Ok(Port { name: name.clone(), ty })
}

/// What an input is an index into: Core ML does not check it.
fn tables(graph: &Graph, input: ValueId) -> Vec<(Arc<str>, usize)> {
    let rows = |op: &Op, inputs: &[ValueId]| match (op, inputs) {
        (Op::Embedding, &[indices, table]) if indices == input => Some(graph.shape(table)[0]),
        (Op::SelectToken, &[tokens, index]) if index == input => Some(graph.shape(tokens)[1]),
        _ => None,
    };
    let nodes = graph.nodes().iter();
    nodes.filter_map(|n| Some((n.name.clone(), rows(&n.op, &n.inputs)?))).collect()
}

/// An output that the model does not have.
fn elsewhere(
    graph: &Graph,
    weights: &dyn WeightSource,
    id: ValueId,
) -> Result<OutputSource, CompileError> {
    if let Some(position) = graph.inputs().iter().position(|&input| input == id) {
        return Ok(OutputSource::Input(position));
    }
    match graph.constant(id) {
        Some(Constant::Weight(name)) => {
            Ok(OutputSource::Constant(Tensor::from_raw(&weights.read(name)?)))
        }
        Some(Constant::Data(tensor)) => Ok(OutputSource::Constant(Tensor::clone(tensor))),
        None => unreachable!("what is neither an input nor a constant is computed"),
    }
}
