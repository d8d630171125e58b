//! Assigns physical layouts for devices that want channels last.
//!
//! Convolutions, group normalisation and upsampling read and write pictures
//! channels-last, element-wise operations follow what they are given, everything
//! else and the graph's inputs and outputs are row-major; a `Relayout` stands
//! wherever two of these meet. Constants are row-major; those of one number a
//! channel serve as channels-last too. Tokens `[batch, h * w, channels]` are then a view
//! of a picture: see [`is_view`].

use std::collections::HashMap;

use laterna_tensor::Shape;

use super::{Pass, PassError};
use crate::graph::{Graph, Layout, Node, Origin};
use crate::op::{Op, Permutation};
use crate::{Patch, PatchError, ValueId, WeightSource};

/// The pass: not one of [`STANDARD`](super::STANDARD), because it is the device
/// that wants it. It comes last: other passes know no layouts.
pub const CHANNELS_LAST: Pass = Pass { name: "channels_last", patch };

const PICTURE_TO_TOKENS: [usize; 4] = [0, 2, 3, 1];
const TOKENS_TO_PICTURE: [usize; 4] = [0, 3, 1, 2];

/// Whether a node only renames the bytes of its first input, so that a device
/// can give its output the input's memory: a reshape of row-major elements, the
/// step between channels-last `[batch, channels, height, width]` and row-major
/// `[batch, height, width, channels]` in either direction, a relayout between
/// layouts that are the same for this shape, a cast to the same type.
pub fn is_view(graph: &Graph, node: &Node) -> bool {
    let (input, output) = (graph.value(node.inputs[0]), graph.value(node.output));
    let layouts = (input.layout, output.layout);
    match &node.op {
        Op::Reshape { .. } => layouts == (Layout::RowMajor, Layout::RowMajor),
        Op::Transpose(order) => match layouts {
            (Layout::ChannelsLast, Layout::RowMajor) => order.axes() == PICTURE_TO_TOKENS,
            (Layout::RowMajor, Layout::ChannelsLast) => order.axes() == TOKENS_TO_PICTURE,
            _ => false,
        },
        Op::Relayout { to } => input.layout == *to || layouts_coincide(&input.ty.shape),
        Op::Cast { dtype } => input.ty.dtype == *dtype && layouts.0 == layouts.1,
        _ => false,
    }
}

/// shape: `[batch, channels, height, width]`
fn layouts_coincide(shape: &Shape) -> bool {
    shape[1] == 1 || shape[2] * shape[3] == 1
}

fn patch<'g>(graph: &'g Graph, _: &dyn WeightSource) -> Result<Patch<'g>, PassError> {
    let mut assignment = Assignment::new(graph);
    assignment.assign().map_err(|source| PassError::Patch { pass: CHANNELS_LAST.name, source })?;
    // A graph that has its layouts keeps its very nodes: the pass is done.
    Ok(if assignment.changed { assignment.patch } else { Patch::new(graph) })
}

/// Rebuilds a graph with layouts, node by node.
struct Assignment<'g> {
    graph: &'g Graph,
    patch: Patch<'g>,
    /// What stands for each value of the old graph.
    current: HashMap<ValueId, ValueId>,
    layouts: HashMap<ValueId, Layout>,
    relayouts: HashMap<(ValueId, Layout), ValueId>,
    changed: bool,
}

impl<'g> Assignment<'g> {
    fn new(graph: &'g Graph) -> Self {
        Self {
            graph,
            patch: Patch::new(graph),
            current: HashMap::new(),
            layouts: HashMap::new(),
            relayouts: HashMap::new(),
            changed: false,
        }
    }

    fn assign(&mut self) -> Result<(), PatchError> {
        for node in self.graph.nodes() {
            self.node(node)?;
        }
        for &(_, id) in self.graph.outputs() {
            let new = self.in_layout(self.current(id), Layout::RowMajor)?;
            if new != id {
                self.patch.replace(id, new)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), PatchError> {
        let inputs: Vec<_> = node.inputs.iter().map(|&id| self.current(id)).collect();
        let given: Vec<_> = inputs.iter().map(|&id| self.layout(id)).collect();
        let shapes: Vec<_> = node.inputs.iter().map(|&id| self.graph.shape(id)).collect();
        let wanted = wanted(&node.op, &shapes, &given, self.graph.shape(node.output));
        let inputs = inputs.into_iter().zip(wanted.inputs);
        let inputs: Vec<_> =
            inputs.map(|(id, layout)| self.in_layout(id, layout)).collect::<Result<_, _>>()?;
        let output = self.patch.node(&node.name, node.op.clone(), &inputs)?;
        self.patch.set_layout(output, wanted.output);
        self.layouts.insert(output, wanted.output);
        self.changed |= self.graph.value(node.output).layout != wanted.output;
        self.current.insert(node.output, output);
        Ok(())
    }

    /// The value in a layout, through one relayout however many read it. A
    /// constant for which the layouts are the same stays as it is.
    fn in_layout(&mut self, id: ValueId, to: Layout) -> Result<ValueId, PatchError> {
        if self.layout(id) == to || self.is_constant_in_both(id) {
            return Ok(id);
        }
        if let Some(&known) = self.relayouts.get(&(id, to)) {
            return Ok(known);
        }
        let name = self.patch.value(id).name.clone();
        let new = self.patch.node(&name, Op::Relayout { to }, &[id])?;
        self.layouts.insert(new, to);
        self.relayouts.insert((id, to), new);
        self.changed = true;
        Ok(new)
    }

    fn is_constant_in_both(&self, id: ValueId) -> bool {
        let value = self.patch.value(id);
        matches!(value.origin, Origin::Constant(_)) && layouts_coincide(&value.ty.shape)
    }

    fn current(&self, id: ValueId) -> ValueId {
        self.current.get(&id).copied().unwrap_or(id)
    }

    /// Inputs and constants are row-major.
    fn layout(&self, id: ValueId) -> Layout {
        self.layouts.get(&id).copied().unwrap_or_default()
    }
}

/// The layouts a node reads and writes.
struct Wanted {
    inputs: Vec<Layout>,
    output: Layout,
}

fn wanted(op: &Op, shapes: &[Shape], given: &[Layout], output: Shape) -> Wanted {
    let same = |layout| Wanted { inputs: pictures_in(layout, shapes), output: layout };
    match op {
        Op::Conv2d(_) => {
            let mut wanted = same(Layout::ChannelsLast);
            wanted.inputs[1] = Layout::RowMajor;
            wanted
        }
        Op::GroupNorm(_) | Op::UpsampleNearest { .. } if output.rank() == 4 => {
            same(Layout::ChannelsLast)
        }
        Op::Activation(_) | Op::Affine { .. } | Op::Clamp { .. } | Op::Cast { .. } => {
            same(given[0])
        }
        Op::Concat { .. } | Op::Slice { .. } => same(any_channels_last(given)),
        Op::Binary(_) if shapes.iter().all(|shape| fits_picture(shape, &output)) => {
            same(any_channels_last(given))
        }
        Op::Transpose(order) => transpose(order, given[0]),
        Op::Relayout { to } => Wanted { inputs: given.to_vec(), output: *to },
        _ => same(Layout::RowMajor),
    }
}

/// Turning pictures to tokens and back is free when the picture is
/// channels-last, so a picture stays as it is given and is made so.
fn transpose(order: &Permutation, given: Layout) -> Wanted {
    let (input, output) = if order.axes() == PICTURE_TO_TOKENS {
        (given, Layout::RowMajor)
    } else if order.axes() == TOKENS_TO_PICTURE {
        (Layout::RowMajor, Layout::ChannelsLast)
    } else {
        (Layout::RowMajor, Layout::RowMajor)
    };
    Wanted { inputs: vec![input], output }
}

/// One channels-last operand decides: converting the others is cheaper than
/// converting it and the result back for the next convolution.
fn any_channels_last(given: &[Layout]) -> Layout {
    if given.contains(&Layout::ChannelsLast) { Layout::ChannelsLast } else { Layout::RowMajor }
}

/// Whether an operand is a whole picture or one number a channel,
/// `[1 or batch, channels, 1, 1]`.
fn fits_picture(shape: &Shape, output: &Shape) -> bool {
    let (&[batch, channels, 1, 1], &[out_batch, out_channels, _, _]) = (&**shape, &**output) else {
        return shape == output && output.rank() == 4;
    };
    channels == out_channels && (batch == 1 || batch == out_batch)
}

fn pictures_in(layout: Layout, shapes: &[Shape]) -> Vec<Layout> {
    let of = |shape: &Shape| if shape.rank() == 4 { layout } else { Layout::RowMajor };
    shapes.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, Binary, Conv2d};
    use crate::passes::testing::{assert_untouched, numbers, rewritten};
    use crate::{Builder, Rate, TensorType};

    /// A residual block, then attention over its pixels.
    fn block() -> Graph {
        let mut b = Builder::new("block");
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 4, 3, 5]));
        let t = b.input("t", Rate::Frame, TensorType::f32([2, 4, 1, 1]));
        let h = b.group_norm("norm", x, 2, 1e-5).unwrap();
        let h = b.activation("silu", h, Activation::Silu).unwrap();
        let h = b.conv2d("conv", h, 4, 3, Conv2d::same(1)).unwrap();
        let h = b.add("time", h, t).unwrap();
        let h = b.add("skip", x, h).unwrap();
        let tokens = b.to_tokens("tokens", h).unwrap();
        let mixed = b.linear("mix", tokens, 4, true).unwrap();
        let picture = b.from_tokens("picture", mixed, 3, 5).unwrap();
        let y = b.concat("concat", &[picture, h, x], 1).unwrap();
        let z = b.upsample_nearest("up", y, 2).unwrap();
        b.finish(&[("y", y), ("z", z)])
    }

    #[test]
    fn pictures_are_channels_last_inside() {
        // Layouts are facts about memory: not one number may change.
        let (after, text) = rewritten(&block(), &[CHANNELS_LAST], 0.0);
        insta::assert_snapshot!(text);
        assert_untouched(&after, CHANNELS_LAST);
        for &id in after.inputs().iter().chain(after.outputs().iter().map(|(_, id)| id)) {
            assert_eq!(after.value(id).layout, Layout::RowMajor);
        }
    }

    #[test]
    fn tokens_of_a_channels_last_picture_are_views() {
        let (after, _) = rewritten(&block(), &[CHANNELS_LAST], 0.0);
        let named =
            |name: &'static str| after.nodes().iter().filter(move |node| &*node.name == name);
        assert_eq!(named("tokens").chain(named("picture")).count(), 4);
        assert!(named("tokens").chain(named("picture")).all(|node| is_view(&after, node)));
        // One number a channel has one order; a picture has two.
        let relayout = |node: &&Node| matches!(node.op, Op::Relayout { .. });
        let views =
            |name: &'static str| named(name).filter(relayout).map(|node| is_view(&after, node));
        assert_eq!(views("t").collect::<Vec<_>>(), [true]);
        assert_eq!(views("x").collect::<Vec<_>>(), [false]);
    }

    #[test]
    fn a_constant_of_one_number_a_channel_needs_no_relayout() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 2, 3, 4]));
        let c = b.constant("c", numbers(TensorType::f32([1, 2, 1, 1]), 1));
        let y = b.upsample_nearest("up", x, 2).unwrap();
        let y = b.add("add", y, c).unwrap();
        let (after, _) = rewritten(&b.finish(&[("y", y)]), &[CHANNELS_LAST], 0.0);
        let ops: Vec<_> = after.nodes().iter().map(|node| node.op.name()).collect();
        assert_eq!(ops, ["relayout", "upsample_nearest", "add", "relayout"]);
    }

    #[test]
    fn one_relayout_serves_all_readers() {
        let (after, _) = rewritten(&block(), &[CHANNELS_LAST], 0.0);
        let of_x = after.nodes().iter().filter(|node| node.inputs[0] == after.inputs()[0]);
        assert_eq!(of_x.count(), 1);
    }

    #[test]
    fn other_broadcasts_and_scores_stay_row_major() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([1, 2, 3, 4]));
        let columns = b.input("columns", Rate::Frame, TensorType::f32([4]));
        let conv = b.conv2d("conv", x, 2, 1, Conv2d::same(0)).unwrap();
        let y = b.node("columns", Op::Binary(Binary::Mul), &[conv, columns]).unwrap();
        let scores = b.node("softmax", Op::Softmax, &[x]).unwrap();
        let graph = b.finish(&[("y", y), ("scores", scores)]);
        let (after, text) = rewritten(&graph, &[CHANNELS_LAST], 0.0);
        let layout = |name: &str| {
            let node = after.nodes().iter().rfind(|node| &*node.name == name).unwrap();
            after.value(node.output).layout
        };
        assert_eq!(layout("columns"), Layout::RowMajor, "{text}");
        assert_eq!(layout("softmax"), Layout::RowMajor, "{text}");
    }

    #[test]
    fn a_graph_without_pictures_is_untouched() {
        let mut b = Builder::new("test");
        let x = b.input("x", Rate::Frame, TensorType::f32([2, 3, 4]));
        let y = b.linear("y", x, 4, true).unwrap();
        let y = b.attention("attention", [x, y, y], 2, false).unwrap();
        assert_untouched(&b.finish(&[("y", y)]), CHANNELS_LAST);
    }
}
