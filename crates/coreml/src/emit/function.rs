//! One graph as one function: its inputs, its operations, its outputs.

use std::collections::HashMap;
use std::sync::Arc;

use laterna_graph::{Graph, Origin, ValueId, WeightSource};

use super::blob::Blobs;
use super::block::{Block, Var};
use super::error::EmitError;
use super::lower::{Lowered, Lowering, Stored};
use super::mil::{DataType, Function, Parameter, ValueType};
use super::options::Options;
use super::{Entry, FunctionSummary};

/// A picture's numbers are 0 to 255 outside and -1 to 1 inside.
const HALF_RANGE: f32 = 127.5;

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
    let needed = needed(entry, graph);
    let block = Block::new(blobs);
    let mut lowering = Lowering::new(graph, source, options, block, stored);
    let (inputs, unread) = declare_inputs(&mut lowering, entry, &needed)?;
    let names = output_names(&mut lowering, entry);
    for node in graph.nodes().iter().filter(|node| needed[node.output.index()]) {
        lowering.node(node)?;
    }
    let outputs = finish_outputs(&mut lowering, entry, names, &inputs)?;
    lowering.block.check_ranks()?;
    let summary = FunctionSummary {
        name: name.to_owned(),
        inputs: inputs.clone(),
        outputs: outputs.parameters.clone(),
        unread,
        operations: lowering.block.computing(),
    };
    let operations = lowering.block.finish(&outputs.renamed);
    Ok((
        Function { name: name.to_owned(), inputs, outputs: outputs.parameters, operations },
        summary,
    ))
}

/// Every image is an input or an output of that shape.
fn check_images(entry: &Entry<'_>, graph: &Graph) -> Result<(), EmitError> {
    for &image in entry.images {
        let inputs = graph.inputs().iter().map(|&id| (&graph.value(id).name, id));
        let outputs = graph.outputs().iter().map(|(name, id)| (name, *id));
        let mut named = inputs.chain(outputs).filter(|(name, _)| ***name == *image).peekable();
        if named.peek().is_none() {
            return Err(EmitError::unsupported(image, "there is no such input or output"));
        }
        let unfit = named.find(|&(_, id)| !matches!(*graph.shape(id), [1, 3, _, _]));
        if let Some((_, id)) = unfit {
            let reason = format!("a picture is [1, 3, height, width], not {}", graph.shape(id));
            return Err(EmitError::unsupported(image, reason));
        }
    }
    Ok(())
}

fn wanted<'g>(entry: &Entry<'_>, graph: &'g Graph) -> Vec<&'g (Arc<str>, ValueId)> {
    let is_input = |id| matches!(graph.value(id).origin, Origin::Input(_));
    let left_out = |id| entry.computed_only && is_input(id);
    graph.outputs().iter().filter(|&&(_, id)| !left_out(id)).collect()
}

/// Which values the outputs need: Core ML loads no function with an input that
/// nothing reads.
fn needed(entry: &Entry<'_>, graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.values().len()];
    wanted(entry, graph).iter().for_each(|(_, id)| needed[id.index()] = true);
    for node in graph.nodes().iter().rev() {
        if needed[node.output.index()] {
            node.inputs.iter().for_each(|id| needed[id.index()] = true);
        }
    }
    needed
}

/// The parameters, and the names of inputs that nothing reads.
fn declare_inputs(
    lowering: &mut Lowering<'_, '_, '_, '_>,
    entry: &Entry<'_>,
    needed: &[bool],
) -> Lowered<(Vec<Parameter>, Vec<String>)> {
    let graph = lowering.graph;
    let (read, unread): (Vec<_>, Vec<_>) = graph.inputs().iter().partition(|id| needed[id.index()]);
    let mut parameters = Vec::new();
    for &id in read {
        let image = entry.images.contains(&&*graph.value(id).name);
        let name = lowering.block.reserve(&graph.value(id).name);
        let mut ty = lowering.port_type(id)?;
        if image {
            ty.dtype = DataType::Fp32;
        }
        let var = Var { name, ty, fixed: false };
        parameters.push(Parameter::of(&var, image));
        let value = if image { from_image(lowering, &var) } else { var };
        lowering.define(id, value);
    }
    Ok((parameters, unread.iter().map(|&&id| graph.value(id).name.to_string()).collect()))
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

/// The outputs' names, taken before any result's. An output that is called like
/// an input is `<name>_out`: names are unique in a function.
fn output_names(lowering: &mut Lowering<'_, '_, '_, '_>, entry: &Entry<'_>) -> Vec<Arc<str>> {
    let graph = lowering.graph;
    let inputs: Vec<_> = graph.inputs().iter().map(|&id| graph.value(id).name.clone()).collect();
    let outputs = wanted(entry, graph).into_iter().map(|(name, _)| name);
    let hints = outputs
        .map(|name| if inputs.contains(name) { format!("{name}_out") } else { name.to_string() });
    hints.map(|hint| lowering.block.reserve(&hint)).collect()
}

struct Outputs {
    parameters: Vec<Parameter>,
    /// What results are called in the end.
    renamed: HashMap<Arc<str>, Arc<str>>,
}

fn finish_outputs(
    lowering: &mut Lowering<'_, '_, '_, '_>,
    entry: &Entry<'_>,
    names: Vec<Arc<str>>,
    inputs: &[Parameter],
) -> Lowered<Outputs> {
    let mut outputs = Outputs { parameters: Vec::new(), renamed: HashMap::new() };
    for (name, (own, id)) in names.into_iter().zip(wanted(entry, lowering.graph)) {
        lowering.block.scope = name.to_string();
        let ty: ValueType = lowering.port_type(*id)?;
        let mut var = lowering.plain(*id)?;
        debug_assert_eq!(var.ty, ty);
        let image = entry.images.contains(&&**own);
        if image {
            var = to_image(lowering, &var);
        }
        let is_input = inputs.iter().any(|input| input.value.name == var.name);
        if var.fixed || is_input || outputs.renamed.contains_key(&var.name) {
            var = lowering.block.identity(&var);
        }
        outputs.renamed.insert(var.name.clone(), name.clone());
        outputs.parameters.push(Parameter::of(&Var { name, ..var }, image));
    }
    Ok(outputs)
}
