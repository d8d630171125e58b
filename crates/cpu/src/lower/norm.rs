//! Normalisations and softmax.

use laterna_graph::{Graph, Layout, Node, RunError, op};
use laterna_kernels::Isa;
use laterna_kernels::norm::{self, GroupNormShape};
use laterna_kernels::permute::permute;
use laterna_kernels::softmax;

use super::Lowered;
use super::elementwise::kernel_activation;
use crate::memory::Operands;
use crate::program::{Kernel, Machine};

/// Lowers a group normalisation. Anything but a channels-last picture is
/// brought into that order in scratch memory and back.
pub fn group_norm(graph: &Graph, node: &Node, op: &op::GroupNorm) -> Lowered {
    let x = graph.value(node.inputs[0]);
    let shape = x.ty.shape;
    let positions: usize = shape[2..].iter().product();
    let shape = GroupNormShape {
        batch: shape[0],
        positions,
        channels: shape[1],
        groups: op.groups,
        eps: op.eps,
        activation: op.activation.map(kernel_activation).unwrap_or_default(),
    };
    let scratch_elements = norm::group_norm_scratch_len(&shape);
    if x.layout == Layout::ChannelsLast || positions == 1 {
        return Lowered { scratch_elements, ..Lowered::plain(node, GroupNorm(shape)) };
    }
    let scratch_elements = scratch_elements + 2 * x.ty.shape.elements();
    Lowered { scratch_elements, ..Lowered::plain(node, PlanarGroupNorm(shape)) }
}

/// Lowers a layer normalisation.
pub fn layer_norm(node: &Node, eps: f32) -> Lowered {
    Lowered::plain(node, LayerNorm { eps })
}

/// Lowers a softmax over the last axis.
pub fn softmax(graph: &Graph, node: &Node) -> Lowered {
    let length = graph.shape(node.output).last().copied().unwrap_or(1);
    Lowered::plain(node, Softmax { length })
}

/// Lowers a causal mask.
pub fn causal_mask(graph: &Graph, node: &Node) -> Lowered {
    let shape = graph.shape(node.output);
    let (queries, keys) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
    Lowered::plain(node, CausalMask { queries, keys })
}

struct GroupNorm(GroupNormShape);

impl Kernel for GroupNorm {
    fn name(&self, isa: Isa) -> String {
        format!("group_norm.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (x, gamma, beta) = (operands.input(0), operands.input(1), operands.input(2));
        let (out, scratch) = operands.write();
        norm::group_norm(machine.isa, &machine.pool, &self.0, x, gamma, beta, scratch, out);
        Ok(())
    }
}

/// Of `[batch, channels, positions]`.
struct PlanarGroupNorm(GroupNormShape);

impl Kernel for PlanarGroupNorm {
    fn name(&self, isa: Isa) -> String {
        format!("group_norm.planar.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (x, gamma, beta) = (operands.input(0), operands.input(1), operands.input(2));
        let (out, scratch) = operands.write();
        let GroupNormShape { batch, positions, channels, .. } = self.0;
        let (given, rest) = scratch.split_at_mut(x.len());
        let (normalised, scratch) = rest.split_at_mut(x.len());
        permute(&machine.pool, &[batch, channels, positions], &[0, 2, 1], x, given);
        let (isa, pool) = (machine.isa, &machine.pool);
        norm::group_norm(isa, pool, &self.0, given, gamma, beta, scratch, normalised);
        permute(pool, &[batch, positions, channels], &[0, 2, 1], normalised, out);
        Ok(())
    }
}

struct LayerNorm {
    eps: f32,
}

impl Kernel for LayerNorm {
    fn name(&self, isa: Isa) -> String {
        format!("layer_norm.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (x, gamma, beta) = (operands.input(0), operands.input(1), operands.input(2));
        let (out, _) = operands.write();
        norm::layer_norm(machine.isa, &machine.pool, self.eps, x, gamma, beta, out);
        Ok(())
    }
}

struct Softmax {
    length: usize,
}

impl Kernel for Softmax {
    fn name(&self, isa: Isa) -> String {
        format!("softmax.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let x = operands.input(0);
        let (out, _) = operands.write();
        softmax::softmax(machine.isa, &machine.pool, self.length, x, out);
        Ok(())
    }
}

struct CausalMask {
    queries: usize,
    keys: usize,
}

impl Kernel for CausalMask {
    fn name(&self, isa: Isa) -> String {
        format!("causal_mask.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let x = operands.input(0);
        let (out, _) = operands.write();
        softmax::causal_mask(&machine.pool, self.queries, self.keys, x, out);
        Ok(())
    }
}
