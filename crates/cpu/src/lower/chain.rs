//! Convolutions in a row over large pictures as one kernel, which computes them
//! depth first: what is between them stays in cache.

use std::ops::Range;

use laterna_graph::{CompileError, Graph, Node, Op, RunError, ValueId, op};
use laterna_kernels::{Chain, Epilogue, Halving, Isa, Link, MAX_LINKS};

use super::Lowered;
use super::product::{EpilogueSlots, check_constant_weight, conv_shape, epilogue, packed, suffix};
use crate::constants::Constants;
use crate::memory::Operands;
use crate::program::{Kernel, Machine};

/// Lowers the nodes from `first` on that are worth computing depth first, if any.
///
/// # Errors
/// If a weight cannot be read.
pub fn chain(
    graph: &Graph,
    first: usize,
    constants: &mut Constants<'_>,
) -> Result<Option<Lowered>, CompileError> {
    let mut links = Vec::new();
    while links.len() < MAX_LINKS
        && let Some(link) = next(graph, first, &links, constants)?
    {
        links.push(link);
        if links.last().is_some_and(|link| !link.is_far()) {
            break;
        }
    }
    let mut end = match links.last() {
        Some(last) if last.is_far() && links.len() < MAX_LINKS => {
            halving(graph, first + links.len(), last, constants)?
        }
        _ => None,
    };
    let most = links.len() + usize::from(end.is_some());
    let is_closed = |&len: &usize| keeps_to_itself(graph, first..first + len);
    let Some(len) = (2..=most).rev().find(is_closed) else { return Ok(None) };
    links.truncate(len);
    if links.len() == len {
        end = None;
    }
    let nodes = &graph.nodes()[first..first + len];
    let mut inputs = vec![nodes[0].inputs[0]];
    let mut epilogues = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let rows_per_batch = conv_shape(graph, node, conv(node)).out_rows();
        let (mut slots, mut values) =
            epilogue(node, &conv(node).epilogue, inputs.len(), rows_per_batch);
        if links.get(at).is_some_and(|link| link.residual.is_some()) {
            // The last operand is not read: the chain has it.
            slots.residual = None;
            values.pop();
        }
        inputs.append(&mut values);
        epilogues.push(slots);
    }
    let chain = Chain::new(constants.isa(), constants.threads(), links, end);
    let scratch_elements = chain.scratch_len();
    let kernel = ConvChain { chain, epilogues };
    Ok(Some(Lowered { nodes: len, ..Lowered::new(kernel, inputs, scratch_elements) }))
}

/// Node `at` behind `last`, if it is a convolution that halves the picture and may end a chain.
fn halving(
    graph: &Graph,
    at: usize,
    last: &Link,
    constants: &mut Constants<'_>,
) -> Result<Option<Halving>, CompileError> {
    let Some(node) = graph.nodes().get(at) else { return Ok(None) };
    let Op::Conv2d(conv) = &node.op else { return Ok(None) };
    let operands = conv.epilogue.operands(&node.inputs[2..]);
    let adds = operands.residual.is_some() || operands.batch_bias.is_some();
    let reads_last = graph.nodes()[at - 1].output == node.inputs[0];
    let plain = conv.groups == 1 && !conv.epilogue.geglu && conv.stride == [2, 2];
    if adds || !reads_last || !plain {
        return Ok(None);
    }
    let shape = conv_shape(graph, node, conv);
    let weights = packed(graph, node, conv, constants)?;
    let end = Halving { shape, weights };
    Ok(end.continues(last).then_some(end))
}

/// The convolution behind `links`, the first of which is node `first`.
fn next(
    graph: &Graph,
    first: usize,
    links: &[Link],
    constants: &mut Constants<'_>,
) -> Result<Option<Link>, CompileError> {
    let before = &graph.nodes()[first..first + links.len()];
    let Some(node) = graph.nodes().get(first + links.len()) else { return Ok(None) };
    let Op::Conv2d(conv) = &node.op else { return Ok(None) };
    let reads_last = before.last().is_none_or(|last| last.output == node.inputs[0]);
    if conv.groups != 1 || conv.epilogue.geglu || !reads_last {
        return Ok(None);
    }
    let shape = conv_shape(graph, node, conv);
    let Some(kind) = constants.winograd(&shape) else { return Ok(None) };
    check_constant_weight(graph, node)?;
    let weights = constants.filters(node.inputs[1], kind)?;
    let operands = conv.epilogue.operands(&node.inputs[2..]);
    let is_residual = |node: &Node| operands.residual == Some(node.output);
    let link = Link { shape, weights, residual: before.iter().position(is_residual) };
    let joins = links.last().map_or(link.begins(), |last| link.continues(last));
    Ok(joins.then_some(link))
}

/// Whether the results of all but the last of these nodes are read by them alone.
fn keeps_to_itself(graph: &Graph, nodes: Range<usize>) -> bool {
    let inner = &graph.nodes()[nodes.start..nodes.end - 1];
    let is_inner = |id: &ValueId| inner.iter().any(|node| node.output == *id);
    let later = &graph.nodes()[nodes.end..];
    let is_output = graph.outputs().iter().any(|(_, id)| is_inner(id));
    !is_output && !later.iter().flat_map(|node| &node.inputs).any(is_inner)
}

fn conv(node: &Node) -> &op::Conv2d {
    match &node.op {
        Op::Conv2d(conv) => conv,
        _ => unreachable!("links are convolutions"),
    }
}

struct ConvChain {
    chain: Chain,
    epilogues: Vec<EpilogueSlots>,
}

impl Kernel for ConvChain {
    fn name(&self, isa: Isa) -> String {
        let links = self.chain.links();
        let middle = &links[links.len() / 2].weights;
        let (kind, suffix) = (middle.kind().name(), suffix(middle.precision()));
        format!("conv3x3.{kind}{suffix}.{isa} x{} depth-first", self.epilogues.len())
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let mut epilogues = [Epilogue::default(); MAX_LINKS];
        let shapes = self.chain.shapes();
        for ((epilogue, slots), shape) in epilogues.iter_mut().zip(&self.epilogues).zip(shapes) {
            *epilogue = slots.resolve(operands, shape.out_channels);
        }
        let x = operands.input(0);
        let (out, scratch) = operands.write();
        self.chain.run(&machine.pool, x, &epilogues[..self.epilogues.len()], scratch, out);
        Ok(())
    }
}
