//! Convolutions, linear layers and matrix products: sums of products with an
//! epilogue.

use std::sync::Arc;

use laterna_graph::op::{Conv2d, Epilogue};
use laterna_graph::{CompileError, Graph, Node, RunError, ValueId};
use laterna_kernels::matmul::MatmulShape;
use laterna_kernels::{
    self as kernels, Activation, BatchBias, ConvShape, Isa, PackedWeights, Padding, Residual,
    WeightShape,
};

use super::Lowered;
use super::elementwise::kernel_activation;
use crate::backend::unsupported;
use crate::constants::Constants;
use crate::memory::Operands;
use crate::program::{Kernel, Machine};

/// Lowers a convolution; a 1x1 convolution is a linear layer over pixels.
pub fn conv2d(
    graph: &Graph,
    node: &Node,
    conv: &Conv2d,
    constants: &mut Constants<'_>,
) -> Result<Lowered, CompileError> {
    let shape = conv_shape(graph, node, conv);
    if conv.groups != 1 {
        return grouped(graph, node, conv, shape, constants);
    }
    let weight =
        WeightShape { outputs: shape.out_channels, inputs: shape.in_channels, taps: shape.taps() };
    let weights = pack(graph, node, weight, conv.epilogue.geglu, constants)?;
    let rows_per_batch = shape.out_height() * shape.out_width();
    let (epilogue, operands) = epilogue(node, &conv.epilogue, rows_per_batch);
    let is_pointwise = shape.kernel == [1, 1]
        && shape.stride == [1, 1]
        && shape.padding == Padding::default()
        && shape.upsample == 1;
    let kernel: Box<dyn Kernel> = if is_pointwise {
        Box::new(Linear { rows: shape.out_rows(), weights, epilogue })
    } else {
        Box::new(Conv { shape, weights, epilogue })
    };
    let inputs = [node.inputs[0]].into_iter().chain(operands).collect();
    Ok(Lowered { kernel, inputs, scratch_elements: 0 })
}

/// Lowers a linear layer.
pub fn linear(
    graph: &Graph,
    node: &Node,
    op: &Epilogue,
    constants: &mut Constants<'_>,
) -> Result<Lowered, CompileError> {
    let (x, weight) = (graph.shape(node.inputs[0]), graph.shape(node.inputs[1]));
    let rows = x.elements() / weight[1];
    let rows_per_batch = if x.rank() > 1 { rows / x[0] } else { 1 };
    let weights =
        pack(graph, node, WeightShape::linear(weight[0], weight[1]), op.geglu, constants)?;
    let (epilogue, operands) = epilogue(node, op, rows_per_batch);
    let kernel = Box::new(Linear { rows, weights, epilogue });
    let inputs = [node.inputs[0]].into_iter().chain(operands).collect();
    Ok(Lowered { kernel, inputs, scratch_elements: 0 })
}

fn conv_shape(graph: &Graph, node: &Node, conv: &Conv2d) -> ConvShape {
    let (x, weight) = (graph.shape(node.inputs[0]), graph.shape(node.inputs[1]));
    let pad = conv.padding;
    ConvShape {
        batch: x[0],
        height: x[2],
        width: x[3],
        in_channels: x[1],
        out_channels: weight[0],
        kernel: [weight[2], weight[3]],
        stride: conv.stride,
        padding: Padding { top: pad.top, left: pad.left, bottom: pad.bottom, right: pad.right },
        upsample: conv.upsample,
    }
}

fn pack(
    graph: &Graph,
    node: &Node,
    shape: WeightShape,
    gated: bool,
    constants: &mut Constants<'_>,
) -> Result<Arc<PackedWeights>, CompileError> {
    if graph.constant(node.inputs[1]).is_none() {
        return Err(unsupported(node, "its weight is computed at run time".into()));
    }
    constants.packed(node.inputs[1], shape, gated)
}

/// Which of the kernel's inputs, counted from 1, plays which part; x is input 0.
#[derive(Clone, Copy, Default)]
struct EpilogueSlots {
    bias: Option<usize>,
    batch_bias: Option<usize>,
    rows_per_batch: usize,
    pre: Activation,
    residual: Option<usize>,
    post: Activation,
}

/// The epilogue's slots, and the values that fill them in order.
fn epilogue(node: &Node, op: &Epilogue, rows_per_batch: usize) -> (EpilogueSlots, Vec<ValueId>) {
    let operands = op.operands(&node.inputs[2..]);
    let mut values = Vec::new();
    let mut slot = |operand: Option<ValueId>| {
        values.extend(operand);
        operand.map(|_| values.len())
    };
    let (bias, batch_bias) = (slot(operands.bias), slot(operands.batch_bias));
    let residual = slot(operands.residual);
    let pre = op.pre.map(kernel_activation).unwrap_or_default();
    let post = op.post.map(kernel_activation).unwrap_or_default();
    (EpilogueSlots { bias, batch_bias, rows_per_batch, pre, residual, post }, values)
}

impl EpilogueSlots {
    fn resolve<'m>(&self, operands: &Operands<'m>, columns: usize) -> kernels::Epilogue<'m> {
        let rows = self.rows_per_batch;
        let batch_bias = operands.optional(self.batch_bias);
        let residual = operands.optional(self.residual);
        kernels::Epilogue {
            bias: operands.optional(self.bias),
            batch_bias: batch_bias.map(|values| BatchBias { values, rows }),
            pre: self.pre,
            residual: residual.map(|values| Residual { values, stride: columns }),
            post: self.post,
        }
    }
}

struct Conv {
    shape: ConvShape,
    weights: Arc<PackedWeights>,
    epilogue: EpilogueSlots,
}

impl Kernel for Conv {
    fn name(&self, isa: Isa) -> String {
        let [h, w] = self.shape.kernel;
        format!("conv{h}x{w}.indirect.{}", isa.name())
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let columns = self.weights.columns();
        let epilogue = self.epilogue.resolve(operands, columns);
        let (x, shape) = (operands.input(0), &self.shape);
        let (out, _) = operands.write();
        let x_stride = shape.in_channels;
        kernels::conv2d(&machine.pool, shape, x, x_stride, &self.weights, &epilogue, out, columns);
        Ok(())
    }
}

struct Linear {
    rows: usize,
    weights: Arc<PackedWeights>,
    epilogue: EpilogueSlots,
}

impl Kernel for Linear {
    fn name(&self, isa: Isa) -> String {
        let gated = if self.weights.gated() { ".geglu" } else { "" };
        format!("gemm{gated}.{}", isa.name())
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (columns, inputs) = (self.weights.columns(), self.weights.shape().inputs);
        let epilogue = self.epilogue.resolve(operands, columns);
        let x = operands.input(0);
        let (out, _) = operands.write();
        kernels::linear(
            &machine.pool,
            self.rows,
            x,
            inputs,
            &self.weights,
            &epilogue,
            out,
            columns,
        );
        Ok(())
    }
}

/// Lowers a convolution in groups: one convolution for each, on slices of the
/// channels.
fn grouped(
    graph: &Graph,
    node: &Node,
    conv: &Conv2d,
    shape: ConvShape,
    constants: &mut Constants<'_>,
) -> Result<Lowered, CompileError> {
    if conv.epilogue.geglu || conv.epilogue.batch_bias {
        let reason = "a grouped convolution takes neither a gate nor a bias for each sample";
        return Err(unsupported(node, reason.into()));
    }
    if graph.constant(node.inputs[1]).is_none() {
        return Err(unsupported(node, "its weight is computed at run time".into()));
    }
    let group = ConvShape {
        in_channels: shape.in_channels / conv.groups,
        out_channels: shape.out_channels / conv.groups,
        ..shape
    };
    let weight =
        WeightShape { outputs: group.out_channels, inputs: group.in_channels, taps: group.taps() };
    let weights = constants.packed_groups(node.inputs[1], weight, conv.groups)?;
    let (epilogue, operands) = epilogue(node, &conv.epilogue, shape.out_rows());
    let kernel = Box::new(GroupedConv { group, weights, epilogue });
    let inputs = [node.inputs[0]].into_iter().chain(operands).collect();
    Ok(Lowered { kernel, inputs, scratch_elements: 0 })
}

struct GroupedConv {
    /// The extents of one group.
    group: ConvShape,
    weights: Vec<PackedWeights>,
    epilogue: EpilogueSlots,
}

impl Kernel for GroupedConv {
    fn name(&self, isa: Isa) -> String {
        let [h, w] = self.group.kernel;
        format!("conv{h}x{w}.grouped.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (inputs, outputs) = (self.group.in_channels, self.group.out_channels);
        let (x_stride, out_stride) = (inputs * self.weights.len(), outputs * self.weights.len());
        let whole = self.epilogue.resolve(operands, out_stride);
        let x = operands.input(0);
        let (out, _) = operands.write();
        for (index, weights) in self.weights.iter().enumerate() {
            let first = index * outputs;
            let epilogue = kernels::Epilogue {
                bias: whole.bias.map(|bias| &bias[first..][..outputs]),
                residual: whole.residual.map(|r| Residual { values: &r.values[first..], ..r }),
                ..whole
            };
            kernels::conv2d(
                &machine.pool,
                &self.group,
                &x[index * inputs..],
                x_stride,
                weights,
                &epilogue,
                &mut out[first..],
                out_stride,
            );
        }
        Ok(())
    }
}

/// Lowers a product of two computed matrices.
pub fn matmul(graph: &Graph, node: &Node, transpose_b: bool) -> Lowered {
    let (a, out) = (graph.shape(node.inputs[0]), graph.shape(node.output));
    let rank = out.rank();
    let shape = MatmulShape {
        batch: out[..rank - 2].iter().product(),
        rows: out[rank - 2],
        inner: a[rank - 1],
        columns: out[rank - 1],
        transpose_b,
    };
    Lowered::plain(node, Matmul(shape))
}

struct Matmul(MatmulShape);

impl Kernel for Matmul {
    fn name(&self, _: Isa) -> String {
        "matmul".into()
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (a, b) = (operands.input(0), operands.input(1));
        kernels::matmul::matmul(&machine.pool, &self.0, a, b, operands.write().0);
        Ok(())
    }
}
