//! A graph with its layers' weights as a package stores them: what Core ML is to
//! compute, for any engine to compute in f32.

use laterna_graph::{Constant, Graph, Op, Patch, PatchError, ValueId, WeightSource};
use laterna_tensor::Tensor;

use super::error::EmitError;
use super::options::Options;
use super::{prepare, weights};

/// The graph as it is written, with the weights of convolutions and linear layers
/// encoded and decoded again. Numbers that are not of such layers are left as
/// they are: a package rounds them to half precision.
///
/// # Errors
/// If the choices do not fit, a weight cannot be read, or a number does not fit
/// half precision.
pub fn as_stored(
    graph: &Graph,
    source: &dyn WeightSource,
    options: &Options,
) -> Result<Graph, EmitError> {
    weights::check(options)?;
    let graph = prepare(graph, source)?;
    let unfit = |error: PatchError| EmitError::unsupported(graph.name(), error.to_string());
    let mut patch = Patch::new(&graph);
    for id in layer_weights(&graph) {
        let stored = decoded(&graph, source, options, id)?;
        let constant = patch.constant(&graph.value(id).name, stored);
        patch.replace(id, constant).map_err(unfit)?;
    }
    patch.apply().map_err(unfit)
}

/// Constant weights of layers, each once.
fn layer_weights(graph: &Graph) -> Vec<ValueId> {
    let layers = graph.nodes().iter().filter(|n| matches!(n.op, Op::Conv2d(_) | Op::Linear(_)));
    let weights = layers.map(|node| node.inputs[1]);
    let mut fixed: Vec<_> = weights.filter(|&id| graph.constant(id).is_some()).collect();
    fixed.sort();
    fixed.dedup();
    fixed
}

fn decoded(
    graph: &Graph,
    source: &dyn WeightSource,
    options: &Options,
    id: ValueId,
) -> Result<Tensor, EmitError> {
    let (shape, name) = (graph.shape(id), &graph.value(id).name);
    let numbers = match graph.constant(id) {
        Some(Constant::Weight(name)) => source.read(name)?.to_f32(),
        Some(Constant::Data(tensor)) => tensor.as_f32().unwrap_or_default().to_vec(),
        None => Vec::new(),
    };
    if numbers.len() != shape.elements() {
        let reason = format!("{} numbers, the graph needs {shape}", numbers.len());
        return Err(EmitError::unsupported(name, reason));
    }
    weights::check_finite(name, &numbers)?;
    let stored = weights::decoded(&numbers, shape, options);
    Ok(Tensor::from_f32(shape, stored).expect("as many numbers as the shape has"))
}
