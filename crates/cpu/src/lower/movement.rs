//! Operations that move elements without changing them.

use laterna_graph::op::Permutation;
use laterna_graph::{Graph, Layout, Node, RunError, ValueId};
use laterna_kernels::permute::{copy_rows, permute};
use laterna_kernels::resample::{self, UpsampleShape};
use laterna_kernels::{Isa, elementwise};
use laterna_tensor::Shape;

use super::Lowered;
use crate::memory::Operands;
use crate::program::{Kernel, Machine};

/// Lowers a step that changes nothing but is not a view here.
pub fn copy(node: &Node) -> Lowered {
    Lowered::plain(node, Copy)
}

/// Lowers a transposition of row-major elements.
pub fn transpose(graph: &Graph, node: &Node, order: &Permutation) -> Lowered {
    let extents = graph.shape(node.inputs[0]);
    Lowered::plain(node, Permute { extents, order: *order })
}

/// Lowers a change of layout.
pub fn relayout(graph: &Graph, node: &Node) -> Lowered {
    let shape = graph.shape(node.output);
    let (extents, axes) = match graph.value(node.output).layout {
        Layout::ChannelsLast => (shape, [0, 2, 3, 1]),
        Layout::RowMajor => (channels_last(&shape), [0, 3, 1, 2]),
    };
    let order = Permutation::new(&axes).expect("each axis is named once");
    Lowered::plain(node, Permute { extents, order })
}

/// Lowers a join along one axis.
pub fn concat(graph: &Graph, node: &Node, axis: usize) -> Lowered {
    let rows = Rows::of(graph, node.output, axis);
    let width = |&id: &ValueId| Rows::of(graph, id, axis).width;
    let widths = node.inputs.iter().map(width).collect();
    Lowered::plain(node, Concat { rows, widths })
}

/// Lowers a cut along one axis.
pub fn slice(graph: &Graph, node: &Node, axis: usize, start: usize) -> Lowered {
    let (from, to) = (Rows::of(graph, node.inputs[0], axis), Rows::of(graph, node.output, axis));
    let start = start * (to.width / graph.shape(node.output)[axis]);
    Lowered::plain(node, Slice { from, to, start })
}

/// Lowers nearest-neighbour enlargement of channels-last pictures.
pub fn upsample_nearest(graph: &Graph, node: &Node, factor: usize) -> Lowered {
    let x = graph.shape(node.inputs[0]);
    let (batch, channels, height, width) = (x[0], x[1], x[2], x[3]);
    let shape = UpsampleShape { batch, height, width, channels, factor };
    Lowered::plain(node, Upsample(shape))
}

fn channels_last(shape: &Shape) -> Shape {
    Shape::from([shape[0], shape[2], shape[3], shape[1]])
}

/// A value as rows: what lies before an axis, and what lies from it on.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    width: usize,
}

impl Rows {
    fn of(graph: &Graph, id: ValueId, axis: usize) -> Self {
        let value = graph.value(id);
        let (shape, axis) = match value.layout {
            Layout::RowMajor => (value.ty.shape, axis),
            Layout::ChannelsLast => (channels_last(&value.ty.shape), [0, 3, 1, 2][axis]),
        };
        Self { count: shape[..axis].iter().product(), width: shape[axis..].iter().product() }
    }
}

struct Copy;

impl Kernel for Copy {
    fn name(&self, _: Isa) -> String {
        "copy".into()
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let x = operands.input(0);
        elementwise::copy(&machine.pool, x, operands.write().0);
        Ok(())
    }
}

struct Permute {
    extents: Shape,
    order: Permutation,
}

impl Kernel for Permute {
    fn name(&self, _: Isa) -> String {
        "permute".into()
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let x = operands.input(0);
        permute(&machine.pool, &self.extents, self.order.axes(), x, operands.write().0);
        Ok(())
    }
}

struct Concat {
    rows: Rows,
    widths: Box<[usize]>,
}

impl Kernel for Concat {
    fn name(&self, _: Isa) -> String {
        "concat".into()
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let Rows { count, width: total } = self.rows;
        let mut start = 0;
        for (index, &width) in self.widths.iter().enumerate() {
            let x = operands.input(index);
            let (out, _) = operands.write();
            copy_rows(&machine.pool, count, width, x, width, &mut out[start..], total);
            start += width;
        }
        Ok(())
    }
}

struct Slice {
    from: Rows,
    to: Rows,
    start: usize,
}

impl Kernel for Slice {
    fn name(&self, _: Isa) -> String {
        "slice".into()
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let x = &operands.input(0)[self.start..];
        let (out, _) = operands.write();
        let Rows { count, width } = self.to;
        copy_rows(&machine.pool, count, width, x, self.from.width, out, width);
        Ok(())
    }
}

struct Upsample(UpsampleShape);

impl Kernel for Upsample {
    fn name(&self, _: Isa) -> String {
        "upsample_nearest".into()
    }

    fn run(&self, machine: &Machine, operands: &mut Operands<'_>) -> Result<(), RunError> {
        let x = operands.input(0);
        resample::upsample_nearest(&machine.pool, &self.0, x, operands.write().0);
        Ok(())
    }
}
