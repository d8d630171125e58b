//! One graph as one function: its inputs, its operations, its outputs.

use std::collections::HashMap;
use std::sync::Arc;

use laterna_graph::{Graph, Origin, ValueId, WeightSource};

use super::blob::Blobs;
use super::block::{Block, Var};
use super::error::EmitError;
use super::lower::{Lowered, Lowering, Stored, port_type};
use super::mil::{DataType, Function, NamedType, Parameter};
use super::names::Names;
use super::options::Options;
use super::{Entry, FunctionSummary, Outputs};

/// A picture's numbers are 0 to 255 outside and -1 to 1 inside.
const HALF_RANGE: f32 = 127.5;

/// What a function takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Its inputs, each with its position among the graph's.
    pub inputs: Vec<(usize, Parameter)>,
    /// Its outputs, each with its position among the graph's.
    pub outputs: Vec<(usize, Parameter)>,
}

/// The inputs and outputs that the function of a prepared graph has: Core ML
/// loads none with an input that nothing reads.
///
/// # Errors
/// If an input or output has a type that Core ML lacks.
pub fn interface(entry: &Entry<'_>, graph: &Graph) -> Result<Interface, EmitError> {
    let needed = needed(entry, graph);
    let mut names = Names::default();
    let mut parameter = |id: ValueId, own: &str, hint: &str| {
        let image = entry.images.contains(&own);
        let mut ty = port_type(graph, id)?;
        if image {
            ty.dtype = DataType::Fp32;
        }
        Ok::<_, EmitError>(Parameter { value: NamedType { name: names.unique(hint), ty }, image })
    };
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let read = graph.inputs().iter().enumerate().filter(|(_, id)| needed[id.index()]);
    for (position, &id) in read {
        let name = &graph.value(id).name;
        inputs.push((position, parameter(id, name, name)?));
    }
    for (position, (own, id)) in wanted(entry, graph) {
        outputs.push((position, parameter(*id, own, &output_hint(graph, own))?));
    }
    Ok(Interface { inputs, outputs })
}

/// An output that is called like an input is `<name>_out`: names are unique in a
/// function.
fn output_hint(graph: &Graph, name: &str) -> String {
    let taken = graph.inputs().iter().any(|&id| *graph.value(id).name == *name);
    if taken { format!("{name}_out") } else { name.to_owned() }
}

/// The function, and what is to be told of it.
pub(super) fn write(
    name: &str,
    entry: &Entry<'_>,
    graph: &Graph,
    source: &dyn WeightSource,
    options: &Options,
    blobs: &mut Blobs<'_>,
    stored: &mut Stored<'_>,
) -> Result<(Function, FunctionSummary), EmitError> {
    check_images(entry, graph)?;
    let interface = interface(entry, graph)?;
    let needed = needed(entry, graph);
    let block = Block::new(blobs);
    let mut lowering = Lowering::new(graph, source, options, block, stored);
    reserve_names(&mut lowering, &interface);
    declare_inputs(&mut lowering, &interface);
    for node in graph.nodes().iter().filter(|node| needed[node.output.index()]) {
        lowering.node(node)?;
    }
    let renamed = finish_outputs(&mut lowering, &interface)?;
    lowering.block.check_ranks()?;
    let parameters = |side: &[(usize, Parameter)]| side.iter().map(|(_, p)| p.clone()).collect();
    let (inputs, outputs) = (parameters(&interface.inputs), parameters(&interface.outputs));
    let unread = graph.inputs().iter().filter(|id| !needed[id.index()]);
    let (written, operations) = lowering.block.finish(&renamed);
    let summary = FunctionSummary {
        name: name.to_owned(),
        inputs: Vec::clone(&inputs),
        outputs: Vec::clone(&outputs),
        unread: unread.map(|&id| graph.value(id).name.to_string()).collect(),
        operations,
    };
    Ok((Function { name: name.to_owned(), inputs, outputs, operations: written }, summary))
}

/// Every image is an input or an output of that shape.
fn check_images(entry: &Entry<'_>, graph: &Graph) -> Result<(), EmitError> {
    for &image in entry.images {
        let mut named = named(graph, image).peekable();
        if named.peek().is_none() {
            return Err(EmitError::unsupported(image, "there is no such input or output"));
        }
        if let Some(id) = named.find(|&id| !has_picture_shape(graph, id)) {
            let reason = format!("a picture is [1, 3, height, width], not {}", graph.shape(id));
            return Err(EmitError::unsupported(image, reason));
        }
    }
    Ok(())
}

/// Whether a graph has an input or an output of that name, and none that is no picture,
/// `[1, 3, height, width]`.
pub fn is_picture(graph: &Graph, name: &str) -> bool {
    let mut named = named(graph, name).peekable();
    named.peek().is_some() && named.all(|id| has_picture_shape(graph, id))
}

/// The inputs and outputs of a name.
fn named(graph: &Graph, name: &str) -> impl Iterator<Item = ValueId> {
    let inputs = graph.inputs().iter().map(|&id| (&graph.value(id).name, id));
    let outputs = graph.outputs().iter().map(|(name, id)| (name, *id));
    inputs.chain(outputs).filter(move |(own, _)| ***own == *name).map(|(_, id)| id)
}

fn has_picture_shape(graph: &Graph, id: ValueId) -> bool {
    matches!(*graph.shape(id), [1, 3, _, _])
}

/// The outputs that the function has, each with its position among the graph's.
fn wanted<'g>(
    entry: &Entry<'_>,
    graph: &'g Graph,
) -> impl Iterator<Item = (usize, &'g (Arc<str>, ValueId))> {
    let left_out = move |origin: &Origin, outputs| match origin {
        Origin::Input(_) => outputs != Outputs::All,
        Origin::Constant(_) => outputs == Outputs::Computed,
        Origin::Node(_) => false,
    };
    let outputs = entry.outputs;
    let all = graph.outputs().iter().enumerate();
    all.filter(move |(_, (_, id))| !left_out(&graph.value(*id).origin, outputs))
}

/// Which values the outputs need: Core ML loads no function with an input that
/// nothing reads.
fn needed(entry: &Entry<'_>, graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.values().len()];
    wanted(entry, graph).for_each(|(_, (_, id))| needed[id.index()] = true);
    for node in graph.nodes().iter().rev() {
        if needed[node.output.index()] {
            node.inputs.iter().for_each(|id| needed[id.index()] = true);
        }
    }
    needed
}

/// Takes the names of inputs and outputs before any result does.
fn reserve_names(lowering: &mut Lowering<'_, '_, '_, '_>, interface: &Interface) {
    for (_, parameter) in interface.inputs.iter().chain(&interface.outputs) {
        lowering.block.reserve(&parameter.value.name);
    }
}

fn declare_inputs(lowering: &mut Lowering<'_, '_, '_, '_>, interface: &Interface) {
    for (position, parameter) in &interface.inputs {
        let NamedType { name, ty } = parameter.value.clone();
        let var = Var { name, ty, fixed: false };
        let value = if parameter.image { from_image(lowering, &var) } else { var };
        lowering.define(lowering.graph.inputs()[*position], value);
    }
}

/// 0..=255 as -1..=1. Core ML gives pictures in single precision.
fn from_image(lowering: &mut Lowering<'_, '_, '_, '_>, image: &Var) -> Var {
    let block = &mut lowering.block;
    block.scope = image.name.to_string();
    let scale = block.float("image_scale", 1.0 / HALF_RANGE);
    let offset = block.float("image_offset", -1.0);
    let scaled = block.mul(image, &scale);
    let centred = block.add(&scaled, &offset);
    block.cast(&centred, DataType::Fp16)
}

/// -1..=1 as 0..=255, limited to that.
fn to_image(lowering: &mut Lowering<'_, '_, '_, '_>, value: &Var) -> Var {
    let block = &mut lowering.block;
    let single = block.cast(value, DataType::Fp32);
    let factor = block.float("image_half_range", HALF_RANGE);
    let scaled = block.mul(&single, &factor);
    let shifted = block.add(&scaled, &factor);
    let (black, white) = (block.float("black", 0.0), block.float("white", 255.0));
    block.clip(&shifted, &black, &white)
}

/// Writes what remains of the outputs; gives what results are called in the end.
fn finish_outputs(
    lowering: &mut Lowering<'_, '_, '_, '_>,
    interface: &Interface,
) -> Lowered<HashMap<Arc<str>, Arc<str>>> {
    let mut renamed = HashMap::new();
    for (position, Parameter { value, image }) in &interface.outputs {
        let (_, id) = lowering.graph.outputs()[*position];
        lowering.block.scope = value.name.to_string();
        let mut var = lowering.plain(id)?;
        if *image {
            var = to_image(lowering, &var);
        }
        debug_assert_eq!(var.ty, value.ty);
        let mut inputs = interface.inputs.iter();
        let is_input = inputs.any(|(_, input)| input.value.name == var.name);
        if var.fixed || is_input || renamed.contains_key(&var.name) {
            var = lowering.block.identity(&var);
        }
        renamed.insert(var.name, value.name.clone());
    }
    Ok(renamed)
}
