//! Convolutions, linear layers and matrix products: sums of products with an
//! epilogue.

use std::sync::Arc;

use laterna_graph::op::{Conv2d, Epilogue};
use laterna_graph::{CompileError, Graph, Node, RunError, ValueId};
use laterna_kernels::{
    self as kernels, Activation, BatchBias, ConvShape, Isa, MatmulShape, PackedWeights, Padding,
    Precision, Residual, WeightShape, Winograd, WinogradWeights,
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
        return grouped(graph, node, conv, shape);
    }
    if let Some(kind) = constants.winograd(&shape).filter(|_| !conv.epilogue.geglu) {
        return winograd(graph, node, conv, shape, kind, constants);
    }
    let weights = packed(graph, node, conv, constants)?;
    let rows_per_batch = shape.out_height() * shape.out_width();
    let (epilogue, operands) = epilogue(node, &conv.epilogue, 1, rows_per_batch);
    let is_pointwise = shape.kernel == [1, 1]
        && shape.stride == [1, 1]
        && shape.padding == Padding::default()
        && shape.upsample == 1;
    let scratch_elements = weights.scratch_len(shape.pixels());
    let inputs = [node.inputs[0]].into_iter().chain(operands).collect();
    Ok(if is_pointwise {
        let kernel = Linear { rows: shape.out_rows(), weights, epilogue };
        Lowered::new(kernel, inputs, scratch_elements)
    } else {
        Lowered::new(Conv { shape, weights, epilogue }, inputs, scratch_elements)
    })
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
    let (epilogue, operands) = epilogue(node, op, 1, rows_per_batch);
    let scratch_elements = weights.scratch_len(rows);
    let inputs = [node.inputs[0]].into_iter().chain(operands).collect();
    Ok(Lowered::new(Linear { rows, weights, epilogue }, inputs, scratch_elements))
}

pub fn conv_shape(graph: &Graph, node: &Node, conv: &Conv2d) -> ConvShape {
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

/// The weights of a convolution, packed for the product kernels.
pub fn packed(
    graph: &Graph,
    node: &Node,
    conv: &Conv2d,
    constants: &mut Constants<'_>,
) -> Result<Arc<PackedWeights>, CompileError> {
    let shape = conv_shape(graph, node, conv);
    let weight =
        WeightShape { outputs: shape.out_channels, inputs: shape.in_channels, taps: shape.taps() };
    pack(graph, node, weight, conv.epilogue.geglu, constants)
}

fn pack(
    graph: &Graph,
    node: &Node,
    shape: WeightShape,
    gated: bool,
    constants: &mut Constants<'_>,
) -> Result<Arc<PackedWeights>, CompileError> {
    check_constant_weight(graph, node)?;
    constants.packed(node.inputs[1], shape, gated)
}

/// What the name of a kernel says of its operands.
pub fn suffix(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "",
        Precision::Bf16 => ".bf16",
        Precision::Int8 => ".int8",
    }
}

pub fn check_constant_weight(graph: &Graph, node: &Node) -> Result<(), CompileError> {
    match graph.constant(node.inputs[1]) {
        Some(_) => Ok(()),
        None => Err(unsupported(node, "its weight is computed at run time".into())),
    }
}

/// Which of the kernel's inputs plays which part.
#[derive(Clone, Copy, Default)]
pub struct EpilogueSlots {
    bias: Option<usize>,
    batch_bias: Option<usize>,
    rows_per_batch: usize,
    pre: Activation,
    pub residual: Option<usize>,
    post: Activation,
}

/// The epilogue's slots from `first` on, and the values that fill them in order.
pub fn epilogue(
    node: &Node,
    op: &Epilogue,
    first: usize,
    rows_per_batch: usize,
) -> (EpilogueSlots, Vec<ValueId>) {
    let operands = op.operands(&node.inputs[2..]);
    let mut values = Vec::new();
    let mut slot = |operand: Option<ValueId>| {
        let slot = operand.map(|_| first + values.len());
        values.extend(operand);
        slot
    };
    let (bias, batch_bias) = (slot(operands.bias), slot(operands.batch_bias));
    let residual = slot(operands.residual);
    let pre = op.pre.map(kernel_activation).unwrap_or_default();
    let post = op.post.map(kernel_activation).unwrap_or_default();
    (EpilogueSlots { bias, batch_bias, rows_per_batch, pre, residual, post }, values)
}

impl EpilogueSlots {
    /// The operands themselves, of results with so many columns.
    pub fn resolve<'m>(&self, operands: &Operands<'m>, columns: usize) -> kernels::Epilogue<'m> {
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
        format!("conv{h}x{w}.indirect{}.{isa}", suffix(self.weights.precision()))
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let columns = self.weights.columns();
        let epilogue = self.epilogue.resolve(operands, columns);
        let (x, shape) = (operands.input(0), &self.shape);
        let (out, scratch) = operands.write();
        let (pool, weights, stride) = (&machine.pool, &*self.weights, shape.in_channels);
        kernels::conv2d(pool, shape, x, stride, weights, &epilogue, scratch, out, columns);
        Ok(())
    }
}

/// Lowers a 3x3 convolution to minimal filtering.
fn winograd(
    graph: &Graph,
    node: &Node,
    conv: &Conv2d,
    shape: ConvShape,
    kind: Winograd,
    constants: &mut Constants<'_>,
) -> Result<Lowered, CompileError> {
    check_constant_weight(graph, node)?;
    let weights = constants.filters(node.inputs[1], kind)?;
    let rows_per_batch = shape.out_height() * shape.out_width();
    let (epilogue, operands) = epilogue(node, &conv.epilogue, 1, rows_per_batch);
    let (isa, threads) = (constants.isa(), constants.threads());
    let scratch_elements =
        kernels::winograd_scratch_len(isa, threads, kind, weights.precision(), &shape);
    let inputs = [node.inputs[0]].into_iter().chain(operands).collect();
    Ok(Lowered::new(WinogradConv { shape, weights, epilogue }, inputs, scratch_elements))
}

struct WinogradConv {
    shape: ConvShape,
    weights: Arc<WinogradWeights>,
    epilogue: EpilogueSlots,
}

impl Kernel for WinogradConv {
    fn name(&self, isa: Isa) -> String {
        let (kind, suffix) = (self.weights.kind().name(), suffix(self.weights.precision()));
        format!("conv3x3.{kind}{suffix}.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (inputs, outputs) = (self.shape.in_channels, self.shape.out_channels);
        let epilogue = self.epilogue.resolve(operands, outputs);
        let x = operands.input(0);
        let (out, scratch) = operands.write();
        kernels::conv2d_winograd(
            &machine.pool,
            &self.shape,
            x,
            inputs,
            &self.weights,
            &epilogue,
            scratch,
            out,
            outputs,
        );
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
        format!("gemm{gated}{}.{isa}", suffix(self.weights.precision()))
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (columns, inputs) = (self.weights.columns(), self.weights.shape().inputs);
        let epilogue = self.epilogue.resolve(operands, columns);
        let x = operands.input(0);
        let (out, scratch) = operands.write();
        let (pool, rows, weights) = (&machine.pool, self.rows, &*self.weights);
        kernels::linear(pool, rows, x, inputs, weights, &epilogue, scratch, out, columns);
        Ok(())
    }
}

/// Lowers a convolution in groups, whose weights stay as they are stored.
fn grouped(
    graph: &Graph,
    node: &Node,
    conv: &Conv2d,
    shape: ConvShape,
) -> Result<Lowered, CompileError> {
    if conv.epilogue.geglu {
        return Err(unsupported(node, "a grouped convolution takes no gate".into()));
    }
    check_constant_weight(graph, node)?;
    let rows_per_batch = shape.out_height() * shape.out_width();
    let (epilogue, operands) = epilogue(node, &conv.epilogue, 2, rows_per_batch);
    let inputs = node.inputs[..2].iter().copied().chain(operands).collect();
    Ok(Lowered::new(GroupedConv { shape, groups: conv.groups, epilogue }, inputs, 0))
}

struct GroupedConv {
    shape: ConvShape,
    groups: usize,
    epilogue: EpilogueSlots,
}

impl Kernel for GroupedConv {
    fn name(&self, isa: Isa) -> String {
        let [h, w] = self.shape.kernel;
        format!("conv{h}x{w}.grouped.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (inputs, outputs) = (self.shape.in_channels, self.shape.out_channels);
        let epilogue = self.epilogue.resolve(operands, outputs);
        let (x, weights) = (operands.input(0), operands.input(1));
        kernels::conv2d_grouped(
            machine.isa,
            &machine.pool,
            &self.shape,
            self.groups,
            x,
            inputs,
            weights,
            &epilogue,
            operands.write().0,
            outputs,
        );
        Ok(())
    }
}

/// Lowers a product of two computed matrices.
pub fn matmul(graph: &Graph, node: &Node, transposed_b: bool, isa: Isa) -> Lowered {
    let (a, out) = (graph.shape(node.inputs[0]), graph.shape(node.output));
    let rank = out.rank();
    let shape = MatmulShape {
        batch: out[..rank - 2].iter().product(),
        rows: out[rank - 2],
        depth: a[rank - 1],
        columns: out[rank - 1],
        transposed_b,
        shared_b: false,
    };
    let scratch_elements = kernels::matmul_scratch_len(isa, &shape);
    Lowered { scratch_elements, ..Lowered::plain(node, Matmul(shape)) }
}

struct Matmul(MatmulShape);

impl Kernel for Matmul {
    fn name(&self, isa: Isa) -> String {
        format!("matmul.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (a, b) = (operands.input(0), operands.input(1));
        let (out, scratch) = operands.write();
        kernels::matmul(machine.isa, &machine.pool, &self.0, a, b, scratch, out);
        Ok(())
    }
}
