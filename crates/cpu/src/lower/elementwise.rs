//! Element-wise operations.

use laterna_graph::{Graph, Layout, Node, RunError, ValueId, op};
use laterna_kernels::elementwise::{self, Broadcast, Unary};
use laterna_kernels::{Activation, Isa};
use laterna_tensor::Shape;

use super::Lowered;
use crate::memory::Operands;
use crate::program::{Kernel, Machine};

/// Lowers an activation.
pub fn activation(node: &Node, activation: op::Activation) -> Lowered {
    unary(node, Unary::Activation(kernel_activation(activation)))
}

/// Lowers `x * scale + offset`.
pub fn affine(node: &Node, scale: f32, offset: f32) -> Lowered {
    unary(node, Unary::Affine { scale, offset })
}

/// Lowers a clamp.
pub fn clamp(node: &Node, min: f32, max: f32) -> Lowered {
    unary(node, Unary::Clamp { min, max })
}

/// Lowers arithmetic on two operands.
pub fn binary(graph: &Graph, node: &Node, op: op::Binary) -> Lowered {
    let function = match op {
        op::Binary::Add => elementwise::Binary::Add,
        op::Binary::Sub => elementwise::Binary::Sub,
        op::Binary::Mul => elementwise::Binary::Mul,
        op::Binary::Div => elementwise::Binary::Div,
    };
    let layout = graph.value(node.output).layout;
    let [a, b] = [0, 1].map(|i| stored_shape(graph, node.inputs[i], layout));
    let broadcast = Broadcast::new(&a, &b).expect("shapes broadcast: the graph is verified");
    Lowered::plain(node, BinaryKernel { function, broadcast })
}

/// The kernels' activation of the same name.
pub fn kernel_activation(activation: op::Activation) -> Activation {
    match activation {
        op::Activation::Relu => Activation::Relu,
        op::Activation::Silu => Activation::Silu,
        op::Activation::Gelu => Activation::Gelu,
        op::Activation::GeluTanh => Activation::GeluTanh,
        op::Activation::QuickGelu => Activation::QuickGelu,
        op::Activation::Tanh => Activation::Tanh,
        op::Activation::Sigmoid => Activation::Sigmoid,
    }
}

/// A value's extents in the order in which they lie in memory. A rank-4
/// operand of a channels-last operation is channels-last or has one number a
/// channel, which lies the same either way.
fn stored_shape(graph: &Graph, id: ValueId, layout: Layout) -> Shape {
    match (layout, &*graph.shape(id)) {
        (Layout::ChannelsLast, &[batch, channels, height, width]) => {
            Shape::from([batch, height, width, channels])
        }
        _ => graph.shape(id),
    }
}

fn unary(node: &Node, function: Unary) -> Lowered {
    Lowered::plain(node, UnaryKernel { function })
}

struct UnaryKernel {
    function: Unary,
}

impl Kernel for UnaryKernel {
    fn name(&self, isa: Isa) -> String {
        format!("unary.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let x = operands.input(0);
        let (out, _) = operands.write();
        elementwise::unary(machine.isa, &machine.pool, self.function, x, out);
        Ok(())
    }
}

struct BinaryKernel {
    function: elementwise::Binary,
    broadcast: Broadcast,
}

impl Kernel for BinaryKernel {
    fn name(&self, isa: Isa) -> String {
        format!("binary.{isa}")
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let (a, b) = (operands.input(0), operands.input(1));
        let (out, _) = operands.write();
        elementwise::binary(machine.isa, &machine.pool, self.function, &self.broadcast, a, b, out);
        Ok(())
    }
}
